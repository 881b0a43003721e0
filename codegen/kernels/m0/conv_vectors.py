"""Convolutions by vector tables, for M0 and M0+, and for cores of Thumb-2.

A group of inputs at one place of a row has 2^k signed sums.  They are all built, but each for a whole row of places at
once, so that a look-up gives up to 12 sums: see vectors_assembly.py.  A kernel's tap is the same entry some words
further on, so one table serves all columns, taps and neurons.  Where there are more columns than an entry holds, the
image is worked through in strips; the last one may overlap the one before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import BYTES, NIBBLES, CArray, Job, Kernel, Piece, activation_arrays, function
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m0.outputs import SUPPOSED
from signbit.codegen.kernels.m0.vectors_assembly import ENTRY_WORDS_MAX, WORDS_MAX, Entry, Outputs, Pass, fill, table
from signbit.codegen.kernels.targets import CORTEX_DSP, CORTEX_M0, SIZE
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES, Encoding, size_of, words_of

INDEX_MAX = 255
LANE_MAX = 0xFFFF
BOTH_LANES = 0x10001
LOOKUPS_MAX = 90
"""What a branch back over a pass of Thumb-1 reaches."""
OFFSET_MAX = 4095
"""What a load of Thumb-2 reaches."""
LAYOUTS_KEPT = 1024


@dataclass(frozen=True)
class Frame:
    """How a row of the image is looked at: `inputs` at each place, seen through `taps`.

    Places are pixels, or the pixels under a whole row of the kernel, which has one tap then.  A strip has 2 * `words`
    columns of sums; `tap_words` is where in an entry each tap's words begin.
    """

    inputs: int
    entry: Entry
    words: int
    tap_words: tuple[int, ...]
    strips: int

    @property
    def taps(self) -> int:
        return len(self.tap_words)

    @property
    def bytes_read(self) -> int:
        """Bytes of a row that an entry's words are made of."""
        return max(self.entry.columns) + self.entry.lane_bytes + self.inputs

    def table_words(self, inputs: int) -> int:
        return self.entry.words << inputs

    @cached_property
    def _reach(self) -> int:
        """The largest index into an entry, counted from the entry's end."""
        return max(self.tap_words) - self.entry.words

    def last_index(self, inputs: int) -> int:
        """The largest index into a table."""
        return self.table_words(inputs) + self._reach


@dataclass(frozen=True)
class Group:
    """Inputs that share a table: `first` of a frame's inputs, and where weights count from: `offset` after `base`."""

    first: int
    inputs: int
    base: int
    offset: int


@dataclass(frozen=True)
class Layout:
    """How a job is cut: groups of inputs, in chunks whose tables are in memory together."""

    frame: Frame
    chunks: tuple[tuple[Group, ...], ...]

    @classmethod
    def of(cls, frame: Frame, groups: int, chunks: int) -> "Layout":
        """Groups as equal as they can be; the first chunks have more of them, as these are the smaller ones."""
        sizes = sorted(frame.inputs * (n + 1) // groups - frame.inputs * n // groups for n in range(groups))
        ends = [-(-groups * (n + 1) // chunks) for n in range(chunks)]
        cut, first = [], 0
        for start, end in zip([0, *ends], ends, strict=False):
            at, base, chunk = 0, 0, []
            for size in sizes[start:end]:
                if at + frame.last_index(size) - base > INDEX_MAX:
                    base = at
                chunk.append(Group(first, size, base, at - base))
                first, at = first + size, at + frame.table_words(size)
            cut.append(tuple(chunk))
        return cls(frame, tuple(cut))

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        return tuple(group for chunk in self.chunks for group in chunk)

    @cached_property
    def table_words(self) -> int:
        """Words of the largest chunk's tables."""
        return max(sum(self.frame.table_words(group.inputs) for group in chunk) for chunk in self.chunks)

    def weights_pass(self, chunk: tuple[Group, ...], sections: int) -> Pass:
        bases = tuple((base, len(list(same))) for base, same in groupby(group.base for group in chunk))
        return Pass(self.frame.words, sections, bases, self.frame.taps)


class ConvVectors(Kernel):
    """Tables of vectors of signed sums, one entry for all columns; sums of the rows under way are in memory."""

    template = "kernels/m0/conv_vectors.c.j2"
    targets = CORTEX_M0
    layer = Conv2D
    reads = BYTES | NIBBLES
    writes = BYTES | NIBBLES
    wide: ClassVar[bool] = False
    scratch_bytes_max: ClassVar[int] = 6656
    """What no gain in time is worth: cores of 16 KB are to hold networks of this kind."""
    chunks: ClassVar[int] = 1
    """In how many the groups are cut, or at least, where each group is one."""
    one_by_one: ClassVar[bool] = False
    group_inputs_max: ClassVar[int] = 6
    takes_rows = True
    keeps_tables: ClassVar[bool] = False
    """Whether tables of all rows under the kernel are in memory, and not sums of all outputs under way."""

    def swaps(self, job: Job) -> bool:
        return False  # lanes are as wide as the weights make sums; the shift is in the code

    def fits(self, job: Job) -> bool:
        return (
            job.planes == 1
            and job.input.low == 0
            and (_parts(job) == 1 or (self.chunks == 2 and job.layer.window.pool == (1, 1)))
            and job.input_shift <= 1
            and job.layer.window.pool[0] <= 2
            and next(self._layouts(job), None) is not None
        )

    @lru_cache(LAYOUTS_KEPT)  # noqa: B019 -- kernels live as long as their table
    def layout(self, job: Job) -> Layout:
        """The layout that takes the fewest instructions."""
        return min(self._layouts(job), key=lambda layout: self._estimate(job, layout))

    def _layouts(self, job: Job) -> Iterator[Layout]:
        for frame in _frames(job):
            least = max(self.chunks, -(-frame.inputs // self.group_inputs_max))
            for groups in range(least, min(frame.inputs + 1, -(-frame.inputs // 2) + self.chunks)):
                if frame.last_index(-(-frame.inputs // groups)) > INDEX_MAX:
                    continue
                layout = Layout.of(frame, groups, groups if self.one_by_one else self.chunks)
                if self._holds(job, layout):
                    yield layout

    def _holds(self, job: Job, layout: Layout) -> bool:
        """Whether code fits its branches, loads their offsets, sums their lanes, and all the scratch."""
        frame = layout.frame
        return (
            max(map(len, layout.chunks)) * frame.taps * self._sections(job) <= LOOKUPS_MAX
            and (not self.wide or frame.bytes_read <= OFFSET_MAX)
            and (frame.strips == 1 or not (_packs(job) or job.maker))
            and (not job.maker or self._takes_made_rows(job, frame))
            and self._memory(job, layout)["bytes"] <= self.scratch_bytes_max
            and self._lowest(job, layout) is not None
        )

    def _takes_made_rows(self, job: Job, frame: Frame) -> bool:
        """Whether every row is read, and what is read of some that are made at once has no zeros between them."""
        _, width, channels = job.input_shape
        is_whole = not job.layer.window.padding[2] and frame.bytes_read <= width * channels
        is_one = job.maker.job.rows_at_once == 1
        return not _packs(job) and self._rows_read(job) == job.input_shape[0] and (is_one or is_whole)

    def _estimate(self, job: Job, layout: Layout) -> float:
        """About the instructions of what layouts differ in: tables, and passes over all neurons."""
        frame, words = layout.frame, layout.frame.entry.words
        rows = _places(job)[0]
        built = (rows - 1) * job.layer.window.stride[0] + job.layer.kernel[0]
        tables = sum(group.inputs * (8 * words + 20) + (words + 5 << group.inputs) + 80 for group in layout.groups)
        passes = job.neurons * 3 * frame.words * len(layout.chunks)
        looks = job.neurons * len(layout.groups) * frame.taps * (4 - self.wide + frame.words)
        return frame.strips * (built * tables + rows * job.layer.kernel[0] * (passes + looks))

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        layout = self.layout(job)
        frame = layout.frame
        bits = (job.rows > 0).reshape(job.neurons, job.layer.kernel[0], frame.taps, frame.inputs)
        parts = []
        for chunk in layout.chunks:
            indices = [
                bits[..., group.first : group.first + group.inputs] @ (1 << np.arange(group.inputs)) * frame.entry.words
                + (group.offset + np.array(frame.tap_words))
                for group in chunk
            ]
            rows = np.stack(indices, axis=2)
            parts.append((rows if self.keeps_tables else rows.swapaxes(0, 1)).reshape(-1))
        weights = CArray("weights", "uint8_t", np.concatenate(parts).astype(np.uint8))
        lowest = self._lowest(job, layout)
        starts = () if np.ndim(lowest) == 0 else (CArray("starts", "uint32_t", _start(lowest).astype(np.uint32)),)
        return (weights, *starts, *activation_arrays(job, lowest * _parts(job)))

    @staticmethod
    def _lowest(job: Job, layout: Layout) -> int | np.ndarray | None:
        """What sums are counted from, so that they fit a lane: one number for all neurons, or one for each.

        Sums of two parts are counted from one number each; None if they don't fit.
        """
        reach = job.layer.accumulator_range(job.input)
        low, high = reach.overall()
        if _parts(job) > 1:
            weights = job.rows.reshape(job.neurons, -1, layout.frame.inputs)
            cuts = [weights[..., chunk[0].first : chunk[-1].first + chunk[-1].inputs] for chunk in layout.chunks]
            low = -job.input.high * max(int((cut < 0).sum(axis=(1, 2)).max()) for cut in cuts)
            high = job.input.high * max(int((cut > 0).sum(axis=(1, 2)).max()) for cut in cuts)
            return low if high - low <= LANE_MAX else None
        return low if high - low <= LANE_MAX else reach.low

    def values(self, job: Job) -> dict[str, Any]:
        layout = self.layout(job)
        frame, lowest = layout.frame, self._lowest(job, layout)
        chunks, groups, weights_at = [], [], 0
        for chunk in layout.chunks:
            lookups = len(chunk) * frame.taps
            neuron_step, row_step = lookups, lookups * job.neurons
            if self.keeps_tables:
                neuron_step, row_step = lookups * job.layer.kernel[0], lookups
            for number, group in enumerate(chunk):
                place = weights_at + number * frame.taps, neuron_step, row_step
                groups.append((group.first, *place, group.offset))
            same_size = groupby(group.inputs for group in chunk)
            runs = [self._run_values(frame, size, len(list(same))) for size, same in same_size]
            symbol, part = self._pass_piece(job, chunk).symbol, len(chunks) * self._memory(job, layout)["part_words"]
            chunks.append({"runs": runs, "pass": symbol, "at": weights_at, "row": row_step, "part": part})
            weights_at += job.layer.kernel[0] * job.neurons * lookups
        return {
            **self._image_values(job),
            **self._memory(job, layout),
            "fill": self._fill_piece().symbol,
            "table": self._table_piece(job).symbol,
            "outputs": self._outputs_piece(job).symbol,
            "chunks": chunks,
            "groups": groups,
            "last_group": len(groups) - 1,
            "inputs": frame.inputs,
            "entry_words": frame.entry.words,
            "start": None if np.ndim(lowest) else int(_start(lowest)),
            "least": None if np.ndim(lowest) else -lowest * _parts(job),
        }

    @staticmethod
    def _run_values(frame: Frame, inputs: int, count: int) -> dict[str, int]:
        """`count` groups of one size: words to the middle of a table, and to the end of its inputs' words there."""
        half = frame.table_words(inputs) // 2
        return {"count": count, "inputs": inputs, "half": half, "end": half + inputs * frame.entry.words}

    def _image_values(self, job: Job) -> dict[str, Any]:
        """What of the image is read, and when."""
        frame = self.layout(job).frame
        height, width, channels = job.input_shape
        window, row_bytes = job.layer.window, width * channels
        top, (stride, _), side = window.padding[0], window.stride, -window.padding[2] * channels
        rows, columns = _places(job)
        last_strip = max(columns - 2 * frame.words, 0)
        y = f"row - {top}u" if top else "row"
        conditions = {
            f"row >= ended * {stride}u": stride > job.layer.kernel[0],
            f"{y} < {height}u": any(window.padding[:2]) and not self.keeps_tables,
        }
        is_one_strip = frame.strips == 1
        return {
            "rows": rows,
            "image_rows": (rows - 1) * stride + job.layer.kernel[0],
            "image_row_bytes": row_bytes,
            "image_bytes": height * row_bytes,
            "kernel_row_inputs": job.layer.kernel[1] * channels,
            "row_is_read": " && ".join(condition for condition, is_needed in conditions.items() if is_needed),
            "side": side,
            "bytes_read": frame.bytes_read,
            "copies": self._copies(job, frame),
            "unpacks": _unpacks(job),
            **(self._maker_values(job) if job.maker else {"made_rows": 0}),
            "packs": _packs(job),
            "output_row_bytes": size_of(job.output_shape[1:]),
            "row_step": job.input.row_words if _unpacks(job) else row_bytes,
            "copies_zeros": any(window.padding[:2]) and self.keeps_tables,
            "copy_first": f"{-side}u" if is_one_strip else "first",
            "copy_end": f"{min(row_bytes - side, frame.bytes_read)}u" if is_one_strip else "end",
            "first_cut_row": self._first_cut_row(job, frame),
            "strips": frame.strips,
            "strip_columns": 2 * frame.words,
            "last_strip": last_strip,
            "column_bytes": window.stride[1] * channels,
            "output_row_step": job.output.row_words if _packs(job) else job.output_shape[1] * job.neurons,
            "output_columns": job.output_shape[1],
            "last_column": job.output_shape[1] - 1,
            "last_line": window.pool[0] - 1,
            "pixels": job.output_shape[0] * job.output_shape[1],
            "places": window.pool[0] * window.pool[1],
        }

    @staticmethod
    def _maker_values(job: Job) -> dict[str, Any]:
        """Rows of the input that are made at once, how often, and where."""
        rows = job.maker.job.rows_at_once
        return {
            "made_rows": rows,
            "made_bytes": rows * size_of(job.input_shape[1:]),
            "made_at_byte": WORD_BYTES * words_of(job.layer.window.padding[2] * job.input_shape[2]),
            "makings": job.input_shape[0] // rows,
            "maker_has_scratch": job.maker.scratch_words > 0,
        }

    @staticmethod
    def _first_cut_row(job: Job, frame: Frame) -> int:
        """The first row from which on an entry's words would be made of bytes after the image."""
        _, _, channels = job.input_shape
        last_strip = max(_places(job)[1] - 2 * frame.words, 0) * job.layer.window.stride[1] * channels
        row_bytes = size_of(job.input_shape[1:])
        whole_rows = (job.input.size - last_strip - frame.bytes_read) // row_bytes
        return job.layer.window.padding[0] + 1 + whole_rows

    def _memory(self, job: Job, layout: Layout) -> dict[str, int]:
        """Where tables, sums and the copy of a row are in the scratch, in words, and its size."""
        kernel_height, stride = job.layer.kernel[0], job.layer.window.stride[0]
        slots = self._sections(job)
        ring = (1 if self.keeps_tables else -(-kernel_height // stride)) + job.layer.window.pool[0] - 1
        rows = _places(job)[0]
        ring = min(ring, rows)
        row_words = layout.frame.words * job.neurons
        # rows that are made have the tables' place for scratch
        sums_at = max(slots * layout.table_words, job.maker.scratch_words if job.maker else 0)
        copy_at, copy_words = sums_at + ring * row_words * _parts(job), self._copy_words(job, layout.frame)
        end = copy_at + copy_words
        rows_read = (rows - 1) * stride + kernel_height
        is_last = self._copies(job, layout.frame) == "last" and self._first_cut_row(job, layout.frame) == rows_read - 1
        if is_last and ring > job.layer.window.pool[0] and copy_words <= row_words:
            # while the very last row is read, all rows of sums are done but those of the last outputs
            copy_at, end = sums_at + rows % ring * row_words, copy_at
        made_words = 2 * job.output.row_words if _packs(job) else 0
        # a row of outputs is made where the tables are, which are not needed then
        is_apart = self.keeps_tables or made_words > sums_at
        return {
            "keeps_tables": self.keeps_tables,
            "slots": slots,
            "slot_words": layout.table_words,
            "last_slot": (slots - 1) * layout.table_words,
            "slots_taken": min(stride, slots) % slots,
            "slots_left": slots - min(stride, slots) % slots,
            "bases": 2 * slots - 1,
            "words": layout.frame.words,
            "row_words": row_words,
            "ring": ring,
            "last_row": (ring - 1) * row_words,
            "part_words": ring * row_words * (_parts(job) > 1),
            "ring_words": ring * row_words * _parts(job),
            "neuron_rows": ring * job.neurons,
            "sums_at": sums_at,
            "copy_at": copy_at,
            "copy_words": copy_words,
            "copy_row_at": words_of(job.layer.window.padding[2] * job.input_shape[2]),
            "made_at": end if is_apart else 0,
            "bytes": WORD_BYTES * (end + made_words * is_apart),
        }

    def _copy_words(self, job: Job, frame: Frame) -> int:
        """Words of a row's copy; rows that are unpacked or made are there whole, from a word's beginning on."""
        if not (_unpacks(job) or job.maker):
            return words_of(frame.bytes_read) if self._copies(job, frame) else 0
        _, stride = job.layer.window.stride
        side = (max(_places(job)[1] - 2 * frame.words, 0) * stride - job.layer.window.padding[2]) * job.input_shape[2]
        row_at = words_of(job.layer.window.padding[2] * job.input_shape[2])
        row_bytes, made = size_of(job.input_shape[1:]), job.maker.job.rows_at_once if job.maker else 1
        whole_words = 2 * job.input.row_words if _unpacks(job) else words_of(made * row_bytes)
        return row_at + max(whole_words, words_of((made - 1) * row_bytes + side + frame.bytes_read))

    def _copies(self, job: Job, frame: Frame) -> str:
        """When a row is copied before it is read: "always", with zeros beside it, at the "last" rows, or never."""
        window = job.layer.window
        _, width, channels = job.input_shape
        columns = _places(job)[1]
        end = (columns - 1) * window.stride[1] + job.layer.kernel[1] - window.padding[2]
        if (
            _unpacks(job)
            or job.maker
            or window.padding[2]
            or end > width
            or (self.keeps_tables and any(window.padding[:2]))
        ):
            return "always"
        last_strip = max(columns - 2 * frame.words, 0) * window.stride[1] * channels
        return "last" if last_strip + frame.bytes_read > width * channels else ""

    def scratch_bytes(self, job: Job) -> int:
        return self._memory(job, self.layout(job))["bytes"]

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        passes = [self._pass_piece(job, chunk) for chunk in self.layout(job).chunks]
        packing = [Piece("unpack")] * _unpacks(job) + [Piece("pack")] * _packs(job)
        return (self._fill_piece(), self._table_piece(job), *passes, self._outputs_piece(job), *packing)

    def _fill_piece(self) -> Piece:
        prototype = "void (uint32_t *words, const uint32_t *end, uint32_t value)"
        return function("vectors_fill", fill(), prototype, "Sets words, at least one.")

    def _table_piece(self, job: Job) -> Piece:
        frame = self.layout(job).frame
        _, stride = job.layer.window.stride
        symbol = _symbol("table", frame.words, job.input_shape[2], stride, frame.taps, *["shifted"] * job.input_shift)
        prototype = "uint32_t *(const uint8_t *x, uint32_t *table, uint32_t *half, uint32_t *end)"
        summary = (
            "Table of all signed sums over some inputs, each at many places; returns its end.  `half` is its middle, "
            "and `end`\n * an entry further on for each input."
        )
        return function(symbol, table(frame.entry, self.wide), prototype, summary)

    def _sections(self, job: Job) -> int:
        """Rows of the kernel that one pass is about."""
        return job.layer.kernel[0] if self.keeps_tables else 1

    def _pass_piece(self, job: Job, chunk: tuple[Group, ...]) -> Piece:
        layout = self.layout(job)
        cut = layout.weights_pass(chunk, self._sections(job))
        sizes = [f"{len(list(same))}x{size}" for size, same in groupby(group.inputs for group in chunk)]
        symbol = _symbol("pass", cut.words, layout.frame.entry.words, cut.sections, cut.taps, *sizes)
        prototype = "void (const uint8_t *weights, uint32_t *const *tables, uint32_t *sums, uint32_t *end)"
        summary = f"Adds the entries that the weights name to each neuron's sums, which are {2 * cut.words}."
        return function(symbol, cut.listing(self.wide), prototype, summary)

    def _outputs_piece(self, job: Job) -> Piece:
        frame, activation, pool = self.layout(job).frame, job.layer.activation, job.layer.window.pool
        places = _places(job)[1] if frame.strips == 1 else 2 * frame.words
        each = bool(np.ndim(self._lowest(job, self.layout(job))))
        wide, has_lanes = self.wide, job.target in CORTEX_DSP
        shape = frame.words, places, pool, job.neurons, activation.shift, activation.high
        symbol = _symbol(
            "outputs", *pool, frame.words, places, *shape[3:], *["each"] * each, *["parts"] * (_parts(job) > 1)
        )
        prototype = (
            "void (uint32_t *sums, uint32_t *other, uint8_t *out, const PREFIX_requantize_t *activation, "
            f"{'const uint32_t *starts' if each else 'uint32_t start'})"
        )
        summary = "Pools and requantizes a row of sums, or two, and starts them anew."
        listing = Outputs(*shape, _parts(job), each, wide, has_lanes, is_small=job.optimize == SIZE).listing()
        return function(symbol, listing, prototype, summary)

    def runs(self, job: Job) -> list[Run]:
        layout = self.layout(job)
        memory = self._memory(job, layout)
        strips, neurons = layout.frame.strips, job.neurons
        rows = _places(job)[0]
        listings = [piece.values["listing"] for piece in self.pieces(job) if "listing" in piece.values]
        fill_listing, table_listing, *passes, outputs = listings
        is_each = bool(np.ndim(self._lowest(job, self.layout(job))))
        starts = memory["neuron_rows"] if is_each else 1
        runs = [fill_listing.run(strips * starts, words=memory["ring_words"] / starts)]
        if self._copies(job, layout.frame) == "always":
            runs.append(fill_listing.run(strips, words=memory["copy_words"]))
        for size, same in groupby(group.inputs for group in layout.groups):
            times = strips * self._rows_read(job) * len(list(same))
            counts = {"inputs": size, "again": 1 - 1 / size, "entries": ((1 << size) - 1) / size}
            runs.append(table_listing.run(times, **counts))
        times = strips * (rows if self.keeps_tables else self._rows_inside(job))
        runs += [listing.run(times, neurons=neurons, again=1 - 1 / neurons) for listing in passes]
        counts = {"neurons": neurons, "again": 1 - 1 / neurons, "kept": 0.5, **SUPPOSED}
        return [*runs, outputs.run(strips * rows // job.layer.window.pool[0], **counts)]

    def terms(self, job: Job) -> dict[str, float]:
        layout, image, strips = self.layout(job), self._image_values(job), self.layout(job).frame.strips
        bytes_copied = (
            image["bytes_read"] * {"always": self._rows_read(job), "last": 1, "": 0}[self._copies(job, layout.frame)]
        )
        return {
            "call": 1,
            "strip": strips,
            "row": strips * image["image_rows"],
            "table": strips * self._rows_read(job) * len(layout.groups),
            "pass": strips * (image["rows"] if self.keeps_tables else self._rows_inside(job) * len(layout.chunks)),
            "outputs": strips * image["rows"],
            "copied in strips" if strips > 1 else "copied": strips * bytes_copied * (not (_unpacks(job) or job.maker)),
            "unpacked word": strips * self._rows_read(job) * job.input.row_words * _unpacks(job),
            "packed word": job.output_shape[0] * job.output.row_words * _packs(job),
            "start": self._memory(job, layout)["neuron_rows"] * bool(np.ndim(self._lowest(job, self.layout(job)))),
        }

    def output_columns(self, job: Job) -> list[int]:
        frame, pool = self.layout(job).frame, job.layer.window.pool[1]
        if frame.strips == 1:
            return list(range(job.output_shape[1]))
        last = _places(job)[1] - 2 * frame.words
        starts = [min(strip * 2 * frame.words, last) for strip in range(frame.strips)]
        return [column // pool for start in starts for column in range(start, start + 2 * frame.words, pool)]

    def _kernel_rows(self, job: Job) -> list[set[int]]:
        """Rows of the image under the kernel, for each row of sums; those outside of it have no tables of their own."""
        top, stride, height = job.layer.window.padding[0], job.layer.window.stride[0], job.layer.kernel[0]
        starts = range(-top, _places(job)[0] * stride - top, stride)
        inside = range(
            -top - height if self.keeps_tables else 0, job.input_shape[0] + self.keeps_tables * (height + 255)
        )
        return [{row for row in range(start, start + height) if self.keeps_tables or row in inside} for start in starts]

    def _rows_read(self, job: Job) -> int:
        return len(set().union(*self._kernel_rows(job)))

    def _rows_inside(self, job: Job) -> int:
        return sum(map(len, self._kernel_rows(job)))


class ConvVectorsHalves(ConvVectors):
    """Tables of vectors of signed sums, for one half of the inputs after the other."""

    variant = "_halves"
    chunks = 2


class ConvVectorsGroups(ConvVectors):
    """Tables of vectors of signed sums of three inputs, one in memory at a time: little more than the sums."""

    variant = "_groups"
    chunks = 3
    one_by_one = True
    group_inputs_max = 3


class ConvVectorsGroups5(ConvVectorsGroups):
    """Tables of vectors of signed sums of up to five inputs, one in memory at a time."""

    variant = "_groups5"
    group_inputs_max = 5


class ConvVectorsRows(ConvVectors):
    """Tables of vectors of signed sums for all rows under the kernel, so that a row of sums is made at once."""

    variant = "_rows"
    takes_rows = False
    keeps_tables = True
    scratch_bytes_max = 5 << 10


def _frames(job: Job) -> Iterator[Frame]:
    """Frames of pixels and of whole kernel rows, each with as few strips as fit."""
    channels, kernel_width = job.input_shape[2], job.layer.kernel[1]
    stride, pool = job.layer.window.stride[1], job.layer.window.pool[1]
    columns = _places(job)[1]
    for taps in sorted({1, kernel_width}):
        for strips in range(1, columns + 1):
            words = -(-columns // (2 * strips))
            words += next(n for n in range(pool) if strips == 1 or 2 * (words + n) % pool == 0)
            places, tap_words = _words(words, taps, stride)
            if words <= WORDS_MAX and len(places) <= ENTRY_WORDS_MAX and (strips == 1 or 2 * words <= columns):
                lanes = stride * words * channels
                entry = Entry(tuple(place * channels for place in places), lanes, job.input_shift)
                yield Frame(channels * kernel_width // taps, entry, words, tap_words, strips)
                break


def _words(words: int, taps: int, stride: int) -> tuple[list[int], tuple[int, ...]]:
    """Places of an entry's words, those of taps that are a stride apart side by side, and where each tap's begin."""
    places, starts = [], []
    for phase in range(min(stride, taps)):
        starts.append(len(places))
        places += range(phase, phase + stride * (words + len(range(phase, taps, stride)) - 1), stride)
    return places, tuple(starts[tap % stride] + tap // stride for tap in range(taps))


def _parts(job: Job) -> int:
    """Sums that are made apart, each of a chunk of inputs, where a lane does not hold those of all."""
    return 1 if job.input.high * job.layer.fan_in <= LANE_MAX else 2


def _unpacks(job: Job) -> bool:
    return job.input.encoding is Encoding.NIBBLE


def _packs(job: Job) -> bool:
    return job.output.encoding is Encoding.NIBBLE


def _places(job: Job) -> tuple[int, int]:
    """Rows and columns of sums that the outputs need."""
    pool = job.layer.window.pool
    return job.output_shape[0] * pool[0], job.output_shape[1] * pool[1]


def _start(lowest: int | np.ndarray) -> int | np.ndarray:
    """A word that makes sums in both lanes count from `lowest`."""
    return -np.int64(lowest) * BOTH_LANES & 0xFFFFFFFF


def _symbol(name: str, *parts: int | str) -> str:
    return "_".join(["vectors", name, *map(str, parts)])


KERNELS = (ConvVectors(), ConvVectorsHalves(), ConvVectorsGroups(), ConvVectorsGroups5(), ConvVectorsRows())

"""Models that can be swapped: all that is a model's own as one block of bytes, beside code that stays.

The code reads its weights, parameters, margins and expected logits through one pointer to a block, so that another
model of the same *layout* can take the place of the compiled one.  The layout is the SHA-256 of the header without
anything of the model: two models have the same layout only if every other byte of their headers is the same, and so
the code is the one that would have been generated for either.

SPEC 15 has the block's format.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np

from signbit.codegen.kernels.base import CArray
from signbit.codegen.render import render
from signbit.qmodel.activations import Requantize, Sign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT32_MAX, INT32_MIN

MAGIC = int.from_bytes(b"SBW1", "little")
DIGEST_AT = 40
HEAD = struct.Struct("<II32s32s32s32sI")
RANGES = ("accumulators", "products", "sums")


@dataclass(frozen=True, eq=False)
class Swap:
    """What makes a header swappable; `limits`, int32 (layers, 6), hold for all models of the layout."""

    layout: bytes
    limits: CArray
    members: tuple[CArray, ...]
    block: bytes = b""
    """The plan's own model's; empty while the layout is being found."""

    @property
    def padding_bytes(self) -> int:
        return -sum(member.size_bytes for member in self.members) % 4

    @property
    def size_bytes(self) -> int:
        """Size of a block."""
        return HEAD.size + sum(member.size_bytes for member in self.members) + self.padding_bytes + 4

    @property
    def layout_text(self) -> str:
        return self.layout.hex()

    @property
    def magic(self) -> int:
        return MAGIC

    @property
    def digest(self) -> bytes:
        return self.block[DIGEST_AT : DIGEST_AT + 32]

    @property
    def crc(self) -> int:
        return int.from_bytes(self.block[-4:], "little")


def swappable(plan):
    """`plan`, made for swappable jobs, with its model's block."""
    ranges = np.array([[layer.range.accumulator, layer.range.product, layer.range.scaled] for layer in plan.layers])
    limits = CArray("limits", "int32_t", np.array([_limits(layer) for layer in plan.layers], np.int32).reshape(-1))
    members = (CArray("ranges", "int32_t", ranges.astype(np.int32).reshape(-1)), *_own_arrays(plan))
    swap = Swap(_layout(plan, Swap(bytes(32), limits, members)), limits, members)
    return replace(plan, swap=replace(swap, block=_block(plan, swap)))


def check_ranges(swap: Swap, limits: np.ndarray) -> None:
    """Raises SignbitError if a layer of the block leaves `limits`, int32 (layers, 6)."""
    pairs = zip(swap.members[0].values.reshape(-1, 2).tolist(), limits.reshape(-1, 2).tolist(), strict=True)
    for number, ((low, high), (lowest, highest)) in enumerate(pairs):
        if low < lowest or high > highest:
            layer, which = divmod(number, len(RANGES))
            raise SignbitError(
                f"layer {layer} has {RANGES[which]} in {low}..{high}, but the compiled code holds {lowest}..{highest}"
            )


def sealed(content: bytes) -> bytes:
    """The block of `content`, which is all before the CRC, with a digest and a CRC that are right."""
    followed = content[DIGEST_AT + 32 :]
    return with_crc(content[:DIGEST_AT] + hashlib.sha256(followed).digest() + followed)


def with_crc(content: bytes) -> bytes:
    return content + struct.pack("<I", zlib.crc32(content))


def _limits(layer) -> list[tuple[int, int]]:
    """Accumulators, products and sums that a layer's code holds, whatever its weights and parameters are."""
    accumulator = layer.job.accumulator_range.overall()
    if not layer.parameter_bytes:
        return [layer.range.accumulator, layer.range.product, layer.range.scaled]
    if isinstance(layer.layer.activation, Sign):
        return [accumulator] * 3
    return [accumulator, (INT32_MIN, INT32_MAX), (INT32_MIN, INT32_MAX)]


def _own_arrays(plan) -> list[CArray]:
    """The model's own arrays, the widest numbers first, so that there are no gaps."""
    arrays = [
        replace(array, name=f"layer{layer.index}_{array.name}") for layer in plan.layers for array in layer.arrays
    ]
    shifts = [getattr(layer.layer.activation, "shift", 0) for layer in plan.layers]
    if plan.input:
        shifts.append(plan.input.values.get("shift", 0))
        arrays += [replace(array, name=f"input_{array.name}") for array in plan.input.arrays]
    arrays.append(CArray("shifts", "uint8_t", np.array(shifts, np.uint8)))
    if plan.reject:
        arrays.append(plan.reject.array)
    if plan.decision:
        arrays.append(plan.decision_array)
    if plan.test_vectors:
        expected = np.concatenate([vector.logits.values for vector in plan.test_vectors])
        arrays.append(CArray("expected", "int32_t", expected))
    return sorted(arrays, key=lambda array: -array.values.itemsize)


def _layout(plan, swap: Swap) -> bytes:
    """SHA-256 of the header without the model's name, hash, numbers and prefix, and without signbit's version."""
    layers = tuple(
        replace(layer, symbol=f"model_layer{layer.index}", job=_without_shift(layer.job)) for layer in plan.layers
    )
    form = replace(
        plan,
        tool_version="",
        model_name="",
        model_hash="0" * 64,
        prefix="model",
        macro_prefix="MODEL",
        logit_shift=0,
        layers=layers,
        input=replace(plan.input, range=(0, 0)) if plan.input else None,
        accuracy=None,
        swap=swap,
    )
    return hashlib.sha256(render("model.h.j2", form).encode()).digest()


def _without_shift(job):
    activation = job.layer.activation
    if not isinstance(activation, Requantize) or not hasattr(job.layer, "weights"):
        return job
    return replace(job, layer=replace(job.layer, activation=replace(activation, shift=0)))


def _block(plan, swap: Swap) -> bytes:
    little = (array.values.astype(array.values.dtype.newbyteorder("<")).tobytes() for array in swap.members)
    own = [bytes.fromhex(plan.model_hash), plan.model_name.encode(), plan.logit_shift]
    body = b"".join(little) + bytes(swap.padding_bytes)
    return sealed(HEAD.pack(MAGIC, swap.size_bytes, swap.layout, b"", *own) + body)

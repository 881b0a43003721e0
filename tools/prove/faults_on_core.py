"""Faults on the line between `signbit.line.link` and the real firmware, which runs on an emulated core."""

import random
from functools import partial

import numpy as np

from signbit.emulate import machines as emulator
from signbit.emulate import pio
from signbit.emulate.emulation import build_folder, missing
from signbit.emulate.machines import EmulatedUart
from signbit.line import frame
from signbit.line.frame import Frame, FrameError
from signbit.line.link import Link, LinkError, Stream
from signbit.qmodel.file import load
from tools.prove import planted
from tools.prove.faults import MODEL, outcome_of
from tools.prove.row import SEED, Outcome, Row

CORE = "m0"
# half of all attempts fail
RATE = 0.01
RETRIES = 1000
TIMEOUT_S = 0.015


class BadLine:
    """A stream through which faults pass with the bytes; counts both."""

    def __init__(self, stream: Stream, rate: float, seed: int):
        self.stream = stream
        self.rate = rate
        self.random = random.Random(seed)
        self.faults = 0
        self.bytes = 0

    def read(self, timeout: float) -> bytes:
        return self._spoil(self.stream.read(timeout))

    def write(self, data: bytes) -> None:
        self.stream.write(self._spoil(data))

    def _spoil(self, data: bytes) -> bytes:
        self.bytes += len(data)
        out, at = bytearray(), 0
        while at < len(data):
            if self.random.random() >= self.rate:
                out.append(data[at])
                at += 1
                continue
            self.faults += 1
            fault = self.random.choice(("flip", "drop", "double", "overwrite", "burst"))
            burst = self.random.randint(2, 8) if fault == "burst" else 1
            if fault == "flip":
                out.append(data[at] ^ 1 << self.random.randrange(8))
            elif fault == "double":
                out += data[at : at + 1] * 2
            elif fault != "drop":
                out += self.random.randbytes(burst)
            at += burst
        return bytes(out)


def run(first: int, count: int) -> Outcome:
    """`count` faults, with random inputs to a model that is known."""
    model, machine = load(MODEL), emulator.MACHINES[CORE]
    elf = pio.build([machine.env], MODEL, build_folder(model))[machine.env]
    rng = np.random.default_rng((SEED, first))
    inferences = wrong = lost = 0
    with EmulatedUart(machine, elf) as uart:
        line = BadLine(uart, RATE, first)
        link = Link(line, timeout=TIMEOUT_S, retries=RETRIES)
        while line.faults < count:
            x = rng.integers(0, 256, (1, model.input_size), np.uint8)
            logits = model.run(x)
            try:
                result = link.infer(x[0])
            except LinkError:
                lost += 1
                continue
            expected = (tuple(logits[0].tolist()), int(model.decide(logits)[0]), int(model.confidence(logits)[0]))
            wrong += (result.logits, result.class_index, result.confidence_per_mille) != expected
            inferences += 1
    counts = {"requests": link.asked, "repeats": link.repeated, "inferences": inferences}
    return outcome_of(first, counts, wrong, lost)


def trusting(encoded: bytes) -> Frame:
    """The frame, whatever its checksum is."""
    plain = frame.cobs_decode(encoded)
    if len(plain) < frame.FRAME_BYTES_MIN:
        raise FrameError("too short")
    version, kind, sequence = frame.HEADER.unpack_from(plain)
    return Frame(kind, sequence, plain[frame.HEADER.size : -frame.CRC.size], version)


ROW = Row(
    "uart-faults-core",
    "the same for the host's Python and the firmware on an emulated Cortex-M0",
    "faults",
    short=500,
    total=20_000,
    step=5000,
    covers=("firmware", "signbit/line", "signbit/emulate", "codegen", "tools/prove/faults_on_core.py"),
    run=run,
    controls={"a host that checks no CRC": partial(planted.in_python, run, 500, frame, "decode", trusting)},
    missing=missing,
)

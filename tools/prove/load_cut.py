"""A power cut at every step of loading a model: the device has the old model or the new one, and loads again.

The firmware runs on this computer with a flash that erases pages and writes words, and whose power is cut before any
of these steps is done; what the step leaves is torn, bit by bit.
"""

import ctypes
import random
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from signbit.codegen.plan import make_plan
from signbit.line.link import Link, LinkError
from signbit.places import FIRMWARE
from signbit.qmodel.model import QuantizedModel
from tools.networks.random import random_model
from tools.networks.retrained import retrained
from tools.prove import host_build, planted
from tools.prove.row import SEED, Outcome, Row

CUTS = 500
"""In each step of the proof, on one pair of models."""
SWAP = FIRMWARE / "src" / "swap.c"
ALL_BITS = 0xFFFFFFFF
PLANTED = {
    "the slot in use is overwritten": (
        "load.slot = slot_in_use == 0u ? 1u : 0u;",
        "load.slot = slot_in_use == NO_SLOT ? 0u : (uint8_t)slot_in_use;",
    ),
    "a seal has the number of the one before": ("{ last_sequence + 1u, load.crc,", "{ last_sequence, load.crc,"),
    "what was written is not read back": (
        "is_sealed(load.slot) && seal_of(load.slot)->sequence == seal.sequence ? PROTOCOL_OK",
        "seal.crc != 0u ? PROTOCOL_OK",
    ),
}


class FlashDevice:
    """The firmware with a flash, as a stream for Link; `model` is the compiled one."""

    def __init__(self, model: QuantizedModel, folder: Path, changed: Path | None = None, options: tuple = ("-O1",)):
        output = folder / "device.so"
        options = (*options, "-shared", "-fPIC")
        host_build.build(model, output, options, changed=changed, is_swappable=True)
        self.library = ctypes.CDLL(str(output))
        self.sent = b""
        self.blank()

    def blank(self) -> None:
        """A device from the factory."""
        self.library.host_blank_flash()
        self.boot()

    def boot(self) -> None:
        """The state after power-on."""
        self.library.host_cut_power(0, 0)
        self.library.host_reset()
        self.sent = b""

    def cut_power(self, step: int, torn: int = ALL_BITS) -> None:
        """Before step number `step` from now on is done; of the bits in `torn` it changes none."""
        self.library.host_cut_power(step, torn)

    @property
    def steps(self) -> int:
        """Pages erased and words written so far."""
        return self.library.host_flash_steps()

    def write(self, data: bytes) -> None:
        buffer = ctypes.create_string_buffer(4096)
        length = self.library.host_serve(data, len(data), buffer, len(buffer))
        self.sent += buffer.raw[:length]

    def read(self, timeout: float) -> bytes:
        sent, self.sent = self.sent, b""
        return sent


def block_of(model: QuantizedModel) -> bytes:
    plan = make_plan(model, "model", test_vectors=host_build.TEST_VECTORS, is_swappable=True)
    return plan.swap.block


def run(first: int, count: int, changed: Path | None = None) -> Outcome:
    """Cuts of loads onto one compiled model; `changed` replaces swap.c."""
    rng = random.Random(f"{SEED} {first // CUTS}")
    compiled = random_model(rng.randrange(1 << 30), (rng.randrange(1, 60), rng.randrange(1, 12), 3))
    models = [compiled, retrained(compiled, 1), retrained(compiled, 2)]
    blocks = [block_of(model) for model in models]
    findings: dict[str, None] = {}
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        device = FlashDevice(compiled, Path(name), changed)
        device.blank()
        before = device.steps
        Link(device).load(blocks[1])
        steps = device.steps - before
        for number in range(first, first + count):
            torn_by = random.Random(f"{SEED} {number}")
            step, torn = 1 + number % steps, torn_by.choice((0, ALL_BITS, torn_by.getrandbits(32)))
            device.blank()
            for which in (1, 2, 1)[: number % 4]:
                Link(device).load(blocks[which])
            old = (0, 1, 2, 1)[number % 4]
            new = 2 if old == 1 else 1
            device.cut_power(step, torn)
            found = _after_cut(device, models, blocks, old, new)
            if found:
                findings[f"cut {number}, at step {step} of {steps}, {torn:08x} torn: {found}"] = None
    return Outcome({"loads": 2 * count}, tuple(findings)[:5])


def _after_cut(device: FlashDevice, models: list[QuantizedModel], blocks: list[bytes], old: int, new: int) -> str:
    """What is wrong after a load whose power is cut; "" if nothing."""
    try:
        Link(device).load(blocks[new])
        allowed = {new}
    except LinkError:
        allowed = {old, new}
    device.boot()
    link = Link(device)
    carried = [model.hash for model in models].index(link.info().model_hash)
    x = np.arange(models[0].input_size, dtype=np.uint8)
    if carried not in allowed:
        return f"it carries model {carried}, but should be {sorted(allowed)}"
    if link.info().self_test_failed or link.infer(x).logits != tuple(models[carried].run(x[None])[0].tolist()):
        return f"it computes something else than model {carried}"
    try:
        link.load(blocks[new])
    except LinkError as error:
        return f"it takes no model any more: {error}"
    device.boot()
    return "" if Link(device).info().model_hash == models[new].hash else "the model is not there after a whole load"


def missing() -> str | None:
    return None if shutil.which("cc") else "cc is missing: apt install gcc"


ROW = Row(
    "load-cut",
    "a power cut while a model is loaded leaves the old model or the new one, and a device that loads again",
    "cuts",
    short=CUTS,
    total=100_000,
    step=CUTS,
    covers=("firmware/src", "firmware/include", "signbit/line", "codegen/swap.py", "tools/prove/load_cut.py"),
    run=run,
    controls={name: partial(planted.in_firmware, run, CUTS, SWAP, *change) for name, change in PLANTED.items()},
    missing=missing,
)

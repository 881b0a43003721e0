"""A device that lies to the host: its frames are intact, what they say is not.

The firmware on this computer answers `signbit device …`, and answers are changed before they get their CRC: cut,
longer, noise, an error, a number in them, or none at all.  Whatever it is told, a command ends soon, with a result or
one line.
"""

import random
import tempfile
from contextlib import ExitStack, nullcontext, redirect_stderr, redirect_stdout
from functools import cache, partial
from io import StringIO
from itertools import count as numbers
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

from signbit.device import command
from signbit.line import link, listening
from signbit.line.frame import ANSWER, ERROR, PAYLOAD_BYTES, Frame, decode, encode
from signbit.line.protocol import Request
from signbit.qmodel.command import run_command
from signbit.qmodel.file import save
from tools.networks.random import front_end_model, random_model
from tools.networks.retrained import retrained
from tools.prove import planted
from tools.prove.load_cut import FlashDevice, missing
from tools.prove.row import MOST, SEED, Outcome, Row

REQUESTS_MAX = 20_000
"""In one command: more than the longest honest one takes."""
COMMANDS = (
    *("info", "info --json", "infer x", "infer x --json", "verify", "verify --model m.npz --json", "profile"),
    *("selftest", "load other.npz", "listen --seconds 30"),
)
FIELDS = {
    Request.INFO: (
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (8, 2),
        (10, 2),
        (12, 4),
        (16, 4),
        (20, 4),
        (24, 4),
        (28, 1),
        (60, 4),
    ),
    Request.INFER: ((0, 2), (2, 2), (4, 4), (8, 4), (12, 1), (13, 2), (15, 4), (19, 4)),
}
"""Offsets and bytes of the numbers in the first answers to these requests."""
WAYS = 13
"""To lie: numbers most of the time."""
CONTROL_CASES = 300


class EndlessError(Exception):
    """The host asks and asks."""


class Liar:
    """A line to `device` on which answers are changed: all of one kind, or some of all kinds."""

    def __init__(self, device: FlashDevice, rng: random.Random):
        self.device, self.rng = device, rng
        self.kind = rng.choice((None, Request.INFO, Request.INFER, *Request))
        self.rate = rng.choice((0.02, 0.3)) if self.kind is None else rng.choice((0.3, 1.0))
        self.how = rng.choice((None, rng.randrange(WAYS)))
        self.asked = 0
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.asked += 1
        if self.asked > REQUESTS_MAX:
            raise EndlessError
        self.device.write(data)
        for answer in filter(None, self.device.read(0).split(b"\0")):
            frame = decode(answer)
            if self.kind in (None, frame.type & ~ANSWER) and self.rng.random() < self.rate:
                frame = self._lie(frame)
            self.sent += encode(frame) if frame else b""

    def read(self, timeout: float) -> bytes:
        sent, self.sent = self.sent, b""
        return sent

    def _lie(self, frame: Frame) -> Frame | None:
        """Another payload for the same request, or silence."""
        rng, payload = self.rng, frame.payload
        how = rng.randrange(WAYS) if self.how is None else self.how
        if how == 0:
            payload = payload[: rng.randrange(len(payload) + 1)]
        elif how == 1:
            payload = (payload + rng.randbytes(rng.randrange(1, PAYLOAD_BYTES)))[:PAYLOAD_BYTES]
        elif how == 2:
            payload = rng.randbytes(rng.randrange(PAYLOAD_BYTES + 1))
        elif how == 3:
            return Frame(ERROR, frame.sequence, rng.choice((b"", rng.randbytes(1), rng.randbytes(9))))
        elif how == 4:
            return None
        elif payload:
            size = rng.choice((1, 2, 4))
            at = rng.randrange(0, len(payload), size)
            if how > 5 and frame.type & ~ANSWER in FIELDS:
                at, size = rng.choice(FIELDS[frame.type & ~ANSWER])
            true = int.from_bytes(payload[at : at + size], "little")
            number = rng.choice((0, 1, true + 1, true - 1, -1, rng.getrandbits(rng.randrange(1, 33)))) & (
                (1 << 8 * size) - 1
            )
            payload = (payload[:at] + number.to_bytes(size, "little") + payload[at + size :])[:PAYLOAD_BYTES]
        return Frame(frame.type, frame.sequence, payload)


@cache
def _devices() -> tuple[FlashDevice, FlashDevice]:
    """A device that classifies inputs, and one that listens; they live as long as the process."""
    stream = front_end_model(3, "spectrum:frame=32,hop=200,bands=15,steps=32", (555, 1, 1), None)
    return tuple(FlashDevice(model, Path(tempfile.mkdtemp(prefix="signbit-"))) for model in (_model(), stream))


def _model():
    return random_model(7, (100, 12, 13))


def run(first: int, count: int) -> Outcome:
    """Lies to one command after the other."""
    findings, most = [], 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="signbit-")))
        save(_model(), folder / "m.npz")
        save(retrained(_model(), 5), folder / "other.npz")
        (folder / "x").write_bytes(bytes(range(100)))
        x = np.random.default_rng(5).integers(0, 256, (3, 100), np.uint8)
        ticks = numbers()
        clock = SimpleNamespace(monotonic=lambda: next(ticks), sleep=lambda seconds: None)
        for module, name, value in (
            (command, "MODELS", folder),
            (command, "dataset_for", lambda *_: SimpleNamespace(test=SimpleNamespace(x=x))),
            (link, "time", clock),
            (listening, "time", clock),
        ):
            stack.enter_context(patch.object(module, name, value))
        for number in range(first, first + count):
            words = COMMANDS[number % len(COMMANDS)]
            device = _devices()["listen" in words]
            device.blank()
            liar = Liar(device, random.Random(f"{SEED} {number}"))
            paths = [str(folder / word) if (folder / word).exists() else word for word in words.split()]
            if found := _ending([*paths, "--port", "liar"], liar):
                findings.append(f"lie {number} to {words!r}: {found}")
            most = max(most, liar.asked)
    return Outcome({f"{MOST}messages of a command": most}, tuple(findings)[:5])


def _ending(arguments: list[str], liar: Liar) -> str:
    """What is wrong with how the command ends; "" if nothing."""
    out, err = StringIO(), StringIO()
    opened = patch.object(command, "open_port", lambda name: nullcontext(liar))
    try:
        with opened, redirect_stdout(out), redirect_stderr(err):
            code = run_command(partial(command.main, prog="device"), arguments)
    except EndlessError:
        return f"it asks more than {REQUESTS_MAX} times"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    lines = err.getvalue().splitlines()
    if code not in (0, 1, 2) or len(lines) != (code == 2):
        return f"exit code {code}, {len(lines)} lines on stderr"
    if set(out.getvalue() + err.getvalue()) & set("\x1b\x07\x9b\x00"):
        return "control characters on the terminal"
    return ""


ROW = Row(
    "lying-device",
    "whatever a device says, a command of the host ends soon, with a result or one line",
    "lies",
    short=200,
    total=100_000,
    step=500,
    covers=("signbit/line", "signbit/device", "qmodel/command.py", "tools/prove/liar.py"),
    run=run,
    controls={
        name: partial(planted.in_python, run, CONTROL_CASES, *change)
        for name, change in {
            "nonsense is not caught": (link, "_parsed", lambda kind, data: kind.parse(data)),
            "it asks for ever": (link.Link.__init__, "__defaults__", (2.0, 1 << 40)),
        }.items()
    },
    missing=missing,
)

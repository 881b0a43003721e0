"""A sound through the UART of the real firmware on an emulated core, against Python: every logit and every word."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signbit.emulate import pio
from signbit.emulate.emulation import build_folder
from signbit.emulate.machines import EmulatedUart, Machine
from signbit.line.link import Link
from signbit.line.listening import Listener
from signbit.line.protocol import Source
from signbit.qmodel import stream
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.stream import Word


@dataclass(frozen=True)
class StreamResult:
    """What an emulated core heard; `different` counts logits and words that are not Python's, and missing ones."""

    core: str
    title: str
    machine: str
    hops: int
    answers: int
    logits: int
    words: tuple[Word, ...]
    different: int
    repeated: int
    seconds: float

    @property
    def equal(self) -> bool:
        return not self.different


def build(path: Path, model: QuantizedModel, machine: Machine) -> Path:
    """The firmware of `model`, whose file is `path`, for `machine`; needs what `emulation.missing` asks for."""
    return pio.build([machine.env], path, build_folder(model))[machine.env]


def listen(
    machine: Machine, elf: Path, model: QuantizedModel, rows: np.ndarray, heard: Callable[[Word], None]
) -> StreamResult:
    """Let `elf`, the firmware of `model`, listen to int16 `rows` (rows, channels); `heard` gets each word at once.

    A model without a decision answers at every hop, and names nothing.
    """
    rows = rows[: len(rows) // model.front_end.hop * model.front_end.hop]
    start, logits, words = time.monotonic(), [], []
    with EmulatedUart(machine, elf) as uart:
        link = Link(uart, timeout=10)
        if link.info().model_hash != model.hash:
            raise SignbitError(
                f"{machine.title}: the firmware carries model {link.info().model_hash}, not {model.hash}"
            )
        with Listener(link, Source.LINE) as listener:
            for word in listener.send(rows, lambda _, found: logits.append(found)):
                words.append(word)
                heard(word)
    return StreamResult(
        core=machine.core,
        title=machine.title,
        machine=machine.machine,
        hops=len(rows) // model.front_end.hop,
        answers=len(logits),
        logits=len(logits) * model.output_size,
        words=tuple(words),
        different=differences(model, rows, logits, words),
        repeated=link.repeated,
        seconds=time.monotonic() - start,
    )


def differences(model: QuantizedModel, rows: np.ndarray, logits: list[tuple[int, ...]], words: list[Word]) -> int:
    """Logits and words that are not those which Python finds in `rows`."""
    expected, hops = stream.answers(model, rows, step_of(model))
    wanted = set(stream.words(model, expected, hops)) if model.decision else set()
    if len(logits) != len(expected):
        return max(len(logits), len(expected)) * model.output_size
    found = np.array(logits, np.int64).reshape(expected.shape)
    return int((found != expected).sum()) + len(wanted ^ set(words))


def step_of(model: QuantizedModel) -> int:
    """Hops between the answers of firmware that is not asked for others."""
    return model.decision.hops if model.decision else 1

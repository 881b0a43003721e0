"""The words that a device hears: in samples that go over the line, or in those of its own sensor."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from signbit.line.frame import CHUNK_BYTES
from signbit.line.link import Link, LinkError
from signbit.line.protocol import Listening, Source
from signbit.qmodel.stream import Word

POLL_S = 0.05
SAMPLES_MAX = CHUNK_BYTES // 2

Answered = Callable[[int, tuple[int, ...]], None]


class Listener:
    """A device that listens to `source`; `listening` is how, `lost` counts words that it forgot unread.

    It stops at the end of a `with`.
    """

    def __init__(self, link: Link, source: Source, step: int = 0):
        self.link = link
        self.listening: Listening = link.listen(source, step)
        self.lost = 0
        self._words = self._samples = self._answers = 0

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, kind, *_) -> None:
        if kind in (None, KeyboardInterrupt):
            self.link.listen(Source.NOTHING)

    def send(self, rows: np.ndarray, answered: Answered | None = None) -> Iterator[Word]:
        """Send int16 `rows` (rows, channels), and yield what is named; `answered` gets each answer's number and logits.

        A message ends where a hop does, so that it brings one answer at most.
        """
        values, start = rows.astype("<i2").ravel(), 0
        while start < len(values):
            left = self.listening.hop_size - self._samples % self.listening.hop_size
            chunk = values[start : start + min(left, SAMPLES_MAX)]
            found = self.link.send_samples(self._samples, chunk.tobytes())
            self._samples, start = self._samples + len(chunk), start + len(chunk)
            if found.samples != self._samples & 0xFFFFFFFF or found.answers - self._answers not in (0, 1):
                raise LinkError("the device counts other samples: does somebody else use the line?")
            if found.answers > self._answers and answered:
                answered(self._answers, self.link.logits())
            self._answers = found.answers
            if found.words > self._words:
                yield from self.words()

    def words(self) -> Iterator[Word]:
        """Those that were named since the last one."""
        while (found := self.link.word(self._words)).number is not None:
            if found.number < self._words:
                raise LinkError(f"the device gave word {found.number} where {self._words} was asked for")
            self.lost += found.number - self._words
            self._words = found.number + 1
            yield Word(found.word_hops, found.class_index, found.confidence_per_mille)

    def watch(self, seconds: float | None) -> Iterator[Word]:
        """The sensor's words as they come, for so long or until somebody interrupts."""
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            yield from self.words()
            time.sleep(POLL_S)

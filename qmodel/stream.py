"""A model that listens: the logits of a stream's answers, and the words that they become -- SPEC 13 and 14.

Samples are int16 (rows, channels) and come hop by hop: what does not fill the last hop is not heard.
"""

from dataclasses import dataclass

import numpy as np

from signbit.qmodel import integer
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.front_end import FrontEnd, Statistics
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.untrusted import shown

WINDOWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Word:
    """A class that was named after so many hops; the confidence is the mean of those of the answers that agreed."""

    hops: int
    class_index: int
    confidence_per_mille: int


def check_streams(model: QuantizedModel) -> None:
    """Raises SignbitError for a model that takes no samples hop by hop."""
    if model.front_end is None or isinstance(model.front_end, Statistics):
        raise SignbitError(f"{model.name} takes no stream of samples; train it with --front-end logmel or spectrum")


def first_hops(front_end: FrontEnd) -> int:
    """Hops until the first answer: those of a window's frames, and those that its last frame reaches into."""
    return front_end.frames - 1 + front_end.frame_hops


def check_answers(model: QuantizedModel, name: str, rows: np.ndarray, rate_hz: int) -> None:
    """Raises SignbitError if the sound `name` ends before the first answer."""
    needed = first_hops(model.front_end) * model.front_end.hop
    if len(rows) < needed:
        raise SignbitError(
            f"{shown(name)}: has {len(rows) / rate_hz:.2f} s; {model.name} first answers after {needed / rate_hz:.2f} s"
        )


def answers(model: QuantizedModel, rows: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the answers that come every `step` hops, int32 (n, classes), and the hops that each has heard."""
    front_end = model.front_end
    frames = len(rows) // front_end.hop + front_end.frames - first_hops(front_end)
    if frames < front_end.frames:
        return np.empty((0, model.output_size), np.int32), np.empty(0, np.int64)
    # a long sound's frames are computed in pieces, since they do not depend on each other
    levels = np.empty((frames, model.input_size // front_end.frames), np.uint8)
    for start in range(0, frames, WINDOWS_AT_ONCE):
        stop = min(start + WINDOWS_AT_ONCE, frames)
        piece = rows[start * front_end.hop : (stop - 1) * front_end.hop + front_end.frame]
        levels[start:stop] = front_end.frames_of(piece[None, :, None])[0].reshape(stop - start, -1)
    windows = np.lib.stride_tricks.sliding_window_view(levels, front_end.frames, axis=0)[::step].transpose(0, 2, 1)
    logits = [
        model.run(np.ascontiguousarray(windows[start : start + WINDOWS_AT_ONCE]).reshape(-1, model.input_size))
        for start in range(0, len(windows), WINDOWS_AT_ONCE)
    ]
    return np.concatenate(logits), first_hops(front_end) + np.arange(len(windows)) * step


def words(model: QuantizedModel, logits: np.ndarray, hops: np.ndarray) -> list[Word]:
    """What the model's decision names at the answers that `answers` gave for its step."""
    decision = model.decision
    named, scores = decision.run(logits, model.logit_shift), decision.scores(logits, model.logit_shift)
    return [
        Word(int(hops[at]), int(named[at]), int(scores[at, named[at]]) // decision.answers)
        for at in np.flatnonzero(named != integer.REJECTED)
    ]

"""Long sounds that a model listens to, what it names in them, and how its decision is chosen -- SPEC 14."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from signbit.qmodel import integer, stream
from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.reading import UNKNOWN_LABEL
from signbit.qmodel.data.silence import SILENCE
from signbit.qmodel.decision import SURE, Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.exact import noise as random_numbers
from signbit.trainer.learning.sound import mixed

NEVER_NAMED = (UNKNOWN_LABEL, SILENCE)
COMMAND_DISTANCE_DB = 20
OTHER_DISTANCES_DB = (0, 10, 20)
"""Noise is so much weaker than the words that are no commands, in turn."""
STEPS_A_WINDOW = 6
"""Answers in the time of a window."""
ANSWERS = (2, 3, 4, 6, 8)
PER_MILLE = (400, 600, 700, 800, 850, 900, 930, 950, 970, 980, 990, 995, 998, 999, 1000)


@dataclass(frozen=True, eq=False)
class Sound:
    """int16 `rows` (rows, channels), and the words in it: first row and class of each."""

    rows: np.ndarray
    words: tuple[tuple[int, int], ...]
    hours: float


@dataclass(frozen=True)
class Heard:
    """What a model named in sounds: of `words` it found some, and named others where none was."""

    words: int
    found: int
    false_alarms: int
    hours: float

    def __add__(self, other: "Heard") -> "Heard":
        return Heard(*(getattr(self, name) + getattr(other, name) for name in vars(self)))

    @property
    def false_rejects(self) -> float | None:
        """As a part of the words."""
        return 1 - self.found / self.words if self.words else None

    @property
    def false_alarms_most(self) -> float:
        """Upper end of the one-sided 95 % interval of false alarms, as those of a Poisson process."""
        low, high = 0.0, 4.0 * self.false_alarms + 10
        for _ in range(60):
            middle = (low + high) / 2
            terms = (
                math.exp(-middle + n * math.log(middle) - math.lgamma(n + 1)) for n in range(self.false_alarms + 1)
            )
            low, high = (middle, high) if sum(terms) > 0.05 else (low, middle)
        return high

    def as_dict(self) -> dict:
        hours = {"false_alarms_an_hour": self.false_alarms / self.hours} if self.hours else {}
        return {**vars(self), "false_rejects": self.false_rejects, **hours}


def sound_of(rows: np.ndarray, words: Sequence[tuple[int, int]], rate_hz: int) -> Sound:
    return Sound(rows, tuple(words), len(rows) / (3600 * rate_hz))


def compose(data: Dataset, part: Split, noise: np.ndarray, minutes: float, commands: bool) -> Sound:
    """The part's words in random order, at random distances of half a window to one and a half, over noise.

    With `commands` each word that may be named, once; otherwise at least as many minutes of all others, again and
    again, with noise at other places and of OTHER_DISTANCES_DB.  The same every time.
    """
    rng = np.random.default_rng(0)
    # silence is between the words
    is_wanted = [label != SILENCE and (label not in NEVER_NAMED) == commands for label in data.labels]
    chosen = np.flatnonzero(np.array(is_wanted)[part.y])
    if not len(chosen):
        kind = "words to be named" if commands else f"words of a class {UNKNOWN_LABEL}"
        raise SignbitError(f"{data.name} has no {kind} to make a stream of")
    rows, _, channels = data.front_end.samples_shape
    wanted = 0 if commands else minutes * 60 * data.front_end.rate_hz
    pieces, words, length, turn = [], [], 0, 0
    while not turn or length < wanted:
        for number in chosen[random_numbers.permutation(rng, len(chosen))]:
            gap = rows // 2 + int(rng.bit_generator.random_raw()) % rows
            piece = np.concatenate(
                [np.zeros((gap, channels), np.int16), part.samples[int(number)].reshape(rows, channels)]
            )
            distance_db = COMMAND_DISTANCE_DB if commands else OTHER_DISTANCES_DB[turn % len(OTHER_DISTANCES_DB)]
            pieces.append(mixed(piece, noise, distance_db, rng, gap=gap))
            if commands:
                words.append((length + gap, int(part.y[number])))
            length += len(piece)
        turn += 1
    # the last word may be named late
    pieces.append(pieces[0][: rows // 2])
    return sound_of(np.concatenate(pieces), words, data.front_end.rate_hz)


def answers(model: QuantizedModel, sound: Sound, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The logits of a stream's answers, int32 (n, classes), and the row up to which each has heard."""
    logits, hops = stream.answers(model, sound.rows, step)
    return logits, hops * model.front_end.hop


def hear(model: QuantizedModel, decision: Decision, sound: Sound, heard_until: np.ndarray, logits: np.ndarray) -> Heard:
    """What `decision` names: a word is found if its class is named from its start to half a window after its end.

    Whatever else is named is a false alarm, a found word's second naming too.
    """
    window = model.front_end.rows
    named = decision.run(logits, model.logit_shift)
    at = np.flatnonzero(named != integer.REJECTED)
    found, alarms = set(), 0
    starts = np.array([start for start, _ in sound.words], np.int64)
    for row, label in zip(heard_until[at], named[at], strict=True):
        # words do not overlap, so that it is one of the last two
        last = int(np.searchsorted(starts, row)) - 1
        near = (n for n in (last, last - 1) if n >= 0 and row <= starts[n] + window + window // 2)
        hit = next((n for n in near if sound.words[n][1] == label and n not in found), None)
        if hit is None:
            alarms += 1
        else:
            found.add(hit)
    return Heard(len(sound.words), len(found), alarms, sound.hours)


def fit(
    model: QuantizedModel, sounds: Sequence[Sound], alarms_an_hour: float, hops: int | None = None
) -> tuple[Decision, Heard]:
    """The decision with the fewest false rejects in `sounds` among those with at most so many false alarms.

    On a tie that with the fewest false alarms, then the fewest answers and the highest threshold.
    """
    frames = model.front_end.frames
    hops = hops or max(1, frames // STEPS_A_WINDOW)
    given = [answers(model, sound, hops) for sound in sounds]
    found = []
    for count, per_mille in product(ANSWERS, PER_MILLE):
        thresholds = [SURE * count + 1 if label in NEVER_NAMED else per_mille * count for label in model.labels]
        # a word is in the window for as long
        decision = Decision(hops, count, -(-frames // hops), np.array(thresholds, np.uint32))
        heard = [
            hear(model, decision, sound, until, logits) for sound, (logits, until) in zip(sounds, given, strict=True)
        ]
        found.append((decision, sum(heard[1:], heard[0])))
    least = min(one.false_alarms for _, one in found)
    allowed = [pair for pair in found if pair[1].false_alarms <= alarms_an_hour * pair[1].hours]
    if not allowed:
        raise SignbitError(
            f"no decision has at most {alarms_an_hour:g} false alarms an hour: the fewest are "
            f"{least / found[0][1].hours:.1f}; allow more, or train a better model"
        )
    return min(reversed(allowed), key=lambda pair: (-pair[1].found, pair[1].false_alarms, pair[0].answers))

"""The class `silence`: windows of background noise, whose recordings are split by time."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from signbit.qmodel.data.readers.samples import Samples
from signbit.qmodel.errors import SignbitError

SILENCE = "silence"
TIME_TENTHS = 0, 6, 8, 10
"""Where the training, validation and test part of a recording begin and end."""

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def noise_parts(noise: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The rows (rows, channels) of each part, one recording after the other."""
    cuts = [[len(rows) * tenths // 10 for tenths in TIME_TENTHS] for rows in noise]
    return tuple(
        np.concatenate([rows[cut[part] : cut[part + 1]] for rows, cut in zip(noise, cuts, strict=True)])
        for part in range(3)
    )


def with_silence(samples: Samples, start: np.ndarray, window: int, parts: Parts) -> tuple[Samples, np.ndarray, Parts]:
    """Samples, first rows of the windows and parts with as many windows of silence as another class has on average.

    The noise comes after the other rows, part by part.  Raises SignbitError where a part of it is too short.
    """
    rows = noise_parts(samples.noise)
    words = len(np.unique(samples.classes))
    labels = samples.labels if SILENCE in samples.labels else (*samples.labels, SILENCE)
    first, count = len(samples.values), len(start)
    starts, found = [start], []
    for part, noise in zip(parts, rows, strict=True):
        wanted = -(-len(part) // words)
        places = len(noise) - window + 1
        if wanted and places < 1:
            raise SignbitError(
                f"the noise is too short for the class {SILENCE}: its parts need {window} rows each, and one has "
                f"{len(noise)}; record more, or see --noise"
            )
        starts.append(first + np.arange(wanted) * places // max(wanted, 1))
        found.append(np.concatenate([part, count + np.arange(wanted)]))
        first, count = first + len(noise), count + wanted
    added = count - len(start)
    shares = ", ".join(str(len(new) - len(old)) for new, old in zip(found, parts, strict=True))
    changed = replace(
        samples,
        values=np.concatenate([samples.values, *rows]),
        classes=np.concatenate([samples.classes, np.full(added, labels.index(SILENCE))]),
        labels=labels,
        groups=None,
        part=None,
        notes=(*samples.notes, f"{added} windows of noise are the class {SILENCE}: {shares} by part"),
    )
    return changed, np.concatenate(starts), tuple(found)

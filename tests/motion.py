"""Made-up recordings for the tests: an accelerometer on people's wrists, and a data set in the form of HAPT."""

import csv
import io
from pathlib import Path

import numpy as np

from tools.zoo.activity import ACTIVITIES as LABELS

RATE_HZ = 50
SECONDS = 12
"""Values for each activity."""
PEOPLE = 10
ACTIVITIES = {
    # steps a second, and acceleration in g
    "running": (2.7, 0.55),
    "still": (0.0, 0.0),
    "walking": (1.8, 0.2),
}
NOISE_G = 0.03
LIMIT_G = 1.99
"""Those of a sensor set to ±2 g: one count is 0.000061 g."""


def motion_csv(seed: int = 0) -> str:
    """Ten people who stand, walk and run: person, time in s, acceleration in g along three axes, activity.

    Each person has a pace, a strength and a way to hold the arm.
    """
    rng = np.random.default_rng(seed)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("person", "time", "acc_x", "acc_y", "acc_z", "activity"))
    for person in range(1, PEOPLE + 1):
        pace, strength = rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.2)
        gravity = _direction(rng, np.array([0.2, 0.3, 0.9]))
        swing = _direction(rng, np.array([0.8, 0.4, 0.4]))
        for activity, (steps_hz, acceleration_g) in ACTIVITIES.items():
            moves = _moves(rng, steps_hz * pace) * acceleration_g * strength
            samples = gravity + moves[:, None] * swing + rng.normal(0, NOISE_G, (len(moves), 3))
            for index, sample in enumerate(samples.clip(-LIMIT_G, LIMIT_G)):
                cells = [f"{value:.4f}" for value in sample]
                table.writerow((f"p{person}", f"{index / RATE_HZ:.2f}", *cells, activity))
    return text.getvalue()


def _moves(rng, steps_hz: float) -> np.ndarray:
    """Steps as a sum of sines: the arm's swing every other step, the step, and its first overtone."""
    time = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    waves = [(0.5, 0.4), (1, 1.0), (2, 0.35)]
    return sum(part * np.sin(2 * np.pi * (steps_hz * n * time + rng.random())) for n, part in waves)


def _direction(rng, around: np.ndarray) -> np.ndarray:
    """A direction of length 1 somewhere around the given one."""
    vector = around + rng.normal(0, 0.15, 3)
    return vector / np.linalg.norm(vector)


HAPT_PEOPLE = (1, 2, 6)
"""One for each part."""
HAPT_ROWS = (300, 100)
"""Rows of each activity's two stretches.  Each ends with a transition."""
HAPT_TRANSITION_ROWS = 10


def write_hapt(folder: Path) -> None:
    """The files of RawData, with an experiment for each person."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    labels = []
    for experiment, person in enumerate(HAPT_PEOPLE, start=1):
        rows = []
        for label in range(1, len(LABELS) + 1):
            stretches = [stretch for count in HAPT_ROWS for stretch in ((label, count), (7, HAPT_TRANSITION_ROWS))]
            for found, count in stretches:
                first = sum(map(len, rows))
                labels.append((experiment, person, found, first, first + count - 1))
                spread = 0.05 * found if found <= 3 else 0.01
                rows.append(rng.normal((0.9, 0.1 * found, 0.1, 0, 0, 0), spread, (count, 6)))
        signals = np.concatenate(rows)
        for name, columns in (("acc", slice(0, 3)), ("gyro", slice(3, 6))):
            np.savetxt(folder / f"{name}_exp{experiment:02}_user{person:02}.txt", signals[:, columns])
    np.savetxt(folder / "labels.txt", labels, fmt="%d")

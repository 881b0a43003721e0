"""A CSV to try: what an accelerometer on ten made-up people's wrists could read while they stand, walk and run.

Each person has a pace, a strength and a way to hold the arm, so that it is an open question whether a network that has
learnt from some understands others.
"""

import csv
import io
from pathlib import Path

import numpy as np

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.option_types import whole

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
    """The file's text: person, time in s, acceleration in g along three axes, activity."""
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


def main(arguments: list[str]) -> None:
    parser = Parser(prog="python -m tools motion", description=__doc__.split("\n\n")[0])
    parser.add_argument("out", metavar="FILE", type=Path, help="file to write, motion.csv for example")
    parser.add_argument("--seed", **whole(0).argument(), default=0, help="default: %(default)s")
    options = parser.parse_args(arguments)
    text = motion_csv(options.seed)
    write_whole(options.out, text.encode())
    print(f"{options.out}: {text.count(chr(10)) - 1} rows of {PEOPLE} people")

"""Spoken words through the whole code of a model on emulated cores: features, every layer, logits and a stream's.

A case is a clip on a core; of the six cores each takes the same clips.  The clips are the spoken commands'.
"""

import os
from functools import cache, partial
from pathlib import Path

import numpy as np

from signbit.codegen.plan import make_plan
from signbit.codegen.verify import compare
from signbit.emulate.machines import MACHINES
from signbit.places import MODELS
from signbit.qmodel.data.mnist import DATA_DIR_VARIABLE
from signbit.qmodel.data.readers.sound_file import read_sound
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from tools.cores import emulated as cores
from tools.prove import planted
from tools.prove.row import Outcome, Row

MODEL = "commands-4k"
FOLDER = "commands"
CLIPS_A_PROGRAM = 10
SPREAD = 997
"""From one clip to the next in the list of files, which is sorted by words."""
PLANTED = {
    "a window that is half as high": ("((32768 + ", "((16384 + "),
    "a level of another frame": ("stream->input + stream->filled", "stream->input"),
}


def run(first: int, count: int) -> Outcome:
    """`count` clips on one core; the cores take turns."""
    turn, at = divmod(first, CLIPS_A_PROGRAM)
    round_number, core = divmod(turn, len(MACHINES))
    model, name = shipped(), list(MACHINES)[core]
    start = round_number * CLIPS_A_PROGRAM + at
    samples = np.stack([clip(number, model.front_end.rows) for number in range(start, start + count)])
    plan = make_plan(model, "model", MACHINES[name].target.name)
    # the program streams the window, too, and ends early where that answers otherwise
    found = compare(model, samples, cores.run([plan], [samples], name).output)
    wrong = [f"{MACHINES[name].title}, clips from {start} on: {found.first}"] if found.different else []
    return Outcome({"values": found.values}, tuple(wrong))


def shipped() -> QuantizedModel:
    return load(MODELS / f"{MODEL}.npz")


def clip(number: int, rows: int) -> np.ndarray:
    """int16 (rows,): a recording, with silence after it where it is shorter."""
    files = clip_files()
    samples = read_sound(files[number * SPREAD % len(files)])[0][:rows, 0]
    return np.pad(samples, (0, rows - len(samples)))


@cache
def clip_files() -> list[Path]:
    """All recordings, noise too, in the order of their names."""
    folder = os.environ.get(DATA_DIR_VARIABLE)
    return sorted(Path(folder, FOLDER).glob("*/*.flac")) if folder else []


def missing_clips() -> str | None:
    """Why there are no clips, with what to do; None if there are."""
    if not clip_files():
        return f"the spoken commands are not here: set {DATA_DIR_VARIABLE} to the folder that holds {FOLDER}/"
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError):
        return "soundfile is missing: pip install 'signbit[sound]'"
    return None


def with_bug(right: str, wrong: str) -> Outcome:
    """Two clips on a core whose header has a bug."""
    with planted.in_headers(right, wrong):
        try:
            return run(0, 2)
        except SignbitError as error:
            return Outcome({}, (str(error),))


ROW = Row(
    "clips",
    "a spoken word's features, layers, logits and answers are Python's on six cores, from the microphone's samples on",
    "clips on cores",
    short=30,
    total=6000,
    step=CLIPS_A_PROGRAM,
    covers=("qmodel", "codegen", "tools/cores", "tools/prove/clips.py"),
    run=run,
    controls={name: partial(with_bug, *change) for name, change in PLANTED.items()},
    missing=lambda: cores.missing() or missing_clips(),
)

"""Words from recordings to a board that hears them: `tools/demo --keywords [--data FOLDER] [--stream FILE]`.

Trains a network on a folder of spoken words, chooses when it names one, compares the C with Python from the samples on,
and sends a sound to the firmware on an emulated Cortex-M4, which reports the words.
"""

import json
import os
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from signbit.commands.record import wav
from signbit.emulate import emulation
from signbit.emulate.machines import MACHINES
from signbit.emulate.streaming import build, listen
from signbit.line.words import print_word
from signbit.qmodel import stream
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK
from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.mnist import DATA_DIR_VARIABLE
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.data.readers.loading import NOISE_FOLDERS
from signbit.qmodel.data.readers.sound_file import SUFFIXES, read_rows
from signbit.qmodel.data.reading import UNKNOWN_LABEL
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.untrusted import shown
from signbit.trainer.learning.streams import COMMAND_DISTANCE_DB, NEVER_NAMED, Sound, compose, hear, sound_of

DATASET = "github.com/abdulkaderghandoura/arabic-speech-commands-dataset (CC BY 4.0)"
FOLDER_NAME = "commands"
CORE = "m4"
MODEL = "conv5x1:21 pool2x1, conv5x1:25 pool2x1, conv3x1:31 pool2x1, dense"
EPOCHS, COPIES = 14, 5
FALSE_ALARMS, MINUTES = 30, 10
CLIPS_LEAST = 8
SPOKEN = 10
"""Words in the sound that is composed, about."""
PATH_CHARACTERS = 1000
SPEAKER = "^([^_]+)_"


@dataclass(frozen=True)
class Words:
    """A folder of recordings, with a folder for each word: which are to be named, and which are all one, unknown."""

    folder: Path
    named: tuple[str, ...]
    unknown: tuple[str, ...]
    speakers: int
    """How many of them file names begin with; 0 if they don't."""

    @property
    def options(self) -> list[str]:
        """Options for `signbit train`."""
        unknown = ["--unknown", ",".join(self.unknown)] if self.unknown else []
        has_lists = any(self.folder.glob("*.csv"))
        groups = ["--group-pattern", SPEAKER] if self.speakers > 2 and not has_lists else []
        return [*unknown, *groups]


def run(data: Path | None, sound: Path | None, out: Path, screen: Console, step: Callable[..., str]) -> int:
    """All of it, with model and sound in `out`; `step` runs a command of signbit.  Returns an exit code."""
    start, words = time.monotonic(), find_words(data)
    out.mkdir(parents=True, exist_ok=True)
    path, plain = out / "words.npz", out / "words.plain.npz"
    augment = ["--augment", f"sound:copies={COPIES}", "--epochs", str(EPOCHS)]
    given = ["--data", str(words.folder)]
    train = ["train", *given, *words.options, "--model", MODEL, *augment, "--out", str(plain), "--name", "words"]
    training = json.loads(step(*train, "--json"))
    decide = ["decide", str(plain), *given, "--minutes", str(MINUTES), "--false-alarms", str(FALSE_ALARMS)]
    (choice,) = json.loads(step(*decide, "-o", str(path), "--json"))["choices"]
    checks = json.loads(step("verify", str(path), *given, "--limit", "100", "--json"))
    model = load(path)
    _print_training(screen, training, choice, checks, time.monotonic() - start)
    spoken = _spoken(model, words, out / "words.wav") if sound is None else _recorded(model, sound)
    equal = _hear(screen, path, model, spoken, shown(sound or out / "words.wav", PATH_CHARACTERS))
    _print_next(screen, path)
    return EXIT_OK if equal and not any(check["different"] for check in checks.values()) else EXIT_DIFFERENT


def find_words(data: Path | None) -> Words:
    """The recordings to train on; raises SignbitError that says how to get some."""
    variable = os.environ.get(DATA_DIR_VARIABLE)
    folder = data or (Path(variable) / FOLDER_NAME if variable else None)
    if folder is None or not folder.is_dir():
        missing = f"{folder} is no folder" if folder else "there are no recordings"
        raise SignbitError(
            f"{missing}: record words (signbit record words --word yes, then no, {UNKNOWN_LABEL} and "
            f"{NOISE_FOLDERS[0]}), or get {DATASET}; then tools/demo --keywords --data FOLDER"
        )
    files = {each.name: _sounds(each) for each in sorted(folder.iterdir()) if each.is_dir()}
    clips = {name: found for name, found in files.items() if found and name not in NOISE_FOLDERS}
    most = max(map(len, clips.values()), default=0)
    # words that are there only to be told apart from the others have fewer clips
    few = [name for name, found in clips.items() if 2 * len(found) < most and name != UNKNOWN_LABEL]
    named = [name for name in clips if name not in (*few, UNKNOWN_LABEL)]
    if len(named) < 2 or most < CLIPS_LEAST or not (few or UNKNOWN_LABEL in clips):
        raise SignbitError(
            f"{folder} needs two words or more with {CLIPS_LEAST} clips each, and others in a folder {UNKNOWN_LABEL}: "
            f"signbit record {folder} --word {UNKNOWN_LABEL}"
        )
    names = [re.match(SPEAKER, file.name) for found in clips.values() for file in found]
    speakers = len({match[1] for match in names}) if all(names) else 0
    return Words(folder, tuple(named), tuple(few), speakers)


def _sounds(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]


def _spoken(model: QuantizedModel, words: Words, path: Path) -> Sound:
    """A sound of words that the model was not trained on, over noise; also as a file."""
    data: Dataset = dataset_for(model, str(words.folder))
    test, noise = data.test, data.noise[2] if data.noise else None
    each = max(1, SPOKEN // sum(label not in NEVER_NAMED for label in data.labels))
    chosen = np.concatenate([np.flatnonzero(test.y == label)[:each] for label in range(len(data.labels))])
    samples = np.stack([test.samples[int(number)] for number in chosen])
    sound = compose(data, Split(samples, test.y[chosen], samples), noise, 0, commands=True)
    write_whole(path, wav(sound.rows[:, 0], model.front_end.rate_hz))
    return sound


def _recorded(model: QuantizedModel, path: Path) -> Sound:
    rows, rate_hz = read_rows(path, model.front_end.channels, model.front_end.rate_hz)
    return sound_of(rows, (), rate_hz)


def _hear(screen: Console, path: Path, model: QuantizedModel, sound: Sound, name: str) -> bool:
    """Print the words as they come; returns whether the board's were Python's, or true where there is no board."""
    rate_hz = model.front_end.rate_hz
    spoken = ", ".join(f"{row / rate_hz:.1f} s {shown(model.labels[label])}" for row, label in sound.words)
    screen.print(f"sound     {name}, {len(sound.rows) / rate_hz:.1f} s", soft_wrap=True)
    if spoken:
        screen.print(f"spoken    {spoken}")
    hop_s, machine = model.front_end.hop / rate_hz, MACHINES[CORE]
    logits, hops = stream.answers(model, sound.rows, model.decision.hops)
    if reason := emulation.missing([CORE]):
        screen.print(f"\nemulated board: NOT RUN, {reason}; this is what Python hears", soft_wrap=True)
        for word in stream.words(model, logits, hops):
            print_word(screen, word, model.labels, hop_s)
        verdict, equal = "", True
    else:
        elf = build(path, model, machine)
        screen.print(f"\n{machine.title}, emulated by QEMU, hears through its UART", style="bold")
        result = listen(machine, elf, model, sound.rows, lambda word: print_word(screen, word, model.labels, hop_s))
        differ = "all as in Python" if result.equal else f"{result.different:,} DIFFERENT"
        verdict, equal = f"{result.answers:,} answers, {result.logits:,} logits and all words: {differ}", result.equal
    heard = hear(model, model.decision, sound, hops * model.front_end.hop, logits)
    if verdict:
        screen.print(verdict)
    if sound.words:
        screen.print(f"{heard.found} of {heard.words} words were heard, {heard.false_alarms} false alarms")
    return equal


def _print_training(screen: Console, training: dict, choice: dict, checks: dict, seconds: float) -> None:
    test = training["accuracy"]["test"]
    values = sum(check["values"] for check in checks.values())
    different = sum(check["different"] for check in checks.values())
    screen.print(f"\nSpoken words, from the microphone's samples to a board in {seconds:.0f} s\n", style="bold")
    screen.print(f"accuracy  {100 * test['integer']:.2f} %, on {test['count']} clips that it never saw")
    screen.print(
        f"decision  {100 * choice['false_rejects']:.1f} % false rejects, {choice['false_alarms_an_hour']:.0f} false "
        f"alarms an hour, {COMMAND_DISTANCE_DB} dB over noise"
    )
    screen.print(f"C         {values:,} values from samples to classes, {different:,} not Python's")


def _print_next(screen: Console, path: Path) -> None:
    model = shlex.quote(str(path))
    screen.print("\nNext:")
    commands = {
        "signbit record words --word yes": "your own words",
        f"signbit emulate {model} --stream FILE.wav": "another sound",
        f"signbit firmware init board --model {model}": "for a board",
        "signbit device listen": "what that hears",
    }
    width = max(map(len, commands))
    for command, purpose in commands.items():
        screen.print(f"  {command:<{width}}  {purpose}", soft_wrap=True)

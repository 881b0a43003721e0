"""`signbit record DIR --word WORD`: Record clips of a word with a microphone, for training.

Each clip is a file DIR/WORD/NUMBER.wav; `signbit train --data DIR` takes the folder.  Takes that are silent, clipped or
cut off are repeated, and the others cut to the second around the word.  Numbers go on after those that are
there, and no file is ever overwritten.
"""

import argparse
import io
import re
import shlex
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console

from signbit.commands.takes import Take, judge, rms
from signbit.console import console
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers.loading import NOISE_FOLDERS
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import number, whole
from signbit.qmodel.untrusted import shown

NOISE = NOISE_FOLDERS[0]
"""The word whose clips are kept as they are: what is heard while nobody speaks."""
RATE_HZ = 16_000
SECONDS = 1.0
COUNT = 20
MARGIN_S = 0.5
"""Before and after a clip: nobody speaks to the tenth of a second."""
COUNTDOWN_S = 3
PAUSE_S = 0.7
BLOCKS_A_SECOND = 20
FAULTS_MAX = 5
"""Bad takes in a row after which something else is wrong."""
METER = 30
WORD = re.compile(r"[^\W_][\w-]{0,40}")
SPEAKER = re.compile(r"[^\W_][^\W_]{0,40}")
"""They become files' names, and an underscore ends a speaker's."""


def main(arguments: list[str], prog: str) -> None:
    options = _parser(prog).parse_args(arguments)
    sound = _sounddevice()
    if options.list:
        print(_devices(sound))
        return
    if options.folder is None or options.word is None:
        raise SignbitError(f"what to record where is missing: {prog} DIR --word yes")
    folder, screen = options.folder / options.word, console()
    with _microphone(sound, options) as stream:
        folder.mkdir(parents=True, exist_ok=True)
        what = f"{counted(options.count, 'clip')} of {options.seconds:g} s"
        screen.print(f"{options.word}: {what} into {shown(folder)}; Ctrl-C stops and keeps them")
        _count_down(screen)
        _record(screen, stream, folder, options)
    screen.print("next:")
    screen.print(
        f"  signbit look {shlex.quote(str(options.folder))}       what training would make of it", soft_wrap=True
    )


def _record(screen: Console, stream, folder: Path, options: argparse.Namespace) -> None:
    """As many good takes as were asked for."""
    kept, faults = 0, 0
    while kept < options.count:
        label = f"{kept + 1:>3} of {options.count}"
        samples = _listen(screen, stream, label, options)
        take = _judged(samples, options)
        if take.clip is None:
            faults += 1
            screen.print(f"{label}  again: {take.fault}", style="yellow")
            if faults == FAULTS_MAX:
                raise SignbitError(f"{faults} takes in a row were no good ({take.fault}); clips kept: {kept}")
            continue
        path = free_path(folder, options.speaker)
        write_whole(path, wav(take.clip, options.rate))
        kept, faults = kept + 1, 0
        screen.print(f"{label}  {shown(path.name)}")
        time.sleep(PAUSE_S)


def _judged(samples: np.ndarray, options: argparse.Namespace) -> Take:
    if options.word == NOISE:
        return Take(samples)
    return judge(samples, round(options.seconds * options.rate), options.rate)


def _listen(screen: Console, stream, label: str, options: argparse.Namespace) -> np.ndarray:
    """One take, int16 (samples,), with a meter of its loudness on a terminal."""
    margin = 0.0 if options.word == NOISE else MARGIN_S
    left, blocks = round((options.seconds + 2 * margin) * options.rate), []
    # what came during the pause
    stream.read(stream.read_available)
    with screen.status(f"{label}  speak now") as status:
        while left:
            block, _ = stream.read(min(left, options.rate // BLOCKS_A_SECOND))
            blocks.append(block[:, 0].copy())
            left -= len(block)
            status.update(f"{label}  speak now  {meter(float(rms(blocks[-1], options.rate).max()))}")
    return np.concatenate(blocks)


def meter(loudness: float) -> str:
    """A bar of -60 to 0 dB of full scale."""
    level = 20 * np.log10(max(loudness, 1.0) / 32768)
    filled = round(METER * (1 + np.clip(level, -60, 0) / 60))
    return "#" * filled + "." * (METER - filled)


def _count_down(screen: Console) -> None:
    for left in range(COUNTDOWN_S, 0, -1):
        screen.print(f"{left} ...")
        time.sleep(1)


def free_path(folder: Path, speaker: str | None) -> Path:
    """The next number's file, after the highest that is there."""
    head = f"{speaker}_" if speaker else ""
    found = (re.fullmatch(re.escape(head) + r"(\d+)\.\w+", path.name) for path in folder.iterdir())
    return folder / f"{head}{max((int(match[1]) for match in found if match), default=0) + 1:03}.wav"


def wav(samples: np.ndarray, rate_hz: int) -> bytes:
    """int16 (samples,) as a file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate_hz, 0, "NONE", ""))
        sound.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def _sounddevice():
    """The library; raises SignbitError that says what is missing, the package or PortAudio."""
    try:
        import sounddevice
    except ImportError:
        raise SignbitError("recording needs sounddevice; install it with: pip install 'signbit[record]'") from None
    except OSError:
        raise SignbitError("recording needs PortAudio; on Debian or Ubuntu: apt install libportaudio2") from None
    return sounddevice


@contextmanager
def _microphone(sound, options: argparse.Namespace) -> Iterator:
    """An open stream of the microphone; what PortAudio says against it as SignbitError."""
    try:
        stream = sound.InputStream(samplerate=options.rate, channels=1, dtype="int16", device=options.device)
    except (sound.PortAudioError, ValueError) as error:
        words = " ".join(str(error).split())
        raise SignbitError(f"no microphone for {options.rate} Hz: {words}; --list shows what there is") from None
    try:
        with stream:
            yield stream
    except sound.PortAudioError as error:
        raise SignbitError(f"the microphone stopped: {' '.join(str(error).split())}") from None


def _devices(sound) -> str:
    """What can be recorded from, a line each: its number and name."""
    devices = enumerate(sound.query_devices())
    found = [f"{number:>3}  {shown(one['name'])}" for number, one in devices if one["max_input_channels"]]
    return "\n".join(found) or "there is no microphone"


def _word(text: str) -> str:
    if not WORD.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} must be letters, digits, - and _, and begin with one of the first")
    return text


def _speaker(text: str) -> str:
    if not SPEAKER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} must be letters and digits")
    return text


def _device(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _parser(prog: str) -> Parser:
    head, _, rest = __doc__.partition(": ")[2].partition("\n\n")
    parser = Parser(prog=prog, description=f"{head} {' '.join(rest.split())}")
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, help="folder of the words' folders")
    parser.add_argument(
        "--word",
        metavar="WORD",
        type=_word,
        help=f"what is spoken; {NOISE} keeps clips as they are, for the class silence",
    )
    parser.add_argument("--count", **whole(1).argument(), default=COUNT, help="clips to record (default: %(default)s)")
    parser.add_argument(
        "--speaker", metavar="NAME", type=_speaker, help="before the number, for --group-pattern '^([^_]+)_'"
    )
    parser.add_argument(
        "--seconds", **number("S", 0.1, 600).argument(), default=SECONDS, help="length of a clip (default: %(default)g)"
    )
    parser.add_argument(
        "--rate", **whole(4000, 48_000).argument(), default=RATE_HZ, help="samples a second (default: %(default)s)"
    )
    parser.add_argument("--device", metavar="DEVICE", type=_device, help="number or part of the name of a microphone")
    parser.add_argument("--list", action="store_true", help="list the microphones, and record nothing")
    return parser

"""Sound as rows of a time series: a .wav of plain samples, or a .flac."""

import math
import wave
from pathlib import Path

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers.samples import BYTES_MAX
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import open_file

CHANNEL_NAMES = {1: ("amplitude",), 2: ("left", "right")}
SUFFIXES = (".wav", ".flac")
MAGIC = {".flac": b"fLaC", ".wav": b"RIFF"}
SHIFTS = {"PCM_16": 0, "PCM_S8": 8, "PCM_U8": 8}
"""By libsndfile's name of a file's samples: how far it moves them to the left in int16."""
OTHER_KIND = "unknown "
"""How `wave` begins to say that samples are no plain ones; which it knows depends on Python's version."""
BLOCK_FRAMES = 1 << 16
UNKNOWN_BYTES = 0x7FFF0000
"""From here on a .wav's size of its samples is what a program wrote that did not know it."""


def read_sound(path: Path, wanted_hz: int | None = None) -> tuple[np.ndarray, tuple[str, ...], int]:
    """int16 (frames, channels), the channels' names, and frames per second, converted to `wanted_hz` if it is given.

    8 and 16 bits are taken unscaled; 8-bit samples of a .wav have their midpoint, 128, subtracted.
    """
    values, rate_hz = (_read_by_library if path.suffix.lower() == ".flac" else _read_wav)(path)
    if wanted_hz not in (None, rate_hz) and len(values):
        values, rate_hz = _resampled(values, rate_hz, wanted_hz), wanted_hz
    channels = values.shape[1]
    return values, CHANNEL_NAMES.get(channels, tuple(map(str, range(1, channels + 1)))), rate_hz


def read_rows(path: Path, channels: int, wanted_hz: int) -> tuple[np.ndarray, int]:
    """What a model hears: int16 (rows, channels), and rows per second, those of the file where `wanted_hz` is 0."""
    rows, names, rate_hz = read_sound(path, wanted_hz or None)
    if len(names) != channels:
        raise SignbitError(f"{path.name}: has {counted(len(names), 'channel')}, but the model takes {channels}")
    return rows, rate_hz


def _resampled(values: np.ndarray, rate_hz: int, wanted_hz: int) -> np.ndarray:
    """By a polyphase filter that keeps what both rates can hold."""
    try:
        from scipy.signal import resample_poly
    except ImportError:
        raise SignbitError("converting rates needs scipy; install it with: pip install 'signbit[sound]'") from None
    common = math.gcd(rate_hz, wanted_hz)
    converted = resample_poly(values.astype(np.float64), wanted_hz // common, rate_hz // common)
    return np.clip(np.rint(converted), -(1 << 15), (1 << 15) - 1).astype(np.int16)


def _read_wav(path: Path) -> tuple[np.ndarray, int]:
    try:
        with open_file(path, BYTES_MAX) as stream, wave.open(stream) as sound:
            width_bytes, channels, rate_hz = sound.getsampwidth(), sound.getnchannels(), sound.getframerate()
            if width_bytes not in (1, 2):
                raise SignbitError(f"{path.name}: has {8 * width_bytes} bits per sample; save it with 16")
            frame_bytes, declared = width_bytes * channels, sound.getnframes()
            data = sound.readframes(declared)
            if len(data) < declared * frame_bytes < UNKNOWN_BYTES:
                raise SignbitError(f"{path.name}: ends after {len(data) // frame_bytes:,} of {declared:,} samples")
    except (wave.Error, EOFError, RuntimeError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, SignbitError):
            raise
        if str(error).startswith(OTHER_KIND):
            return _read_by_library(path)
        reason = str(error) or "it ends too early"
        raise SignbitError(f"{path.name}: is not a .wav of plain samples, or damaged ({reason})") from None
    samples = np.frombuffer(data[: len(data) // frame_bytes * frame_bytes], "<i2" if width_bytes == 2 else np.uint8)
    return samples.astype(np.int16).reshape(-1, channels) - np.int16(128 if width_bytes == 1 else 0), rate_hz


def _read_by_library(path: Path) -> tuple[np.ndarray, int]:
    suffix = path.suffix.lower()
    try:
        import soundfile
    except (ImportError, OSError):  # the latter without libsndfile
        kind = suffix if suffix == ".flac" else f"this kind of {suffix}"
        raise SignbitError(
            f"{path.name}: reading {kind} needs soundfile; install it with: pip install 'signbit[sound]'"
        ) from None
    with open_file(path, BYTES_MAX) as stream:
        # libsndfile goes by content, and knows some forty formats
        if stream.read(len(MAGIC[suffix])) != MAGIC[suffix]:
            raise SignbitError(f"{path.name}: is not a {suffix}")
        stream.seek(0)
        try:
            with soundfile.SoundFile(stream) as sound:
                if sound.subtype not in SHIFTS:
                    raise SignbitError(f"{path.name}: has samples of the kind {sound.subtype}; save it as 16-bit PCM")
                return _frames(path, sound) >> np.int16(SHIFTS[sound.subtype]), sound.samplerate
        except soundfile.SoundFileError as error:
            raise SignbitError(f"{path.name}: is damaged ({' '.join(str(error).split())})") from None


def _frames(path: Path, sound) -> np.ndarray:
    """All frames, int16 (frames, channels), in memory that grows with what is there, not with what the header says."""
    blocks = [np.empty((0, sound.channels), np.int16)]
    left = BYTES_MAX // (2 * sound.channels)
    while len(block := sound.read(min(left + 1, BLOCK_FRAMES), "int16", always_2d=True)):
        blocks.append(block)
        left -= len(block)
        if left < 0:
            raise SignbitError(f"{path.name}: holds more than {BYTES_MAX >> 20} MB of samples; take a part of it")
    return np.concatenate(blocks)

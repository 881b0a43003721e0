"""Sound as rows of a time series: a .wav of plain samples."""

import wave
from pathlib import Path

import numpy as np

from signbit.qmodel.data.readers.samples import BYTES_MAX
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import open_file

CHANNEL_NAMES = {1: ("amplitude",), 2: ("left", "right")}


def read_wav(path: Path) -> tuple[np.ndarray, tuple[str, ...], int]:
    """int16 (frames, channels), the channels' names, and frames per second.

    8 and 16 bits are taken unscaled; 8-bit samples have their midpoint, 128, subtracted.
    """
    try:
        with open_file(path, BYTES_MAX) as stream, wave.open(stream) as sound:
            width_bytes, channels, rate_hz = sound.getsampwidth(), sound.getnchannels(), sound.getframerate()
            if width_bytes not in (1, 2):
                raise SignbitError(f"{path.name}: has {8 * width_bytes} bits per sample; save it with 16")
            data = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError, RuntimeError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, SignbitError):
            raise
        raise SignbitError(f"{path.name}: is not a .wav of plain samples, or damaged ({error})") from None
    frame_bytes = width_bytes * channels
    samples = np.frombuffer(data[: len(data) // frame_bytes * frame_bytes], "<i2" if width_bytes == 2 else np.uint8)
    values = samples.astype(np.int16).reshape(-1, channels) - np.int16(128 if width_bytes == 1 else 0)
    names = CHANNEL_NAMES.get(channels, tuple(map(str, range(1, channels + 1))))
    return values, names, rate_hz

"""One take of a word: where in it the word is, and what is wrong with it."""

from dataclasses import dataclass

import numpy as np

FRAMES_A_SECOND = 100
LOUD = 200.0
"""RMS of 10 ms that speech at a microphone exceeds, of 32,768: -44 dB of full scale."""
ABOVE_FLOOR = 4.0
"""How far the loudest 10 ms must be above the quiet ones, and a word's frames are, as a factor: 12 dB."""
PART_OF_PEAK = 0.1
"""Frames weaker than this part of the loudest are not of the word: 20 dB."""
CLIPPED = 32_700
CLIPPED_SAMPLES = 8
QUIET_PERCENT = 20


@dataclass(frozen=True)
class Take:
    """The clip that is kept, int16 (samples,), or what is wrong."""

    clip: np.ndarray | None
    fault: str = ""


def judge(samples: np.ndarray, clip_samples: int, rate_hz: int) -> Take:
    """The `clip_samples` around the word in `samples`, int16; the word must be whole, loud enough and not clipped."""
    if np.count_nonzero(np.abs(samples.astype(np.int32)) >= CLIPPED) >= CLIPPED_SAMPLES:
        return Take(None, "too loud: move away from the microphone, or turn it down")
    loudness = rms(samples, rate_hz)
    floor, peak = np.percentile(loudness, QUIET_PERCENT), loudness.max()
    if peak < max(LOUD, ABOVE_FLOOR * floor):
        return Take(None, "nothing was heard: speak up, or choose another --device")
    loud = np.flatnonzero(loudness >= max(LOUD / 2, ABOVE_FLOOR / 2 * floor, PART_OF_PEAK * peak))
    frame = rate_hz // FRAMES_A_SECOND
    first, end = loud[0] * frame, (loud[-1] + 1) * frame
    if end - first > clip_samples:
        return Take(None, "longer than a clip: speak faster, or make clips longer with --seconds")
    if loud[0] == 0 or loud[-1] == len(loudness) - 1:
        return Take(None, "cut off: speak between the two signs")
    start = int(np.clip((first + end - clip_samples) // 2, 0, len(samples) - clip_samples))
    return Take(samples[start : start + clip_samples])


def rms(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """RMS of each 10 ms, float64 (frames,), less the mean of all; 0 where there is less than a frame."""
    frame = rate_hz // FRAMES_A_SECOND
    whole = samples[: len(samples) // frame * frame].astype(np.float64)
    if not len(whole):
        return np.zeros(1)
    return np.sqrt(((whole - whole.mean()).reshape(-1, frame) ** 2).mean(axis=1))

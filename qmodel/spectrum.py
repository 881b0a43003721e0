"""Power spectra of int16 frames in integers: an FFT in block floating point, bands, logarithms -- SPEC 13.

A frame of N samples becomes N / 2 complex points, sample 2j the real and 2j + 1 the imaginary part of point j.  Points
are int16 and share an exponent: before each pass they are shifted right until no one needs more than its bits.
"""

from functools import cache

import numpy as np

FRAME_MIN, FRAME_MAX = 32, 1024
"""Samples; powers of two."""
PASS_BITS = 12
"""Bits of a point's parts before a pass over four points: of at most 4096 each, they become at most 21,480 in int16."""
SPLIT_BITS = 13
"""Bits of a point's parts before the spectrum is split: no power reaches 2^30."""
POWER_MAX = 2 * 19_778**2
WEIGHT_ONE = 128
"""A band's weight at its centre."""
FRACTION_BITS = 6
"""Fraction bits of a power's logarithm, before the table."""
FRAMES_AT_ONCE = 128
"""So many fit into a processor's cache."""
HALF = 1 << 14


@cache
def cosines(frame: int) -> np.ndarray:
    """round(32767 cos(2 pi k / frame)), int32, for k = 0..frame - 1.

    None of them lies within 1e-6 of a half, so that every machine rounds them alike.
    """
    quarter = np.rint(32767 * np.cos(2 * np.pi * np.arange(frame // 4 + 1) / frame)).astype(np.int32)
    quarter[-1] = 0
    half = np.concatenate([quarter, -quarter[-2::-1]])
    return np.concatenate([half, half[-2:0:-1]])


@cache
def logarithms(steps: int) -> np.ndarray:
    """round(steps log2(1 + (f + 1/2) / 64)) for the fraction f = 0..63, uint8."""
    fraction = (np.arange(1 << FRACTION_BITS) + 0.5) / (1 << FRACTION_BITS)
    return np.rint(steps * np.log2(1 + fraction)).astype(np.uint8)


@cache
def reversed_bits(points: int) -> np.ndarray:
    """Where each point goes: its index with the order of bits turned around."""
    order = np.zeros(1, np.int64)
    while len(order) < points:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def power(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Powers P of the frequencies k / N, k = 1..N / 2 - 1, and exponents e: the power is P 4^e.

    `frames` int16 (n, N); P int32 (n, N / 2 - 1) in 0..POWER_MAX, e int32 (n,).
    """
    frame = frames.shape[1]
    parts = [
        _power(frames[start : start + FRAMES_AT_ONCE], cosines(frame))
        for start in range(0, len(frames), FRAMES_AT_ONCE)
    ]
    if not parts:
        return np.empty((0, frame // 2 - 1), np.int32), np.empty(0, np.int32)
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def log2_steps(values: np.ndarray, steps: int) -> np.ndarray:
    """About steps * log2(values), int64; `values` int64, at least 1: the leading bit, and a table for six more."""
    # frexp's exponent is exact below 2^53
    leading = np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1
    fraction = np.where(
        leading >= FRACTION_BITS,
        values >> np.maximum(leading - FRACTION_BITS, 0),
        values << np.maximum(FRACTION_BITS - leading, 0),
    )
    return steps * leading + logarithms(steps)[fraction - (1 << FRACTION_BITS)]


def centred(samples: np.ndarray) -> np.ndarray:
    """Samples (n, N) minus their mean, which is rounded down: int32 in -65,535..65,535."""
    wide = samples.astype(np.int32)
    return wide - wide.sum(axis=1, dtype=np.int64, keepdims=True).astype(np.int32) // np.int32(samples.shape[1])


def _power(frames: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    re, im, exponent = _windowed(frames, cosine)
    points = re.shape[1]
    quarter = 1
    if points.bit_length() % 2 == 0:
        re, im = _pass_of_two(re, im)
        quarter = 2
    while quarter < points:
        if quarter > 1:
            re, im, shift = _shifted(re, im, PASS_BITS)
            exponent += shift
        re, im = _pass_of_four(re, im, quarter, cosine)
        quarter *= 4
    re, im, shift = _shifted(re, im, SPLIT_BITS)
    return _split(re, im, cosine), exponent + shift


def _windowed(frames: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames times Hann's window as complex points in the order of the FFT's input, with their exponents.

    The largest sample gets PASS_BITS bits.
    """
    deviation = centred(frames)
    hann = (32768 - cosine) >> 1
    shift = 15 + _bits(np.abs(deviation).max(axis=1)) - PASS_BITS
    points = (deviation * hann + (1 << (shift - 1))[:, None]) >> shift[:, None]
    order = reversed_bits(frames.shape[1] // 2)
    return points[:, 0::2][:, order], points[:, 1::2][:, order], shift - 15


def _bits(values: np.ndarray) -> np.ndarray:
    """Bits that values >= 0 need, int32."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int32)


def _shifted(re: np.ndarray, im: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points shifted right, with rounding, until each part fits in `bits` bits and a sign; and by how much."""
    used = np.bitwise_or.reduce((re ^ re >> 31) | (im ^ im >> 31), axis=1)
    shift = np.maximum(_bits(used) - bits, 0)
    half = ((1 << shift) >> 1)[:, None]
    return (re + half) >> shift[:, None], (im + half) >> shift[:, None], shift


def _pass_of_two(re: np.ndarray, im: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and difference of neighbours."""
    return tuple(
        np.stack([part[:, 0::2] + part[:, 1::2], part[:, 0::2] - part[:, 1::2]], axis=2).reshape(part.shape)
        for part in (re, im)
    )


def _pass_of_four(re: np.ndarray, im: np.ndarray, quarter: int, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fourier transforms of four points, `quarter` apart, turned by their angles before."""
    frame = len(cosine)
    angle = np.arange(quarter) * (frame // (4 * quarter))
    shape = (len(re), -1, 4, quarter)
    re, im = re.reshape(shape), im.reshape(shape)
    (a_re, a_im) = re[:, :, 0], im[:, :, 0]
    (b_re, b_im), (c_re, c_im), (d_re, d_im) = (
        _turned(re[:, :, index], im[:, :, index], times * angle, cosine) for index, times in ((1, 2), (2, 1), (3, 3))
    )
    even_re, even_im, odd_re, odd_im = a_re + b_re, a_im + b_im, a_re - b_re, a_im - b_im
    sum_re, sum_im, difference_re, difference_im = c_re + d_re, c_im + d_im, c_re - d_re, c_im - d_im
    new_re, new_im = np.empty_like(re), np.empty_like(im)
    new_re[:, :, 0], new_im[:, :, 0] = even_re + sum_re, even_im + sum_im
    new_re[:, :, 1], new_im[:, :, 1] = odd_re + difference_im, odd_im - difference_re
    new_re[:, :, 2], new_im[:, :, 2] = even_re - sum_re, even_im - sum_im
    new_re[:, :, 3], new_im[:, :, 3] = odd_re - difference_im, odd_im + difference_re
    return new_re.reshape(len(re), -1), new_im.reshape(len(re), -1)


def _turned(re: np.ndarray, im: np.ndarray, angle: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(re + i im) exp(-2 pi i angle / N), rounded."""
    cos, sin = cosine[angle], cosine[angle - len(cosine) // 4]
    return (re * cos + im * sin + HALF) >> 15, (im * cos - re * sin + HALF) >> 15


def _split(re: np.ndarray, im: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Powers of a real signal's spectrum from the transform of its even and odd samples as one complex signal.

    Frequency k and its mirror image, N / 2 - k, are sum and difference of the even samples' and of the odd ones'.
    """
    low = np.arange(1, re.shape[1] // 2 + 1)
    high = re.shape[1] - low
    even_re, even_im = re[:, low] + re[:, high], im[:, low] - im[:, high]
    odd_re, odd_im = _turned(im[:, low] + im[:, high], re[:, high] - re[:, low], low, cosine)
    sums = ((even_re + odd_re) >> 1) ** 2 + ((even_im + odd_im) >> 1) ** 2
    differences = ((even_re - odd_re) >> 1) ** 2 + ((even_im - odd_im) >> 1) ** 2
    return np.concatenate([sums, differences[:, -2::-1]], axis=1)

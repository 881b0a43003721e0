"""The integer semantics of signbit: each formula once.  docs/SPEC.md is the same in words.

Every kernel in C, and the trainer's evaluation, answers to these functions bit for bit.
"""

import numpy as np

WORD_BITS = 32
FAN_IN_MAX = 65_793
"""Largest fan-in: 65,793 inputs of 255 sum to 2^24 - 1, which float32 still holds exactly -- SPEC 3."""

SHIFT_MAX = 30
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
MULTIPLIER_MAX = 2**15 - 1


def sign(values: np.ndarray) -> np.ndarray:
    """+1 where `values` >= 0, else -1, as int8; sign(0) = +1 -- SPEC 2."""
    return np.where(np.asarray(values) >= 0, 1, -1).astype(np.int8)


def words_for(count: int) -> int:
    """Number of 32-bit words that hold `count` bits."""
    return -(-count // WORD_BITS)


def pack_bits(weights: np.ndarray) -> np.ndarray:
    """Pack weights of +1 and -1, shape (rows, n), into uint32 words, shape (rows, ceil(n / 32)) -- SPEC 2.

    The bit is the sign bit: 1 means -1.  Weight i of a row is bit i % 32 of word i // 32; the bits after the
    last weight are 0.
    """
    rows, count = weights.shape
    bits = np.zeros((rows, words_for(count) * WORD_BITS), np.uint8)
    bits[:, :count] = weights < 0
    return np.packbits(bits, axis=1, bitorder="little").view("<u4").astype(np.uint32)


def unpack_bits(words: np.ndarray, count: int) -> np.ndarray:
    """The inverse of `pack_bits`: int8 weights of +1 and -1, shape (rows, count)."""
    octets = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little", count=count)
    return (1 - 2 * bits.astype(np.int8)).astype(np.int8)


def pack_last_axis(values: np.ndarray) -> np.ndarray:
    """One-bit values (..., channels) as the words that hold each pixel's channels, uint32 (..., words) -- SPEC 5."""
    words = pack_bits(values.reshape(-1, values.shape[-1]))
    return words.reshape(*values.shape[:-1], words.shape[1])


def dense(inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """acc[n, j] = sum_i weights[j, i] * inputs[n, i], exact int32 -- SPEC 3.

    `inputs` are uint8 (or one-bit values, int8 of +1 and -1) of shape (batch, fan_in), `weights` int8, shape
    (outputs, fan_in).  The
    product runs in float32, where every partial sum is an integer below 2^24 and therefore exact.
    """
    return (inputs.astype(np.float32) @ weights.T.astype(np.float32)).astype(np.int32)


def scale(acc: np.ndarray, multiplier: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """acc * multiplier + bias in int32 -- SPEC 4 and 6; `ranges` has proved that nothing wraps."""
    return acc.astype(np.int32) * multiplier.astype(np.int32) + bias.astype(np.int32)


def requantize(acc: np.ndarray, multiplier: np.ndarray, bias: np.ndarray, shift: int, high: int) -> np.ndarray:
    """clamp((acc * multiplier + bias) >> shift, 0, high) as uint8 -- SPEC 4.

    `bias` carries the rounding half, 1 << (shift - 1).  Needs 1 <= shift <= 30; `>>` is arithmetic.
    """
    return np.clip(scale(acc, multiplier, bias) >> shift, 0, high).astype(np.uint8)


def quantize_input(counts: np.ndarray, multiplier: np.ndarray, bias: np.ndarray, shift: int) -> np.ndarray:
    """clamp((counts * multiplier + bias) >> shift, 0, 255) as uint8 -- SPEC 11.

    `counts` int16 (..., channels), `multiplier` int16 and `bias` int32 (channels,).
    """
    return requantize(counts, multiplier, bias, shift, 255)


def threshold(acc: np.ndarray, thresholds: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """+1 where direction * acc >= threshold, else -1, as int8 -- SPEC 5."""
    return sign(acc.astype(np.int64) * directions - thresholds)


REJECTED = -1
"""Instead of a class -- SPEC 12."""
MARGIN_MAX = 2**32 - 1


def argmax(logits: np.ndarray) -> np.ndarray:
    """The class: index of the largest logit, the lowest index on a tie -- SPEC 6."""
    return np.argmax(logits, axis=-1)


def margin(logits: np.ndarray) -> np.ndarray:
    """How far the largest logit is above the next one, 0 on a tie, uint32 -- SPEC 12.

    Shape (batch, classes) -> (batch,); MARGIN_MAX where there is one class only.
    """
    if logits.shape[-1] == 1:
        return np.full(logits.shape[:-1], MARGIN_MAX, np.uint32)
    second, first = np.moveaxis(np.partition(logits, -2, axis=-1)[..., -2:], -1, 0).astype(np.int64)
    return (first - second).astype(np.uint32)


def argmax_or_reject(logits: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """The class, or REJECTED where the margin is below the class's own in `margins`, uint32 (classes,) -- SPEC 12.

    Shape (batch, classes) -> (batch,) int32.
    """
    classes = argmax(logits)
    return np.where(margin(logits) < margins[classes], REJECTED, classes).astype(np.int32)


EXP2_ONE = 1 << 14
LOG2_E_Q8 = 369
DISTANCE_LIMIT = 16


def confidence(logits: np.ndarray, logit_shift: int) -> np.ndarray:
    """Softmax probability of the best class in per mille, in integers only -- SPEC 7.

    With d_c = max - logits_c:  e_c = 0 if d_c >= 16 * 2^logit_shift, else exp2_q14(d_c in units of 2^-8 * ln 2);
    confidence = (1000 * 2^14 + sum(e) // 2) // sum(e).  Shape (batch, classes) -> (batch,) int32.
    """
    distance = logits.max(axis=-1, keepdims=True).astype(np.int64) - logits
    near = distance < (DISTANCE_LIMIT << logit_shift)
    distance = np.where(near, distance, 0)
    if logit_shift >= 8:
        distance_q8 = distance >> (logit_shift - 8)
    else:
        distance_q8 = distance << (8 - logit_shift)
    total = np.where(near, exp2_q14((distance_q8 * LOG2_E_Q8) >> 8), 0).sum(axis=-1)
    return ((1000 * EXP2_ONE + total // 2) // total).astype(np.int32)


def exp2_q14(exponent_q8: np.ndarray) -> np.ndarray:
    """2^(-x) in units of 2^-14 for x = exponent_q8 / 256 -- SPEC 7.

    A quadratic through the ends and the middle of [0, 1), shifted by the whole part of x; the error stays
    below 0.3 %.
    """
    whole, fraction = exponent_q8 >> 8, exponent_q8 & 255
    return (EXP2_ONE - ((fraction * (10_999 - 11 * fraction)) >> 8)) >> whole

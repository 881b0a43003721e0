"""Images, and windows of a time series, that are mirrored, moved, turned and bent a little at random in training.

A warp says for every pixel of the new image where in the old one to look; between pixels it mixes four of them.
That is linear, so one matrix (pixels, pixels) warps any number of images: a group of images shares a random warp, and
warping them is one matrix product.

All of it is the same on every machine: rotation by a rational formula instead of sine and cosine, a binomial filter
instead of a Gaussian one, and weights in units of 2^-16, so that products with pixels add up exactly in float32.
"""

import math
from dataclasses import dataclass

import numpy as np

from signbit.qmodel.value import Shape
from signbit.trainer.exact import noise

GROUP = 100
"""Images that share a warp."""

FRACTION = 256
"""Positions between two pixels."""


@dataclass(frozen=True)
class Strength:
    """How far warps go.  Lengths are parts of the image's side: 1/14 is 2 of 28 pixels."""

    shift: float = 0.0
    half_turn: float = 0.0
    """Largest tan of half the angle: 0.0875 is 10 degrees."""
    shear: float = 0.0
    scale: float = 0.0
    bend: float = 0.0
    """Spread of the elastic displacement."""


OCTETS_SPREAD = math.sqrt(8 * (256**2 - 1) / 12)
"""Standard deviation of the sum of eight random bytes."""

BEND_RADIUS = 1 / 7
"""Spread of the elastic displacement's filter: 4 of 28 pixels."""

AUGMENTATIONS = {
    "none": None,
    "shift": Strength(shift=1 / 28),
    "crop": Strength(shift=1 / 8),
    "affine": Strength(shift=1 / 14, half_turn=0.0875, shear=0.15, scale=0.1),
    "elastic": Strength(shift=1 / 14, half_turn=0.0875, shear=0.15, scale=0.1, bend=1 / 80),
}

FLIPS = {"none": (), "horizontal": (2,), "vertical": (1,), "both": (1, 2)}
"""Axes of images (count, height, width, channels) that are turned around."""


class Augmenter:
    """Warps images of `input_shape` (height, width, channels), each group by its own random warp."""

    def __init__(self, input_shape: Shape, name: str, amount: float, rng: np.random.Generator):
        self.height, self.width, self.channels = input_shape
        self.amount = amount
        self._strength = AUGMENTATIONS[name]
        self._rng = rng
        self._filters = _binomial_filter(self.height), _binomial_filter(self.width)
        self._spread = 1 / math.sqrt(np.prod([float((kernel**2).sum(axis=1).max()) for kernel in self._filters]))
        self._grid = np.mgrid[0 : self.height, 0 : self.width].astype(np.float64)
        pixels = self.height * self.width
        self._matrix = np.empty((pixels, pixels), np.float32)

    def warp(self, images: np.ndarray) -> np.ndarray:
        """uint8 (count, input_size) -> the same, warped in groups."""
        warped = np.empty_like(images)
        for start in range(0, len(images), GROUP):
            group = images[start : start + GROUP]
            planes = group.reshape(len(group), -1, self.channels).transpose(0, 2, 1).astype(np.float32)
            mixed = planes.reshape(-1, self.height * self.width) @ self._random_matrix()
            np.rint(mixed, out=mixed)
            mixed = mixed.reshape(planes.shape).transpose(0, 2, 1)
            warped[start : start + GROUP] = mixed.reshape(len(group), -1)
        return warped

    def _random_matrix(self) -> np.ndarray:
        """matrix[old pixel, new pixel] = part of the old in the new."""
        rows, columns = self._random_places()
        return _fill(self._matrix, rows, columns)

    def _random_places(self) -> tuple[np.ndarray, np.ndarray]:
        """For each pixel of the new image, row and column in the old one; windows of a series change in time alone."""
        strength, amount = self._strength, self.amount
        shift_y, shift_x, turn, shear, scale_y, scale_x = amount * noise.uniform(self._rng, -1, 1, (6,))
        middle_y, middle_x = (self.height - 1) / 2, (self.width - 1) / 2
        y, x = self._grid[0] - middle_y, self._grid[1] - middle_x
        # cos and sin of an angle from the tangent t of its half: (1 - t^2) / (1 + t^2) and 2 t / (1 + t^2)
        t = turn * strength.half_turn
        cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        sheared = x + shear * strength.shear * y
        rows = (cos * y - sin * sheared) * (1 + scale_y * strength.scale)
        columns = (sin * y + cos * sheared) * (1 + scale_x * strength.scale)
        rows = rows + (middle_y + shift_y * strength.shift * self.height)
        columns = columns + (middle_x + shift_x * strength.shift * self.width)
        if strength.bend:
            rows = rows + self._smooth() * (amount * strength.bend * self.height)
            columns = columns + self._smooth() * (amount * strength.bend * self.width)
        return rows, columns if self.width > 1 else np.zeros_like(columns)

    def _smooth(self) -> np.ndarray:
        """Smooth random field with a spread of about 1; whole numbers until the last step, so that sums are exact."""
        raw = self._rng.bit_generator.random_raw(self.height * self.width) >> np.uint64(56)
        # uniform in -127.5..127.5, in halves
        halves = 2.0 * raw.astype(np.float64).reshape(self.height, self.width) - 255
        field = self._filters[0] @ halves @ self._filters[1]
        return field * (self._spread / 148)


def flip(inputs: np.ndarray, input_shape: Shape, name: str, rng: np.random.Generator) -> np.ndarray:
    """uint8 `inputs` (count, input_size) as images, each mirrored along each axis of `name`, or not, with even odds."""
    images = inputs.reshape(-1, *input_shape)
    for axis in FLIPS[name]:
        is_flipped = rng.bit_generator.random_raw(len(images)) >> np.uint64(63) == 1
        images = np.where(is_flipped[:, None, None, None], np.flip(images, axis), images)
    return images.reshape(inputs.shape)


def add_noise(inputs: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """uint8 `inputs` with noise of standard deviation `spread` added, clipped to 0..255.

    The noise is a sum of eight random bytes, which is close to a Gaussian bell and a whole number until the last step.
    """
    octets = rng.bit_generator.random_raw(inputs.size).view(np.uint8).reshape(*inputs.shape, 8)
    centred = octets.sum(axis=-1, dtype=np.int32) - 8 * 255 // 2
    noisy = inputs + np.rint(centred * (spread / OCTETS_SPREAD))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _fill(matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear weights: each new pixel is a mix of the four old ones around its place; outside is 0."""
    height, width = rows.shape
    matrix[...] = 0
    top, left = np.floor(rows), np.floor(columns)
    below = np.rint((rows - top) * FRACTION)
    right = np.rint((columns - left) * FRACTION)
    new = np.arange(height * width)
    for step_y, weight_y in ((0, FRACTION - below), (1, below)):
        for step_x, weight_x in ((0, FRACTION - right), (1, right)):
            y, x = (top + step_y).ravel(), (left + step_x).ravel()
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            old = (y * width + x)[inside].astype(np.intp)
            matrix[old, new[inside]] = (weight_y * weight_x).ravel()[inside] / FRACTION**2
    return matrix


def _binomial_filter(side: int) -> np.ndarray:
    """Matrix (side, side) that smooths a row by binomial weights, whole numbers of 2^-12 stored in units of 1.

    Binomial coefficients of order 4 sigma^2 have the spread sigma of the Gaussian bell they approach.
    """
    order = max(2, round(4 * (BEND_RADIUS * side) ** 2))
    order += order % 2
    weights = [round(math.comb(order, k) * 4096 / 2**order) for k in range(order + 1)]
    distance = np.abs(np.subtract.outer(np.arange(side), np.arange(side)))
    within = distance <= order // 2
    return np.where(within, np.array(weights, np.float64)[np.minimum(distance, order // 2) + order // 2], 0.0)

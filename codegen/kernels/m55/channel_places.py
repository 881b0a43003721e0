"""Helium: the accumulators of one place of a depthwise convolution, eight channels at a time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from signbit.codegen.kernels.base import Job
from signbit.codegen.kernels.listing import Listing
from signbit.codegen.kernels.m55 import assembly

LANES = 8
FAN_IN_MAX = 128
CHANNELS_MAX = 4095
"""The largest immediate of ADDW."""


@dataclass(frozen=True, eq=False)
class ChannelPlaces:
    """acc_c = sum over taps of w_c * x_c in 16-bit lanes, which hold 128 products of 255.

    A weight is a byte, -1, 0 or +1, for each group of 8 channels tap by tap: there are few of them, and ternary
    ones cost no more.
    """

    job: Job
    pitch_bytes: int
    maximum: bool

    @staticmethod
    def fits(job: Job) -> bool:
        return job.layer.fan_in <= FAN_IN_MAX and job.neurons <= CHANNELS_MAX

    @cached_property
    def listing(self) -> Listing:
        return assembly.channel_places(self)

    @property
    def groups(self) -> int:
        return -(-self.job.neurons // LANES)

    @property
    def accumulator_words(self) -> int:
        """Words for the accumulators of whole groups, and after them half a word for each."""
        return self.groups * LANES * 3 // 2

    def weights(self) -> np.ndarray:
        """int8: groups, taps, lanes."""
        padded = np.zeros((self.groups * LANES, self.job.layer.fan_in), np.int8)
        padded[: self.job.neurons] = self.job.layer.rows
        return padded.reshape(self.groups, LANES, -1).transpose(0, 2, 1).reshape(-1)

    def values(self) -> dict[str, Any]:
        return {
            "assembly": self.listing,
            "group_bytes": LANES * self.job.layer.fan_in,
            "pitch_bytes": self.pitch_bytes,
            "maximum": self.maximum,
        }

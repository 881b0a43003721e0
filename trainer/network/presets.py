"""Architectures by name: good ones at their size.

A neuron's weights are stored in words of 32 bits, so a fan-in just below a multiple of 32 wastes no flash: 3×3 kernels
on 7, 14, 21, 28, 32, 42, 46, 56 or 60 channels.
"""

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.value import Shape

LARGE_SIDE = 20
"""Images of at least this size begin with a convolution of stride 2; smaller ones keep all their pixels."""

IMAGES = {
    "tiny": "conv5x5s2:14, conv3x3:21 pool2, conv3x3:21, dense",
    "small": "conv5x5s2:16, conv3x3:32 pool2, conv3x3:48, dense",
    "base": "conv5x5s2:21, conv3x3:42 pool2, conv3x3pad:42, conv3x3:46, dense",
    "large": "conv5x5s2:32, conv3x3:56 pool2, conv3x3pad:60, conv3x3:60, dense",
}
SMALL_IMAGES = {
    "tiny": "conv3x3pad:16, conv3x3:32 pool2, dense",
    "small": "conv3x3pad:16, conv3x3pad:32 pool2, conv3x3:32, dense",
    "base": "conv3x3pad:24, conv3x3pad:48 pool2, conv3x3:64, dense",
    "large": "conv3x3pad:32, conv3x3pad:64 pool2, conv3x3:96, dense",
}
SERIES = {
    "tiny": "conv7x1s2pad:12, conv5x1pad:16 pool2x1, globalavg, dense",
    "small": "conv7x1s2pad:16, conv5x1pad:24 pool2x1, conv3x1pad:32, globalavg, dense",
    "base": "conv7x1s2pad:24, conv5x1pad:32 pool2x1, conv3x1pad:48, globalavg, dense",
    "large": "conv7x1s2pad:32, conv5x1pad:48 pool2x1, conv3x1pad:64, globalavg, dense",
}
"""For windows of a time series, (time, 1, channels): what happens counts, and not when in the window it does."""
NAMES = tuple(IMAGES)


def text(model: str, input_shape: Shape) -> str:
    """The text form of a preset for inputs of `input_shape`; any other text is given back."""
    if model not in NAMES:
        return model
    if len(input_shape) != 3:
        raise SignbitError(f"--model {model} is for images, but the inputs are {input_shape}; choose --model mlp")
    if input_shape[1] == 1:
        return SERIES[model]
    return (IMAGES if min(input_shape[:2]) >= LARGE_SIDE else SMALL_IMAGES)[model]

"""CMSIS-NN's kernels for int8 and int4 weights on the shapes of our layers, each output compared before it counts.

Built with -Ofast, the default of its own CMakeLists.txt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signbit.codegen.kernels.targets import TARGETS
from tools.measure.bench_layers import WrongOutput
from tools.measure.rival_code import Compiler, Counted, commit_of, compile_all, compilers, need, run

NAME = "CMSIS-NN"
SEED = 2015
FLAGS = ("-Ofast", "-std=gnu17")
MULTIPLIER = 1 << 30
"""One half in Q31, the scale of every output beside `Layer.shift`."""

SOURCES = (
    "Source/FullyConnectedFunctions/arm_fully_connected_s8.c",
    "Source/FullyConnectedFunctions/arm_fully_connected_s4.c",
    "Source/FullyConnectedFunctions/arm_vector_sum_s8.c",
    "Source/ConvolutionFunctions/arm_convolve*_s[48].c",
    "Source/ConvolutionFunctions/arm_convolve_1x1_s[48]*.c",
    "Source/ConvolutionFunctions/arm_convolve_get_buffer_sizes_s[48].c",
    "Source/ConvolutionFunctions/arm_nn_mat_mult_*.c",
    "Source/NNSupportFunctions/*.c",
)
FLOAT = ("_f16", "_f32")

MAIN = """#include "arm_nnfunctions.h"
#include "stream.h"

static int8_t x[%(inputs)d] __attribute__((aligned(4)));
%(weights)s
static int32_t bias[%(outputs)d];
static int8_t y[%(results)d] __attribute__((aligned(4)));
static uint8_t buffer[%(buffer)d] __attribute__((aligned(4)));
static int32_t multipliers[%(outputs)d];
static int32_t shifts[%(outputs)d];

int main(void)
{
    cmsis_nn_context context = {buffer, sizeof buffer};
    arm_cmsis_nn_status status;
    stream_open();
    stream_read(weights, %(weight_bytes)d);
    stream_read(bias, sizeof bias);
    stream_read(x, sizeof x);
    for (int i = 0; i < %(outputs)d; i++) {
        multipliers[i] = %(multiplier)d;
        shifts[i] = -%(shift)d;
    }
    %(prepare)s
    STREAM_START();
    status = %(call)s;
    STREAM_STOP();
    if (status != ARM_CMSIS_NN_SUCCESS) {
        return 1;
    }
    stream_write(y, sizeof y);
    stream_close();
    return 0;
}
"""
WEIGHTS = "static int8_t weights[%(weight_bytes)d] __attribute__((aligned(4)));"
# the tightly coupled memory of the emulated M55 is smaller than the largest layer; it has more at this address
WEIGHTS_M55 = "static int8_t *const weights = (int8_t *)0x21000000;"
# sums over the weights of an output are constants, which a firmware computes once
KERNEL_SUMS = """#if defined(__ARM_FEATURE_MVE)
    arm_vector_sum_s8((int32_t *)buffer, %(fan_in)d, %(outputs)d, weights, 0, 0, bias);
#endif"""


@dataclass(frozen=True)
class Layer:
    """A dense layer on `channels` inputs, or with `side` > 0 a convolution of a side x side image; outputs are
    acc / 2^(shift + 1), rounded.
    """

    channels: int
    outputs: int
    shift: int
    side: int = 0
    kernel: int = 1

    @property
    def fan_in(self) -> int:
        return self.kernel**2 * self.channels

    @property
    def places(self) -> int:
        return (self.side - self.kernel + 1) ** 2 if self.side else 1

    @property
    def macs(self) -> int:
        return self.places * self.fan_in * self.outputs


LAYERS = {
    "dense 784→10": Layer(784, 10, 10),
    "dense 784→128": Layer(784, 128, 10),
    "dense 256→128": Layer(256, 128, 9),
    "dense 1024→1024": Layer(1024, 1024, 10),
    "conv 3×3, 16→16, 14×14, valid": Layer(16, 16, 9, side=14, kernel=3),
}
CORES = ("m0", "m3", "m4", "m55")


def measure(folder: Path) -> Iterator[Counted]:
    """Every layer, in both widths, on every core by every compiler; raises WrongOutput, SignbitError."""
    import tempfile

    need(folder, "Include/arm_nnfunctions.h", "Source/FullyConnectedFunctions")
    includes = [(folder / "Include").absolute()]
    version = commit_of(folder)
    sources = [path for pattern in SOURCES for path in sorted(folder.glob(pattern)) if not path.stem.endswith(FLOAT)]
    sources = list(dict.fromkeys(sources))
    for core in CORES:
        for compiler in compilers():
            with tempfile.TemporaryDirectory(prefix="signbit-") as place:
                flags = (*FLAGS, f"-I{includes[0]}")
                objects = compile_all(compiler, core, flags, sources, Path(place))
                for name, layer in LAYERS.items():
                    for bits in (8, 4):
                        yield _count(name, layer, bits, core, compiler, objects, includes, version)


def _count(
    name: str,
    layer: Layer,
    bits: int,
    core: str,
    compiler: Compiler,
    objects: list[Path],
    includes: list[Path],
    version: str,
) -> Counted:
    rng = np.random.default_rng(SEED)
    limit = 1 << (bits - 1)
    weights = rng.integers(-limit + 1, limit, (layer.outputs, layer.fan_in), dtype=np.int8)
    bias = rng.integers(-1000, 1000, layer.outputs).astype(np.int32)
    shape = (layer.side, layer.side, layer.channels) if layer.side else (layer.channels,)
    x = rng.integers(-128, 128, shape, dtype=np.int8)
    shift = layer.shift - (8 - bits)
    packed = weights if bits == 8 else _nibbles(weights)
    inputs = packed.tobytes() + bias.tobytes() + x.tobytes()
    run_ = run(_main(layer, bits, shift, core, packed.nbytes), objects, core, includes, inputs)
    rounded = expected(layer, weights, bias, x, shift)
    found = np.frombuffer(run_.output, np.int8)
    if not np.array_equal(found, rounded.reshape(-1)):
        raise WrongOutput(f"{NAME} int{bits}, {name} on {core} by {compiler.name}: not what its own rounding gives")
    cycles = run_.cycles.get(core)
    flags = " ".join((*TARGETS[f"cortex-{core}"].flags, *FLAGS))
    return Counted(
        f"{NAME} int{bits}", version, name, core, compiler.title, flags, run_.instructions[0], cycles and cycles[0]
    )


def _main(layer: Layer, bits: int, shift: int, core: str, weight_bytes: int) -> str:
    dims = {
        "input": (1, max(layer.side, 1), max(layer.side, 1), layer.channels),
        "filter": (layer.outputs, layer.kernel, layer.kernel, layer.channels),
        "bias": (1, 1, 1, layer.outputs),
        "output": (1, *(2 * (layer.side - layer.kernel + 1,) if layer.side else (1, 1)), layer.outputs),
    }
    if not layer.side:
        dims["filter"] = (layer.channels, 1, 1, layer.outputs)
    given = {key: f"&(cmsis_nn_dims){{{', '.join(map(str, value))}}}" for key, value in dims.items()}
    shared = f"{given['input']}, x, {given['filter']}, weights, {given['bias']}, bias, {given['output']}, y"
    limits = "{-128, 127}"
    if layer.side:
        params = f"&(cmsis_nn_conv_params){{0, 0, {{1, 1}}, {{0, 0}}, {{1, 1}}, {limits}}}"
        quant = "&(cmsis_nn_per_channel_quant_params){multipliers, shifts}"
        call = f"arm_convolve_wrapper_s{bits}(&context, {params}, {quant}, {shared})"
    else:
        params = f"&(cmsis_nn_fc_params){{0, 0, 0, {limits}}}"
        quant = f"&(cmsis_nn_per_tensor_quant_params){{{MULTIPLIER}, -{shift}}}"
        call = f"arm_fully_connected_s{bits}(&context, {params}, {quant}, {shared})"
    sums = {"fan_in": layer.fan_in, "outputs": layer.outputs}
    is_large = core == "m55" and weight_bytes > 256 << 10
    return MAIN % {
        "inputs": layer.channels * max(layer.side, 1) ** 2,
        "weights": WEIGHTS_M55 if is_large else WEIGHTS % {"weight_bytes": weight_bytes},
        "weight_bytes": weight_bytes,
        "outputs": layer.outputs,
        "results": layer.places * layer.outputs,
        "buffer": max(4 * layer.outputs, 16 * layer.fan_in + 1024),
        "multiplier": MULTIPLIER,
        "shift": shift,
        "prepare": KERNEL_SUMS % sums if not layer.side and bits == 8 else "",
        "call": call,
    }


def _nibbles(weights: np.ndarray) -> np.ndarray:
    """Two weights of four bits in a byte, the first in the lower half, over all rows."""
    flat = np.resize(weights.reshape(-1), -(-weights.size // 2) * 2).reshape(-1, 2)
    return ((flat[:, 0] & 15) | (flat[:, 1] << 4)).astype(np.int8)


def expected(layer: Layer, weights: np.ndarray, bias: np.ndarray, x: np.ndarray, shift: int) -> np.ndarray:
    """Outputs by its documented rounding: a doubling high product rounded half up, then a shift half away from 0."""
    if layer.side:
        size = (layer.kernel, layer.kernel)
        patches = np.lib.stride_tricks.sliding_window_view(x, size, axis=(0, 1)).transpose(0, 1, 3, 4, 2)
        x = patches.reshape(-1, layer.fan_in)
    acc = x.astype(np.int64) @ weights.T.astype(np.int64) + bias
    high = (acc * MULTIPLIER + (1 << 30)) >> 31
    result, remainder = high >> shift, high & ((1 << shift) - 1)
    result += remainder > ((1 << shift) - 1 >> 1) + (result < 0)
    return np.clip(result, -128, 127).astype(np.int8)

"""The layers on which kernels are measured: name -> a model that holds the layer behind one that feeds it."""

from dataclasses import dataclass

import numpy as np

from codegen.plan import Plan, make_plan
from qmodel import ranges
from qmodel.activations import Logits, Requantize, Sign
from qmodel.layers import AveragePool, Conv2D, Dense, Layer, size_of
from qmodel.model import QuantizedModel
from qmodel.window import PLAIN, Window
from tools import cores
from tools.programs import compare_all

SEED = 2015


@dataclass(frozen=True)
class Measured:
    """Exact instructions of one layer, requantize included, beside what the plan predicted."""

    core: str
    layer: str
    kernel: str
    macs: int
    instructions: int
    predicted_instructions: float
    flash_bytes: int
    scratch_bytes: int


def dense(fan_in: int, neurons: int, high: int = 127) -> QuantizedModel:
    """Dense on inputs in 0..high."""
    rng = np.random.default_rng(SEED)
    feeder = AveragePool((1, 1), fan_in, high)
    return _model((1, 1, fan_in), [feeder, Dense(_weights(rng, neurons, fan_in), _requantize(neurons))])


def dense_bits(fan_in: int, neurons: int) -> QuantizedModel:
    """Dense on one-bit inputs, which a sign activation makes of 16 values."""
    rng = np.random.default_rng(SEED)
    threshold = rng.integers(-200, 200, fan_in).astype(np.int32)
    feeder = Dense(_weights(rng, fan_in, 16), Sign(threshold, np.ones(fan_in, np.int8)))
    return _model((16,), [feeder, Dense(_weights(rng, neurons, fan_in), _requantize(neurons))])


def conv(side: int, channels: int, neurons: int, kernel: int, window: Window = PLAIN) -> QuantizedModel:
    """Convolution of a side x side image with inputs in 0..127."""
    rng = np.random.default_rng(SEED)
    feeder = AveragePool((1, 1), channels, 127)
    weights = _weights(rng, neurons, kernel, kernel, channels)
    return _model((side, side, channels), [feeder, Conv2D(weights, _requantize(neurons), window)])


def first_conv(side: int, neurons: int, kernel: int, stride: int) -> QuantizedModel:
    """The first layer of an image network: one channel, the caller's input, shifted to 7 bits."""
    rng = np.random.default_rng(SEED)
    weights = _weights(rng, neurons, kernel, kernel, 1)
    layer = Conv2D(weights, _requantize(neurons), Window((stride, stride)))
    return _model((side, side, 1), [layer], input_shift=1)


LAYERS = {
    "dense 784→10": lambda: dense(784, 10),
    "dense 784→128": lambda: dense(784, 128),
    "dense 256→128": lambda: dense(256, 128),
    "dense 1024→1024": lambda: dense(1024, 1024),
    "conv 3×3, 16→16, 14×14, valid": lambda: conv(14, 16, 16, 3),
    "dense 1024→1024, one-bit activations": lambda: dense_bits(1024, 1024),
    "conv 5×5/2, 1→16, 28×28, valid": lambda: first_conv(28, 16, 5, 2),
    "dense 784→10, 8-bit x": lambda: dense(784, 10, 255),
    "dense 784→128, 8-bit x": lambda: dense(784, 128, 255),
    "conv 3×3, 16→32, 12×12, pool 2": lambda: conv(12, 16, 32, 3, Window(pool=(2, 2))),
    "conv 3×3, 32→48, 5×5": lambda: conv(5, 32, 48, 3),
}


def measure(name: str, core: str, kernel: str | None = None, optimize: str = "speed") -> Measured:
    """Count one layer's instructions on an emulated core, after checking that it computes what Python does."""
    model = LAYERS[name]()
    plan = make_plan(model, "bench", f"cortex-{core}", optimize, kernel=kernel)
    index = len(model.layers) - 2
    inputs = np.random.default_rng(SEED).integers(0, 128, (1, model.input_size), dtype=np.uint8)
    if model.input_shift:
        inputs *= 2
    done = cores.run([plan], [inputs], core, offset=0, count=True)
    (result,) = compare_all([model], [inputs], done.output)
    if not result.equal:
        raise AssertionError(f"{name} on {core}: {result.first}")
    return _row(core, name, plan, index, done.instructions[index])


def _row(core: str, name: str, plan: Plan, index: int, instructions: int) -> Measured:
    layer = plan.layers[index]
    return Measured(
        core=core,
        layer=name,
        kernel=layer.kernel.name,
        macs=layer.job.macs,
        instructions=instructions,
        predicted_instructions=round(layer.cost.instructions),
        flash_bytes=layer.flash_bytes,
        scratch_bytes=layer.cost.scratch_bytes,
    )


def _model(shape: tuple[int, ...], layers: list[Layer], input_shift: int = 0) -> QuantizedModel:
    """The layers, closed by a small one that gives logits."""
    size = shape
    for layer in layers:
        size = layer.output_shape(size)
    assert ranges.outputs(layers[-1]) is not None
    ones = np.ones((2, size_of(size)), np.int8)
    closing = Dense(ones, Logits(np.ones(2, np.int16), np.zeros(2, np.int32)))
    return QuantizedModel("bench", shape, input_shift, (*layers, closing), ("a", "b"), 8).validate()


def _weights(rng, *shape: int) -> np.ndarray:
    return rng.choice(np.array([-1, 1], np.int8), shape)


def _requantize(neurons: int) -> Requantize:
    """The middle of the range for accumulators around 0."""
    return Requantize(np.full(neurons, 40, np.int16), np.full(neurons, (64 << 10) + 512, np.int32), 10)

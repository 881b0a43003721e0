"""The layers on which kernels are measured: name -> a model that holds the layer after one that feeds it."""

from dataclasses import asdict, dataclass

import numpy as np

from signbit.codegen.kernels import candidates
from signbit.codegen.kernels.targets import LEVELS
from signbit.codegen.plan import LayerPlan, Plan, make_plan
from signbit.codegen.verify import compare_all
from signbit.emulate.machines import CORES
from signbit.qmodel.activations import Logits, Requantize, Sign
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, Layer
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value
from signbit.qmodel.window import PLAIN, Window
from tools.cores import emulated as cores

SEED = 2015


class WrongOutput(Exception):
    """Generated C computed something other than Python."""


@dataclass(frozen=True)
class Measured:
    """Exact instructions of one layer with its activation, or of a whole model, beside what the plan predicted.

    `chosen` says that the plan for speed picks this kernel.  `estimated_cycles` are those of
    tools/cores/cycles.h for the core, None where there is no model; `estimated_cycles_m0plus` are what an M0+ would
    take for an M0's instructions.  `flash_bytes` are weights and parameters for a layer, and the code as well for a
    model.
    """

    core: str
    layer: str
    kernel: str
    chosen: bool
    macs: int
    instructions: int
    predicted_instructions: int | None
    estimated_cycles: int | None
    estimated_cycles_m0plus: int | None
    flash_bytes: int
    scratch_bytes: int

    @property
    def instructions_per_mac(self) -> float:
        return round(self.instructions / self.macs, 4)

    def as_row(self) -> dict:
        """Plain JSON values."""
        return asdict(self) | {"instructions_per_mac": self.instructions_per_mac}


def dense(fan_in: int, neurons: int, high: int = 127) -> QuantizedModel:
    """Dense on inputs in 0..high."""
    rng = np.random.default_rng(SEED)
    feeder = AveragePool((1, 1), fan_in, high)
    return _model((1, 1, fan_in), [feeder, Dense(_weights(rng, neurons, fan_in), _requantize(neurons))])


def dense_bits(fan_in: int, neurons: int) -> QuantizedModel:
    """Dense on one-bit inputs, which a sign activation makes from 16 values."""
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


def kernels_for(name: str, core: str) -> list[str]:
    """Every kernel that can compute the layer on the core, the table's order."""
    return [kernel.name for kernel in candidates(_layer_of(_plan(name, core)).job)]


def chosen_kernel(name: str, core: str) -> str:
    """The kernel that the plan picks."""
    return _layer_of(_plan(name, core)).kernel.name


def measure(name: str, core: str, kernel: str | None = None) -> Measured:
    """Count one layer's instructions on an emulated core, after checking that it computes what Python does.

    `kernel` defaults to the one that the plan picks.  Raises WrongOutput.
    """
    plan = _plan(name, core, kernel)
    model = LAYERS[name]()
    inputs = np.random.default_rng(SEED).integers(0, 128, (1, model.input_size), dtype=np.uint8) << model.input_shift
    run = count(model, plan, inputs, core)
    layer = _layer_of(plan)
    return Measured(
        core=core,
        layer=name,
        kernel=layer.kernel.name,
        chosen=kernel is None or kernel == chosen_kernel(name, core),
        macs=layer.job.macs,
        instructions=run.instructions[layer.index],
        predicted_instructions=rounded(layer.cost.instructions),
        estimated_cycles=run.cycles[core][layer.index] if core in run.cycles else None,
        estimated_cycles_m0plus=run.cycles["m0plus"][layer.index] if core == "m0" else None,
        flash_bytes=layer.flash_bytes,
        scratch_bytes=layer.cost.scratch_bytes,
    )


def count(model: QuantizedModel, plan: Plan, inputs: np.ndarray, core: str) -> cores.CoreRun:
    """Run `plan` on word-aligned `inputs` with the counter; raises WrongOutput unless all is what Python computes."""
    run = cores.run([plan], [inputs], core, offset=0, count=True, optimize=LEVELS[plan.optimize])
    (result,) = compare_all([model], [inputs], run.output)
    if not result.equal:
        kernels = ", ".join(kernel.name for kernel in plan.kernels)
        raise WrongOutput(f"{model.name} on {core} with {kernels}: {result.first}")
    return run


def rounded(instructions: float | None) -> int | None:
    return None if instructions is None else round(instructions)


def _plan(name: str, core: str, kernel: str | None = None) -> Plan:
    return make_plan(LAYERS[name](), "bench", CORES[core].target.name, kernel=kernel)


def _layer_of(plan: Plan) -> LayerPlan:
    """The layer under measurement is the last but one; the last closes the model."""
    return plan.layers[-2]


def _model(shape: tuple[int, ...], layers: list[Layer], input_shift: int = 0) -> QuantizedModel:
    """The layers, closed by a small one that gives logits."""
    value = Value(shape, Encoding.UINT8, 0, 255 >> input_shift)
    for layer in layers:
        value = layer.output(value)
    ones = np.ones((2, value.size), np.int8)
    closing = Dense(ones, Logits(np.ones(2, np.int16), np.zeros(2, np.int32)))
    return QuantizedModel("bench", shape, input_shift, (*layers, closing), ("a", "b"), 8).validate()


def _weights(rng, *shape: int) -> np.ndarray:
    return rng.choice(np.array([-1, 1], np.int8), shape)


def _requantize(neurons: int) -> Requantize:
    """The middle of the range for accumulators around 0."""
    return Requantize(np.full(neurons, 40, np.int16), np.full(neurons, (64 << 10) + 512, np.int32), 10)

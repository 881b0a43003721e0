"""A host's checks of the model on a device: is it the right one, does it compute correctly, where does time go?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from signbit.codegen.kernels.targets import PORTABLE
from signbit.codegen.plan import LayerPlan, make_plan
from signbit.line.info import Info
from signbit.line.link import Link
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.untrusted import shown

# part numbers of CPUID, and what codegen calls the core
TARGET_OF_PART = {
    0xC20: "cortex-m0",
    0xC60: "cortex-m0plus",
    0xC23: "cortex-m3",
    0xC24: "cortex-m4",
    0xC27: "cortex-m7",
    0xD21: "cortex-m33",
    0xD22: "cortex-m55",
}


@dataclass(frozen=True)
class Verification:
    """Inputs that went through the device; `different` logits are not Python's, `first` says where that begins."""

    inputs: int
    logits: int
    different: int
    first: str
    repeated: int
    ticks_min: int
    ticks_median: float
    ticks_max: int

    @property
    def equal(self) -> bool:
        return not self.different


@dataclass(frozen=True)
class LayerProfile:
    """One layer: the median of the ticks it took, and what codegen predicts for the core's own kernels."""

    plan: LayerPlan
    ticks: float

    @property
    def predicted_instructions(self) -> float | None:
        return self.plan.cost.instructions


def core_target(info: Info) -> str:
    """codegen's name for the core that INFO reports."""
    return TARGET_OF_PART.get(info.core_id >> 4 & 0xFFF, PORTABLE)


def model_on(info: Info, wanted: Path | None, folder: Path) -> QuantizedModel:
    """The model file of the model that the device carries: `wanted`, or the one of `folder` with its hash.

    Raises SignbitError when `wanted` is another model, none has the hash, or INFO does not describe it.
    """
    model = _model_on(info, wanted, folder)
    if difference := form_difference(info, model):
        raise SignbitError(f"the board has the hash of {model.name}, but {difference}")
    return model


def form_difference(info: Info, model: QuantizedModel) -> str:
    """How the model's form is not the one that INFO reports; "" if it is."""
    pairs = {
        "inputs": (model.input_size, info.input_size),
        "layers": (len(model.layers), info.layer_count),
        "labels": (" ".join(model.labels), " ".join(info.labels)),
        "an input shift of": (model.input_shift, info.input_shift),
    }
    for what, (wanted, found) in pairs.items():
        if wanted != found:
            return f"the model has {what} {shown(str(wanted))}, the device {shown(str(found))}"
    return ""


def _model_on(info: Info, wanted: Path | None, folder: Path) -> QuantizedModel:
    carried = f"the board carries model {info.model_name} ({info.model_hash[:8]})"
    if wanted:
        model = load(wanted)
        if model.hash != info.model_hash:
            raise SignbitError(
                f"{carried}, not {wanted} ({model.hash[:8]}): flash it with SIGNBIT_MODEL={wanted}, or give --model"
                " the file of what is on the board"
            )
        return model
    for path in sorted(folder.glob("*.npz")):
        model = load(path)
        if model.hash == info.model_hash:
            return model
    raise SignbitError(f"{carried}, and no file in {folder.name}/ has this hash: name it with --model")


def verify(link: Link, model: QuantizedModel, inputs: np.ndarray, progress: Callable[[int], None]) -> Verification:
    """Send `inputs`, uint8 (n, input_size), and compare class, confidence and logits with Python's.

    `progress` gets how many are done.
    """
    logits = model.run(inputs)
    classes = model.decide(logits)
    confidence = model.confidence(logits)
    different, first, ticks = 0, "", []
    for index, x in enumerate(inputs):
        result = link.infer(x)
        wrong = int((np.array(result.logits) != logits[index]).sum())
        expected = (int(classes[index]), int(confidence[index]))
        wrong += (result.class_index, result.confidence_per_mille) != expected
        if wrong and not first:
            first = f"input {index}, {first_difference(link, model, x)}"
        different += wrong
        ticks.append(result.ticks)
        progress(index + 1)
    return Verification(
        len(inputs), logits.size, different, first, link.repeated, min(ticks), median(ticks), max(ticks)
    )


def first_difference(link: Link, model: QuantizedModel, x: np.ndarray) -> str:
    """The first layer whose output on the device is not Python's."""
    for index, (found, layer) in enumerate(zip(link.trace(x), model.trace(x[None]), strict=True)):
        expected = layer.astype(layer.dtype.newbyteorder("<")).tobytes()
        if found != expected:
            values = np.frombuffer(found, layer.dtype.newbyteorder("<")) if len(found) == len(expected) else []
            wrong = int((values != layer.ravel()).sum()) if len(values) else layer.size
            return f"layer {index} ({wrong} of {layer.size} values)"
    return "class or confidence, or not again"


def profile(link: Link, model: QuantizedModel, inputs: np.ndarray, target: str) -> list[LayerProfile]:
    """Ticks of each layer, the median over `inputs`, beside the plan for `target`."""
    runs = [[layer.ticks for layer in link.profile(x)] for x in inputs]
    layers = make_plan(model, "model", target).layers
    return [LayerProfile(layer, median(column)) for layer, column in zip(layers, zip(*runs, strict=True), strict=True)]

"""Run the generated C on a machine and compare every value with Python's."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from signbit.codegen.plan import Plan
from signbit.codegen.program import Reads
from signbit.qmodel import integer, stream
from signbit.qmodel.integer import INT16_MAX, INT16_MIN
from signbit.qmodel.layers import Dense
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, size_of

RANDOM_INPUTS = 256
SWEEP_VALUES = 1 << 23
"""The most counts that a check of the input quantization goes through: all of them for up to 128 channels."""


class Machine(Protocol):
    """What compiles and runs the program of program.py: this computer (host.py) or a core (emulated_core.py)."""

    def run(self, plans: list[Plan], inputs: list[np.ndarray], reads: Reads) -> bytes: ...


@dataclass(frozen=True)
class Comparison:
    """How many inputs and values were compared, and how many values differ; `first` names the first place.

    `layers` is 0 where no inference was run.
    """

    inputs: int
    layers: int
    values: int
    different: int
    first: str

    @property
    def equal(self) -> bool:
        return self.different == 0


def verify(model: QuantizedModel, plan: Plan, inputs: np.ndarray, machine: Machine) -> Comparison:
    """Run `plan` on `inputs` (uint8, [n, input_size]) and compare all it computes.

    It compares every output of every layer, each logit, the class, the confidence and what the model refuses; for
    samples (int16, [n, samples]) of a model with a front end the features, too.
    """
    return verify_sets(model, plan, {"": inputs}, machine)[""]


def verify_sets(
    model: QuantizedModel, plan: Plan, sets: dict[str, np.ndarray], machine: Machine
) -> dict[str, Comparison]:
    """`verify` for each of `sets`: those that a program reads alike go through one, which is compiled once."""
    results = {}
    for reads in dict.fromkeys(map(reads_of, sets.values())):
        parts = {name: inputs for name, inputs in sets.items() if reads_of(inputs) is reads}
        together = np.concatenate(list(parts.values()))
        output = machine.run([plan], [together], reads)
        expected = expected_output(model, together)
        record_bytes = _record_bytes(expected)
        # what is missing or left over at the end is the last one's
        *ends, _ = np.cumsum([len(inputs) for inputs in parts.values()]).tolist()
        for name, start, end in zip(parts, [0, *ends], [*ends, None], strict=True):
            of_part = {place: array[start:end] for place, array in expected.items()}
            written = output[start * record_bytes : end and end * record_bytes]
            results[name] = _compare(of_part, len(model.layers), written)
    return {name: results[name] for name in sets}


def reads_of(inputs: np.ndarray) -> Reads:
    """What a program reads that takes `inputs` through inference."""
    return Reads.SAMPLES if inputs.dtype == np.int16 else Reads.INPUTS


def verify_input(model: QuantizedModel, plan: Plan, machine: Machine) -> Comparison:
    """The same for PREFIX_quantize_input, over `count_sweep`; the model must have a quantization."""
    counts = count_sweep(model)
    expected = model.quantize_input(counts)
    output = machine.run([plan], [counts], Reads.COUNTS)
    if len(output) != expected.size:
        first = f"length: {len(output)} bytes instead of {expected.size}"
        return Comparison(len(counts), 0, expected.size, expected.size, first)
    found = np.frombuffer(output, np.uint8).reshape(expected.shape)
    wrong = np.argwhere(found != expected)
    first = ""
    if len(wrong):
        row, column = wrong[0]
        # an input of one bit comes of no single count
        count = f"count {counts[row, column]}" if counts.shape == expected.shape else f"counts of row {row}"
        place = f"{count}, value {column}"
        first = f"{place}: C {found[row, column]}, Python {expected[row, column]}"
    return Comparison(len(counts), 0, expected.size, len(wrong), first)


def verify_stream(model: QuantizedModel, plan: Plan, machine: Machine, rows: np.ndarray | None = None) -> Comparison:
    """Compare two streams' logits and decisions with whole windows': one answers at every hop, one at every third.

    They take int16 `rows` (rows, channels), by default `edge_samples`.
    """
    front_end = model.front_end
    if rows is None:
        rows = edge_samples(model).reshape(-1, front_end.channels)
    hops = len(rows) // front_end.hop
    samples = rows[: hops * front_end.hop]
    logits, _ = stream.answers(model, samples, 1)
    # the other one began two hops later
    answers = logits, logits[2 :: min(3, front_end.frames)]
    if model.decision is not None:
        answers = [np.concatenate([part, _decisions(model, part)], axis=1) for part in answers]
    expected, late = [], iter(answers[1])
    for number, row in enumerate(answers[0]):
        expected.append(row)
        if number >= 2 and (number - 2) % min(3, front_end.frames) == 0:
            expected.append(next(late))
    output = machine.run([plan], [samples.reshape(hops, -1)], Reads.HOPS)
    wanted = np.array(expected, np.int32)
    if len(output) != wanted.nbytes:
        return Comparison(hops, 0, wanted.size, wanted.size, f"length: {len(output)} bytes instead of {wanted.nbytes}")
    found = np.frombuffer(output, np.int32).reshape(wanted.shape)
    wrong = np.argwhere(found != wanted)
    first = "" if not len(wrong) else f"answer {wrong[0][0]}, logit {wrong[0][1]}"
    return Comparison(hops, 0, wanted.size, len(wrong), first)


def count_sweep(model: QuantizedModel) -> np.ndarray:
    """Counts, int16 [n, counts], in which every channel meets every int16 once, spread over its positions.

    With too many channels for that, evenly spaced counts with both ends.
    """
    channels = model.counts_shape[-1]
    positions = size_of(model.counts_shape) // channels
    number = min(1 << 16, max(2, SWEEP_VALUES // channels))
    sweep = np.linspace(INT16_MIN, INT16_MAX, number).astype(np.int16)
    # the last row is filled up with the first counts
    rows = np.resize(sweep, (-(-number // positions), positions))
    return np.repeat(rows[:, :, None], channels, axis=2).reshape(len(rows), -1)


def compare(model: QuantizedModel, inputs: np.ndarray, output: bytes, order: str = "<") -> Comparison:
    """Compare a harness's output with `model.trace(inputs)`; a short or long output counts as all different.

    `order` is numpy's for the bytes of integers, as they lay in the memory of the computer that ran it.
    """
    return _compare(expected_output(model, inputs), len(model.layers), output, order)


def _compare(expected: dict[str, np.ndarray], layers: int, output: bytes, order: str = "<") -> Comparison:
    inputs = len(next(iter(expected.values())))
    values = sum(array.size for array in expected.values())
    record_bytes = _record_bytes(expected)
    if len(output) != record_bytes * inputs:
        first = f"length: {len(output)} bytes instead of {record_bytes * inputs}"
        return Comparison(inputs, layers, values, values, first)
    records = np.frombuffer(output, np.uint8).reshape(inputs, record_bytes)
    different, first, start = 0, "", 0
    for place, array in expected.items():
        size_bytes = array[0].nbytes
        found = np.ascontiguousarray(records[:, start : start + size_bytes]).view(array.dtype.newbyteorder(order))
        wrong = np.argwhere(found != array)
        if len(wrong) and not first:
            row, column = wrong[0]
            first = f"{place}, input {row}, value {column}: C {found[row, column]}, Python {array[row, column]}"
        different += len(wrong)
        start += size_bytes
    return Comparison(inputs, layers, values, different, first)


def compare_all(
    models: list[QuantizedModel], inputs: list[np.ndarray], output: bytes, order: str = "<"
) -> list[Comparison]:
    """Compare each model's part of the program's output with Python; anything left over is a difference."""
    results, start = [], 0
    for model, x in zip(models, inputs, strict=True):
        record_bytes = _record_bytes(expected_output(model, x[:1]))
        results.append(compare(model, x, output[start : start + record_bytes * len(x)], order))
        start += record_bytes * len(x)
    if start != len(output):
        results.append(Comparison(0, 0, 0, 1, f"{len(output)} bytes instead of {start}"))
    return results


def expected_output(model: QuantizedModel, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Python's values in the harness's order, each [n, values]."""
    features = {}
    if inputs.dtype == np.int16:
        inputs = model.inputs_from(inputs)
        features = {"features": inputs}
    trace = model.trace(inputs)
    places = features | {f"layer {index}": outputs.reshape(len(inputs), -1) for index, outputs in enumerate(trace)}
    verdict = np.stack([integer.argmax(trace[-1]), model.confidence(trace[-1])], axis=1).astype(np.int32)
    places |= {"class and confidence": verdict}
    if model.reject is not None:
        places["class or rejection"] = model.decide(trace[-1])[:, None]
    if model.decision is not None:
        places["decision"] = _decisions(model, trace[-1])
    return places


def _record_bytes(expected: dict[str, np.ndarray]) -> int:
    """What the harness writes for one input."""
    return sum(array[0].nbytes for array in expected.values())


def _decisions(model: QuantizedModel, logits: np.ndarray) -> np.ndarray:
    """What the answers of a stream become, int32 (n, 1)."""
    return model.decision.run(logits, model.logit_shift).astype(np.int32)[:, None]


def edge_inputs(model: QuantizedModel) -> np.ndarray:
    """Random inputs, all zero, all 255, and inputs that drive each neuron of a dense first layer to its bounds."""
    random = np.random.default_rng(0).integers(0, 256, (RANDOM_INPUTS, model.input_size), dtype=np.uint8)
    flat = np.repeat(np.array([[0], [255]], np.uint8), model.input_size, axis=1)
    first = model.layers[0]
    if not isinstance(first, Dense) or model.values[0].encoding is not Encoding.UINT8:
        return np.concatenate([random, flat])
    extreme = [np.where(first.weights == side, 255, 0).astype(np.uint8) for side in (1, -1)]
    return np.concatenate([random, flat, *extreme])


def edge_samples(model: QuantizedModel, seed: int = 0) -> np.ndarray:
    """Samples, int16 [n, samples], that drive a front end to its ends: silence, constants, impulses, square waves of

    full scale and of every period, a sine and noise from one count to all of int16.
    """
    rng = np.random.default_rng(seed)
    rows, _, channels = model.front_end.samples_shape
    time = np.arange(rows)
    waves = [np.full(rows, level) for level in (0, 1, -1, INT16_MIN, INT16_MAX)]
    for place in rng.integers(0, rows, 8):
        waves += [
            np.where(time == place, level, rest) for level, rest in ((INT16_MAX, INT16_MIN), (INT16_MIN, 0), (1, 0))
        ]
    for period in (2, 3, 4, 7, 16, 64, 333, rows):
        waves += [
            np.where(time % period < (period + 1) // 2, high, low) for high, low in ((INT16_MAX, INT16_MIN), (1, 0))
        ]
    waves += [np.clip(np.rint(rng.normal(0, 2.0**bits, rows)), INT16_MIN, INT16_MAX) for bits in range(17)]
    waves.append(np.rint(INT16_MAX * np.sin(time * time / rows)))
    single = np.array(waves).astype(np.int16)
    # each channel has another of them
    return np.stack([np.roll(single, channel, axis=0) for channel in range(channels)], axis=2).reshape(len(single), -1)

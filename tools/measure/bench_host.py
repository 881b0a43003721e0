"""Time on this computer: our portable C, emlearn's float network, and a plain loop over int8 weights of +1 and -1.

One program runs the three in turn, so that other load on the computer affects them all alike.
"""

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from signbit.codegen.host import find_compiler
from signbit.codegen.plan import make_plan
from signbit.codegen.process import output_of
from signbit.codegen.render import header_text
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from tools.measure import rival_emlearn
from tools.measure.bench_layers import WrongOutput
from tools.measure.bench_models import MODELS, pictures

ROUNDS = 61
ROUND_MACS = 2_000_000
INPUTS = 8
OPTIMIZE = "-O2"
CONTENDERS = ("ours", "emlearn", "int8")
TIMEOUT_S = 120

MAIN = """#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <time.h>
#define OURS_IMPLEMENTATION
#include "ours.h"
#include "int8.h"
#include "rival.h"
#include "inputs.h"

static ours_scratch_t scratch;

static int ours(int input)
{
    return (int)ours_predict(bytes[input], &scratch);
}

static int emlearn(int input)
{
    return rival_predict(floats[input], OURS_INPUT_SIZE);
}

static int int8(int input)
{
    int32_t logits[OURS_OUTPUT_SIZE];

    int8_infer(bytes[input], logits);
    return (int)ours_argmax(logits);
}

static double nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static double time_of(int (*predict)(int))
{
    static volatile int sink;
    double start = nanoseconds();

    for (int run = 0; run < %(runs)d; run++) {
        sink = predict(run %% %(inputs)d);
    }
    return (nanoseconds() - start) / %(runs)d;
}

int main(void)
{
    for (int input = 0; input < %(inputs)d; input++) {
        printf("%%d %%d %%d\\n", ours(input), emlearn(input), int8(input));
    }
    for (int round = 0; round < %(rounds)d; round++) {
        double first = time_of(ours), second = time_of(emlearn), third = time_of(int8);
        printf("%%.1f %%.1f %%.1f\\n", first, second, third);
    }
    return 0;
}
"""
# what one would write first: one byte and one multiplication per weight
INT8 = """static void int8_dense(const uint8_t *x, int inputs, const int8_t *weights, int neurons, int32_t *acc)
{
    for (int j = 0; j < neurons; j++) {
        int32_t sum = 0;
        for (int i = 0; i < inputs; i++) {
            sum += weights[j * inputs + i] * x[i];
        }
        acc[j] = sum;
    }
}

static void int8_infer(const uint8_t *input, int32_t *logits)
{
    uint8_t x[%(widest)d];
    int32_t acc[%(widest)d];

    for (int i = 0; i < %(inputs)d; i++) {
        x[i] = (uint8_t)(input[i] >> %(input_shift)d);
    }
%(layers)s
}
"""
HIDDEN = """    int8_dense(x, {inputs}, weights{index}, {neurons}, acc);
    for (int j = 0; j < {neurons}; j++) {{
        int32_t q = (acc[j] * multiplier{index}[j] + bias{index}[j]) >> {shift};
        x[j] = (uint8_t)(q < 0 ? 0 : q > {high} ? {high} : q);
    }}"""
LAST = """    int8_dense(x, {inputs}, weights{index}, {neurons}, acc);
    for (int j = 0; j < {neurons}; j++) {{
        logits[j] = acc[j] * multiplier{index}[j] + bias{index}[j];
    }}"""


@dataclass(frozen=True)
class Timing:
    """Nanoseconds of one inference, by contender: float64 (rounds,)."""

    model: str
    compiler: str
    nanoseconds: dict[str, np.ndarray]

    def ratio(self, contender: str) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile over the rounds of the contender's time over ours."""
        ratios = self.nanoseconds[contender] / self.nanoseconds["ours"]
        return tuple(float(value) for value in np.percentile(ratios, (25, 50, 75)))

    def as_row(self) -> dict:
        """Plain JSON values: median times, and the ratios to ours with their quartiles."""
        return {
            "model": self.model,
            "compiler": self.compiler,
            "rounds": len(self.nanoseconds["ours"]),
            "microseconds": {name: round(float(np.median(self.nanoseconds[name])) / 1000, 3) for name in CONTENDERS},
            "times_ours": {name: [round(value, 3) for value in self.ratio(name)] for name in CONTENDERS[1:]},
        }


def missing() -> str | None:
    """Why nothing can be timed here; None if it can."""
    try:
        find_compiler()
    except SignbitError as error:
        return str(error)
    return rival_emlearn.packages_missing()


def measure(name: str) -> Timing:
    """Time the model of models/NAME.npz, whose layers are dense; raises WrongOutput when a label is wrong."""
    model = load(MODELS[name])
    classifier = rival_emlearn.train(rival_emlearn.RIVALS[name])
    x = pictures(model.input_size, INPUTS)
    with tempfile.TemporaryDirectory(prefix="signbit-") as place:
        folder = Path(place)
        include = rival_emlearn.write_c(classifier, folder)
        (folder / "ours.h").write_text(header_text(make_plan(model, "ours")))
        (folder / "int8.h").write_text(int8_c(model))
        (folder / "inputs.h").write_text(_inputs_c(x))
        runs = max(1, ROUND_MACS // sum(layer.weights.size for layer in model.layers))
        (folder / "main.c").write_text(MAIN % {"runs": runs, "inputs": INPUTS, "rounds": ROUNDS})
        command = [*find_compiler(), OPTIMIZE, "-std=c99", "-w", f"-I{include}", "main.c", "-lm", "-o", "main"]
        output_of(command, folder, timeout_s=TIMEOUT_S)
        lines = output_of(["./main"], folder, timeout_s=TIMEOUT_S).splitlines()
    labels = np.array([[int(word) for word in line.split()] for line in lines[:INPUTS]])
    expected = np.stack([model.predict(x), classifier.predict(x / rival_emlearn.FULL_SCALE), model.predict(x)], axis=1)
    if not np.array_equal(labels, expected):
        raise WrongOutput(f"{name} on this computer: labels {labels.tolist()}, expected {expected.tolist()}")
    times = np.array([[float(word) for word in line.split()] for line in lines[INPUTS:]])
    compiler = f"{output_of([*find_compiler(), '--version']).splitlines()[0]}, {OPTIMIZE}"
    return Timing(name, compiler, dict(zip(CONTENDERS, times.T, strict=True)))


def int8_c(model: QuantizedModel) -> str:
    """The plain loop in C for a model of dense layers."""
    sizes = [model.input_size, *(layer.neurons for layer in model.layers)]
    arrays, layers = [], []
    for index, (layer, (inputs, neurons)) in enumerate(zip(model.layers, pairwise(sizes), strict=True)):
        last = index == len(model.layers) - 1
        activation = layer.activation
        arrays += [
            _array("int8_t", f"weights{index}", layer.weights),
            _array("int16_t", f"multiplier{index}", activation.multiplier),
            _array("int32_t", f"bias{index}", activation.bias),
        ]
        values = {"index": index, "inputs": inputs, "neurons": neurons}
        if not last:
            values |= {"shift": activation.shift, "high": activation.high}
        layers.append((LAST if last else HIDDEN).format(**values))
    main = INT8 % {
        "widest": max(sizes),
        "inputs": model.input_size,
        "input_shift": model.input_shift,
        "layers": "\n".join(layers),
    }
    return "\n".join([*arrays, main])


def _inputs_c(x: np.ndarray) -> str:
    """The inputs, as bytes for ours and as floats from 0 to 1 for emlearn."""
    rows = ",\n".join("{" + ", ".join(map(str, row)) + "}" for row in x)
    scaled = ",\n".join("{" + ", ".join(f"{value}.0f / 255.0f" for value in row) + "}" for row in x)
    size = f"[{len(x)}][{x.shape[1]}]"
    return f"static const uint8_t bytes{size} = {{\n{rows}}};\nstatic const float floats{size} = {{\n{scaled}}};\n"


def _array(ctype: str, name: str, values: np.ndarray) -> str:
    numbers = ", ".join(map(str, values.reshape(-1).tolist()))
    return f"static const {ctype} {name}[{values.size}] = {{{numbers}}};"

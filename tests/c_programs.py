"""Many models in one C program: what makes thousands of random models a matter of seconds."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from codegen.plan import make_plan
from codegen.render import header_text
from codegen.verify import Comparison, compare, edge_inputs
from qmodel.model import QuantizedModel

WARNINGS = (
    "all extra pedantic conversion sign-conversion shadow cast-align undef strict-aliasing=2 missing-prototypes error"
)
STRICT = [f"-W{name}" for name in WARNINGS.split(" ")]
STRICT_CPP = [flag for flag in STRICT if flag != "-Wmissing-prototypes"]

# the declarations come first, before any other include could help them
MAIN = """%(declarations)s
#include <stdio.h>
#include <stdlib.h>

static int quiet;

static void trace(const void *data, size_t bytes)
{
    if (!quiet && fwrite(data, 1, bytes, stdout) != bytes) {
        exit(3);
    }
}
%(implementations)s
int main(void)
{
%(runs)s
    return fflush(stdout) == 0 ? 0 : 3;
}
"""
IMPLEMENTATION = """
#define {P}_TRACE(layer, data, bytes) trace((data), (bytes))
#define {P}_IMPLEMENTATION
#include "{p}.h"
"""
RUN = """    {{
        static uint8_t input[{P}_INPUT_SIZE + 1];
        static int32_t logits[{P}_OUTPUT_SIZE];
        static {p}_scratch_t scratch;
        int left;
        for (left = {count}; left > 0; left--) {{
            int32_t verdict[2];
            uint8_t *const x = input + (left & 1);
            if (fread(x, 1, {P}_INPUT_SIZE, stdin) != {P}_INPUT_SIZE) {{
                return 2;
            }}
            {p}_infer(x, logits, &scratch);
            verdict[0] = (int32_t){p}_argmax(logits);
            verdict[1] = (int32_t){p}_confidence(logits);
            trace(verdict, sizeof verdict);
            quiet = 1; /* predict runs inference again */
            if ({p}_predict(x, &scratch) != (uint32_t)verdict[0]) {{
                return 4;
            }}
            quiet = 0;
        }}
    }}"""


def write_program(folder: Path, models: list[QuantizedModel], count: int, suffix: str = ".c", **plan_options) -> Path:
    """One program with all `models`; each reads `count` inputs from stdin and writes all it computes to stdout."""
    names = [{"p": f"m{index}", "P": f"M{index}", "count": count} for index in range(len(models))]
    for name, model in zip(names, models, strict=True):
        (folder / f"{name['p']}.h").write_text(header_text(make_plan(model, prefix=name["p"], **plan_options)))
    source = folder / f"main{suffix}"
    source.write_text(
        MAIN
        % {
            "declarations": "\n".join(f'#include "{name["p"]}.h"' for name in names),
            "implementations": "".join(IMPLEMENTATION.format(**name) for name in names),
            "runs": "\n".join(RUN.format(**name) for name in names),
        }
    )
    return source


def compile_program(source: Path, command: list[str]) -> Path:
    program = source.with_suffix(".out")
    done = subprocess.run([*command, "-o", str(program), str(source)], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}:\n{done.stderr[:3000]}")
    return program


def inputs_for(model: QuantizedModel, count: int, seed: int) -> np.ndarray:
    """`count` inputs: half of them extreme, the others random."""
    extreme = edge_inputs(model)[256:]
    rng = np.random.default_rng(seed)
    chosen = extreme[rng.integers(0, len(extreme), count // 2)]
    random = rng.integers(0, 256, (count - len(chosen), model.input_size), dtype=np.uint8)
    return np.concatenate([chosen, random])


def run_and_compare(program: Path, models: list[QuantizedModel], inputs: list[np.ndarray]) -> list[Comparison]:
    """Feed the program and hold every model's part of its output against Python."""
    stdin = b"".join(x.tobytes() for x in inputs)
    done = subprocess.run([str(program)], input=stdin, capture_output=True, timeout=600)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr.decode()[:2000]}"
    results, start = [], 0
    for model, x in zip(models, inputs, strict=True):
        record = sum(t[0].nbytes for t in model.trace(x[:1])) + 8
        results.append(compare(model, x, done.stdout[start : start + record * len(x)]))
        start += record * len(x)
    assert start == len(done.stdout)
    return results

"""BitNetMCU's convolutional networks, whole: its own C and weights, run on the digits that come with it."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from signbit.codegen.kernels.targets import TARGETS
from tools.measure.bench_layers import WrongOutput
from tools.measure.rival_code import Compiler, Counted, commit_of, compile_all, compilers, linked_bytes, need, run

NAME = "BitNetMCU"
LEVELS = ("-Os", "-O2", "-O3")
"""Its makefile names no level for Arm, so all are tried."""
NETWORKS = {"16 wide, small": "16small", "16 wide": "16", "32 wide": "32", "48 wide": "48", "64 wide": "64"}
"""By the names in bench/rivals.json, which has their published accuracy."""
CORES = ("m0", "m4")
DIGITS = 10
ENTRY = "BitMnistInference"

# the example's buffers have MAX_N_ACTIVATIONS elements, and its networks below 64 channels say less than an image takes
MODEL = """#include "%(model)s"
#if MAX_N_ACTIVATIONS < 256
#undef MAX_N_ACTIVATIONS
#define MAX_N_ACTIVATIONS 256
#endif
"""
# its example's `main` prints; the functions and digits beside it are what is wanted
NETWORK = f"""#define main example_main
#include "BitNetMCU_MNIST_test.c"
#undef main
const int8_t *digit(uint32_t number);
uint8_t label(uint32_t number);
const int8_t *digit(uint32_t number)
{{
    static const int8_t *const digits[] = {{{", ".join(f"input_data_{n}" for n in range(DIGITS))}}};
    return digits[number];
}}
uint8_t label(uint32_t number)
{{
    const uint8_t labels[] = {{{", ".join(f"label_{n}" for n in range(DIGITS))}}};
    return labels[number];
}}
"""
MAIN = f"""#include <stdint.h>
#include "stream.h"
const int8_t *digit(uint32_t number);
uint8_t label(uint32_t number);
uint32_t {ENTRY}(const int8_t *x);

int main(void)
{{
    uint32_t digits;
    stream_open();
    stream_read(&digits, sizeof digits);
    for (uint32_t number = 0; number < digits; number++) {{
        uint8_t answer[2];
        const int8_t *const x = digit(number);
        STREAM_START();
        answer[0] = (uint8_t){ENTRY}(x);
        STREAM_STOP();
        answer[1] = label(number);
        stream_write(answer, sizeof answer);
    }}
    stream_close();
    return 0;
}}
"""


def measure(folder: Path) -> Iterator[Counted]:
    """Every network on every core, by the compiler and level that take the fewest estimated cycles.

    Raises WrongOutput where a digit's label is not the one that comes with it.
    """
    need(folder, "BitNetMCU_MNIST_test.c", "BitNetMCU_inference.c", "mcu/BitNetMCU_model_cnn_64.h")
    version = commit_of(folder)
    for name, suffix in NETWORKS.items():
        model = folder / "mcu" / f"BitNetMCU_model_cnn_{suffix}.h"
        for core in CORES:
            builds = [
                _count(name, model, folder, core, compiler, level) for compiler in compilers() for level in LEVELS
            ]
            yield replace(min(builds, key=lambda build: build.estimated_cycles), version=version)


def _count(name: str, model: Path, folder: Path, core: str, compiler: Compiler, level: str) -> Counted:
    with tempfile.TemporaryDirectory(prefix="signbit-") as place:
        here = Path(place)
        (here / "BitNetMCU_model.h").write_text(MODEL % {"model": model.absolute()})
        source = here / "network.c"
        source.write_text(NETWORK)
        flags = (level, "-std=gnu17", "-fstack-usage", f"-I{here}", f"-I{folder.absolute()}")
        objects = compile_all(compiler, core, flags, [source], here / "objects")
        counted = run(MAIN, objects, core, [], np.array([DIGITS], "<u4").tobytes())
        labels = np.frombuffer(counted.output, np.uint8).reshape(DIGITS, 2)
        if not np.array_equal(labels[:, 0], labels[:, 1]):
            raise WrongOutput(f"{NAME}, {name} on {core} by {compiler.name} {level}: labels {labels[:, 0]}")
        flash_bytes, ram_bytes = linked_bytes(objects, core, ENTRY)
        stack = _stack_bytes(objects[0].with_suffix(".su").read_text())
    cycles = counted.cycles.get(core)
    return Counted(
        NAME,
        "",
        name,
        core,
        compiler.title,
        " ".join((*TARGETS[f"cortex-{core}"].flags, level)),
        counted.instructions[0],
        cycles and cycles[0],
        flash_bytes,
        ram_bytes + stack,
    )


def _stack_bytes(usage: str) -> int:
    """The frame of the network's function, which holds its buffers, and the largest of those that it calls."""
    frames = {name: int(size) for name, size in re.findall(r"([A-Za-z_]\w*)\t(\d+)\t", usage)}
    return frames.pop(ENTRY) + max(frames.values(), default=0)

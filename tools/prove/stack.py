"""Every kernel on every Cortex-M: the stack that it uses beside its bound, and the registers that it must keep.

A program calls PREFIX_predict of models that the kernel works in, with known values in r4 to r11 and d8 to d15 and with
a painted stack; `tools/prove/stack.c` looks at both afterwards.  The bound is that of `signbit inspect`.
"""

import re
import tempfile
from itertools import chain, zip_longest
from pathlib import Path
from unittest import mock

import numpy as np

from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.targets import LEVELS, SPEED
from signbit.codegen.measure import assembly_stack_bytes, measure
from signbit.codegen.plan import Plan
from signbit.codegen.render import header_text
from signbit.emulate.machines import MACHINES
from tools.cores import emulated as cores
from tools.networks.forced import models_for
from tools.prove.row import Outcome, Row

PROBE = Path(__file__).with_suffix(".c")
MODELS = 3
STACK_BYTES = 6144
"""More than is painted."""
PER_CORE = [
    [(core, kernel) for kernel in KERNELS if machine.target.name in kernel.targets]
    for core, machine in MACHINES.items()
]
CASES = tuple(pair for pair in chain(*zip_longest(*PER_CORE)) if pair)
"""Cores and kernels; the first ones are of all cores."""
MAIN = """#include <stdint.h>
#include "stream.h"
{implementations}
#include "{probe}"

static union {{
    uint8_t input[{input_bytes}];
}} memory;
static uint64_t scratch[{scratch_words}];

int main(void)
{{
    stream_open();
{runs}    stream_close();
    return 0;
}}
"""
RUN = """    {{
        uint32_t used;

        stream_read(memory.input, {P}_INPUT_SIZE);
        used = stack_probe((predict_t){p}_predict, memory.input, scratch);
        stream_write(&used, sizeof used);
    }}
"""


def run(first: int, count: int) -> Outcome:
    return sum((probe(*CASES[number]) for number in range(first, first + count)), Outcome())


def probe(core: str, kernel, header=header_text) -> Outcome:
    """One kernel on one core; `header` gives the plans' text."""
    pairs = list(models_for(kernel, MACHINES[core].target.name, MODELS, seed=3))
    plans = [plan for _, plan in pairs]
    inputs = [np.random.default_rng(0).integers(0, 256, plan.input_size, np.uint8) for plan in plans]
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        for plan in plans:
            (folder / f"{plan.prefix}.h").write_text(header(plan))
        source = folder / "main.c"
        source.write_text(_program(plans))
        machine = cores.machine_for(plans, core)
        elf = cores.build(source, machine, LEVELS[SPEED], stack_bytes=STACK_BYTES)
        words = np.frombuffer(cores.execute(elf, machine, b"".join(x.tobytes() for x in inputs)).output, "<u4")
    findings, most = [], 0
    for plan, word in zip(plans, words.tolist(), strict=True):
        used, bound = word >> 1, measure(plan).stack_bytes
        most = max(most, used)
        if word & 1:
            findings.append(f"{core}, {kernel.name}, {plan.prefix}: a register is not kept")
        if used > bound:
            findings.append(f"{core}, {kernel.name}, {plan.prefix}: {used} bytes of stack, and {bound} at most")
    return Outcome({"models": len(plans), "most bytes of stack used": most}, tuple(findings))


def _program(plans: list[Plan]) -> str:
    names = [{"p": plan.prefix, "P": plan.macro_prefix} for plan in plans]
    return MAIN.format(
        implementations="\n".join('#define {P}_IMPLEMENTATION\n#include "{p}.h"'.format(**name) for name in names),
        probe=PROBE,
        input_bytes=max(plan.input_size for plan in plans),
        scratch_words=max(plan.scratch_bytes for plan in plans) // 8 + 1,
        runs="".join(RUN.format(**name) for name in names),
    )


def careless(plan: Plan) -> str:
    """A header whose code changes r11 and does not say so."""
    body = rf"(\b{plan.prefix}_predict\([^)]*\)\n{{)"
    return re.sub(body, r'\1 __asm volatile("mov r11, sp");', header_text(plan))


def without_assembly() -> Outcome:
    """A bound that forgets what assembly pushes."""
    right = measure

    def wrong(plan):
        return mock.Mock(stack_bytes=right(plan).stack_bytes - assembly_stack_bytes(plan))

    with mock.patch(f"{__name__}.measure", wrong):
        return sum((probe(*case) for case in CASES[:6]), Outcome())


ROW = Row(
    "stack",
    "no kernel uses more stack than its bound says, and each keeps the registers that it must",
    "kernels on cores",
    short=len(MACHINES),
    total=len(CASES),
    step=3,
    covers=("codegen", "qmodel", "tools/cores", "tools/networks", "tools/prove/stack.py", "tools/prove/stack.c"),
    run=run,
    controls={
        "a register that is changed": lambda: probe(*CASES[0], careless),
        "a bound without what assembly pushes": without_assembly,
    },
    missing=lambda: cores.missing(MACHINES),
)

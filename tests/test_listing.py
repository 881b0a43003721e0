"""What the text of assembly says it costs is what it costs: instructions on emulated cores, stack, saved registers."""

import numpy as np
import pytest

from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.base import Kernel
from signbit.codegen.kernels.listing import Listing
from tools.cores import emulated as cores
from tools.measure.assembly import expected
from tools.networks.forced import models_for

MODELS = 8
COUNTED = [
    (kernel, target)
    for kernel in KERNELS
    for target in sorted(kernel.targets & {"cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55"})
    if type(kernel).runs is not Kernel.runs and type(kernel).cost is Kernel.cost
]


@pytest.mark.parametrize(("kernel", "target"), COUNTED, ids=lambda value: getattr(value, "name", value))
def test_counted_instructions_of_assembly_are_those_of_its_text(kernel, target):
    """1,000 tables of 8 inputs took 1,000 instructions more than a formula beside their text said."""
    if cores.missing():
        pytest.skip(cores.missing())
    models, plans = zip(*models_for(kernel, target, MODELS, seed=4), strict=True)
    rng = np.random.default_rng(4)
    inputs = [rng.integers(0, 256, (1, model.input_size), dtype=np.uint8) for model in models]
    counts = iter(cores.run(list(plans), inputs, cores.CORE_OF_TARGET[target], count=True).assembly)
    for model, plan, x in zip(models, plans, inputs, strict=True):
        counted = [next(counts) for _ in (*plan.layers, "rest")]
        for layer, wanted in zip(plan.layers, expected(model, plan, x), strict=True):
            if layer.kernel is kernel:
                assert counted[layer.index] == pytest.approx(wanted, abs=1e-6), layer.job


LISTINGS = {
    "straight": ("adds r0, #1\nbx lr", {}, 2),
    "loop": ("1: subs r0, #1 @* 5\nbne 1b\nbx lr", {}, 11),
    "loop by its name": ("1: subs r0, #1 @ note @* rounds\nbne 1b\nbx lr", {"rounds": 7}, 15),
    "loop in a loop": ("1: movs r1, #9 @* rows\n2: subs r1, #1 @* 9\nbne 2b\nsubs r0, #1\nbne 1b", {"rows": 3}, 63),
    "sometimes": ("1: lsrs r1, #1 @* 8\nbcc 2f\n@* odd\nadds r0, #1\n2: subs r2, #1\nbne 1b", {"odd": 0.25}, 34),
    "round that ends in the middle": ("1: subs r0, #1 @* 4\nbeq 2f\n@* 3/4\nadds r1, #1\nb 1b\n2: bx lr", {}, 15),
    "out of line": ("1: bmi 3f @* 8\n2: bne 1b\nbx lr\n3: movs r0, #0 @* 8 * minus\nb 2b", {"minus": 0.5}, 25),
    "loop that is skipped to": ("beq 1f\n@* odd\nadds r0, #1\n1: subs r0, #1 @* 2\nbne 1b", {"odd": 0}, 5),
    "several in a line": ("adds r0, #1; adds r0, #1; bx lr", {}, 3),
    "repeated by the assembler": (".rept 3\n.rept 2\nnop\n.endr\nadds r0, #1\n.endr", {}, 9),
    "loop of low overhead": ("dls lr, r0\n1: adds r1, #1 @* n\nle lr, 1b", {"n": 4}, 9),
    "no instruction": (".p2align 2\n1:", {}, 0),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_instructions_are_counted(name):
    text, counts, wanted = LISTINGS[name]
    assert Listing(text).instructions(counts) == wanted
    assert Listing(text).run(3, **counts).instructions == 3 * wanted


def test_loop_without_a_count_is_refused():
    with pytest.raises(ValueError, match="the loop from 1: to 'bne 1b' has no count"):
        Listing("1: subs r0, #1\nbne 1b").instructions({})


STACKS = {
    "push {r4-r7, lr}\npop {r4-r7, pc}": 20,
    "push {r4}\nsub sp, #8\nadd sp, #8\npop {r4}\nbx lr": 12,
    "push {r4-r11, lr}\nvpush {d8-d13}\nvpop {d8-d13}\npop {r4-r11, pc}": 84,
    "push {r4, r5}\npush {r6}\npop {r6}\npop {r4, r5}\nbx lr": 12,
    "sub sp, sp, #16\n1: pop {r0} @* 4\nbne 1b\nbx lr": 16,
    "push {r4, lr}\nblx r5\npop {r4, pc}\nstr lr, [sp, #-4]!\nldr lr, [sp], #4\nbx lr": 12,
    "bx lr": 0,
}


@pytest.mark.parametrize("text", STACKS)
def test_stack_is_counted(text):
    assert Listing(text).stack_bytes == STACKS[text]

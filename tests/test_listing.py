"""What the text of assembly says it costs is what it costs: instructions on emulated cores, stack, saved registers."""

import re
from math import prod

import numpy as np
import pytest

from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.base import Kernel
from signbit.codegen.kernels.listing import Listing, stack_step, walk
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.qmodel.layers import Conv2D, Dense
from signbit.qmodel.model import QuantizedModel
from tests.c_programs import CORE_OF_TARGET
from tools.cores import emulated as cores
from tools.measure.assembly import expected
from tools.networks.forced import models_for
from tools.networks.random import random_activation, random_network, random_weights

MODELS, NETWORKS = 8, 12
COUNTED = [
    (kernel, target)
    for kernel in KERNELS
    for target in sorted(kernel.targets & {"cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55"})
    if type(kernel).runs is not Kernel.runs and type(kernel).cost is Kernel.cost
]


@pytest.mark.parametrize(("kernel", "target"), COUNTED, ids=lambda value: getattr(value, "name", value))
def test_counted_instructions_of_assembly_are_those_of_its_text(kernel, target):
    """1,000 tables of 8 inputs took 1,000 instructions more than a formula beside their text said."""
    compare_counts(kernel, target, *zip(*models_for(kernel, target, MODELS, seed=4), strict=True))


def compare_counts(kernel: Kernel, target: str, models, plans) -> None:
    """Of the layers that `kernel` computes, their assembly's instructions beside what its text says."""
    if cores.missing():
        pytest.skip(cores.missing())
    rng = np.random.default_rng(4)
    inputs = [rng.integers(0, 256, (1, model.input_size), dtype=np.uint8) for model in models]
    counts = iter(cores.run(list(plans), inputs, CORE_OF_TARGET[target], count=True).assembly)
    for model, plan, x in zip(models, plans, inputs, strict=True):
        counted = [next(counts) for _ in (*plan.layers, "rest")]
        for layer, wanted in zip(plan.layers, expected(model, plan, x), strict=True):
            if layer.kernel is kernel:
                assert counted[layer.index] == pytest.approx(wanted, abs=1e-6), layer.job


@pytest.mark.parametrize("room", ["m0", "m3"])
def test_loops_over_words_are_counted(room):
    (kernel,) = (kernel for kernel in KERNELS if kernel.name == f"{room}/conv_vectors")
    target = f"cortex-{room}"
    compare_counts(kernel, target, *zip(*models_for(kernel, target, MODELS, 4, "size"), strict=True))


def test_a_rest_that_takes_a_full_chunk_is_counted():
    """31 channels, as 16 and 15 that take a chunk of the same form, were counted as 16."""
    (kernel,) = (kernel for kernel in KERNELS if kernel.name == "m3/conv_lut")
    rng = np.random.default_rng(0)
    weights = random_weights(rng, (2, 2, 2, 31))
    layer = Conv2D(weights, random_activation(rng, weights.reshape(2, -1), (0, 127), 127, "requantize"))
    last = random_weights(rng, (3, 18))
    closing = Dense(last, random_activation(rng, last, (0, 127), 127, "logits"))
    model = QuantizedModel("rest", (4, 4, 31), 1, (layer, closing), ("a", "b", "c"), 8).validate()
    plan = make_plan(model, target="cortex-m3", kernel=kernel.name)
    full, count, rest = kernel.split(plan.layers[0].job)
    assert (count, rest) == (1, full)
    compare_counts(kernel, "cortex-m3", [model], [plan])


@pytest.mark.parametrize("target", ["cortex-m3", "cortex-m4"])
def test_no_single_register_is_loaded_or_stored_as_a_list(target):
    """Unpredictable in Thumb-2 beyond the short form for r0 to r7: LLVM's assembler keeps such an LDM."""
    single = re.compile(r"(?:ldm|stm)\w* +(?!r[0-7]!, \{r[0-7]\})\S+, +\{\w+\}")
    for seed in range(NETWORKS):
        assert single.findall(header_text(make_plan(random_network(seed), "m", target))) == []


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


CALLEE_SAVED = {*(f"r{number}" for number in range(4, 12)), *(f"d{number}" for number in range(8, 16))}
STATEMENT_SAVED = {"r0", "r7"}
"""What a statement among C does not declare as clobbered."""
WRITES_NOTHING = re.compile(r"v?st|cmp|tst|b|cb|it|vctp|vp|le|nop")
ALSO_WRITES_SECOND = ("vidup", "vshlc", "ldrd")


def registers(operands: str) -> list[str]:
    """All registers of `operands`, in order, ranges written out; a vector is two double words."""
    found = []
    for kind, first, last in re.findall(r"\b([rqd])(\d+)(?:\s*-\s*[rqd](\d+))?", operands.replace("lr", "r14")):
        for number in range(int(first), int(last or first) + 1):
            found += [f"d{2 * number}", f"d{2 * number + 1}"] if kind == "q" else [f"{kind}{number}"]
    return found


def written(line) -> set[str]:
    """Registers that an instruction changes, beside what it pops."""
    first, _, others = line.operands.partition(",")
    changed = set(registers(first)) if "!" in first or not WRITES_NOTHING.match(line.mnemonic) else set()
    if line.mnemonic.startswith("ldm"):
        changed = set(registers(others)) | (changed if "!" in first else set())
    if line.mnemonic.startswith(ALSO_WRITES_SECOND):
        changed |= set(registers(others.split(",")[0]))
    if moved := re.search(r"\[(\w+)(?:\], #|.*\]!)", line.operands):
        changed |= set(registers(moved[1]))
    return changed | ({"r14"} if line.mnemonic == "blx" else set())


def harm(text: str) -> str:
    """What a function or statement does to its caller: registers that it does not give back, or an uneven stack."""
    is_statement = "%[" in text
    holds, stack, kept = {}, [], set()
    for line, factors in walk(text):
        times = prod(map(int, filter(str.isdigit, factors)))
        named = registers(line.operands)
        for _ in range(times if line.mnemonic in ("pop", "vpop") else 1):
            if line.mnemonic.startswith(("push", "vpush")):
                stack += [holds.get(name, name) for name in reversed(named)]
                kept |= {holds.get(name, name) for name in named}
            elif line.mnemonic.startswith(("pop", "vpop")):
                holds |= {name: stack.pop() for name in named}
                stack = stack[:-1] if "pc" in line.operands else stack
            elif line.is_instruction and (step := stack_step(line.text)) > 0:
                stack += [None] * (step // 4)
            elif line.is_instruction and step < 0:
                stack = stack[: step // 4]
        if line.mnemonic == "bl" and len(stack) % 2:
            return f"{line.text} with a stack that is not aligned to 8 bytes"
        if line.is_instruction and not line.mnemonic.startswith(("push", "pop", "vpush", "vpop")):
            before = holds.get(named[1], named[1]) if line.mnemonic == "mov" and len(named) == 2 else None
            holds |= {name: before for name in written(line)}
        if re.match(r"pop .*pc|bx lr", line.text):
            break
    saved = STATEMENT_SAVED if is_statement else CALLEE_SAVED
    lost = {name for name in saved if holds.get(name, name) != name}
    lost |= {name for line, _ in walk(text) for name in written(line) & saved if name not in kept}
    return f"loses {', '.join(sorted(lost))}" if lost else "leaves the stack uneven" if stack else ""


@pytest.mark.parametrize("kernel", dict.fromkeys(kernel for kernel, _ in COUNTED), ids=lambda kernel: kernel.name)
def test_assembly_gives_back_registers_and_stack(kernel):
    target = next(target for counted, target in COUNTED if counted is kernel)
    plans = [plan for _, plan in models_for(kernel, target, 4, seed=6)]
    jobs = [layer.job for plan in plans for layer in plan.layers if layer.kernel is kernel]
    listings = {run.listing for job in jobs for run in kernel.runs(job)}
    assert listings and {listing.text: harm(listing.text) for listing in listings if harm(listing.text)} == {}


HARM = {
    "movs r4, #0\nbx lr": "loses r4",
    "push {r4}\nmovs r4, #0\nmovs r5, #0\npop {r4}\nbx lr": "loses r5",
    "push {r4, r5}\nmovs r4, #0\npop {r5}\npop {r4}\nbx lr": "loses r4, r5",
    "mov r3, r8\npush {r3}\nmov r8, r0\npop {r2}\nbx lr": "loses r8",
    "mov r3, r8\npush {r3}\nmov r8, r0\npop {r2}\nmov r8, r2\nbx lr": "",
    "push {r4, lr}\nldr r5, [r4], #4\npop {r4, pc}": "loses r5",
    "vadd.i32 q4, q0, q1\nbx lr": "loses d8, d9",
    "vpush {d8, d9}\nvadd.i32 q4, q0, q1\nvpop {d8, d9}\nbx lr": "",
    "sub sp, #8\nadd sp, #4\nbx lr": "leaves the stack uneven",
    "push {r4, lr}\nbl elsewhere\npop {r4, pc}": "",
    "push {r4, r5, lr}\nbl elsewhere\npop {r4, r5, pc}": "bl elsewhere with a stack that is not aligned to 8 bytes",
    "ldm %[arguments], {r0-r3}": "loses r0",
}


@pytest.mark.parametrize("text", HARM)
def test_harm_is_found(text):
    assert harm(text) == HARM[text]

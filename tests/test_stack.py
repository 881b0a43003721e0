"""The static bound of the stack: against the compiler's own figures, and against the mark on six emulated cores."""

import dataclasses
import json
import subprocess

import pytest

from signbit.codegen.kernels.targets import ARM, TARGETS
from signbit.codegen.measure import _deepest_path
from signbit.emulate import emulation as emulate
from signbit.emulate import pio
from signbit.emulate.machines import MACHINES
from signbit.qmodel.errors import SignbitError
from tests.stub_model import HURT, build_stub
from tools.documents.blocks import block
from tools.measure import stack, stack_depth
from tools.measure.machine_code import MachineCode
from tools.measure.stack import Mark
from tools.measure.stack_depth import FRAME_BYTES, FRAME_BYTES_FLOATING_POINT, Bound, Depths

CORES = pytest.mark.parametrize("core", MACHINES)

# frames of several sizes, a switch with a table, two paths of which the second is deeper, a call at the end
CALLS = """
#define NOINLINE __attribute__((noinline, noclone))
volatile int sink;
NOINLINE static void leaf(int n) { volatile int frame[9]; frame[n & 7] = n; sink = frame[3]; }
NOINLINE static void deep(int n) { volatile char frame[333]; frame[n & 255] = 1; leaf(n); sink = frame[7]; }
NOINLINE static void last(int n) { sink = n; deep(n + 1); }
NOINLINE static int choose(int n)
{
    switch (n) {
    case 0: leaf(7); return 4;
    case 1: last(8); return 99;
    case 2: sink = 5; return 2;
    case 3: leaf(3); return 17;
    case 4: sink = 1; leaf(1); return 6;
    case 5: sink = 3; return n * sink;
    default: return n;
    }
}
int entry(int n) { int sum = 0; while (n-- > 0) { sum += choose(sink); } last(sum); return sum; }
"""
# what a compiler may write and this one did not: conditional returns, a jump through a table of addresses
ASSEMBLY = """
__asm(".text\\n.syntax unified\\n.thumb\\n.globl entry\\n.type entry, %function\\n"
      "entry: push {r4, lr}\\n cmp r0, #0\\n it eq\\n popeq {r4, pc}\\n sub sp, #40\\n str r0, [sp, #-8]!\\n"
      "cmp r0, #3\\n it hi\\n addhi sp, #8\\n bhi 1f\\n ldr pc, [r1, r0, lsl #2]\\n"
      "1: add sp, #40\\n pop {r4, pc}\\n 2: push {r0-r3}\\n bl 3f\\n add sp, #64\\n pop {r4, pc}\\n"
      "3: push {lr}\\n ldr pc, [sp], #4\\n .size entry, . - entry");
"""
LOST = """
int entry(int n) { __asm volatile("mov sp, %0" : : "r"(n)); return 0; }
"""


@pytest.fixture(scope="module", autouse=True)
def tools_are_here():
    reason = emulate.missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def path(repository):
    return repository / "models" / "digits-mlp.npz"


@pytest.fixture(scope="module")
def marks(path, digits_elfs):
    """What was measured on each core, by the core."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pio, "build", lambda *_: digits_elfs)
        return dict(zip(MACHINES, stack.measure(path), strict=True))


def compiled(folder, core, source):
    """An elf with the function `entry`, and the compiler's call graph."""
    (folder / "calls.c").write_text(source)
    flags = (*TARGETS[f"cortex-{core}"].flags, "-Os", "-ffreestanding", "-ffunction-sections")
    graph = (ARM.compiler, *flags, "-fcallgraph-info=su", "-c", "calls.c", "-o", "calls.o")
    link = (ARM.compiler, *flags, "-nostdlib", "-nostartfiles", "-Wl,-e,entry", "calls.o", "-lgcc", "-o", "calls.elf")
    for command in (graph, link):
        subprocess.run(command, cwd=folder, check=True)
    return folder / "calls.elf", (folder / "calls.ci").read_text()


def depth_of_entry(elf) -> int:
    code = MachineCode(elf)
    return Depths(code).depth(code.entry("entry"))


@CORES
def test_the_depth_of_compiled_code_is_the_compiler_s(tmp_path, core):
    """-fstack-usage counts as the machine code does, except for the four bytes or so that a tail call saves."""
    elf, graph = compiled(tmp_path, core, CALLS)
    depth = depth_of_entry(elf)
    assert 333 + 36 < depth <= _deepest_path(graph, "entry") <= depth + 16


@CORES
def test_the_mark_stays_under_the_bound(marks, core):
    found = marks[core]
    assert found.held, found
    assert found.used_bytes > 200 and found.bound.running_bytes < found.used_bytes + 150
    frame = FRAME_BYTES_FLOATING_POINT if core == "m55" else FRAME_BYTES
    assert found.bound.systick_bytes == frame  # its handler pushes nothing


@pytest.mark.parametrize("core, forgotten", [*((core, "_call") for core in MACHINES), ("m3", "_call_by_register")])
def test_a_bound_that_forgets_calls_does_not_hold(marks, digits_elfs, core, forgotten, monkeypatch):
    """The check itself: without what is called, or is called through the device's table, the bound is too small."""
    monkeypatch.setattr(stack_depth._Path, forgotten, lambda *_: None)
    found = dataclasses.replace(marks[core], bound=stack_depth.bound(digits_elfs[MACHINES[core].env]))
    assert not found.held
    assert "NOT HELD" in str(found)


def test_conditions_and_jumps_through_addresses_are_followed(tmp_path):
    elf, _ = compiled(tmp_path, "m3", ASSEMBLY)
    # 8 and 40 and 8, and where the table leads to 16, and 4 in what is called from there
    assert depth_of_entry(elf) == 8 + 40 + 8 + 16 + 4


def test_recursion_has_no_bound(tmp_path):
    with pytest.raises(SignbitError, match=r"deeper\S* calls itself: no bound for the stack"):
        stack_depth.bound(build_stub(tmp_path, MACHINES["m3"], HURT))


@CORES
def test_a_stack_pointer_that_comes_from_elsewhere_is_refused(tmp_path, core):
    elf, _ = compiled(tmp_path, core, LOST)
    with pytest.raises(SignbitError, match="entry changes the stack pointer by mov sp, r0"):
        depth_of_entry(elf)


@pytest.mark.parametrize(
    "operands, size",
    [("{r3, lr}", 8), ("{r4, r5, r6, r7, r8, r9, sl, fp, pc}", 36), ("sp!, {d8-d15}", 64), ("{s16}", 4)],
)
def test_registers_have_their_sizes(operands, size):
    assert stack_depth._list_bytes(operands) == size


def test_the_table_is_that_of_the_file_and_all_held():
    marks = [Mark(**found | {"bound": Bound(**found["bound"])}) for found in json.loads(stack.FIGURES.read_text())]
    assert block(stack.BLOCK, stack.DOCUMENT) == stack.table(marks)
    assert len(marks) == 2 * len(MACHINES) and all(found.held for found in marks)

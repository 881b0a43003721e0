"""What the compiler makes of a plan: exact flash, and a bound for the stack.

Flash is what `PREFIX_predict`, and `PREFIX_features` where there is a front end, pull in when they are linked alone:
code, weights, parameters, tables and the compiler's helpers.
The stack's bound is the deepest path through the call graph that the compiler writes (-fcallgraph-info=su), plus what
each assembly kernel states for itself.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from signbit.codegen.kernels.targets import LEVELS
from signbit.codegen.plan import Plan
from signbit.codegen.process import output_of
from signbit.codegen.render import header_text

SECTIONS_IN_FLASH = (".text", ".rodata", ".data")


@dataclass(frozen=True)
class Measured:
    """Bytes as compiled for the plan's target with `flags`."""

    flash_bytes: int
    stack_bytes: int
    flags: tuple[str, ...]


def missing(plan: Plan) -> str | None:
    """Why a plan can't be measured here; None if it can."""
    if not plan.target.toolchain:
        return f"target {plan.target.name} is for any compiler; a core's --target is measured"
    return plan.target.toolchain.missing()


def measure(plan: Plan) -> Measured:
    """Compile and link `plan` for its target."""
    tools = plan.target.toolchain
    flags = (*plan.target.flags, LEVELS[plan.optimize], "-std=c99", "-ffreestanding")
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        (folder / "model.h").write_text(header_text(plan))
        (folder / "model.c").write_text(f'#define {plan.macro_prefix}_IMPLEMENTATION\n#include "model.h"\n')
        sections = ("-ffunction-sections", "-fdata-sections", "-fcallgraph-info=su")
        output_of([tools.compiler, *flags, *sections, "-c", "model.c", "-o", "model.o"], folder)
        entries = [f"{plan.prefix}_predict", *([f"{plan.prefix}_features"] if plan.front_end else [])]
        link = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", f"-Wl,-e,{entries[0]}", f"-Wl,-u,{entries[-1]}")
        output_of([tools.compiler, *plan.target.flags, *link, "model.o", "-lgcc", "-o", "model.elf"], folder)
        flash_bytes = section_bytes(output_of([tools.size_tool, "-A", "-d", "model.elf"], folder))
        graph = (folder / "model.ci").read_text()
        deepest = max(_deepest_path(graph, entry) for entry in entries)
    return Measured(flash_bytes, deepest + assembly_stack_bytes(plan), flags)


def assembly_stack_bytes(plan: Plan) -> int:
    """The most that one piece of assembly pushes."""
    front_end = [plan.front_end.stack_bytes] if plan.front_end else []
    return max([layer.cost.stack_bytes for layer in plan.layers] + front_end, default=0)


def section_bytes(listing: str, sections: tuple[str, ...] = SECTIONS_IN_FLASH) -> int:
    """Bytes of all sections whose names begin with one of `sections`, by what `size -A -d` prints."""
    sizes = re.findall(r"^(\.\S+)\s+(\d+)", listing, re.MULTILINE)
    return sum(int(size) for name, size in sizes if name.startswith(sections))


def _deepest_path(graph: str, entry: str) -> int:
    """Largest sum of frames on a path from `entry`; the generated code has no recursion, so there is one."""
    frames, calls = {}, {}
    for node, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]*)"', graph):
        frame = re.search(r"\\n(\d+) bytes", label)
        frames[node] = int(frame[1]) if frame else 0
    for source, target in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', graph):
        calls.setdefault(source, set()).add(target)

    def depth(node: str) -> int:
        return frames.get(node, 0) + max((depth(callee) for callee in calls.get(node, ())), default=0)

    # names of static functions begin with their file's
    start = next(node for node in frames if node == entry or node.endswith(f":{entry}"))
    return depth(start)

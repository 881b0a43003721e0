"""How deep the stack of a linked firmware can get, read from its machine code: compiled C, assembly kernels, libgcc.

Every function is followed along its branches from its first instruction, and the stack pointer with it; where paths
meet, the deeper one counts.  A call adds the callee's depth.  What is assumed, and is so in this firmware:

- A call by register in C goes to a function whose address is in the image, and to none of the vector table.
- The generated model has no function pointers: its assembly jumps and calls by register inside its own function, and
  such a jump changes no depth.

Recursion, and a change of the stack pointer that can't be followed, are errors.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from signbit.qmodel.errors import SignbitError
from tools.measure.machine_code import Instruction, MachineCode

GENERATED = "model_"
# what the core stacks for an exception: 8 words, or 26 when floating-point registers are in use; and a word to align
FRAME_BYTES, FRAME_BYTES_FLOATING_POINT = 32 + 4, 104 + 4
RESET, FAULT, SYSTICK = "Reset_Handler", "Fault_Handler", "SysTick_Handler"

TARGET = re.compile(r"(?:^|[ ,\t])([0-9a-f]+) <")
REGISTER_LIST = re.compile(r"\{(.*)\}")
WRITES_BACK = re.compile(r"\[sp, #(-?\d+)\]!")
MOVES_ON = re.compile(r"\[sp\], #(\d+)")
READS_FIRST_OPERAND = ("cmp", "cmn", "tst", "str", "ldm", "stm")
TABLE_HELPER = "<__gnu_thumb1_case"


@dataclass(frozen=True)
class Bound:
    """The deepest stack: of the program itself, and what exceptions put on top of it.

    SysTick may come at the deepest place; a fault on top of that, and the watchdog's NMI on top of the fault's handler.
    """

    thread_bytes: int
    systick_bytes: int
    fault_bytes: int

    @property
    def running_bytes(self) -> int:
        """What may be used while nothing is wrong."""
        return self.thread_bytes + self.systick_bytes

    @property
    def bytes(self) -> int:
        """What may be used at all."""
        return self.running_bytes + 2 * self.fault_bytes


def bound(elf: Path) -> Bound:
    """The bound for the firmware `elf`; raises SignbitError when there is none."""
    depths = Depths(MachineCode(elf))
    thread, systick, fault = (depths.depth(depths.code.entry(name)) for name in (RESET, SYSTICK, FAULT))
    return Bound(thread, depths.frame_bytes + systick, depths.frame_bytes + fault)


class Depths:
    """The depths of the functions of `code`, each found once."""

    def __init__(self, code: MachineCode):
        self.code = code
        self._found: dict[int, int] = {}
        self._open: list[int] = []

    @property
    def frame_bytes(self) -> int:
        """What the core stacks for an exception: more when any floating-point or vector instruction is in use."""
        vector = any(line.mnemonic.startswith("v") for line in self.code.instructions.values())
        return FRAME_BYTES_FLOATING_POINT if vector else FRAME_BYTES

    @cached_property
    def pointed_at(self) -> set[int]:
        """Functions that may be called by register: their address, with the Thumb bit, is a word of the image."""
        functions = (function for function in self.code.functions if function.name not in (RESET, FAULT, SYSTICK))
        return {function.start for function in functions if function.start + 1 in self.code.words}

    def depth(self, entry: int) -> int:
        """Bytes that the code from `entry` on uses at most, with all that it calls."""
        if entry not in self._found:
            if entry in self._open:
                raise SignbitError(f"{self.code.function_at(entry).name} calls itself: no bound for the stack")
            self._open.append(entry)
            self._found[entry] = _Path(self, entry).follow()
            self._open.pop()
        return self._found[entry]


class _Path:
    """One function, followed from `entry` on: the deepest stack at each instruction, and with all calls."""

    def __init__(self, depths: Depths, entry: int):
        self.depths = depths
        self.code = depths.code
        self.entry = entry
        self.function = depths.code.function_at(entry)
        self.at: dict[int, int] = {}
        self.computed: list[int] = []  # depths where it jumps to an address that it works out
        self.deepest = 0

    def follow(self) -> int:
        self._walk(self.entry, 0)
        # what no branch leads to is reached by computed jumps
        while self.computed and (left := self._unreached()):
            self._walk(left[0], max(self.computed))
        return self.deepest

    def _unreached(self) -> list[int]:
        if self.entry != self.function.start:
            return []
        lines = (self.code.instructions.get(at) for at in range(self.function.start, self.function.end, 2))
        return [line.address for line in lines if line and line.address not in self.at and line.mnemonic != "nop"]

    def _walk(self, address: int, depth: int) -> None:
        todo = [(address, depth)]
        while todo:
            address, depth = todo.pop()
            if self.at.get(address, -1) >= depth:
                continue
            if depth > 1 << 16:
                raise SignbitError(f"{self.function.name} pushes in a loop: no bound for the stack")
            self.at[address] = depth
            line = self.code.instructions[address]
            after = depth + self._change(line)
            self.deepest = max(self.deepest, depth, after)
            todo += [(target, after) for target in self._next(line, after) if self._inside(target, line)]
            if line.conditional and self._inside(line.next, line):
                todo.append((line.next, depth))

    def _inside(self, target: int, line: Instruction) -> bool:
        """Whether the path goes on at `target`; after a call that never returns there may be only padding."""
        if self.function.start <= target < self.function.end and target in self.code.instructions:
            return True
        if target == line.next and line.mnemonic in ("bl", "blx", "bkpt", "udf", "nop"):
            return False
        raise SignbitError(f"{self.function.name} runs into what is not code, at {target:#x}")

    def _next(self, line: Instruction, depth: int) -> list[int]:
        """Where the path goes on when `line` is carried out; calls and tail calls are added up on the way."""
        mnemonic, operands = line.mnemonic, line.operands
        found = TARGET.search(operands)
        target = int(found[1], 16) if found else None
        if mnemonic == "bl":
            self._call(target, depth)
            if TABLE_HELPER in operands:
                self.computed.append(depth)
                return []
            return [line.next]
        if target is not None and not mnemonic.startswith(("ldr", "adr", "vldr", "pld")):
            onward = [] if mnemonic == "b" else [line.next]
            if self.function.start <= target < self.function.end:
                return [target, *onward]
            self._call(target, depth)  # a tail call
            return onward
        if mnemonic == "blx":
            self._call_by_register(depth)
            return [line.next]
        if _returns(line):
            return []
        if mnemonic == "bx":
            self._call_by_register(depth)
            return []
        if mnemonic in ("tbb", "tbh") or (mnemonic in ("mov", "ldr") and operands.startswith("pc,")):
            self.computed.append(depth)
            return []
        return [line.next]

    def _call(self, target: int, depth: int) -> None:
        self.deepest = max(self.deepest, depth + self.depths.depth(target))

    def _call_by_register(self, depth: int) -> None:
        if self.function.name.startswith(GENERATED):
            self.computed.append(depth)
            return
        for target in self.depths.pointed_at:
            self._call(target, depth)

    def _change(self, line: Instruction) -> int:
        """Bytes by which an instruction moves the stack pointer down."""
        mnemonic, operands = line.mnemonic, line.operands
        if mnemonic in ("push", "vpush", "pop", "vpop"):
            return _list_bytes(operands) * (1 if "push" in mnemonic else -1)
        if mnemonic in ("stmdb", "vstmdb", "ldmia", "vldmia") and operands.startswith("sp!"):
            return _list_bytes(operands) * (1 if "stm" in mnemonic else -1)
        if found := WRITES_BACK.search(operands) or MOVES_ON.search(operands):
            return -int(found[1])
        if mnemonic in ("sub", "subw", "add", "addw") and (found := re.match(r"sp, (?:sp, )?#(\d+)$", operands)):
            return int(found[1]) * (1 if mnemonic.startswith("sub") else -1)
        if self.function.name == FAULT and mnemonic == "mov":
            return 0  # back to the top, when the stack is lost
        by_name = re.match(r"[mp]sp\b", operands, re.IGNORECASE) and mnemonic == "msr"
        if by_name or (re.match(r"sp\b", operands) and not mnemonic.startswith(READS_FIRST_OPERAND)):
            raise SignbitError(f"{self.function.name} changes the stack pointer by {mnemonic} {operands}")
        return 0


def _returns(line: Instruction) -> bool:
    """Whether it goes back to the caller: by lr, or by a pc that comes from the stack."""
    operands = line.operands
    if (line.mnemonic, operands) in (("bx", "lr"), ("mov", "pc, lr")):
        return True
    if line.mnemonic in ("pop", "ldmia"):
        return "pc" in REGISTER_LIST.search(operands)[1]
    return line.mnemonic == "ldr" and operands.startswith("pc, [sp")


def _list_bytes(operands: str) -> int:
    """Bytes of the registers in {r4-r7, lr}, {d8, d9} or {s16}."""
    count = size = 0
    for part in REGISTER_LIST.search(operands)[1].split(", "):
        first, _, last = part.partition("-")
        size = 8 if first.startswith("d") else 4
        count += size * (int(last[1:]) - int(first[1:]) + 1 if last else 1)
    return count

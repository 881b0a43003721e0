"""Assembly whose text says what it costs: instructions, by the counts of its loops, and bytes of stack.

Each line is an instruction, with a local label before it and a note after '@'.  '@*' and a count after that are for
the cost alone and are not shown:

    1: ldmia r0!, {r2} @ acc @* blocks
    beq 2f
    @* odd
    adds r2, #1
    2: subs r1, #1
    bne 1b

At a label that is branched back to, the count is how often the loop runs each time it is entered; the loop ends with
its last branch.  Anywhere else it is how often what follows runs in each round, up to the next label or count.  It is a
number such as 4 or 3/4, a name whose number the kernel gives for a job, or a product such as rows * odd.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, lru_cache
from math import prod

NUMBERS_KEPT = 1024
LINE = re.compile(r"\s*(?:([\w.]+):)?([^@]*)(?:@(?!\*)([^@]*))?(?:@\*(.*))?")
REGISTERS = re.compile(r"\b([rsd])(\d+)(?:\s*-\s*[rsd](\d+))?|\b(?:lr|pc|ip|sl|fp)\b")
REGISTER_BYTES = {"r": 4, "s": 4, "d": 8, None: 4}
BACK = re.compile(r"\b(\d+)b$")
LEAVES = re.compile(r"pop\b.*\bpc\b|bx\b|b(?:\.w)? |mov pc,")
STACK_MOVES = (
    (re.compile(r"v?push(?:\.w)? "), 1),
    (re.compile(r"v?pop(?:\.w)? "), -1),
)
STACK_STEPS = re.compile(r"(sub|add) sp, (?:sp, )?#(\d+)|.*\[sp, #-(\d+)\]!|.*\[sp\], #(\d+)")


@dataclass(frozen=True)
class Line:
    """One instruction or directive; `mnemonic` is empty for a label or a count alone."""

    label: str = ""
    mnemonic: str = ""
    operands: str = ""
    note: str = ""
    count: str = ""

    @property
    def is_instruction(self) -> bool:
        """An alignment with a count is one too: a NOP fills it."""
        if self.mnemonic.startswith(".p2align"):
            return bool(self.count)
        return bool(self.mnemonic) and not self.mnemonic.startswith(".")

    @property
    def text(self) -> str:
        return f"{self.mnemonic} {self.operands}"


def lines(text: str) -> Iterator[Line]:
    """The lines of `text`; in one line, instructions may be separated by ';'."""
    for row in filter(str.strip, text.splitlines()):
        label, code, note, count = (part or "" for part in LINE.fullmatch(row).groups())
        first, *others = (re.split(r"\s+", part.strip(), maxsplit=1) for part in code.split(";"))
        yield Line(label, first[0], *first[1:], note=note.strip(), count=count.strip())
        yield from (Line("", *other) for other in others if other[0])


@dataclass(frozen=True)
class Listing:
    """The text of a piece of assembly."""

    text: str

    def __str__(self) -> str:
        return self.text

    def instructions(self, counts: Mapping[str, float]) -> float:
        """Instructions of one run, with `counts` for the names in the text."""
        figures = _figures(self.text)
        values = {name: _exact(name if name[0].isdigit() else counts[name]) for name in figures.names}
        blocks = figures.instructions.items()
        return float(sum(prod(map(values.get, factors)) * count for factors, count in blocks))

    @property
    def stack_bytes(self) -> int:
        """The deepest that it pushes; code after a return counts as called from the deepest place before it."""
        return _figures(self.text).stack_bytes

    def run(self, times: float = 1, **counts: float) -> "Run":
        """What it is to run this `times` times."""
        return Run(self, times, counts)


@dataclass(frozen=True)
class Run:
    """A listing in one inference: how often it is called, and the counts of its loops."""

    listing: Listing
    times: float = 1
    counts: Mapping[str, float] = field(default_factory=dict)

    @property
    def instructions(self) -> float:
        return self.times * self.listing.instructions(self.counts) if self.times else 0


@dataclass(frozen=True)
class Figures:
    """What a text says: instructions by the counts that multiply them, these counts' names, and the deepest push."""

    instructions: Mapping[tuple[str, ...], int]
    names: frozenset[str]
    stack_bytes: int


@cache
def _figures(text: str) -> Figures:
    instructions: Counter[tuple[str, ...]] = Counter()
    total = depth = deepest = 0
    for line, factors in walk(text):
        instructions[factors] += line.is_instruction
        if move := stack_step(line.text):
            depth += prod(map(int, filter(str.isdigit, factors))) * move
            deepest = max(deepest, depth)
        if depth == 0 and line.is_instruction and LEAVES.match(line.text):
            total, deepest = total + deepest, 0
    return Figures(instructions, frozenset().union(*instructions), total + deepest)


@lru_cache(NUMBERS_KEPT)
def _exact(number: str | float) -> int | Fraction:
    """Without rounding, and an integer where it is one: fractions take ten times as long."""
    exact = Fraction(number)
    return exact.numerator if exact.denominator == 1 else exact


def walk(text: str) -> Iterator[tuple[Line, tuple[str, ...]]]:
    """Each line with its counts, those of the loops around it first; raises ValueError for a loop without one."""
    rows = list(lines(text))
    ends = _loop_ends(rows)
    loops: list[tuple[int, str]] = []
    block = "1"
    for number, row in enumerate(rows):
        if number in ends:
            loops.append((ends[number], row.operands if row.mnemonic == ".rept" else row.count))
        if row.label or row.count:
            block = "1" if number in ends else row.count or "1"
        product = " * ".join((*(count for _, count in loops), block))
        yield row, tuple(sorted(factor for factor in product.split(" * ") if factor != "1"))
        while loops and loops[-1][0] == number:
            loops.pop()
            block = "1"


def _loop_ends(rows: list[Line]) -> dict[int, int]:
    """The number of each loop's first line, and that of its last."""
    starts, ends, repeats = {}, {}, []
    for number, row in enumerate(rows):
        if row.label:
            starts[row.label] = number
        if row.mnemonic == ".rept":
            repeats.append(number)
        elif row.mnemonic == ".endr":
            ends[repeats.pop()] = number
        elif match := BACK.search(row.operands):
            start = starts[match[1]]
            if rows[start].count:
                ends[start] = number
            elif not any(LEAVES.match(between.text) for between in rows[start:number]):
                raise ValueError(f"the loop from {match[1]}: to {row.text!r} has no count")
    return ends


def stack_step(instruction: str) -> int:
    """Bytes by which an instruction moves the stack down."""
    for pattern, sign in STACK_MOVES:
        if pattern.match(instruction):
            return sign * _register_bytes(instruction)
    if match := STACK_STEPS.match(instruction):
        operation, size, pushed, popped = match.groups()
        return int(pushed or 0) - int(popped or 0) + (int(size or 0) if operation == "sub" else -int(size or 0))
    return 0


def _register_bytes(operands: str) -> int:
    sizes = (
        REGISTER_BYTES[match[1]] * (int(match[3]) - int(match[2]) + 1 if match[3] else 1)
        for match in REGISTERS.finditer(operands.partition("{")[2])
    )
    return sum(sizes)


def load_words(base: str, registers: Sequence[str], step: bool = False) -> str:
    """Load the words at `base`, which moves on to the word after them with `step`."""
    return _words("ld", base, registers, step)


def store_words(base: str, registers: Sequence[str], step: bool = False) -> str:
    """Store the words at `base`, which moves on to the word after them with `step`."""
    return _words("st", base, registers, step)


def _words(operation: str, base: str, registers: Sequence[str], step: bool) -> str:
    """Thumb-2's LDM and STM of one register are unpredictable; only some assemblers make LDR and STR of them."""
    if len(registers) > 1:
        return f"{operation}m {base}{'!' * step}, {{{', '.join(registers)}}}"
    return f"{operation}r {registers[0]}, [{base}]{', #4' * step}"

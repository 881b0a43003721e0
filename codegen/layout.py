"""How C is laid out: indentation, lines of at most 120 columns, assembly in columns, no operator that does nothing.

Templates say what is in a line; where it begins and where it is broken is decided here.
"""

import re
import textwrap
from functools import lru_cache

from signbit.codegen.kernels import listing

COLUMNS = 120
INDENT = 4
NOTE_COLUMN = 44
TEXTS_KEPT = 256
STRINGS_AND_COMMENTS = re.compile(r'"(?:\\.|[^"\\])*"|/\*.*?(?:\*/|$)|\'(?:\\.|[^\'\\])\'')
BREAKS = re.compile(r"[([{]|[])}]|, | (?=(?:[?:*+|-]|&&|\|\||<<|>>) )")
LISTS = re.compile(r"\w\($|= \{$")
SUM = re.compile(r" (?:[-+|&^?]|<<|>>|[<>=!]=?) ")


def arrange(text: str) -> str:
    """C with every line indented by the brackets around it, and broken where it is too long."""
    lines: list[str] = []
    depth, conditions, in_comment = 0, [], False
    for line in text.splitlines():
        line = line.strip()
        if not line:
            if lines and lines[-1] and not lines[-1].endswith("{"):
                lines.append("")
            continue
        if in_comment:
            lines += _wrap(line, f"{_margin(depth)} ", _margin(depth))
            in_comment = "*/" not in line
            continue
        if line.startswith("#"):
            if line.startswith("#if") and lines and lines[-1] == "}":
                lines.append("")
            depth = _branch(line, depth, conditions)
            lines += _fold(line, "", " \\")
            continue
        brackets = re.sub(r"[^][(){}]", "", STRINGS_AND_COMMENTS.sub("", line))
        closing = len(line) - len(line.lstrip("])}"))
        if line.startswith("}") and depth and not lines[-1]:
            lines.pop()
        if lines and lines[-1] == "}":
            lines.append("")
        lines += _fold(line, _margin(depth - closing))
        in_comment = line.startswith("/*") and "*/" not in line
        if line != 'extern "C" {':
            depth = max(0, depth + sum(1 if bracket in "([{" else -1 for bracket in brackets))
    return "\n".join(lines) + "\n"


def _margin(depth: int) -> str:
    return " " * (INDENT * max(0, depth))


def _branch(line: str, depth: int, conditions: list[int]) -> int:
    """The depth after a line of the preprocessor: each branch of a condition begins where the first did."""
    if line.startswith("#if"):
        conditions.append(depth)
    elif line.startswith("#endif"):
        conditions.pop()
    elif line.startswith("#el"):
        return conditions[-1]
    return depth


def _fold(line: str, margin: str, end: str = "") -> list[str]:
    """`line` as lines of at most COLUMNS; `end` closes each but the last."""
    if len(margin + line) <= COLUMNS or line.startswith(('"', "#error")):
        return [(margin + line).rstrip()]
    if line.startswith("/*"):
        return _wrap(line, margin, margin)
    lines = []
    inner = margin + " " * INDENT
    while len(margin + line) > COLUMNS and (at := _break(line, COLUMNS - len(margin) - len(end))) < len(line):
        lines.append(margin + line[:at].rstrip() + end)
        line, margin = line[at:].lstrip(), inner
    return [*lines, margin + line]


def _wrap(comment: str, first: str, margin: str) -> list[str]:
    whole_end = comment.replace(" */", "\xa0*/")  # no line of its own
    lines = textwrap.wrap(
        whole_end, COLUMNS, initial_indent=first, subsequent_indent=f"{margin} * ", break_on_hyphens=False
    )
    return [line.replace("\xa0", " ") for line in lines]


def _break(line: str, limit: int) -> int:
    """Where to break `line`: inside as few brackets and as far to the right as possible, else at a blank."""
    best, depth = (1000.0, False, 0), 0
    code = STRINGS_AND_COMMENTS.sub(_blank, line)
    for match in BREAKS.finditer(code):
        if match.end() > limit:
            break
        if match[0] in (")", "]", "}"):
            depth -= 1
        elif match[0] in ("(", "[", "{"):
            if LISTS.search(line[: match.end()]) and match.end() > limit // 4:
                best = min(best, (depth + 0.5, False, -match.end()))  # arguments and values begin a line
            depth += 1
        elif match.end() > limit // 2:
            best = min(best, (depth, match[0] == " ", -match.end()))
    return -best[2] or code.rfind(" ", 0, limit) + 1 or code.find(" ", limit) + 1 or len(line)


def _blank(match: re.Match) -> str:
    return "_" * len(match[0])


@lru_cache(TEXTS_KEPT)
def assembly(text: str | listing.Listing) -> str:
    """Instructions as C strings, one per line, in columns.

    `text` is a listing or its text; its counts are not shown.
    """
    parsed, pending = [], ""
    for line in listing.lines(str(text)):
        pending = f"{line.label}:" if line.label else pending
        if pending and line.mnemonic.startswith("."):
            parsed.append((pending, "", "", ""))
            pending = ""
        if line.mnemonic:
            parsed.append((pending, line.mnemonic, line.operands, line.note))
            pending = ""
    if pending:
        parsed.append((pending, "", "", ""))
    width = max(len(mnemonic) for _, mnemonic, _, _ in parsed) + 1
    lines = ['".syntax unified\\n"']
    for label, mnemonic, operands, note in parsed:
        instruction = f"{label:<{INDENT}}{mnemonic:<{width}}{operands}".rstrip()
        string = f'"{instruction}\\n"'
        lines.append(f"{string:<{NOTE_COLUMN}}/* {note} */" if note else string)
    return "\n".join(lines)


def index(name: str, count: int, step: int = 1) -> str:
    """C for the variable of a loop from 0 to `count`, which is a plain 0 where the loop runs once."""
    return name if count > step else "0"


def times(expression: str, factor: int, suffix: str = "") -> str:
    """C for expression * factor."""
    if factor == 0 or expression == "0":
        return "0"
    return expression if factor == 1 else f"{_grouped(expression)} * {factor}{suffix}"


def over(expression: str, divisor: int, suffix: str = "") -> str:
    """C for expression / divisor."""
    return expression if divisor == 1 or expression == "0" else f"{_grouped(expression)} / {divisor}{suffix}"


def modulo(expression: str, divisor: int, suffix: str = "") -> str:
    """C for expression % divisor."""
    return "0" if divisor == 1 or expression == "0" else f"{_grouped(expression)} % {divisor}{suffix}"


def plus(expression: str, term: int | str, suffix: str = "") -> str:
    """C for expression + term; `suffix` is for a number."""
    if term in (0, "0"):
        return expression
    if expression == "0":
        return f"{term}{suffix}"
    if isinstance(term, int) and term < 0:
        return f"{expression} - {-term}{suffix}"
    return f"{expression} + {term}{suffix}"


def minus(expression: str, number: int, suffix: str = "") -> str:
    """C for expression - number."""
    return plus(expression, -number, suffix)


def signed(expression: str) -> str:
    """C for an unsigned expression as int32_t."""
    return (
        expression
        if expression == "0"
        else f"(int32_t){expression}"
        if expression.isalnum()
        else f"(int32_t)({expression})"
    )


def shifted_right(expression: str, bits: int, suffix: str = "") -> str:
    """C for expression >> bits, or << where `bits` is negative."""
    if bits == 0 or expression == "0":
        return expression
    return f"{_grouped(expression)} {'>>' if bits > 0 else '<<'} {abs(bits)}{suffix}"


def _grouped(expression: str) -> str:
    """`expression`, in brackets if it is a sum or anything else that binds less tightly than a product."""
    outer = expression
    while (inner := re.sub(r"\([^()]*\)|\[[^][]*\]", "", outer)) != outer:
        outer = inner
    return f"({expression})" if SUM.search(outer) else expression


FILTERS = {
    "asm": assembly,
    "index": index,
    "times": times,
    "over": over,
    "modulo": modulo,
    "plus": plus,
    "minus": minus,
    "signed": signed,
    "shifted_right": shifted_right,
}

"""Where C can be broken, and the assembly in it, also in templates: a table of operators on the text of its lines.

Comments and the preprocessor's lines are left alone.
"""

import re
from collections.abc import Iterator

from tools.mutants.mutant import Site

SWAPPED = (
    ("<=", "<"), (">=", ">"), ("<", "<="), (">", ">="), ("==", "!="), ("!=", "=="), ("&&", "||"), ("||", "&&"),
    ("+", "-"), ("-", "+"), ("*", "+"), ("/", "*"), ("%", "+"), ("<<", ">>"), (">>", "<<"), ("&", "|"), ("|", "&"),
    ("^", "&"), ("+=", "-="), ("-=", "+="), ("|=", "&="), ("&=", "|="), ("^=", "&="), ("<<=", ">>="), (">>=", "<<="),
)  # fmt: skip
"""Operators with a blank on either side."""
INSTRUCTIONS = (
    ("add", "sub"), ("sub", "add"), ("lsl", "lsr"), ("lsr", "lsl"), ("asr", "lsr"), ("ldrb", "ldrh"), ("ldrh", "ldrb"),
    ("ldrsb", "ldrb"), ("ldrsh", "ldrh"), ("beq", "bne"), ("bne", "beq"), ("bhi", "bls"), ("bls", "bhi"),
    ("bcc", "bcs"), ("bcs", "bcc"), ("blt", "bge"), ("bge", "blt"), ("bgt", "ble"), ("ble", "bgt"), ("orr", "and"),
    ("and", "orr"), ("eor", "orr"), ("bic", "and"), ("srl", "sll"), ("sll", "srl"), ("bnez", "beqz"),
    ("beqz", "bnez"), ("lbu", "lb"), ("mla", "mls"), ("uxtb", "sxtb"),
)  # fmt: skip
"""Of Arm and RISC-V, with the suffix that a mnemonic may have."""
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\{#.*?#\}", re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_OPERATOR = re.compile(rf"(?<= )({'|'.join(sorted(map(re.escape, dict(SWAPPED)), key=len, reverse=True))})(?= )")
_STEP = re.compile(r"\+\+|(?<!-)--(?!-)")
_NUMBER = re.compile(r"(?<![\w.$%\"])(0x[0-9A-Fa-f]+|\d+)(?=[uUlL]*\b(?![\w.]))")
_INSTRUCTION = re.compile(rf"\b({'|'.join(dict(INSTRUCTIONS))})(?=(?:s|i|\.w|\.n)?(?:\\t| +)[\w#{{\[])")
_STATEMENT = re.compile(
    r"(?m)^[ \t]*((?:\*|\(void\))?[a-z_][\w.\->\[\]]*(?: [-+|&^<>*/]*= |\(|\+\+|--)[^\n;{}]*;)[ \t]*$"
)
_CONDITION = re.compile(r"(?<=\bif \()([^\n{}]+)(?=\) \{)")


def sites(source: bytes) -> Iterator[Site]:
    """All sites of a file, by operator."""
    text = source.decode()
    code = _DIRECTIVE.sub(_blank, _COMMENT.sub(_blank, text))
    for found, wrong, operator in _changes(code):
        start, end = (place if text.isascii() else len(text[:place].encode()) for place in found.span(1))
        begin = text.rfind("\n", 0, found.start(1)) + 1
        line = text[begin : text.find("\n", found.end(1))]
        indent = len(line) - len(line.lstrip())
        yield Site(start, end, wrong, operator, line.strip().encode(), found.start(1) - begin - indent)


def _changes(code: str) -> Iterator[tuple[re.Match, str, str]]:
    """What is found, with the text in place of its first group, and what is done."""
    for pattern, table in ((_OPERATOR, dict(SWAPPED)), (_INSTRUCTION, dict(INSTRUCTIONS))):
        yield from ((found, table[found[1]], f"{found[1]} to {table[found[1]]}") for found in pattern.finditer(code))
    for found in re.finditer(f"({_STEP.pattern})", code):
        yield found, {"++": "--", "--": "++"}[found[1]], "step"
    yield from (
        (found, str(int(found[1], 0) + 1), "constant") for found in _NUMBER.finditer(code) if _decimal(found[1])
    )
    yield from ((found, ";", "statement") for found in _STATEMENT.finditer(code))
    yield from ((found, f"!({found[1]})", "condition") for found in _CONDITION.finditer(code))


def _decimal(word: str) -> bool:
    """Not of an octal number, which C has and int() refuses."""
    return word == "0" or not word.startswith("0") or word.startswith("0x")


def _blank(found: re.Match) -> str:
    return re.sub(r"[^\n]", " ", found[0])

"""How many bytes of code a plan takes, without a compiler: estimated from the text of its functions.

An instruction of assembly has a width, which its text shows; in C the calls, loops and other parts are counted, and how
many bytes a part becomes was measured for each core.
"""

import json
import re
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from importlib import resources

from signbit.codegen.render import functions_text

WEIGHTS = json.loads((resources.files("signbit.codegen") / "kernels" / "code_bytes.json").read_text())
"""WEIGHTS[target][optimize][term]: bytes that gcc makes of C, measured by `python -m tools fit_code_size`."""

TEXTS_KEPT = 1024
BRANCH = re.compile(r"#(if\w*|else|endif)\b(.*)")
UNSEEN = re.compile(r"/\*.*?\*/|__attribute__\(\(.*?\)\)", re.DOTALL)
DATA = re.compile(r"^(?:static const [^;(]*?= \{.*?^\}|typedef struct \{.*?^\} \w+);$", re.DOTALL | re.MULTILINE)
FUNCTION = re.compile(r"^ *static [^;({]*?(\w+)\([^;{]*\)\s*\{", re.MULTILINE)
NAME = re.compile(r"\w+")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
INSTRUCTION = re.compile(r"\s*(?:[\w%=.]+:)?\s*([a-z]\w*)(\.w\b)?([^@]*)")
REPEATED = re.compile(r"\.rept +(\d+)\n(.*?)\.endr", re.DOTALL)
# what a compiler's code size depends on
C_TERMS = {
    "call": re.compile(r"\b[a-z]\w*\("),
    "loop": re.compile(r"\b(?:for|while)\b"),
    "branch": re.compile(r"\bif\b|\?|&&|\|\|"),
    "divide": re.compile(r"[/%]"),
    "statement": re.compile(r";"),
    "index": re.compile(r"\[|->"),
    "operator": re.compile(r"[-+*&|^]=?|<<|>>"),
}
WIDE = re.compile(
    r"v|bl$|lbu|[ls]w$|mla|mls|umull|u[sh]?[as]|uq|ubfx|sm|[su]xta|[su]xtb16|pkh|bf|ldrd|strd|mov[wt]|orn|tb|le|dls|wls"
    r"|cinc|sel"
)
FREE_OF_FLAGS = {"add", "and", "bic", "eor", "lsl", "lsr", "asr", "mov", "mvn", "orr", "rsb", "sub"}
"""Wide in Thumb-2 without the s of "adds", unless registers are added or moved."""
HIGH_SHIFTED_OR_INDEXED = re.compile(r"\b(?:r8|r9|r1[0-2]|ip|sl|fp)\b|\], #|#-|\b(?:lsl|lsr|asr|ror) #")
NARROW_WITH_HIGH_REGISTERS = {"add", "mov", "cmp", "bx", "blx"}


def parts(plan, layer) -> dict[str, Counter[str]]:
    """The parts of the plan's code that `layer` needs, with their terms: `infer` itself, the call, and its functions.

    A part that several layers need is there once; its key is its text.
    """
    text = UNSEEN.sub("", _compiled(functions_text(replace(plan, layers=(layer,)))))
    bodies = [part for part in re.split(r"^\}$", DATA.sub("", text), flags=re.MULTILINE) if FUNCTION.search(part)]
    by_name = {FUNCTION.search(body)[1]: body.strip() for body in bodies}
    called, todo = set(), {layer.symbol}
    while todo:
        called |= todo
        todo = {name for caller in todo for name in NAME.findall(by_name[caller])} & by_name.keys() - called
    found = {"infer": Counter(base=1), f"call of {layer.symbol}": Counter(layer=1)}
    return found | {by_name[name]: terms(by_name[name]) for name in sorted(called)}


def layer_bytes(plan, layer, weights: dict[str, float]) -> dict[str, int]:
    """Bytes of each of the layer's `parts`."""
    return {key: _bytes(counts, weights) for key, counts in parts(plan, layer).items()}


def _bytes(counts: Counter[str], weights: dict[str, float]) -> int:
    return counts["assembly"] + round(sum(weights.get(term, 0.0) * count for term, count in counts.items()))


def plan_terms(plan) -> Counter[str]:
    """The terms of all that `PREFIX_predict` pulls in."""
    return sum({key: counts for layer in plan.layers for key, counts in parts(plan, layer).items()}.values(), Counter())


def predicted_code_bytes(plan) -> int | None:
    """Bytes of code that `PREFIX_predict` and `PREFIX_features` pull in; None where the target is any compiler."""
    weights = weights_for(plan.target.name, plan.optimize)
    if weights is None:
        return None
    functions = {key: size for layer in plan.layers for key, size in layer_bytes(plan, layer, weights).items()}
    return sum(functions.values()) + front_end_bytes(plan)


def front_end_bytes(plan) -> int:
    """Bytes of code that `PREFIX_features` pulls in; 0 where the target is any compiler."""
    return (
        _bytes(plan.front_end.code_terms, weights_for(plan.target.name, plan.optimize) or {}) if plan.front_end else 0
    )


def weights_for(target: str, optimize: str) -> dict[str, float] | None:
    """Bytes of each term of C; None where the target is any compiler."""
    return WEIGHTS.get(target, {}).get(optimize)


@lru_cache(TEXTS_KEPT)
def terms(text: str) -> Counter[str]:
    """What the size of a function depends on: the bytes of its assembly, and the parts of its C."""
    strings = [string for string in STRING.findall(text) if r"\n" in string]  # no operand's constraint, no clobber
    assembly = REPEATED.sub(lambda match: match[2] * int(match[1]), re.sub(r"\\n|;", "\n", "".join(strings)))
    instructions = filter(None, map(INSTRUCTION.match, assembly.splitlines()))
    counts = Counter(assembly=sum(_width_bytes(*match.groups()) for match in instructions))
    code = STRING.sub("", text)
    return counts + Counter({term: len(pattern.findall(code)) for term, pattern in C_TERMS.items()})


def _compiled(text: str) -> str:
    """The lines of `text` that gcc compiles for the target: neither the plain C beside assembly nor clang's."""
    lines: list[str] = []
    taken: list[bool] = []
    for line in text.splitlines():
        if match := BRANCH.match(line.strip()):
            word, condition = match.groups()
            if word == "endif":
                taken.pop()
            elif word == "else":
                taken[-1] = not taken[-1]
            else:
                undefined = "_PORTABLE" in condition or "__clang__" in condition
                taken.append((word == "ifndef") == undefined)
        elif all(taken) and not line.lstrip().startswith("#"):
            lines.append(line)
    return "\n".join(lines)


def _width_bytes(mnemonic: str, suffix: str | None, operands: str) -> int:
    """2 or 4: the width of an instruction of Thumb, and about that of one of RV32C."""
    if suffix or WIDE.match(mnemonic) or HIGH_SHIFTED_OR_INDEXED.search(operands):
        narrow = mnemonic in NARROW_WITH_HIGH_REGISTERS and "#" not in operands and not suffix
    elif mnemonic in FREE_OF_FLAGS:
        narrow = "sp" in operands or (mnemonic in NARROW_WITH_HIGH_REGISTERS and "#" not in operands)
    else:
        narrow = mnemonic in ("push", "pop") or mnemonic in NARROW_WITH_HIGH_REGISTERS or "lr" not in operands
    return 2 if narrow else 4

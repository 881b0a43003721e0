"""The Jinja2 environment: filters for C, no decisions.

A line of a template that ends in `{# -#}` goes on in the next one; in `{#- -#}`, without the blank between them.

A `plan` is a `plan.Plan`, which this module can't import: planning renders code to estimate its size.
"""

import json
from functools import cache, lru_cache, partial

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from signbit.codegen import layout
from signbit.codegen.kernels.base import CArray

INT32_MIN = -(2**31)
C_TEMPLATES = (".h.j2", ".c.j2", ".ino.j2")


@lru_cache(1)
def header_text(plan) -> str:
    """The generated header; the last one is kept, as several programs may be made of it."""
    return render("model.h.j2", plan)


def functions_text(plan) -> str:
    """The header's functions for layers, without weights and parameters."""
    return render("functions.c.j2", plan)


def render(template: str, plan=None, **names) -> str:
    """A template laid out for `plan`, or for other `names`."""
    text = _environment().get_template(template).render(plan=plan, **names)
    return layout.arrange(text) if template.endswith(C_TEMPLATES) else text


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("signbit.codegen"), PackageLoader("signbit.codegen", ".")]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, not HTML; all user text has gone through signbit.codegen.ctext
    )
    environment.filters |= layout.FILTERS
    environment.filters |= {
        "json": partial(json.dumps, ensure_ascii=False),
        "values": values,
        "hex": hexadecimal,
        "title": title,
        "range_text": range_text,
    }
    return environment


def title(layer, with_index: bool = True) -> str:
    """A layer in a few words, such as `layer 0: dense 784 -> 128`."""
    text = f"{layer.title} {layer.shapes('x', '->')}"
    return f"Layer {layer.index}: {text}" if with_index else text


def range_text(bounds: tuple[int, int]) -> str:
    """A range such as `-784..784`."""
    return "{}..{}".format(*bounds)


def values(array: CArray, indent: int = 4) -> str:
    """An array's values, as many per line as fit."""
    literal = {"uint32_t": hexadecimal, "int32_t": int32_literal}.get(array.ctype, str)
    texts = [literal(int(value)) for value in array.values]
    width = max(map(len, texts)) + 2
    per_line = max(1, (layout.COLUMNS - indent) // width)
    lines = (texts[start : start + per_line] for start in range(0, len(texts), per_line))
    return ",\n".join(" " * indent + ", ".join(line) for line in lines)


def hexadecimal(value: int) -> str:
    """A uint32 constant."""
    return f"0x{value:08x}u"


def int32_literal(value: int) -> str:
    """An int32 constant; C has no literal for the lowest one."""
    return "(-2147483647 - 1)" if value == INT32_MIN else str(value)

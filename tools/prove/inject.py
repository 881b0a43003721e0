"""Hostile texts in every place that takes text: the same code, markup, paths and lines as with a harmless one.

Labels, channel names and units of a model come from a file; they get into the header, the page, JSON and the terminal.
Names and prefixes become symbols and paths, so that only few are taken.  A hostile text must change nothing but the
string that holds it, and must come back from there.
"""

import dataclasses
import io
import json
import re
from collections.abc import Callable
from functools import cache, partial
from html.parser import HTMLParser
from unittest import mock

import numpy as np
from markupsafe import Markup
from rich.console import Console

from signbit.codegen import ctext, page
from signbit.codegen.plan import Plan, make_plan
from signbit.codegen.render import header_text
from signbit.codegen.report import as_dict
from signbit.codegen.report_page import page_text
from signbit.qmodel import untrusted
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import from_bytes, to_bytes
from signbit.qmodel.input_quantization import Affine
from signbit.qmodel.model import QuantizedModel
from tools.networks.random import random_model, with_counts
from tools.prove import planted
from tools.prove.row import SEED, Outcome, Row

PIECES = (
    *('"', "\\", "*/", "/*", "//", "??/", "??'", "\n", "\r", "\x00", "\x1b[2J", "\x1b]0;x\x07", "\u202e", "\u2066"),
    *(
        "#include <x>",
        "#error",
        "';",
        '");',
        "system(",
        "%s%n",
        "$(x)",
        "`x`",
        "{{x}}",
        "{%x%}",
        "<script>",
        "</script>",
        "</title>",
    ),
    *(
        "&lt;",
        "<!--",
        "]]>",
        "../",
        "/etc/x",
        "~",
        "C:\\",
        "main",
        "int",
        "ü",
        "中",
        "🐦",
        "\u0085",
        "\u2028",
        "x",
        "7",
        "-",
    ),
)
LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"')
OCTAL = re.compile(r"\\(\d{3})")
HARMLESS = "x"
TEXT_BYTES_MAX = 60
COLUMNS = 3
UNIT_BYTES = 16
CONTROL_CASES = 60


def run(first: int, count: int) -> Outcome:
    """A text in each of the places."""
    findings, taken = [], 0
    for number in range(first, first + count):
        text = hostile(np.random.default_rng((SEED, number)))
        for place, escapes in PLACES.items():
            found = escapes(text)
            taken += found is not None
            if found:
                findings.append(f"text {number}, {place}: {found}")
    return Outcome({"texts taken in their places": taken}, tuple(findings))


def hostile(rng: np.random.Generator) -> str:
    """One to six pieces that mean something to somebody."""
    text = "".join(PIECES[rng.integers(len(PIECES))] for _ in range(rng.integers(1, 7)))
    return text[: TEXT_BYTES_MAX // 4]


def in_header(put: Callable[[str], QuantizedModel], text: str) -> str | None:
    """What is wrong with the header of a model that holds `text`; None if such a model is refused."""
    try:
        plan = make_plan(put(text), "m", test_vectors=0)
    except SignbitError:
        return None
    code, literals = _code(plan)
    if code != _harmless(put, len(text.encode())):
        return "other code"
    if "??" in code or not code.isascii():
        return "trigraphs, or more than ASCII"
    texts = [OCTAL.sub(lambda match: chr(int(match[1], 8)), literal[1:-1]) for literal in literals]
    return "" if any(text.encode().decode("latin-1") in found for found in texts) else "the text does not come back"


def in_unit(text: str) -> str | None:
    """The same for a unit, which has no brackets and few characters."""
    octets = re.sub(r"[\[\]()]", "", text).encode()[:UNIT_BYTES]
    return in_header(_with_unit, octets.decode(errors="ignore").strip() or "V")


def _with_name(text: str) -> QuantizedModel:
    """With something after it, so that brackets at its end are not a unit's."""
    return described(f"{text}.")


def _with_unit(unit: str) -> QuantizedModel:
    return described(unit=unit)


def _code(plan: Plan) -> tuple[str, list[str]]:
    """All but strings and the model's hash, in which spaces count as one, and the strings."""
    header = re.sub(f"(?i){plan.model_hash[:8]}[0-9a-f]*", "", header_text(plan))
    return " ".join(LITERAL.sub('""', header).split()), LITERAL.findall(header)


@cache
def _harmless(put: Callable[[str], QuantizedModel], length: int) -> str:
    """The code with a harmless text of so many bytes."""
    return _code(make_plan(put(HARMLESS * length), "m"))[0]


class _Markup(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, attributes))

    def handle_endtag(self, tag):
        self.tags.append(tag)


def on_pages(text: str) -> str:
    """The same for the report and the live page, whose code does not matter here: elements and attributes."""
    models = [labelled(each) for each in (text, HARMLESS)]
    pairs = [(model, make_plan(model, "m")) for model in models]
    with mock.patch.object(page, "build", lambda plan: b""):
        tags = [
            _Markup(page_text(plan, None)).tags + _Markup(page.live_page(model, plan)).tags for model, plan in pairs
        ]
    return "" if tags[0] == tags[1] else "other markup"


def in_report(text: str) -> str:
    """JSON that says the same."""
    plan = make_plan(described(text), "m")
    return "" if json.loads(json.dumps(as_dict(plan, None)))["inputs"][0]["name"] == text else "another name"


def on_a_terminal(text: str) -> str:
    """One line without control characters, also by way of rich."""
    screen = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    screen.print(untrusted.shown(text), soft_wrap=True, markup=False, highlight=False)
    shown = screen.file.getvalue()
    is_plain = all(character.isprintable() for character in shown[:-1])
    return "" if is_plain and shown.count("\n") == 1 else f"{shown!r} is shown"


def as_prefix(text: str) -> str | None:
    """A symbol and a file's name, or refused."""
    try:
        prefix = ctext.check_prefix(text)
    except SignbitError:
        return None
    return "" if re.fullmatch(r"[a-z][a-z0-9_]*", prefix) else f"prefix {prefix!r}"


def as_name(text: str) -> str | None:
    """A model's name in a file: nothing that is no name."""
    try:
        model = from_bytes(to_bytes(dataclasses.replace(labelled(HARMLESS), name=text)))
        name = ctext.prefix_from(model.name)
    except SignbitError:
        return None
    return "" if re.fullmatch(r"[a-z][a-z0-9_]*", name) else f"name {name!r}"


def labelled(text: str) -> QuantizedModel:
    """A model with the label, as it is after a file was read."""
    return from_bytes(to_bytes(dataclasses.replace(_MODEL, labels=(text, "second", "third"))))


def described(name: str = "a", unit: str = "") -> QuantizedModel:
    """A model for a sensor whose first channel has that name, with the unit in brackets."""
    column = f"{name} [{unit}]" if unit else name
    record = {"data": {"columns": [column, "b", "c"], "lsb": {column: 0.5}}}
    return from_bytes(to_bytes(dataclasses.replace(_SENSOR, provenance=record)))


_MODEL = random_model(1, (4, 3), input_shift=0)
_SENSOR = with_counts(
    dataclasses.replace(_MODEL, input_shape=(COLUMNS,), layers=random_model(2, (COLUMNS, 3)).layers), 1, Affine
)
PLACES: dict[str, Callable[[str], str | None]] = {
    "label in the header": partial(in_header, labelled),
    "channel in the header": partial(in_header, _with_name),
    "unit in the header": in_unit,
    "label on pages": on_pages,
    "channel in the report": in_report,
    "text on a terminal": on_a_terminal,
    "prefix": as_prefix,
    "model's name": as_name,
}


ROW = Row(
    "inject",
    "no text of a file becomes code, markup, a path or a line of its own",
    "texts in all places",
    short=250,
    total=20_000,
    step=250,
    covers=("codegen", "qmodel", "tools/prove/inject.py"),
    run=run,
    controls={
        name: partial(planted.in_python, run, CONTROL_CASES, *change)
        for name, change in {
            "quotes in C that are not escaped": (ctext, "SAFE_IN_STRING", re.compile(".", re.DOTALL)),
            "control characters on a terminal": (untrusted, "HIDDEN_CATEGORIES", ()),
            "a page that does not escape": (page, "json_text", lambda value: Markup(json.dumps(value))),
            "any prefix": (ctext, "PREFIX_PATTERN", re.compile(".*", re.DOTALL)),
        }.items()
    },
)

"""Templates lay out and decide nothing: no namespace, no arithmetic, no calls but of macros."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from signbit.codegen.layout import FILTERS

CODEGEN = Path(__file__).parents[1] / "codegen"
TEMPLATES = sorted(CODEGEN.rglob("*.j2"))
ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg, nodes.Pos)
LAYOUT_FILTERS = {"join", "length", "replace", "format", "e"}
"""Jinja2's own: they write a list or a text, or ask how long it is."""

PROJECT_FILTERS = {*FILTERS, "values", "hex", "title", "range_text", "shape", "number", "json"}
"""They write C from numbers that are resolved, or a text as JSON."""


def decisions(source: str) -> Iterator[str]:
    """What a template does beside laying out; comparing, choosing between texts and `loop` are layout."""
    tree = Environment().parse(source)
    macros = {macro.name for macro in tree.find_all(nodes.Macro)} | {"caller", "range"}
    modules = {imported.target for imported in tree.find_all(nodes.Import)}
    for node in tree.find_all((*ARITHMETIC, nodes.NSRef, nodes.Call, nodes.Filter)):
        kind = type(node).__name__
        if isinstance(node, nodes.Filter):
            if node.name not in LAYOUT_FILTERS | PROJECT_FILTERS:
                yield f"line {node.lineno}: filter {node.name}"
        elif isinstance(node, nodes.Call):
            called = node.node
            macro = isinstance(called, nodes.Name) and called.name in macros
            imported = isinstance(called, nodes.Getattr) and getattr(called.node, "name", None) in modules
            if not macro and not imported:
                yield f"line {node.lineno}: a call of what is no macro"
        else:
            yield f"line {node.lineno}: {kind}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(CODEGEN)))
def test_template_decides_nothing(path):
    assert list(decisions(path.read_text())) == []


DECIDING = {
    "{{ count * 4 }}": "line 1: Mul",
    "{{ '%d' % count }}": "line 1: Mod",
    "\n{% set total = namespace(words=0) %}": "line 2: a call of what is no macro",
    "{% set total.words = 1 %}": "line 1: NSRef",
    "{{ layer.kernel.block(layer.job) }}": "line 1: a call of what is no macro",
    "{{ rows | sum }}": "line 1: filter sum",
    "{{ -count }}": "line 1: Neg",
}


@pytest.mark.parametrize("source", DECIDING)
def test_template_that_decides_is_found(source):
    assert list(decisions(source)) == [DECIDING[source]]


def test_templates_are_all_used():
    """Each is named by another one, by a kernel, or by what renders it."""
    texts = "".join(path.read_text() for path in CODEGEN.rglob("*") if path.suffix in (".py", ".j2"))
    stems = {path: path.name.removesuffix(".j2").removesuffix(".c") for path in TEMPLATES}
    kernels = {path.with_name(f"{stem}.c.j2") for path, stem in stems.items() if path.with_name(f"{stem}.py").exists()}
    assert [path for path, stem in stems.items() if stem not in texts and path not in kernels] == []

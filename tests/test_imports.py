"""The import rule: qmodel knows nobody, codegen and trainer only qmodel, and heavy libraries are not required."""

import ast
import sys

import pytest

PACKAGES = ("qmodel", "codegen", "trainer", "tools")
MAY_ASK_CODEGEN = ("trainer/summary.py", "trainer/estimator.py")
ALLOWED = {
    "qmodel": {"qmodel", "numpy"},
    "codegen": {"codegen", "qmodel", "numpy", "jinja2", "rich"},
    "trainer": {"trainer", "qmodel", "numpy", "rich"},
}


def imports(path, top_level_only):
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_only_what_its_place_allows(repository, package):
    paths = sorted((repository / package).rglob("*.py"))
    assert paths
    found = {(str(path.relative_to(repository)), name) for path in paths for name in imports(path, True)}
    assert {pair for pair in found if pair[1] not in ALLOWED[package] | sys.stdlib_module_names} == set()


@pytest.mark.parametrize("package", ALLOWED)
def test_late_imports_respect_the_rooms_too(repository, package):
    """A late import may bring an extra, but not another room; only the trainer's summary and estimator ask codegen."""
    others = set(PACKAGES) - ALLOWED[package]
    for path in (repository / package).rglob("*.py"):
        asked = others & set(imports(path, False))
        is_allowed = str(path.relative_to(repository)) in MAY_ASK_CODEGEN
        assert asked == ({"codegen"} if is_allowed else set()), path

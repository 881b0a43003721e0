"""The import rule: rooms know only the rooms below them, and heavy libraries are not required.

A room is a folder.  `__main__` and `__init__` files are doors: what they import does not count for the room they open.
"""

import ast
import os
import subprocess
import sys

import pytest

ROOMS = (
    "signbit",
    "signbit.qmodel",
    "signbit.qmodel.data.readers",
    "signbit.qmodel.data",
    "signbit.jobs",
    "signbit.bridge.graph",
    "signbit.bridge.operators",
    "signbit.bridge",
    "signbit.bridge.commands",
    "signbit.codegen.kernels",
    "signbit.codegen.kernels.c99",
    "signbit.codegen.kernels.m0",
    "signbit.codegen.kernels.m3",
    "signbit.codegen.kernels.m4",
    "signbit.codegen.kernels.m55",
    "signbit.codegen.kernels.rv32",
    "signbit.codegen",
    "signbit.codegen.commands",
    "signbit.trainer.exact",
    "signbit.trainer.network",
    "signbit.trainer.learning",
    "signbit.trainer.report",
    "signbit.trainer.command",
    "signbit.trainer.tune",
    "signbit.trainer",
    "signbit.line",
    "signbit.emulate",
    "signbit.device",
    "signbit.commands",
    "tools.setup",
    "tools.documents",
    "tools.networks",
    "tools.cores",
    "tools.measure",
    "tools.mutants",
    "tools.prove",
    "tools.zoo",
    "tools",
    "tests",
)
"""From the ground up: a room imports from itself and from those before it."""
FOLDERS = ("signbit", "qmodel", "trainer", "codegen", "bridge", "tools")
MAY_ASK_CODEGEN = {
    "signbit.trainer.report.summary",
    "signbit.trainer.estimator",
    "signbit.trainer.tune.cost",
    "signbit.trainer.tune.export",
}
LIBRARIES = {
    "qmodel": {"numpy"},
    "codegen": {"numpy", "jinja2", "rich"},
    "bridge": {"numpy", "rich"},
    "trainer": {"numpy", "rich"},
    "signbit": {"numpy", "rich"},
}
TRAINER_ROOMS_MAX = 10
TOOLS_ROOMS_MAX = 8


def modules(repository, *folders):
    for folder in folders:
        for path in sorted((repository / folder).rglob("*.py")):
            parts = path.relative_to(repository).with_suffix("").parts
            yield ".".join(parts if folder in ("signbit", "tools", "tests") else ("signbit", *parts)), path


def imports(path, top_level_only=False):
    """(module, name) of each import; the name is "" for `import module`."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from ((node.module, alias.name) for alias in node.names)


def own_imports(repository, known, path):
    """Dotted names of the project's modules that a file imports, at its top or late."""
    for module, name in imports(path):
        if module.split(".")[0] in ("signbit", "tools", "tests"):
            whole = f"{module}.{name}"
            yield whole if whole in known else module


def room_of(module):
    return module.rpartition(".")[0]


@pytest.fixture(scope="module")
def known(repository):
    return {name for name, _ in modules(repository, *FOLDERS)}


def is_door(path):
    return path.name in ("__main__.py", "__init__.py")


def test_every_room_is_listed(repository):
    found = {room_of(name) for name, path in modules(repository, *FOLDERS) if not is_door(path)}
    assert found <= set(ROOMS)


def test_a_room_imports_only_from_those_below(repository, known):
    upward = [
        f"{name} imports {asked}"
        for name, path in modules(repository, *FOLDERS)
        if not is_door(path)
        for asked in own_imports(repository, known, path)
        if asked in known
        if ROOMS.index(room_of(asked)) > ROOMS.index(room_of(name))
        if not (name in MAY_ASK_CODEGEN and asked.startswith("signbit.codegen."))
    ]
    assert upward == []


def test_qmodel_knows_nobody_and_codegen_trainer_and_bridge_only_qmodel(repository, known):
    """Late imports count too; of the trainer only MAY_ASK_CODEGEN ask codegen, and all print on the console."""
    above = ("qmodel", "console")
    allowed = {
        "qmodel": ("qmodel",),
        "codegen": ("codegen", *above),
        "trainer": ("trainer", *above),
        "bridge": ("bridge", *above),
    }
    for folder, friends in allowed.items():
        ground = (*friends, "", "threads", "places", "jobs", "signbit")
        for name, path in modules(repository, folder):
            for asked in own_imports(repository, known, path):
                package = asked.removeprefix("signbit").removeprefix(".").split(".")[0]
                is_late_plan = name in MAY_ASK_CODEGEN and package == "codegen"
                assert package in ground or is_late_plan, f"{name} imports {asked}"


def test_modules_form_no_circle(repository, known):
    edges = {
        name: {asked for asked in own_imports(repository, known, path) if asked in known and asked != name}
        for name, path in modules(repository, *FOLDERS)
    }
    while leaves := {name for name, asked in edges.items() if not asked}:
        edges = {name: asked - leaves for name, asked in edges.items() if name not in leaves}
    assert edges == {}


@pytest.mark.parametrize("folder", LIBRARIES)
def test_only_required_libraries_are_imported_at_the_top(repository, folder):
    allowed = LIBRARIES[folder] | {"signbit"} | sys.stdlib_module_names
    found = {
        (name, module.split(".")[0])
        for name, path in modules(repository, folder)
        if name != "signbit.trainer.estimator"
        for module, _ in imports(path, top_level_only=True)
    }
    assert {pair for pair in found if pair[1] not in allowed} == set()


def test_a_run_is_saved_without_what_draws_it():
    program = "import sys, signbit.trainer.command.output; sys.exit('signbit.trainer.report.pictures' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_no_tool_imports_the_tests(repository):
    for name, path in modules(repository, *FOLDERS):
        assert not any(module.split(".")[0] == "tests" for module, _ in imports(path)), name


@pytest.mark.parametrize(("folder", "rooms_max"), [("trainer", TRAINER_ROOMS_MAX), ("tools", TOOLS_ROOMS_MAX)])
def test_few_rooms_at_the_top(repository, folder, rooms_max):
    entries = [
        path for path in (repository / folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    ]
    assert len([path for path in entries if not is_door(path)]) <= rooms_max


def test_files_of_the_user_s_hide_no_room(repository, tmp_path):
    """A trainer.py beside the user's script is theirs alone."""
    for name in FOLDERS[1:]:
        (tmp_path / f"{name}.py").write_text(f'raise SystemExit("{name} was imported")\n')
    (tmp_path / "mine.py").write_text("import signbit.trainer.estimator, signbit.codegen.plan, signbit.emulate.pio\n")
    environment = os.environ | {"PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

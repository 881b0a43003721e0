"""Tables on narrow screens, in pipes and in files: whole numbers everywhere, fewer columns rather than cut ones."""

import io
import json
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from signbit.codegen.commands import cli as codegen
from signbit.codegen.plan import make_plan
from signbit.commands import models
from signbit.console import Column, console, print_table
from signbit.device import command as device
from signbit.emulate.command import print_results
from signbit.emulate.emulation import CoreResult
from signbit.emulate.machines import MACHINES
from signbit.qmodel.command import run_command
from signbit.qmodel.file import load
from signbit.trainer.command import cli as trainer
from tools.documents.blocks import ROOT
from tools.measure import bench_tables
from tools.setup import demo

NUMBER = re.compile(r"-?\d[\d,.]*")
CORES = [
    CoreResult(core, core, "mps2-an385", 10_000, 9_751_960, 123, 20, 3, 1234.5, 444, 24_224, 3_728, 12.3)
    for core in MACHINES
]
ROWS = [demo.Row(core.title, 10_000, 9_751_960, 123, ("20/20", "24,224", "3,728")) for core in CORES]
EMULATED = demo.Emulated(ROWS, ("UART", "flash bytes", "RAM bytes"))
MODELS = ROOT / "models"


def command(main, *words):
    return lambda: run_command(main, list(map(str, words)))


PRINTED = {
    "inspect": command(codegen.main, "inspect", MODELS / "mnist-4k.npz", "--target", "cortex-m0"),
    "inspect, portable": command(codegen.main, "inspect", MODELS / "mnist-12k.npz"),
    "verify": command(codegen.main, "verify", MODELS / "digits-mlp.npz"),
    "summary": command(trainer.main, "summary", "--data", "digits", "--model", "conv3x3:16, conv3x3:28 pool2, dense"),
    "evaluate": command(trainer.main, "evaluate", MODELS / "digits-mlp.npz"),
    "models": lambda: run_command(lambda words: models.main(words, "signbit models"), []),
    "device list": command(device.main, "list"),
    "emulate": lambda: print_results(console(), CORES),
    "demo": lambda: demo._print_agreement(console(), demo.Outcome({}, "", ROWS[0], "", "", None, EMULATED, None)),
    "bench": lambda: bench_tables.print_rows(console(), json.loads(bench_tables.RESULTS.read_text())),
}  # fmt: skip


@pytest.fixture
def printed(monkeypatch, capsys):
    """What a command prints at a width; None for a pipe, which has none."""

    boards = [SimpleNamespace(name=f"/dev/ttyACM{number}", description="STM32 STLink " * 4) for number in range(2)]
    monkeypatch.setattr(device, "candidates", lambda: boards)
    monkeypatch.setattr(device, "_probe", lambda port: "signbit 0.1.0, model digits (6d2ee564)")

    def run(name: str, columns: int | None) -> str:
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", str(columns))
        PRINTED[name]()
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", PRINTED)
def test_numbers_are_whole_at_80_columns_and_in_a_pipe(name, printed):
    """`inspect` printed 143,3… for 143,388 instructions, at 80 columns and in every pipe."""
    whole, narrow = (printed(name, columns) for columns in (None, 80))
    assert whole and "…" not in whole + narrow and "no room" not in whole
    assert set(NUMBER.findall(narrow)) <= set(NUMBER.findall(whole))
    rules = [line for line in narrow.splitlines() if set(line) == {"─"}]
    assert all(len(rule) <= 80 for rule in rules)


def test_inspect_says_what_it_leaves_out(printed):
    narrow = printed("inspect", 80)
    plan = make_plan(load(MODELS / "mnist-4k.npz"), target="cortex-m0")
    for layer in plan.layers:
        assert f"{round(layer.cost.instructions):,}" in narrow and layer.kernel.name in narrow
    assert "no room for: shape, accumulator" in narrow


CELLS = st.text(st.characters(exclude_categories=("C", "Z", "M")), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=4), st.permutations([0, 1, 2, 3]), st.integers(1, 60))
def test_columns_are_whole_or_left_out_by_rank(rows, ranks, width):
    screen = console()
    screen.file, screen.width = io.StringIO(), width
    print_table(screen, [Column(f"c{rank}", rank, left=True) for rank in ranks], rows)
    head, rule, *lines = screen.file.getvalue().splitlines()
    shown = [rank for rank in ranks if f"c{rank}" in head]
    assert sorted(shown) == list(range(len(shown)))
    assert len(shown) == 1 or cell_len(rule) <= width
    for row, line in zip(rows, lines, strict=False):
        assert all(cell in line for cell, rank in zip(row, ranks, strict=True) if rank in shown)


def test_text_is_no_markup():
    screen = console()
    screen.file = io.StringIO()
    print_table(screen, [Column("class")], [["[red]:smile:"]])
    assert "[red]:smile:" in screen.file.getvalue()

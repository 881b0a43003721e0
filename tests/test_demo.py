"""tools/demo without GCC for Arm and QEMU: cores by packages from PyPI take their place."""

import io
import json

import pytest
from rich.console import Console

from signbit.codegen import emulated_core
from signbit.codegen.kernels.targets import TARGETS
from signbit.qmodel.errors import SignbitError
from tools.setup import demo, environment

QEMU_IS_MISSING = "qemu-system-arm is missing: apt install qemu-system-arm"
TRAINING = {"accuracy": {"test": {"count": 360, "float_correct": 352, "integer_correct": 351}}}
VERIFIED = {"digits test set": {"inputs": 360, "values": 27_360, "different": 0}}


@pytest.fixture
def model(repository):
    return repository / "models" / "digits-mlp.npz"


@pytest.fixture
def steps(monkeypatch):
    """What the commands print."""
    said = {"train": json.dumps(TRAINING), "export": "digits.h: 1036 bytes\n", "verify": json.dumps(VERIFIED)}
    monkeypatch.setattr(demo, "_step", lambda progress, *words: said.get(words[0], ""))
    monkeypatch.setattr(demo, "missing", lambda: QEMU_IS_MISSING)
    return said


def screen_of(model, tmp_path):
    text = io.StringIO()
    outcome = demo.run_steps(model, tmp_path / "digits.h", tmp_path / "digits.html", Console(file=io.StringIO()))
    demo.show(Console(file=text, width=80), outcome, model, tmp_path / "digits.h", tmp_path / "digits.html", 1)
    return outcome, text.getvalue()


def test_five_cores_are_verified_without_qemu(steps, model, tmp_path):
    if reason := emulated_core.missing(TARGETS["cortex-m4"]):
        pytest.skip(reason)
    outcome, screen = screen_of(model, tmp_path)
    assert outcome.equal and outcome.not_run is None
    ran = {row.title: row for row in outcome.emulated.rows if row.inputs}
    assert list(ran) == ["Cortex-M0", "Cortex-M3", "Cortex-M4", "Cortex-M7", "Cortex-M33"]
    assert {(row.inputs, row.values, row.different) for row in ran.values()} == {(360, 27_360, 0)}
    assert "Cortex-M55     NOT RUN" in screen and "Cortex-M55: NOT RUN, Unicorn has no Cortex-M55" in screen
    assert "emulated by Unicorn" in screen and "QEMU;" not in screen


def test_a_wrong_value_on_a_core_is_no_success(steps, model, tmp_path, monkeypatch):
    rows = [demo.Row("Cortex-M3", 360, 27_360, 1, ("4,186",))]
    monkeypatch.setattr(demo, "run_on_unicorn", lambda *_: demo.Emulated(rows, ("instructions",)))
    monkeypatch.setattr(demo.emulated_core, "missing", lambda target: None)
    assert not screen_of(model, tmp_path)[0].equal


def test_without_any_emulator_both_ways_are_named(steps, model, tmp_path, monkeypatch):
    monkeypatch.setattr(demo.emulated_core, "missing", lambda target: f"unicorn missing: {emulated_core.INSTALL}")
    outcome, screen = screen_of(model, tmp_path)
    assert outcome.not_run == f"{QEMU_IS_MISSING}; or unicorn missing: pip install 'signbit[cross]'"
    assert "Emulated Cortex-M cores: NOT RUN, qemu-system-arm is missing" in screen


def test_a_computer_without_a_compiler_is_not_run(steps, model, tmp_path, monkeypatch):
    def step(progress, *words):
        if words[0] == "verify":
            raise SignbitError("no C compiler was found")
        return steps.get(words[0], "")

    monkeypatch.setattr(demo, "_step", step)
    monkeypatch.setattr(demo.emulated_core, "missing", lambda target: "no")
    assert "this computer  NOT RUN" in screen_of(model, tmp_path)[1]


@pytest.mark.parametrize(
    ("installed", "extras"),
    [
        ({"clang", "wasm-ld", "arm-none-eabi-gcc", "qemu-system-arm"}, "firmware"),
        ({"arm-none-eabi-gcc", "qemu-system-arm"}, "firmware,cross"),
        ({"cc", "clang", "arm-none-eabi-gcc", "qemu-system-arm"}, "firmware,cross"),
        ({"cc", "qemu-system-arm"}, "cross"),
        (set(), "cross"),
    ],
    ids=["all", "no host compiler", "no linker for the page", "no Arm compiler", "nothing"],
)
def test_pypi_takes_the_place_of_what_apt_did_not_bring(monkeypatch, installed, extras):
    monkeypatch.setattr(environment, "is_there", lambda name: name in installed)
    assert environment.extras_for_demo(hears=False) == extras
    assert environment.extras_for_demo(hears=True) == f"{extras},sound"

"""Faults on the line and fuzzed bytes: short versions of `python -m tools faults` and `python -m tools fuzz`."""

import json
import shutil

import pytest

from signbit.emulate import emulation as emulate
from signbit.emulate.pio import FIRMWARE
from signbit.qmodel.file import load
from tools.documents.blocks import block
from tools.prove import faults, fuzz

PROTOCOL = FIRMWARE / "src" / "protocol.c"


@pytest.fixture(scope="module")
def model():
    if not shutil.which("cc"):
        pytest.skip("no C compiler: apt install gcc")
    return load(faults.MODEL)


def test_nothing_wrong_is_accepted_and_nothing_is_lost(model):
    outcome = faults.inject(model, 300_000, 3)
    assert outcome.faults >= 300_000 and outcome.repeats > 100_000 and outcome.inferences > 100_000
    assert (outcome.wrong, outcome.lost) == (0, 0)


def test_crc_16_would_not_do(model):
    """The check itself: with a weaker sum the same harness finds wrong answers that were accepted."""
    assert faults.inject(model, 1_000_000, 1, crc_16=True).wrong > 0


def test_a_decoder_without_a_check_is_found_out_at_once(model, tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "with_crc_16", lambda source: source.replace(*without_crc(source)))
    assert faults.inject(model, 2_000, 1, crc_16=True).wrong > 0


def without_crc(source):
    check = "return read_u32(wire + 1u + length) == protocol_crc32(wire + 1, length) ? length : 0u;"
    assert source.count(check) == 1
    return check, "return length;"


def test_the_emulated_core_bears_faults_too():
    if emulate.missing():
        pytest.skip(emulate.missing())
    outcome = faults.inject_core(faults.MODEL, 500, 2)
    assert outcome.faults >= 500 and outcome.repeats > 100
    assert (outcome.wrong, outcome.lost) == (0, 0)


def test_the_table_is_that_of_the_long_run():
    figures = json.loads(faults.FIGURES.read_text())
    assert block(faults.BLOCK, faults.DOCUMENT) == faults.table(figures["devices"])
    host, weak, core = (figures["devices"][name] for name in (faults.HOST, faults.WEAK, faults.CORE))
    assert host["faults"] >= faults.FAULTS and core["faults"] >= faults.CORE_FAULTS
    assert [row["wrong"] + row["lost"] for row in (host, core)] == [0, 0] and weak["wrong"] > 0


def test_a_short_run_leaves_the_table_alone(model, capsys):
    before = faults.FIGURES.read_bytes(), faults.DOCUMENT.read_bytes()
    # so few faults that CRC-16 does as well, which the check does not take
    assert faults.main(["--faults", "1000", "--core-faults", "0"]) == 1
    assert "has to be wrong at least once" in (out := capsys.readouterr().out) and "FAILED" in out
    assert (faults.FIGURES.read_bytes(), faults.DOCUMENT.read_bytes()) == before


def test_the_fuzzer_s_line_is_that_of_the_long_run():
    figures = json.loads(fuzz.FIGURES.read_text())
    assert block(fuzz.BLOCK, fuzz.DOCUMENT) == fuzz.line(figures)
    assert figures["runs"] >= fuzz.RUNS and figures["finding"] is None


@pytest.fixture
def clang():
    if not shutil.which("clang"):
        pytest.skip("clang is missing: apt install clang")


def test_the_fuzzer_finds_nothing(clang):
    outcome = fuzz.fuzz(50_000, 1)
    assert (outcome.runs, outcome.finding) == (50_000, None)
    assert outcome.coverage_edges > 100


@pytest.mark.parametrize(
    "sound, planted",
    [
        ("if (length < PROTOCOL_WIRE_BYTES) {", "if (length < 256u) {"),
        ("if (offset > device->input_bytes || bytes > device->input_bytes - offset) {", "if (offset > 1u << 20) {"),
    ],
    ids=["length", "offset"],
)
def test_the_fuzzer_finds_what_is_planted(clang, tmp_path, sound, planted):
    source = PROTOCOL.read_text()
    assert source.count(sound) == 1
    (tmp_path / "protocol.c").write_text(source.replace(sound, planted))
    assert fuzz.fuzz(2_000_000, 1, tmp_path / "protocol.c").finding

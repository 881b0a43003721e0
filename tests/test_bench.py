"""The benchmark: a counter that is exact, cycles as worked out by hand, predictions that hold, tables that agree."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from signbit.codegen.plan import make_plan
from signbit.emulate.machines import CORES, MACHINES, RISCV
from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from tools.cores import emulated as cores
from tools.documents.blocks import ROOT, block
from tools.measure import (
    bench,
    bench_host,
    bench_layers,
    bench_models,
    bench_tables,
    rival_cmsis_nn,
    rival_code,
    rival_emlearn,
    rivals,
)

PREDICTION_ERROR_MAX = 0.05
COMPILED_ERROR_MAX = 0.1
"""On RISC-V, where a compiler makes most of a kernel."""
needs_cores = pytest.mark.skipif(cores.missing() is not None, reason=str(cores.missing()))
EVERY_CORE = pytest.mark.parametrize(
    "core",
    [
        pytest.param(core, marks=pytest.mark.skipif(reason is not None, reason=str(reason)))
        for core in CORES
        for reason in [cores.missing([core])]
    ],
)
SAMPLE = ("dense 784→10", "conv 3×3, 16→16, 14×14, valid")
ROW_TYPES = {
    "core": str,
    "layer": str,
    "kernel": str,
    "chosen": bool,
    "macs": int,
    "instructions": int,
    "instructions_per_mac": float,
    "predicted_instructions": int | None,
    "estimated_cycles": int | None,
    "estimated_cycles_m0plus": int | None,
    "flash_bytes": int,
    "scratch_bytes": int,
}

# r0 points to two words, of which the first holds that same address; r2 is 3, r3 is 4
PROGRAM = """#include <stdint.h>
#pragma GCC diagnostic ignored "-Wunused-function"
#include "stream.h"
%(functions)s
int main(void)
{
    uint32_t words[4];

    words[0] = (uint32_t)(uintptr_t)words;
    stream_open();
%(calls)s
    return 0;
}
"""
FUNCTION = """
static __attribute__((noinline)) void sequence%(number)d(const uint32_t *words)
{
    __asm volatile(".syntax unified\\n"
                   "mov r0, %%0\\n"
                   "movs r2, #3\\n"
                   "movs r3, #4\\n"
                   "%(code)s\\n" :: "l"(words)
                   : "r0", "r1", "r2", "r3", "r4", "r5", "lr", "s0", "s1", "s2", "s3", "cc", "memory");
}
"""
START, STOP = "mov r9, r9", "mov r10, r10"
# code: instructions, and cycles of M0, M0+, M3 and M4
THUMB = {
    "nop": (1, 1, 1, 1, 1),
    "muls r1, r2, r1": (1, 1, 1, 1, 1),
    "ldr r1, [r0]; ldr r2, [r0, #4]": (2, 4, 4, 3, 3),
    "ldr r1, [r0]; ldr r1, [r1]": (2, 4, 4, 4, 4),
    "ldrb r1, [r0]; ldrb r2, [r0, r3]; ldrh r1, [r0, #2]": (3, 6, 6, 4, 4),
    "ldr r1, [r0]; nop; ldr r2, [r0, #4]": (3, 5, 5, 5, 5),
    "str r2, [r0, #4]": (1, 2, 2, 1, 1),
    "ldr r1, [r0]; str r1, [r0, #4]": (2, 4, 4, 3, 3),
    "ldr r1, [r0]; str r1, [r0, r3]": (2, 4, 4, 3, 3),
    "str r2, [r0, r3]; ldr r1, [r0]": (2, 4, 4, 4, 4),
    "push {r1, r2, r3}; pop {r1, r2, r3}": (2, 8, 8, 8, 8),
    "ldmia r0!, {r1, r2}": (1, 3, 3, 3, 3),
    "b 1f; nop; 1:": (1, 3, 2, 3, 3),
    "cmp r2, #3; beq 1f; nop; 1:": (2, 4, 3, 4, 4),
    "cmp r2, #4; beq 1f; nop; 1:": (3, 3, 3, 3, 3),
    "bl 1f; b 2f; 1: bx lr; 2:": (3, 10, 7, 9, 9),
}
# not on M0 and M0+
THUMB2 = {
    "mla r1, r2, r3, r1": (1, 2, 1),
    "mul r1, r2, r3": (1, 1, 1),
    "umull r1, r4, r2, r3": (1, 4, 1),
    "smlal r1, r4, r2, r3": (1, 5, 1),
    "udiv r1, r3, r2": (1, 7, 7),
    "ldrd r1, r4, [r0]": (1, 3, 3),
    "ldr.w r1, [r0, r3, lsl #0]; ldrb.w r4, [r0, #1]": (2, 3, 3),
    "ldrb r1, [r0], #1; strb r1, [r0], #1": (2, 3, 3),
    "push.w {r4, r10}; pop.w {r4, r10}": (2, 6, 6),
    "cbz r2, 1f; nop; 1:": (2, 2, 2),
    "cbnz r2, 1f; nop; 1:": (1, 3, 3),
    "it eq; moveq r1, r2": (2, 2, 2),
}
# DSP and floating point: M4 alone
M4 = {
    "usada8 r1, r2, r3, r1": (1, 1),
    "smlad r1, r2, r3, r1": (1, 1),
    "vadd.f32 s0, s1, s2": (1, 1),
    "vmul.f32 s1, s2, s3": (1, 1),
    "vfma.f32 s1, s2, s3": (1, 3),
    "vmla.f32 s0, s2, s3": (1, 3),
    "vdiv.f32 s0, s1, s2": (1, 14),
    "vsqrt.f32 s1, s2": (1, 14),
    "vldr s0, [r0]": (1, 2),
    "vstr d0, [r0, #8]": (1, 3),
    "vldmia r0, {s0-s3}": (1, 5),
    "vmov s0, r1": (1, 1),
    "vmov r1, r4, d0": (1, 2),
}


def counts_of(folder, sequences: list[str]) -> list[list[int]]:
    """The counter's lines for pieces of assembly, run on an M4 with its floating-point unit; all models' columns."""
    source = folder / "main.c"
    source.write_text(program(sequences))
    elf = cores.build(source, MACHINES["m4"], flags=rival_emlearn.BUILDS["m4"].flags)
    cores.execute(elf, MACHINES["m4"], b"", count=True)
    lines = [[int(word) for word in line.split()] for line in (folder / "counts").read_text().splitlines()]
    return lines[len(cores.CALIBRATION) :]


def program(sequences: list[str]) -> str:
    """Each sequence is a function, for its own literal pool."""
    codes = ["\\n".join(part.strip() for part in sequence.split(";")) for sequence in sequences]
    functions = [FUNCTION % {"number": number, "code": code} for number, code in enumerate(codes)]
    calls = [f"    sequence{number}(words);" for number in range(len(codes))]
    return PROGRAM % {"functions": "".join(functions), "calls": "\n".join(calls)}


@EVERY_CORE
def test_counter_is_calibrated_on_every_core(core, tmp_path):
    (tmp_path / "main.c").write_text(program([]))
    elf = cores.build(tmp_path / "main.c", CORES[core])
    assert cores.execute(elf, CORES[core], b"", count=True).instructions == []


@needs_cores
def test_an_m0s_code_counts_the_same_on_the_large_machine(digits, monkeypatch):
    """A model beyond the micro:bit's memory is counted on a machine with an M3."""
    plan = make_plan(load(ROOT / "models" / "digits-conv.npz"), target="cortex-m0", optimize="speed")
    usual = cores.run([plan], [digits.test.x[:2]], "m0", offset=0, count=True)
    monkeypatch.setattr(cores, "M0_MODEL_BYTES", 0)
    assert cores.machine_for([plan], "m0").machine == "mps2-an385"
    assert cores.run([plan], [digits.test.x[:2]], "m0", offset=0, count=True) == usual


@needs_cores
def test_counter_that_is_off_is_refused(tmp_path, monkeypatch):
    (tmp_path / "main.c").write_text(program([]))
    elf = cores.build(tmp_path / "main.c", MACHINES["m3"])
    monkeypatch.setattr(cores, "CALIBRATION", [[0, 0, 0, 0, 0], [200, 399, 300, 399, 399]])
    with pytest.raises(SignbitError, match="201"):
        cores.execute(elf, MACHINES["m3"], b"", count=True)


@needs_cores
def test_cycles_are_those_worked_out_by_hand(tmp_path):
    sequences = [*THUMB, *THUMB2, *M4]
    counts = counts_of(tmp_path, [f"{START}; {sequence}; {STOP}" for sequence in sequences])
    for sequence, (instructions, m0, m0plus, m3, m4) in zip(sequences, counts, strict=True):
        if sequence in THUMB:
            assert (instructions, m0, m0plus, m3, m4) == THUMB[sequence], sequence
        elif sequence in THUMB2:
            assert (instructions, m3, m4) == THUMB2[sequence], sequence
        else:
            assert (instructions, m4) == M4[sequence], sequence


@needs_cores
def test_marks_at_the_end_of_a_page_are_seen(tmp_path):
    """QEMU 7.2 hands over four bytes of a short instruction when one halfword of a page of 1 KiB is left behind it."""
    places = range(1010, 1024, 2)
    sequences = [f"b.w 1f; .balign 1024; .space {at}; 1: {START}; nop; nop; {STOP}" for at in places]
    assert counts_of(tmp_path, sequences) == [[2, 2, 2, 2, 2]] * len(places)


@EVERY_CORE
@pytest.mark.parametrize("layer", SAMPLE)
def test_prediction_holds_for_the_chosen_kernel(layer, core):
    rows = [measured.as_row() for measured in bench.layer_rows(layer, core, chosen_only=True)]
    check_rows(rows)
    assert [row["core"] for row in rows] == [core] * len(rows)


@EVERY_CORE
def test_prediction_holds_for_a_whole_model(core):
    rows = [measured.as_row() for measured in bench_models.measure("digits-mlp", core)]
    check_rows(rows)
    assert rows[0]["layer"] == "model digits-mlp"
    assert rows[0]["macs"] == 64 * 64 + 64 * 10


def check_rows(rows: list[dict]):
    for row in rows:
        assert {key: isinstance(row[key], ROW_TYPES[key]) for key in row} == dict.fromkeys(ROW_TYPES, True)
        assert row["chosen"] and row["predicted_instructions"] is not None, row
        error_max = COMPILED_ERROR_MAX if row["core"] in RISCV else PREDICTION_ERROR_MAX
        assert abs(bench_tables.prediction_error(row)) <= error_max, row
        assert (row["estimated_cycles"] is not None) == (row["core"] in cores.CYCLE_MODELS_OF)
        assert (row["estimated_cycles_m0plus"] is not None) == (row["core"] == "m0")
        assert row["instructions_per_mac"] == round(row["instructions"] / row["macs"], 4)


@needs_cores
def test_every_kernel_that_fits_is_a_row():
    rows = bench.layer_rows("conv 3×3, 32→48, 5×5", "m4")
    assert [row.kernel for row in rows] == bench_layers.kernels_for("conv 3×3, 32→48, 5×5", "m4")
    assert [row.kernel for row in rows if row.chosen] == [bench_layers.chosen_kernel("conv 3×3, 32→48, 5×5", "m4")]


@needs_cores
def test_wrong_output_is_no_measurement(monkeypatch):
    execute = cores.execute

    def one_bit_off(*arguments, **options):
        run = execute(*arguments, **options)
        return replace(run, output=bytes([run.output[0] ^ 1]) + run.output[1:])

    monkeypatch.setattr(cores, "execute", one_bit_off)
    with pytest.raises(bench_layers.WrongOutput, match="layer 0, input 0, value 0"):
        bench_layers.measure("dense 784→10", "m3")


@pytest.mark.skipif(rival_emlearn.packages_missing() is not None, reason=str(rival_emlearn.packages_missing()))
def test_a_rival_leaves_numpys_errors_as_they_were(tmp_path):
    """Where emlearn had been imported, an underflow elsewhere raised FloatingPointError."""
    program = (
        "import sys; import numpy as np; from pathlib import Path; from tools.measure import rival_emlearn as rivals\n"
        "rivals.write_c(rivals.train(rivals.RIVALS['digits-mlp']), Path(sys.argv[1]))\n"
        "assert 'emlearn' in sys.modules and np.geterr()['under'] == 'ignore', np.geterr()"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, check=True)


@needs_cores
def test_rival_computes_what_scikit_learn_does():
    if rival_emlearn.missing():
        pytest.skip(rival_emlearn.missing())
    (measured,) = rival_emlearn.measure("digits-mlp", "m4")
    row = measured.as_row()
    assert (row["kernel"], row["chosen"], row["macs"]) == ("emlearn float", False, 4736)
    assert row["instructions"] > 5 * row["macs"]
    assert row["flash_bytes"] > 4 * row["macs"]


def test_rounding_of_a_rival_is_the_one_that_it_documents():
    """By hand: 3/2 is 2 (half up), then 2/2 is 1; -3/2 is -1, then -1/2 is -1 (half away from zero)."""
    one = np.ones((1, 1), np.int8)
    layer = rival_cmsis_nn.Layer(1, 1, 1)
    found = [rival_cmsis_nn.expected(layer, one, np.zeros(1, np.int32), one[0] * x, 1).item() for x in (3, -3, 127)]
    assert found == [1, -1, 32]


@needs_cores
def test_code_of_others_is_counted_by_every_compiler(tmp_path):
    if rival_code.missing():
        pytest.skip(rival_code.missing())
    source = tmp_path / "theirs.c"
    source.write_text("unsigned twice(unsigned x) { return x + x; }\n")
    main = (
        '#include <stdint.h>\n#include "stream.h"\nunsigned twice(unsigned x);\nint main(void) { uint32_t x;'
        " stream_open(); stream_read(&x, 4); STREAM_START(); x = twice(x); STREAM_STOP(); stream_write(&x, 4);"
        " stream_close(); return 0; }\n"
    )
    for compiler in rival_code.compilers():
        objects = rival_code.compile_all(compiler, "m3", ["-O2"], [source], tmp_path / compiler.name)
        run = rival_code.run(main, objects, "m3", [], (21).to_bytes(4, "little"))
        assert int.from_bytes(run.output, "little") == 42
        assert 2 <= run.instructions[0] <= 6  # one addition, a call and a return
        assert rival_code.linked_bytes(objects, "m3", "twice")[0] >= 4


@pytest.mark.parametrize("option", ["--cmsis-nn", "--bitnetmcu"])
def test_a_folder_without_a_rivals_sources_is_refused(option, tmp_path, capsys):
    if rival_code.missing():
        pytest.skip(rival_code.missing())
    assert run_command(rivals.main, [option, str(tmp_path)]) == 2
    assert "give the folder of the rival's sources" in capsys.readouterr().err


def test_times_on_this_computer(monkeypatch):
    if bench_host.missing():
        pytest.skip(bench_host.missing())
    monkeypatch.setattr(bench_host, "ROUNDS", 3)
    row = bench_host.measure("digits-mlp").as_row()
    assert row["rounds"] == 3
    assert all(time > 0 for time in row["microseconds"].values())
    assert all(low <= median <= high for low, median, high in row["times_ours"].values())


def test_what_can_not_run_says_why(monkeypatch, capsys):
    monkeypatch.setattr(cores, "missing", lambda *_: "no emulator: apt install one")
    assert run_command(bench.main, ["--models"]) == 0
    output = capsys.readouterr()
    assert "NOT RUN: emulated cores: no emulator: apt install one" in output.out
    assert "bench/results.json stays as it is" in output.err


def test_unknown_names_are_refused(capsys):
    assert run_command(bench.main, ["--cores", "m9"]) == 2
    assert "core 'm9' is unknown" in capsys.readouterr().err
    if not cores.missing():
        assert run_command(bench.main, ["--layers", "dense 3→4"]) == 2
        assert "no layer has 'dense 3→4' in its name" in capsys.readouterr().err


def test_readme_has_the_tables_of_the_results():
    rows, timings = (json.loads(path.read_text()) for path in (bench_tables.RESULTS, bench_tables.HOST))
    counted = bench_tables.read_counted()
    assert block(bench_tables.BLOCK) == bench_tables.readme_text(rows, timings, counted)
    assert block(rivals.BLOCK) == rivals.tables_text(counted, json.loads(rivals.ZOO.read_text()))
    assert {(row["layer"], row["core"]) for row in rows} >= {
        (layer, core) for layer in bench_layers.LAYERS for core in MACHINES
    }

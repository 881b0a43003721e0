"""The real firmware on emulated cores: whole test sets, the UART, faults and the tick counter."""

import dataclasses
import json
import signal
import subprocess

import numpy as np
import pytest

from signbit.codegen.kernels.targets import ARM
from signbit.emulate import command, pio
from signbit.emulate import emulation as emulate
from signbit.emulate import machines as emulator
from signbit.emulate.machines import MACHINES, RISCV, EmulatedUart
from signbit.line.link import Link
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.trainer.command import cli as train
from tests.emulated_time import EMULATED_TIME, cpu_seconds
from tools.networks.random import random_model

CORES = pytest.mark.parametrize("core", MACHINES)


@pytest.fixture(scope="session", autouse=True)
def tools_are_here():
    reason = emulate.missing()
    if reason:
        pytest.skip(reason)


def run_all(repository, name, inputs):
    """Emulate the shipped model of the data set `name` on every core; each core's result by its name."""
    results = emulate.emulate(repository / "models" / f"{name}-mlp.npz", inputs)
    return {result.core: result for result in results}


@pytest.fixture(scope="session")
def digits_results(repository, digits_elfs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pio, "build", lambda *_: digits_elfs)
        return run_all(repository, "digits", load_dataset("digits").test.x)


@pytest.fixture(scope="session")
def mnist_results(repository, mnist):
    return run_all(repository, "mnist", mnist.test.x)


@pytest.fixture
def nothing_to_build(digits_elfs, monkeypatch):
    monkeypatch.setattr(pio, "build", lambda envs, *_: {env: digits_elfs[env] for env in envs})


@CORES
def test_every_digit_gives_the_values_of_python(digits_results, core):
    result = digits_results[core]
    assert (result.inputs, result.different) == (360, 0)
    assert result.values >= 360 * 10
    assert (result.uart_trips, result.uart_different) == (20, 0)


@CORES
def test_every_mnist_image_gives_the_values_of_python(mnist_results, core):
    result = mnist_results[core]
    assert (result.inputs, result.different) == (10_000, 0)
    assert (result.uart_trips, result.uart_different) == (20, 0)


@pytest.mark.parametrize("encoding", ["affine", "pieces:4", "thermometer:3"])
def test_a_table_s_counts_become_the_logits_of_python(tmp_path, encoding, capsys, monkeypatch):
    """From what the sensor gives: the inputs that are made of it are compared, too."""
    if reason := emulate.missing(["riscv32"]):
        pytest.skip(reason)
    table, path = tmp_path / "table.csv", tmp_path / "table.npz"
    rows = np.random.default_rng(0).normal(0, 3, (60, 2)).round(3)
    text = "".join(f"{a},{b},{'high' if a * b > 0 else 'low'}\n" for a, b in rows)
    table.write_text(f"a,b,kind\n{text}")
    options = ["--model", "mlp", "--hidden", "8", "--epochs", "2", "--input-encoding", encoding, "--quiet"]
    train.main(["--data", str(table), *options, "--out", str(path)])
    capsys.readouterr()
    command_line = [str(path), "--data", str(table), "--cores", "riscv32", "--json"]
    assert command.main(command_line) == 0
    model, (row,) = load(path), json.loads(capsys.readouterr().out)
    assert (row["inputs"], row["values"]) == (12, 12 * (model.input_size + 8 + 2))
    # the check itself
    right = type(model).quantize_input
    monkeypatch.setattr(type(model), "quantize_input", lambda model, counts: right(model, counts[::-1]))
    assert command.main(command_line) == 1
    with pytest.raises(SignbitError, match="takes a sensor's counts, but the data are bytes"):
        emulate.given_by(load_dataset("digits").test, model)


@pytest.mark.parametrize("core", RISCV)
@pytest.mark.parametrize("name", ["digits-mlp", "digits-conv"])
def test_batches_on_riscv_give_the_values_of_python(repository, core, name):
    """There is no port of the UART: the batch firmware alone."""
    if reason := emulate.missing([core]):
        pytest.skip(reason)
    inputs = load_dataset("digits").test.x
    (result,) = emulate.emulate(repository / "models" / f"{name}.npz", inputs, [core])
    assert (result.inputs, result.different, result.uart_trips) == (360, 0, 0)
    assert 0 < result.stack_used_bytes <= 512


@pytest.mark.parametrize(
    "program, cause", [("unimp", 102), ("lw zero, 0(zero)", 105)], ids=["illegal instruction", "wild read"]
)
@pytest.mark.parametrize("core", RISCV)
def test_a_trap_ends_the_emulator_with_a_code(tmp_path, core, program, cause):
    if reason := emulate.missing([core]):
        pytest.skip(reason)
    source, machine = tmp_path / "program.c", RISCV[core]
    source.write_text(f'int main(void) {{ __asm volatile("{program}"); return 0; }}\n')
    emulator.build(machine, [source], tmp_path / "program.elf", *machine.target.flags, "-Os")
    with pytest.raises(SignbitError, match=f"ended with code {cause}"):
        emulator.run_batch(machine, tmp_path / "program.elf", b"", tmp_path)


def test_a_core_whose_tools_are_missing_is_told_and_the_others_run(repository, nothing_to_build, capsys, monkeypatch):
    found = emulate.missing
    monkeypatch.setattr(command, "missing", lambda cores: "no compiler: get it" if cores == ["m55"] else found(cores))
    assert run_main(repository, "--cores", "m3,m55", "--limit", "2", "--uart", "1") == 0
    printed = capsys.readouterr()
    assert "Cortex-M3" in printed.out and "Cortex-M55" not in printed.out
    assert printed.err == "note: NOT RUN: m55: no compiler: get it\n"
    assert run_main(repository, "--cores", "m3,m55", "--require") == 3


@pytest.mark.slow
def test_a_thousand_round_trips_on_each_core_without_an_error(repository):
    inputs = load_dataset("digits").test.x
    for result in emulate.emulate(repository / "models" / "digits-mlp.npz", inputs, uart_trips=1000):
        assert (result.uart_trips, result.uart_different) == (1000, 0)


@CORES
def test_it_answers_within_half_a_second_of_power_on(digits_elfs, core):
    """By the emulator's processor time, which other programs on this computer do not lengthen."""
    with EmulatedUart(MACHINES[core], digits_elfs[MACHINES[core].env]) as uart:
        Link(uart, timeout=10).info()
        assert cpu_seconds(uart.process.pid) < 0.5


@CORES
def test_the_stack_has_room_to_spare(digits_results, core):
    assert 0 < digits_results[core].stack_used_bytes <= 512


@CORES
def test_the_core_is_the_one_it_claims_to_be(digits_elfs, core):
    """CPUID's part number names the core, so that no two rows of a table come from the same one."""
    parts = {"m0": 0xC20, "m3": 0xC23, "m4": 0xC24, "m7": 0xC27, "m33": 0xD21, "m55": 0xD22}
    with EmulatedUart(MACHINES[core], digits_elfs[MACHINES[core].env]) as uart:
        info = Link(uart, timeout=10).info()
    assert info.core_id >> 4 & 0xFFF == parts[core]
    assert info.emulated


@CORES
def test_it_sleeps_while_it_waits(digits_elfs, core):
    """The processor time of an idle second: a firmware that polls would take all of it."""
    with EmulatedUart(MACHINES[core], digits_elfs[MACHINES[core].env]) as uart:
        Link(uart, timeout=10).info()
        before = cpu_seconds(uart.process.pid)
        assert uart.read(1) == b""
        assert cpu_seconds(uart.process.pid) - before < 0.3


def test_noise_on_the_line_leaves_it_answering(digits_elfs, repository):
    model = load(repository / "models" / "digits-mlp.npz")
    x = load_dataset("digits").test.x[:1]
    machine = MACHINES["m0"]
    with EmulatedUart(machine, digits_elfs[machine.env]) as uart:
        uart.write(np.random.default_rng(3).bytes(10_000))
        assert Link(uart, timeout=10).infer(x[0]).logits == tuple(model.run(x)[0])


# -- the comparison itself, and the ways a run can end -----------------------------------------------------------------


def batch_output(model, x):
    """What a faultless batch firmware writes."""
    trace = model.trace(x)
    columns = [layer.reshape(len(x), -1).astype(layer.dtype.newbyteorder("<")) for layer in (*trace, trace[-1])]
    return b"".join(b"".join(column[row].tobytes() for column in columns) for row in range(len(x))) + bytes(4)


def test_the_comparison_counts_every_wrong_value(repository):
    model = load(repository / "models" / "digits-mlp.npz")
    x = load_dataset("digits").test.x[:5]
    trace = model.trace(x)
    output = batch_output(model, x)
    assert emulate.compare_batch(output, trace) == (0, 0)
    hidden = sum(layer[0].size for layer in trace[:-1])
    traced, returned = hidden, hidden + 4 * trace[-1].shape[1]
    for wrong_at, count in (((0,), 1), ((traced,), 1), ((returned,), 1), ((traced, returned), 1), ((0, returned), 2)):
        spoiled = bytearray(output)
        for at in wrong_at:
            spoiled[at] ^= 1
        assert emulate.compare_batch(bytes(spoiled), trace) == (count, 0)


def run_main(repository, *options):
    return command.main([str(repository / "models" / "digits-mlp.npz"), *options])


def test_json_has_every_field_of_the_table(repository, nothing_to_build, capsys):
    assert run_main(repository, "--json", "--cores", "m3,m55", "--limit", "7", "--uart", "2") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["core"], row["inputs"], row["different"], row["uart_trips"]) for row in rows] == [
        ("m3", 7, 0, 2),
        ("m55", 7, 0, 2),
    ]


def test_a_difference_is_the_exit_code(repository, digits_results, capsys, monkeypatch):
    spoiled = dataclasses.replace(digits_results["m0"], uart_different=1)
    monkeypatch.setattr(command, "emulate", lambda *_: [digits_results["m3"], spoiled])
    assert run_main(repository) == 1
    assert "19/20" in capsys.readouterr().out


def test_a_core_too_small_for_the_model_is_named(repository, nothing_to_build, monkeypatch, capsys):
    build = pio.build

    def small_m0(envs, *arguments):
        if MACHINES["m0"].env in envs:
            raise pio.DoesNotFit("section `.bss' will not fit in region `RAM'")
        return build(envs, *arguments)

    monkeypatch.setattr(pio, "build", small_m0)
    options = ("--json", "--cores", "m0,m3", "--limit", "3", "--uart", "1")
    assert run_main(repository, *options) == 0
    captured = capsys.readouterr()
    assert [row["core"] for row in json.loads(captured.out)] == ["m3"]
    assert "note: NOT RUN: Cortex-M0 on microbit can't hold the model: section `.bss' will not fit" in captured.err
    assert run_main(repository, *options, "--require") == 3
    with pytest.raises(pio.DoesNotFit):
        run_main(repository, "--cores", "m0")


def test_missing_tools_are_no_pass(repository, capsys, monkeypatch):
    monkeypatch.setattr(command, "missing", lambda *_: "qemu-system-arm is missing: apt install qemu-system-arm")
    assert run_main(repository) == 0
    assert run_main(repository, "--require") == 3
    assert capsys.readouterr().out.count("NOT RUN: qemu-system-arm is missing: apt install") == 2


@pytest.mark.parametrize("options", [("--cores", "m1"), ("--limit", "0"), ("--uart", "-1")])
def test_wrong_options_are_one_line(repository, options):
    with pytest.raises(SignbitError, match=r"core 'm1' is unknown|whole number"):
        run_main(repository, *options)


def test_a_short_output_is_no_pass(repository):
    model = load(repository / "models" / "digits-mlp.npz")
    x = load_dataset("digits").test.x[:5]
    with pytest.raises(SignbitError, match="bytes, but"):
        emulate.compare_batch(batch_output(model, x[:4]), model.trace(x))


def test_half_an_input_is_told(digits_elfs, tmp_path):
    machine = MACHINES["m3"]
    with pytest.raises(SignbitError, match="Cortex-M3: the batch ended with code 13"):
        emulator.run_batch(machine, digits_elfs[machine.batch_env], bytes(65), tmp_path)


def test_a_firmware_that_does_not_end_is_stopped(digits_elfs, tmp_path):
    machine = MACHINES["m3"]
    with pytest.raises(SignbitError, match="wrote nothing for 1 s"):
        emulator.run_batch(machine, digits_elfs[machine.env], b"", tmp_path, timeout=1)


def test_another_machine_s_firmware_is_an_error_and_no_hang(digits_elfs):
    """Code for the M33 board, where the M3 board has no memory."""
    with pytest.raises(SignbitError, match="Cortex-M3"), EmulatedUart(MACHINES["m3"], digits_elfs["qemu_m33"]) as uart:
        Link(uart, timeout=1, retries=1).info()


# -- start-up and ticks, by small programs ---------------------------------------------------------------------------

FAULT = """
int main(void) { __asm volatile("udf #0"); return 0; }
"""
WILD_READ = """
int main(void) { return *(volatile int *)0xE9000000; }
"""
OVERFLOW = """
__attribute__((noinline)) static int deeper(volatile int *above)
{
    volatile int frame[16];
    frame[0] = *above + 1;
    return deeper(frame) + frame[0];
}
int main(void)
{
    volatile int first = 0;
    return deeper(&first);
}
"""
STACK = """
#include "core.h"
#include <stdint.h>
int main(void)
{
    volatile uint8_t used[300];
    for (uint32_t i = 0; i < sizeof used; i++) { used[i] = (uint8_t)i; }
    uint32_t bytes = core_stack_used_bytes();
    return bytes >= 300 && bytes < 400 ? 0 : 1;
}
"""
# set and unset variables, in RAM that held something else before
VARIABLES = """
static volatile unsigned set[3] = { 1, 2, 3 };
static volatile unsigned unset[3];
int main(void)
{
    return set[0] == 1 && set[1] == 2 && set[2] == 3 && (unset[0] | unset[1] | unset[2]) == 0 ? 0 : 1;
}
"""
# every step is small and forward, over four wraps of the 24 bits: a wrap that is lost or counted early would show
TICKS = """
#include "ticks.h"
int main(void)
{
    ticks_init();
    ticks_t start = ticks_now();
    uint64_t last = 0;
    while (last < (uint64_t)4 << 24) {
        uint64_t now = ticks_since(&start);
        if (now < last || now - last > 100000u) { return 1; }
        last = now;
    }
    return ticks_source() == TICKS_SYSTICK ? 0 : 2;
}
"""
CORE_SOURCES = ("startup.c", "core.c", "ticks.c", "semihost.c")


def exit_code(repository, folder, core, program, *qemu_options):
    """Exit code of a C program on an emulated core, with the firmware's own start-up and linker script."""
    firmware = repository / "firmware"
    (folder / "program.c").write_text(program)
    elf = folder / "program.elf"
    subprocess.run(
        [
            *(ARM.compiler, f"-mcpu=cortex-{core}", "-mthumb", "-Os", "-std=c11", "-ffreestanding", "-nostdlib"),
            *("-DSIGNBIT_SEMIHOSTING", f"-I{firmware / 'include'}", f"-I{firmware / 'src'}"),
            *(folder / "program.c", *(firmware / "src" / name for name in CORE_SOURCES)),
            *(f"-L{firmware / 'ld'}", f"-T{MACHINES[core].linker_script}", "-lgcc", "-o", elf),
        ],
        check=True,
    )
    command = [*emulator.command(MACHINES[core], elf), "-serial", "null", *qemu_options]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=600).returncode


@CORES
@pytest.mark.parametrize("program", [FAULT, WILD_READ], ids=["undefined", "wild read"])
def test_a_fault_ends_the_emulator_with_a_code(repository, tmp_path, core, program):
    assert exit_code(repository, tmp_path, core, program) == 103  # 100 and the number of HardFault


@CORES
def test_a_stack_overflow_ends_in_a_fault(repository, tmp_path, core):
    code = exit_code(repository, tmp_path, core, OVERFLOW)
    if MACHINES[core].machine in ("mps2-an385", "mps2-an386", "mps2-an500"):
        # below RAM, MPS2's emulation takes writes and forgets them, and its flash is RAM: the stack goes on until it
        # has overwritten the program with its fault handler, and the core locks up, which QEMU ends with SIGABRT
        assert code > 100 or code == -signal.SIGABRT
    else:
        assert code == 103


@CORES
def test_start_up_sets_the_variables_whatever_ram_holds(repository, tmp_path, core):
    (tmp_path / "ones").write_bytes(b"\xff" * 4096)
    ram = 0x38000000 if core == "m33" else 0x20000000
    # after the stack, which is part of the image and must not be loaded twice
    fill = f"loader,file={tmp_path / 'ones'},addr={ram + 1024:#x},force-raw=on"
    assert exit_code(repository, tmp_path, core, VARIABLES, "-device", fill) == 0


@CORES
def test_the_high_water_mark_is_the_stack_s(repository, tmp_path, core):
    assert exit_code(repository, tmp_path, core, STACK) == 0


PRINTS = """
#include "semihost.h"
int main(void) { semihost_print("first\\n"); semihost_print("second\\n"); return 0; }
"""


def test_what_a_program_prints_is_seen(repository, tmp_path):
    elf = tmp_path / "program.elf"
    (tmp_path / "main.c").write_text(PRINTS)
    emulator.build(MACHINES["m3"], [tmp_path / "main.c"], elf, *MACHINES["m3"].target.flags)
    command = [*emulator.command(MACHINES["m3"], elf), "-serial", "null"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    assert (done.stdout + done.stderr, done.returncode) == ("first\nsecond\n", 0)


SLEEPS = """
#include "core.h"
#include "port.h"
#include "ticks.h"
#define ISER 0xE000E100u
#define ISPR 0xE000E200u
int main(void)
{
    static const uint32_t irqs[] = { 3, 32, 70 };
    ticks_init();
    for (uint32_t i = 0; i < 3u; i++) {
        uint32_t word = 4u * (irqs[i] / 32u), bit = 1u << (irqs[i] % 32u);
        ticks_t start = ticks_now();
        REG32(ISPR + word) = bit;
        core_sleep_until(irqs[i]);
        if (ticks_since(&start) >= (uint64_t)1 << 20) { return 1; }
        for (word = 0; word < 12u; word += 4u) {
            if ((REG32(ISPR + word) | REG32(ISER + word)) != 0u) { return 2; }
        }
    }
    return 0;
}
"""


def test_an_interrupt_that_is_pending_ends_the_sleep_at_once_and_is_forgotten(repository, tmp_path):
    """Of any number; SysTick would end it 16 million ticks later.  Nothing stays enabled or pending."""
    assert exit_code(repository, tmp_path, "m33", SLEEPS, *EMULATED_TIME) == 0


WRONG_BATCHES = {",arg=inputs": 10, ",arg=missing,arg=outputs": 11, ",arg=inputs,arg=no/outputs": 12}
"""Words of the command line, and the codes of firmware/src/batch.c."""


def test_a_batch_writes_all_or_ends_with_the_code_of_what_is_wrong(tmp_path):
    machine, model = MACHINES["m3"], random_model(2, (20, 6, 3))
    elf = emulate._build_batch(machine, model, tmp_path)
    x = np.random.default_rng(0).integers(0, 256, (60, 20), np.uint8)
    output = emulator.run_batch(machine, elf, x.tobytes(), tmp_path)
    assert output[:-4] == batch_output(model, x)[:-4] and 0 < int.from_bytes(output[-4:], "little") < 1024
    for words, code in WRONG_BATCHES.items():
        command = [*emulator.command(machine, elf, words), "-serial", "null"]
        done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
        assert (words, done.returncode) == (words, code)
    with pytest.raises(SignbitError, match="ended with code 13"):
        emulator.run_batch(machine, elf, x.tobytes()[:-1], tmp_path)


@CORES
def test_ticks_go_on_over_the_wraps_of_systick(repository, tmp_path, core):
    # four wraps in a few million instructions
    assert exit_code(repository, tmp_path, core, TICKS, *EMULATED_TIME) == 0

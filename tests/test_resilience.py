"""What the firmware does when it is hurt: faults, hangs, a lost stack, a self-test that fails.  On emulated cores."""

import re
import struct
import subprocess
import time
import zlib

import pytest

from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.emulate import emulation as emulate
from signbit.emulate import pio
from signbit.emulate.machines import MACHINES, EmulatedUart
from signbit.line.frame import Frame, encode
from signbit.line.link import Link
from signbit.line.protocol import Request, ResetCause
from tests.emulated_time import EMULATED_TIME, cpu_seconds
from tests.stub_model import HURT, build_firmware, build_stub
from tools.networks.random import random_model

CORES = pytest.mark.parametrize("core", MACHINES)
UNDEFINED, HANG, OVERFLOW = (bytes([how, 0, 0, 0]) for how in (1, 2, 3))
HARD_FAULT, USAGE_FAULT_BIT, NMI = 3, 1 << 16, 2
# one core of each machine whose emulation has a watchdog
WATCHDOGS = pytest.mark.parametrize("core", ["m3", "m33", "m55"])


@pytest.fixture(scope="module", autouse=True)
def tools_are_here():
    reason = emulate.missing()
    if reason:
        pytest.skip(reason)


def start(machine, elf):
    """A machine with a clock of its own: that the watchdog waits for eight seconds takes no time here."""
    return EmulatedUart(machine, elf, *EMULATED_TIME)


def link_to(uart):
    return Link(uart, timeout=1, retries=100)


def hurt(uart, x):
    """Start the inference that never answers."""
    link_to(uart).request(Request.INPUT, struct.pack("<I", 0) + x)
    uart.write(encode(Frame(Request.INFER, 0, struct.pack("<I", zlib.crc32(x)))))


def text(uart):
    uart.write(b"\0\r\n")
    received = b""
    while not received.endswith(b"\0"):
        received += uart.read(60) or pytest.fail("no answer in text")
    return received.decode()


@CORES
def test_the_registers_of_a_fault_are_told_after_the_reset(tmp_path, core):
    elf = build_stub(tmp_path, MACHINES[core], HURT)
    with start(MACHINES[core], elf) as uart:
        assert link_to(uart).info().fault is None
        hurt(uart, UNDEFINED)
        fault = link_to(uart).info().fault
        assert (fault.exception, fault.r0) == (HARD_FAULT, 0x5A)
        assert symbol_at(elf, fault.pc) in ("hurt", "infer", "model_infer", "protocol_receive", "answer_infer")
        assert fault.cfsr == (0 if core == "m0" else USAGE_FAULT_BIT)
        assert f"reset by a fault at {fault.pc:08x}" in text(uart)
        assert link_to(uart).infer(bytes(4)).logits == (0,)
        link = link_to(uart)
        link.reset()
        assert link.info().fault is None


def symbol_at(elf, address):
    """Name of the function that `address` is in."""
    lines = subprocess.run(["arm-none-eabi-nm", "-n", elf], capture_output=True, text=True, check=True).stdout
    functions = [(int(at, 16), name) for at, name in re.findall(r"^(\w+) [tT] ([a-z]\w+)$", lines, re.MULTILINE)]
    return max((at, name) for at, name in functions if at <= address)[1]


# on the other machines, memory below RAM swallows writes, and the stack overwrites the program
@pytest.mark.parametrize("core", ["m0", "m33", "m55"])
def test_a_lost_stack_leaves_it_answering(tmp_path, core):
    elf = build_stub(tmp_path, MACHINES[core], HURT)
    with start(MACHINES[core], elf) as uart:
        hurt(uart, OVERFLOW)
        assert link_to(uart).infer(bytes(4)).logits == (0,)
        assert link_to(uart).info().fault.exception == HARD_FAULT


@WATCHDOGS
def test_the_watchdog_ends_a_hang(tmp_path, core):
    elf = build_stub(tmp_path, MACHINES[core], HURT)
    with start(MACHINES[core], elf) as uart:
        hurt(uart, HANG)
        fault = link_to(uart).info().fault
        assert fault.exception == NMI
        assert symbol_at(elf, fault.pc) in ("hurt", "infer", "model_infer", "protocol_receive", "answer_infer")


def test_the_watchdog_is_fed_while_nothing_comes(tmp_path):
    elf = build_stub(tmp_path, MACHINES["m3"])
    with start(MACHINES["m3"], elf) as uart:
        link = link_to(uart)
        before, answered = cpu_seconds(uart.process.pid), link.stats().answered
        # asleep, the machine's clock goes more than a hundred times as fast as the processor time that it takes
        while cpu_seconds(uart.process.pid) < before + 0.5:
            time.sleep(0.05)
        # more than one where a busy computer was late and the request was repeated; after a reset it is the first
        assert link.stats().answered > answered


@CORES
def test_a_failed_self_test_is_told_at_once(tmp_path, core):
    elf = build_stub(tmp_path, MACHINES[core], self_test_failed=1)
    with start(MACHINES[core], elf) as uart:
        info = link_to(uart).info()
        assert info.self_test_failed and (info.test_vectors, info.test_vectors_failed) == (1, 1)
        assert info.reset_cause in (ResetCause.UNKNOWN, ResetCause.POWER)
        assert link_to(uart).self_test().failed == 1
        assert "self-test FAILED" in text(uart)


def test_a_newline_alone_is_answered_in_text(tmp_path):
    elf = build_stub(tmp_path, MACHINES["m3"])
    with start(MACHINES["m3"], elf) as uart:
        link_to(uart).info()
        uart.write(b"\n")
        received = b""
        while not received.endswith(b"\0"):
            received += uart.read(60) or pytest.fail("no answer to a newline")
        assert received == b"\r\nsignbit 0.1.0\r\nmodel stub, id 00000000\r\nself-test passed\r\n\0"
        assert link_to(uart).infer(bytes(4)).logits == (0,)


def test_the_firmware_without_a_model_is_small(tmp_path):
    """Bars on the smallest core: 4 KiB of flash, 512 bytes of RAM besides the stack."""
    size = pio.size(build_stub(tmp_path, MACHINES["m0"]))
    assert size.flash_bytes <= 4096
    assert size.ram_bytes <= 512


def test_the_ticks_of_each_layer_are_its_own(tmp_path):
    """A layer's count began with the first layer: together they took more than the whole inference."""
    model = random_model(3, (64, 50, 40, 3))
    elf = build_firmware(tmp_path, MACHINES["m3"], header_text(make_plan(model, "model", "cortex-m3")))
    with start(MACHINES["m3"], elf) as uart:
        link, x = link_to(uart), bytes(64)
        whole, parts = link.infer(x).ticks, [layer.ticks for layer in link.profile(x)]
    assert len(parts) == 3 and parts[0] > parts[1] > parts[2] > 0
    assert sum(parts) == pytest.approx(whole, rel=0.1)


def test_it_sleeps_while_nothing_comes(tmp_path):
    """In the time in which a program that hangs takes 0.3 s of this computer's processors."""
    elf = build_stub(tmp_path, MACHINES["m3"], HURT)
    with EmulatedUart(MACHINES["m3"], elf) as uart:
        hurt(uart, HANG)
        begin, before = time.monotonic(), cpu_seconds(uart.process.pid)
        while cpu_seconds(uart.process.pid) < before + 0.3:
            time.sleep(0.02)
        seconds = time.monotonic() - begin
    with EmulatedUart(MACHINES["m3"], elf) as uart:
        link_to(uart).info()
        before = cpu_seconds(uart.process.pid)
        time.sleep(seconds)
        assert cpu_seconds(uart.process.pid) - before < 0.1

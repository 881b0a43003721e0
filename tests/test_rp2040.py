"""The Raspberry Pi Pico's image: byte by byte (second boot stage, its CRC, UF2), and in an emulator of the RP2040.

It has never run on silicon.
"""

import importlib.util
import struct

import pytest

from signbit.emulate import pio
from signbit.line.link import Link
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.file import load

CRC_OF_123456789 = 0x0376E6E7  # CRC-32/MPEG-2 in the catalogue of parametrised CRC algorithms
BLOCK_BYTES = 512


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("rp2040_image", pio.FIRMWARE / "scripts" / "rp2040_image.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def elf(digits_elfs):
    return digits_elfs["pico_local"]


@pytest.fixture(scope="module")
def image(elf):
    """What is in flash, from its first byte on."""
    return elf.with_suffix(".bin").read_bytes()


def test_the_boot_rom_s_crc_is_the_published_one(script):
    assert script.boot_crc(b"123456789") == CRC_OF_123456789


def test_the_second_stage_is_sealed(script, image):
    assert struct.unpack_from("<I", image, 252)[0] == script.boot_crc(image[:252])
    # over its own sum, most significant byte first, such a CRC is 0
    assert script.boot_crc(image[:252] + image[255:251:-1]) == 0


def test_the_vector_table_follows_the_second_stage(image):
    stack, reset = struct.unpack_from("<II", image, 256)
    assert stack == 0x20000000 + 1024
    assert reset & 1 and 0x10000100 < reset < 0x10000000 + len(image)


def test_every_byte_of_the_uf2_file_is_accounted_for(elf, image):
    uf2 = elf.with_suffix(".uf2").read_bytes()
    count = -(-len(image) // 256)
    assert len(uf2) == BLOCK_BYTES * count
    expected = bytearray()
    for number in range(count):
        payload = image[256 * number : 256 * number + 256]
        expected += b"UF2\n" + bytes.fromhex("57515d9e 00200000")
        expected += (0x10000000 + 256 * number).to_bytes(4, "little") + bytes.fromhex("00010000")
        expected += number.to_bytes(4, "little") + count.to_bytes(4, "little") + bytes.fromhex("56ff8be4")
        expected += payload + bytes(256 - len(payload)) + bytes(220) + bytes.fromhex("306fb10a")
    assert uf2 == expected


def test_a_second_stage_of_another_size_is_refused(script):
    with pytest.raises(ValueError, match="252 bytes instead of 256"):
        script.sealed(bytes(252))


def test_the_second_stage_runs_where_the_boot_rom_puts_it(image):
    """In a simulator, at the address of its copy: it sets the flash interface up and goes to the reset vector."""
    unicorn = pytest.importorskip("unicorn", reason="unicorn is missing: pip install unicorn")
    from unicorn import arm_const

    core = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    core.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M0)
    copy, flash, interface, system = 0x20041F00, 0x10000000, 0x18000000, 0xE000E000
    for base, size in ((0x20040000, 0x2000), (flash, 0x10000), (interface, 0x1000), (system, 0x1000)):
        core.mem_map(base, size)
    core.mem_write(copy, image[:256])
    core.mem_write(flash, image)
    writes = []
    core.hook_add(unicorn.UC_HOOK_MEM_WRITE, lambda uc, access, at, size, value, data: writes.append((at, value)))
    stack, reset = struct.unpack_from("<II", image, 256)
    core.emu_start(copy | 1, reset & ~1, count=100)
    assert core.reg_read(arm_const.UC_ARM_REG_PC) == reset & ~1
    assert core.reg_read(arm_const.UC_ARM_REG_MSP) == stack
    assert dict(writes[-1:]) == {0xE000ED08: 0x10000100}
    assert (0x18000008, 1) in writes and (0x180000F4, 0x03000218) in writes
    assert max(at for at, _ in writes) < 0xE000F000


class EmulatedChip:
    """The UF2 file in an emulator of the RP2040, from the second stage on; a stream for Link.

    The emulator takes a pending interrupt that PRIMASK holds back, where the core only wakes.  So the UART raises
    none, and the core is woken by hand when bytes have come.
    """

    FIFO_BYTES = 32

    def __init__(self, uf2: bytes):
        rp2040 = pytest.importorskip("rp2040py.rp2040", reason="rp2040py is missing: pip install rp2040py")
        self.chip = rp2040.RP2040()
        self.uart = self.chip.uart[0]
        self.sent = bytearray()
        for at in range(0, len(uf2), BLOCK_BYTES):
            address, size = struct.unpack_from("<II", uf2, at + 12)
            self.chip.flash[address - 0x10000000 : address - 0x10000000 + size] = uf2[at + 32 : at + 32 + size]
        self.uart.check_interrupts = lambda: None
        self.uart.on_byte = self.sent.append
        self.chip.leave_reset()
        self._run()

    def _run(self):
        while not self.chip.core.waiting:
            self.chip.step()

    def write(self, data):
        for at in range(0, len(data), self.FIFO_BYTES):
            for byte in data[at : at + self.FIFO_BYTES]:
                self.uart.feed_byte(byte)
            self.chip.core.waiting = False
            self._run()

    def read(self, timeout):
        received, self.sent[:] = bytes(self.sent), b""
        return received


@pytest.fixture(scope="module")
def chip(elf):
    return EmulatedChip(elf.with_suffix(".uf2").read_bytes())


def test_the_image_sets_up_uart_pins_and_led_in_an_emulator_of_the_chip(chip):
    info = Link(chip).info()
    assert (info.clock_hz, info.self_test_failed, info.core_id >> 4 & 0xFFF) == (12_000_000, False, 0xC60)
    assert (chip.uart.word_length, chip.uart.fifos_enabled) == (8, True)
    assert info.clock_hz / (16 * chip.uart.baud_divider) == pytest.approx(115_200, rel=0.002)
    assert [chip.chip.gpio[pin].function_select for pin in (0, 1, 25)] == [2, 2, 5]  # UART, UART, SIO
    assert chip.chip.gpio[25].value == 1  # the self-test passed
    assert chip.chip.watchdog.timer.enable


def test_every_digit_gives_the_logits_of_python_in_an_emulator_of_the_chip(chip, repository):
    model, inputs = load(repository / "models" / "digits-mlp.npz"), load_dataset("digits").test.x
    link = Link(chip)
    assert [link.infer(x).logits for x in inputs] == [tuple(logits) for logits in model.run(inputs).tolist()]
    assert link.repeated == 0

"""The images of boards, as they are flashed, where an emulator knows the chip or one of its family.

QEMU emulates the UARTs of STM32F1, F4 and nRF51 and ignores clocks and pins; the Pico's chip is emulated further
(test_rp2040.py).  STM32G0, H7, L4 and nRF52840 are emulated nowhere here.
"""

import subprocess

import pytest

from signbit.emulate import emulation as emulate
from signbit.emulate import pio
from signbit.emulate.machines import MACHINES, EmulatedUart, read_machines
from signbit.emulate.project import Project
from signbit.line.link import Link
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.file import load

INPUTS = 50
BOARDS = [machine for machine in read_machines() if machine not in MACHINES.values()]
"""Boards whose own image, not built for an emulator, starts and answers in QEMU as well."""


@pytest.fixture(scope="module")
def path(repository):
    return repository / "models" / "digits-mlp.npz"


@pytest.fixture(scope="module", autouse=True)
def tools_are_here():
    if emulate.missing():
        pytest.skip(emulate.missing())


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.title)
def test_a_board_s_image_answers_and_computes_as_python_does(digits_elfs, path, board):
    model = load(path)
    inputs = load_dataset("digits").test.x[:INPUTS]
    with EmulatedUart(board, digits_elfs[board.env]) as uart:
        # what comes before the UART is on is lost: it is asked for again
        info = Link(uart, timeout=1, retries=100).info()
        link = Link(uart, timeout=60)
        found = [link.infer(x).logits for x in inputs]
    assert (info.model_hash, info.self_test_failed, info.emulated) == (model.hash, False, False)
    assert info.clock_hz == board.clock_hz
    assert found == [tuple(logits) for logits in model.run(inputs).tolist()]
    assert link.repeated == 0


# -- another board -----------------------------------------------------------------------------------------------------

NEW_BOARD = {
    "ld/stm32f411xe.ld": """/* STM32F411RE */
MEMORY
{
  FLASH (rx)  : ORIGIN = 0x08000000, LENGTH = 512K
  RAM   (rwx) : ORIGIN = 0x20000000, LENGTH = 128K
}
INCLUDE "sections.ld"
""",
    "boards/nucleo_f411re.ini": """[nucleo_f411re]
board = nucleo_f411re
board_build.ldscript = ld/stm32f411xe.ld
custom_port = stm32
build_flags = ${env.build_flags} -DSTM32_FAMILY_F4

[env:nucleo_f411re_local]
extends = local, nucleo_f411re
""",
    "platform/boards/nucleo_f411re.json": """{
  "name": "Nucleo-F411RE",
  "vendor": "ST",
  "url": "https://www.st.com/en/evaluation-tools/nucleo-f411re.html",
  "platforms": ["signbit-arm"],
  "frameworks": [],
  "build": {
    "cpu": "cortex-m4",
    "mcu": "stm32f411ret6",
    "f_cpu": "16000000L",
    "qemu": {"machine": "netduinoplus2", "uart": 1}
  },
  "upload": {"maximum_size": 524288, "maximum_ram_size": 131072}
}
""",
}


def test_another_board_is_three_files(firmware_copy, path):
    """A board of a known family builds, and is emulated, by its three files alone."""
    before = read_machines(firmware_copy)
    for name, text in NEW_BOARD.items():
        assert not (firmware_copy / name).exists()
        (firmware_copy / name).write_text(text)
    (board,) = [machine for machine in read_machines(firmware_copy) if machine not in before]
    assert board.env in Project(firmware_copy).local_envs()
    command, environment = pio.command(["run", "-e", board.env]), pio.environment(path)
    done = subprocess.run(command, cwd=firmware_copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with EmulatedUart(board, firmware_copy / ".pio" / "build" / board.env / "firmware.elf") as uart:
        assert Link(uart, timeout=1, retries=100).info().clock_hz == board.clock_hz == 16_000_000

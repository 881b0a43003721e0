"""The images of boards, as they are flashed, where an emulator knows the chip or one of its family.

QEMU emulates the UARTs of STM32F1, F4 and nRF51 and ignores clocks and pins; the Pico's chip is emulated further
(test_rp2040.py).  STM32G0, H7, L4 and nRF52840 are emulated nowhere here.
"""

import pytest

from signbit.emulate import emulation as emulate
from signbit.emulate import pio
from signbit.emulate.machines import BOARDS, EmulatedUart
from signbit.line.link import Link
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.file import load

INPUTS = 50
CLOCKS_HZ = {"stm32vldiscovery": 8_000_000, "netduinoplus2": 16_000_000, "microbit": 16_000_000}


@pytest.fixture(scope="module")
def path(repository):
    return repository / "models" / "digits-mlp.npz"


@pytest.fixture(scope="module")
def elfs(path, tmp_path_factory):
    if emulate.missing():
        pytest.skip(emulate.missing())
    return pio.build([board.env for board in BOARDS], path, tmp_path_factory.mktemp("build"))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.title)
def test_a_board_s_image_answers_and_computes_as_python_does(elfs, path, board):
    model = load(path)
    inputs = load_dataset("digits").test.x[:INPUTS]
    with EmulatedUart(board, elfs[board.env]) as uart:
        # what comes before the UART is on is lost: it is asked for again
        link = Link(uart, timeout=1)
        info = link.info()
        boot_repeats = link.repeated
        found = [link.infer(x).logits for x in inputs]
    assert (info.model_hash, info.self_test_failed, info.emulated) == (model.hash, False, False)
    assert info.clock_hz == CLOCKS_HZ[board.machine]
    assert found == [tuple(logits) for logits in model.run(inputs).tolist()]
    assert boot_repeats <= 1 and link.repeated == boot_repeats

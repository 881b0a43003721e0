"""Loading another model: onto the firmware's own C on this computer, and onto emulated cores."""

import dataclasses
import struct
import subprocess
import zlib
from contextlib import nullcontext

import numpy as np
import pytest

from signbit.codegen.process import output_of
from signbit.codegen.swap import sealed
from signbit.device import command
from signbit.device.checks import verify
from signbit.device.load import plan_for
from signbit.emulate import emulation, pio
from signbit.emulate.machines import MACHINES, EmulatedUart
from signbit.line.info import Info, Loading
from signbit.line.link import DeviceError, Link, LinkError
from signbit.line.protocol import ErrorCode, Request
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, save
from tests.host_device import FLAGS, HostDevice, device_model
from tools.networks.random import random_model
from tools.networks.retrained import retrained
from tools.prove import load_cut
from tools.prove.load_cut import FlashDevice, block_of

CHUNK = 48
SHIFT_AT = -6
"""Where the device model's first shift is: two of them and the CRC end its block."""


@pytest.fixture(scope="module")
def flash(tmp_path_factory):
    if load_cut.missing():
        pytest.skip(load_cut.missing())
    options = (*FLAGS, "-O1", "-fsanitize=undefined", "-fno-sanitize-recover")
    return FlashDevice(device_model(), tmp_path_factory.mktemp("flash"), options=options)


@pytest.fixture
def device(flash):
    flash.blank()
    return flash


@pytest.fixture(scope="module")
def other():
    return retrained(device_model(), 5)


@pytest.fixture(scope="module")
def block(other):
    return block_of(other)


def send(link, block, count=None):
    """Begin, and the first `count` chunks."""
    link.request(Request.LOAD_BEGIN, struct.pack("<I", len(block)) + block[-4:])
    for offset in list(range(0, len(block), CHUNK))[:count]:
        link.request(Request.LOAD_CHUNK, struct.pack("<I", offset) + block[offset : offset + CHUNK])


def refusal(link, kind, payload):
    with pytest.raises(DeviceError) as caught:
        link.request(kind, payload)
    return ErrorCode(caught.value.code)


def computes(link, model):
    x = np.random.default_rng(3).integers(0, 256, (20, model.input_size), np.uint8)
    return verify(link, model, x, lambda done: None).equal and link.info().model_hash == model.hash


def with_sums(block):
    """The block with a digest and a CRC that are right."""
    return sealed(block[:-4])


def test_a_loaded_model_computes_and_stays(device, other):
    link = Link(device)
    assert computes(link, device_model()) and link.info().loading.slot == 0
    plan = plan_for(link.info(), other)
    link.load(plan.swap.block)
    assert computes(link, other)
    info = link.info()
    assert (info.model_name, info.logit_shift, info.loading.slot) == (other.name, other.logit_shift, 1)
    assert (info.test_vectors, info.test_vectors_failed) == (2, 0)
    device.boot()
    assert computes(Link(device), other)
    third = retrained(device_model(), 6)
    Link(device).load(block_of(third))
    Link(device).load(block_of(device_model()))
    device.boot()
    assert computes(Link(device), device_model()) and Link(device).info().loading.slot == 1


def test_logits_of_the_model_before_are_forgotten(device, block):
    link = Link(device)
    link.infer(bytes(100))
    link.load(block)
    assert refusal(link, Request.LOGITS, bytes(4)) == ErrorCode.NOT_INFERRED


def test_an_interrupted_load_goes_on_where_it_was(device, other, block):
    send(Link(device), block, count=5)
    again = Link(device)
    seen = []
    again.load(block, seen.append)
    assert seen[0] == 5 * CHUNK and seen[-1] == len(block)
    assert computes(again, other)


def test_every_request_of_a_load_may_be_repeated(device, other, block):
    link = Link(device)
    for offset in range(0, len(block), CHUNK):
        send(link, block, count=0)
        for _ in range(2):
            link.request(Request.LOAD_CHUNK, struct.pack("<I", offset) + block[offset : offset + CHUNK])
    for _ in range(2):
        assert link.request(Request.LOAD_COMMIT, block[-4:]) == b""
    assert computes(link, other)


def test_a_load_survives_a_line_that_damages(device, other, block):
    rng = np.random.default_rng(1)

    class Damaging:
        def write(self, data):
            data = bytearray(data)
            if rng.random() < 0.4:
                data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
            device.write(bytes(data))

        def read(self, timeout):
            return device.read(timeout)

    link = Link(Damaging(), timeout=0.001, retries=50)
    link.load(block)
    assert link.repeated > 3 and computes(Link(device), other)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda block: block[:-4] + bytes(4), ErrorCode.BAD_CRC),
        (lambda block: block[:200] + b"\xaa" + block[201:], ErrorCode.BAD_CRC),
        (lambda block: block[:50] + b"\xaa" + block[51:-4], ErrorCode.BAD_HASH),
        (lambda block: block[:8] + bytes(32) + block[40:], ErrorCode.OTHER_LAYOUT),
        (lambda block: block[:8] + bytes([block[8] ^ 1]) + block[9:], ErrorCode.OTHER_LAYOUT),
        (lambda block: block[:39] + bytes([block[39] ^ 1]) + block[40:], ErrorCode.OTHER_LAYOUT),
        (lambda block: b"SBW2" + block[4:], ErrorCode.NOT_A_MODEL),
        (lambda block: block[:135] + b"x" + block[136:], ErrorCode.NOT_A_MODEL),
        (lambda block: block[:136] + struct.pack("<I", 27) + block[140:], ErrorCode.NOT_A_MODEL),
        (lambda block: block[:SHIFT_AT] + b"\x20" + block[SHIFT_AT + 1 :], ErrorCode.NOT_A_MODEL),
        (lambda block: block[:140] + struct.pack("<i", -(2**31)) + block[144:], ErrorCode.RANGES_EXCEEDED),
        (lambda block: block[:144] + struct.pack("<i", 2**31 - 1) + block[148:], ErrorCode.RANGES_EXCEEDED),
        (lambda block: block[:188] + struct.pack("<i", block[188] ^ 1) + block[192:], ErrorCode.SELF_TEST_FAILED),
    ],
)
def test_a_block_that_is_not_right_is_refused_in_its_own_words(device, block, change, code):
    """Each is refused by one check alone: all that come before it pass.  The old model goes on."""
    changed = change(block)
    if code == ErrorCode.BAD_HASH:
        changed += struct.pack("<I", zlib.crc32(changed))
    elif code != ErrorCode.BAD_CRC:
        changed = with_sums(changed)
    link = Link(device)
    for _ in range(2):
        send(link, changed)
        assert [refusal(link, Request.LOAD_COMMIT, changed[-4:]) for _ in range(2)] == [code, code]
    assert computes(Link(device), device_model()) and not Link(device).info().self_test_failed
    device.boot()
    assert computes(Link(device), device_model())
    Link(device).load(block)
    assert Link(device).info().loading.slot == 1


def test_a_block_under_the_sum_of_another_is_refused(device, block):
    """It is whole and of this layout, but not the one whose load began."""
    link, other = Link(device), zlib.crc32(b"another")
    link.request(Request.LOAD_BEGIN, struct.pack("<II", len(block), other))
    for offset in range(0, len(block), CHUNK):
        link.request(Request.LOAD_CHUNK, struct.pack("<I", offset) + block[offset : offset + CHUNK])
    assert refusal(link, Request.LOAD_COMMIT, struct.pack("<I", other)) == ErrorCode.BAD_CRC
    assert computes(link, device_model())


def test_of_several_loads_the_last_is_in_use_after_a_reset(device):
    models = [retrained(device_model(), seed) for seed in range(4)]
    for count, model in enumerate(models, 1):
        Link(device).load(block_of(model))
        assert Link(device).info().loading.slot == 2 - count % 2
    device.boot()
    assert computes(Link(device), models[-1])


def test_requests_out_of_turn_are_refused_in_their_own_words(device, block):
    link = Link(device)
    chunk = struct.pack("<I", 0) + block[:CHUNK]
    lengths = {Request.LOAD_BEGIN: (0, 7, 9), Request.LOAD_CHUNK: (0, 4), Request.LOAD_COMMIT: (0, 3, 5)}
    for kind, wrong in lengths.items():
        assert {refusal(link, kind, bytes(length)) for length in wrong} == {ErrorCode.BAD_LENGTH}
    assert refusal(link, Request.LOAD_CHUNK, chunk) == ErrorCode.NOT_BEGUN
    assert refusal(link, Request.LOAD_COMMIT, block[-4:]) == ErrorCode.NOT_BEGUN
    for size in (0, len(block) - 4, len(block) + 4, 2**32 - 1):
        assert refusal(link, Request.LOAD_BEGIN, struct.pack("<I", size) + bytes(4)) == ErrorCode.WRONG_SIZE
    send(link, block, count=2)
    assert refusal(link, Request.LOAD_COMMIT, block[-4:]) == ErrorCode.INCOMPLETE
    for offset in (3 * CHUNK, CHUNK + 4, len(block) - CHUNK):
        assert refusal(link, Request.LOAD_CHUNK, struct.pack("<I", offset) + bytes(CHUNK)) == ErrorCode.OUT_OF_ORDER
    for offset in (len(block), len(block) - CHUNK + 4, 2**32 - 4):
        assert refusal(link, Request.LOAD_CHUNK, struct.pack("<I", offset) + bytes(CHUNK)) == ErrorCode.BAD_OFFSET
    for length in (1, 2, 3, 47):
        assert refusal(link, Request.LOAD_CHUNK, bytes(4 + length)) == ErrorCode.BAD_LENGTH
    assert refusal(link, Request.LOAD_CHUNK, struct.pack("<I", CHUNK) + block[:CHUNK]) == ErrorCode.CHUNK_DIFFERS
    assert refusal(link, Request.LOAD_COMMIT, bytes(4)) == ErrorCode.NOT_BEGUN
    assert computes(Link(device), device_model())


def test_chunks_of_an_earlier_load_do_not_get_into_the_next(device, other, block):
    """Frames that come late from a network, say: either they are refused, or the whole is."""
    third = block_of(retrained(device_model(), 6))
    link = Link(device)
    send(link, third, count=4)
    send(link, block, count=3)
    late = struct.pack("<I", CHUNK) + third[CHUNK : 2 * CHUNK]
    assert refusal(link, Request.LOAD_CHUNK, late) == ErrorCode.CHUNK_DIFFERS
    link.request(Request.LOAD_CHUNK, struct.pack("<I", 3 * CHUNK) + third[3 * CHUNK : 4 * CHUNK])
    with pytest.raises(DeviceError) as caught:
        link.load(block)
    assert caught.value.code == ErrorCode.BAD_CRC
    link.load(block)
    assert computes(link, other)


def test_new_firmware_does_not_take_up_the_old_one_s_model(device, other, block, tmp_path):
    """Whoever flashes another model of the same layout gets that model."""
    Link(device).load(block)
    size = 2 * 1024
    device.library.port_slot.restype = load_cut.ctypes.c_void_p
    kept = load_cut.ctypes.string_at(device.library.port_slot(0), size // 2)
    third = retrained(device_model(), 6)
    flashed = FlashDevice(third, tmp_path)
    flashed.library.port_slot_write(0, 0, kept[: len(block) + 16], len(block) + 16)
    flashed.boot()
    assert computes(Link(flashed), third) and Link(flashed).info().loading.slot == 0


def test_a_power_cut_at_each_step_leaves_the_old_model_or_the_new(device, other, block):
    """Every step, and what it leaves: nothing done, all done, and half of the bits."""
    before = device.steps
    Link(device).load(block)
    steps = device.steps - before
    assert steps == len(block) // 4 + 4 + -(-(len(block) + 16) // 256)
    carried = []
    for step in range(1, steps + 1):
        for torn in (0, 0xFFFFFFFF, 0x5A0FF0C3):
            device.blank()
            device.cut_power(step, torn)
            with pytest.raises(LinkError) if step < steps or torn else nullcontext():
                Link(device).load(block)
            device.boot()
            info = Link(device).info()
            assert info.model_hash in (device_model().hash, other.hash) and not info.self_test_failed
            carried.append(info.model_hash == other.hash)
    assert carried.count(True) == 1 and carried[-3]


# --- the host's side


def test_what_does_not_fit_is_said_before_anything_is_sent(device, other):
    info = Link(device).info()
    labels = tuple(f"other {index}" for index in range(13))
    for model, words in (
        (random_model(7, (99, 12, 13)), "the model has inputs 99, the device 100"),
        (random_model(7, (100, 12, 12, 13)), "the model has layers 3, the device 2"),
        (dataclasses.replace(other, labels=labels), "the model has labels other 0 other 1"),
        (random_model(7, (100, 12, 13), input_shift=0), "the model has an input shift of 0, the device 1"),
        (random_model(7, (100, 13, 13)), "whose layout is [0-9a-f]{8}: a layer has another form"),
    ):
        with pytest.raises(SignbitError, match=f"does not fit.*{words}"):
            plan_for(info, model)
    assert plan_for(info, other).swap.layout_text == info.loading.layout


def test_firmware_with_one_model_says_how_to_build_another(host_library, other):
    with pytest.raises(SignbitError, match="keeps the model that it was built with; build it with SIGNBIT_SWAPPABLE=1"):
        plan_for(Link(HostDevice(host_library)).info(), other)


@pytest.mark.parametrize("block_bytes", [0, 5])
def test_a_device_that_lies_about_its_blocks_is_not_believed(device, monkeypatch, block_bytes):
    told = Link(device)._block(Request.INFO)
    for lie in (
        told[:-9] + struct.pack("<I", block_bytes) + told[-5:],
        told[:-1] + b"\x03",
        told[:-1],
        told[: -Loading.LAYOUT.size],
    ):
        monkeypatch.setattr(Link, "_block", lambda *_, lie=lie: lie)
        with pytest.raises(LinkError, match="INFO block makes no sense"):
            Link(device).info()


def test_fields_of_a_later_version_are_skipped(device, host_library):
    """Whether or not other models can be loaded; only the flag says that they can."""
    for each, is_loadable in ((device, True), (HostDevice(host_library), False)):
        told = Link(each)._block(Request.INFO)
        assert Info.parse(told) == Info.parse(told + bytes(Loading.LAYOUT.size))
        assert (Info.parse(told).loading is not None) == is_loadable


SLOTS = """
#include "model.h"
#include "port.h"
#define BYTES (MODEL_WEIGHTS_BYTES + PORT_SEAL_BYTES)
static int all_are(uint32_t slot, uint32_t from, uint32_t to, uint8_t value)
{
    while (from < to && port_slot(slot)[from] == value) { from++; }
    return from == to;
}
int main(void)
{
    static const uint8_t bytes[4] = { 0x0f, 0xf0, 0x00, 0xff }, more[4] = { 0x3c, 0x3c, 0xff, 0xfe };
    for (uint32_t slot = 0; slot < PORT_SLOTS; slot++) {
        for (uint32_t i = 0; i < BYTES; i++) { ((uint8_t *)port_slot(slot))[i] = 0x55; }
    }
    for (uint32_t slot = 0; slot < PORT_SLOTS; slot++) {
        port_slot_erase(slot);
        if (!all_are(slot, 0, BYTES, 0xff)) { return 1; }
        if (slot == 0u && !all_are(1, 0, BYTES, 0x55)) { return 2; }
    }
    port_slot_write(1, 8, bytes, 4);
    port_slot_write(1, 8, more, 4);
    if (port_slot(1)[8] != 0x0c || port_slot(1)[9] != 0x30 || port_slot(1)[10] != 0 || port_slot(1)[11] != 0xfe) {
        return 3;
    }
    return all_are(0, 0, BYTES, 0xff) && all_are(1, 0, 8, 0xff) && all_are(1, 12, BYTES, 0xff) ? 0 : 4;
}
"""


def test_slots_in_ram_are_erased_to_ones_and_written_to_zeros(repository, tmp_path):
    """A word that was not erased showed only where a block before had left zeros in it."""
    (tmp_path / "model.h").write_text("#include <stdint.h>\n#define MODEL_LAYOUT 1\n#define MODEL_WEIGHTS_BYTES 64u\n")
    (tmp_path / "main.c").write_text(SLOTS)
    firmware = repository / "firmware"
    folders = (f"-I{tmp_path}", f"-I{firmware / 'include'}", f"-I{firmware / 'src'}")
    sources = (tmp_path / "main.c", firmware / "src" / "slots_ram.c")
    output_of(["cc", "-O1", "-fsanitize=address", *folders, "-o", tmp_path / "main", *sources])
    assert subprocess.run([tmp_path / "main"], timeout=60).returncode == 0


@pytest.mark.parametrize("core", ["m0", "m4"])
def test_load_and_verify_on_an_emulated_core(core, repository, tmp_path, monkeypatch, capsys):
    """`signbit device load` on the whole firmware; the new model survives a reset, bit-exact."""
    if emulation.missing():
        pytest.skip(emulation.missing())
    compiled = load(repository / "models" / "digits-mlp.npz")
    other = retrained(compiled, 11)
    save(other, tmp_path / "other.npz")
    monkeypatch.setenv("SIGNBIT_SWAPPABLE", "1")
    machine = MACHINES[core]
    elf = pio.build([machine.env], repository / "models" / "digits-mlp.npz", tmp_path / "build")[machine.env]
    with EmulatedUart(machine, elf) as uart:
        monkeypatch.setattr(command, "open_port", lambda name: nullcontext(uart))
        options = ["--port", "uart", "--timeout", "60"]
        assert computes(Link(uart, timeout=60), compiled)
        assert command.main(["load", str(tmp_path / "other.npz"), *options]) == 0
        assert "is in slot 1; 4 of 4 test vectors pass" in capsys.readouterr().out
        # what is sent while the core resets is lost, and is sent again
        link = Link(uart, timeout=2, retries=60)
        assert computes(link, other)
        stats = link.stats()
        assert 0 < stats.stack_used_bytes < 0.75 * stats.stack_bytes
        link.reset()
        assert computes(link, other) and link.info().loading.slot == 1

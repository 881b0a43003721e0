"""`signbit device` and the C device of this computer, behind a pseudo terminal and a socket; and QEMU."""

import dataclasses
import json
import os
import socket
import threading
import tty
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from signbit.codegen.plan import make_plan
from signbit.device import command as device
from signbit.device import ports as device_ports
from signbit.device.checks import LayerProfile, Verification, core_target, model_on, verify
from signbit.emulate import emulation as emulate
from signbit.line.frame import Frame, decode, encode
from signbit.line.info import Fault, Info, Loading
from signbit.line.link import Link, LinkError, Result
from signbit.line.protocol import Request, ResetCause, SelfTest, Stats, TickSource
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import save
from signbit.qmodel.integer import REJECTED
from tests.host_device import HostDevice


@pytest.fixture
def board(host_library):
    """Name of a serial port with the C device behind it: a pseudo terminal."""
    pytest.importorskip("serial", reason="pyserial is missing: pip install 'signbit[firmware]'")
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    host = HostDevice(host_library)

    def serve():
        while True:
            try:
                os.write(ours, host.serve(os.read(ours, 4096)))
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield os.ttyname(theirs)
    os.close(theirs)
    os.close(ours)
    thread.join(5)


@pytest.fixture
def models(host_model, monkeypatch, tmp_path):
    """The folder that is searched for the board's model, with that model in it."""
    save(host_model, tmp_path / "random.npz")
    monkeypatch.setattr(device, "MODELS", tmp_path)
    return tmp_path


def usb(*names):
    return [SimpleNamespace(device=name, vid=0x0483, description="STM32 STLink") for name in names]


@pytest.fixture
def plugged(monkeypatch):
    """Lets these ports be the computer's."""
    ports = []
    pretended = SimpleNamespace(comports=lambda: ports)
    real = device_ports._pyserial
    monkeypatch.setattr(device_ports, "_pyserial", lambda name: pretended if "list_ports" in name else real(name))
    return ports


def test_the_only_board_is_found(board, plugged, capsys):
    plugged += [*usb(board), SimpleNamespace(device="/dev/ttyS0", vid=None, description="no USB")]
    assert device.main(["selftest"]) == 0
    assert capsys.readouterr().out == "2 of 2 test vectors give the logits of Python\n"
    assert device.main(["list"]) == 0
    assert board in (out := capsys.readouterr().out) and "/dev/ttyS0" not in out


def test_no_board_and_two_boards_are_one_line(plugged):
    with pytest.raises(SignbitError, match="no board was found; plug one in"):
        device.main(["info"])
    plugged += [SimpleNamespace(device=name, vid=0x0D28, description="") for name in ("/dev/ttyACM0", "/dev/ttyACM1")]
    with pytest.raises(SignbitError, match="2 boards; name one with --port: /dev/ttyACM0, /dev/ttyACM1"):
        device_ports.find_port()


def test_info_tells_what_runs(board, host_model, capsys):
    assert device.main(["info", "--port", board, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model_hash"], told["labels"], told["fault"]) == (host_model.hash, list(host_model.labels), None)
    assert told["stats"]["dropped"] == 0
    assert device.main(["info", "--port", board]) == 0
    assert "2 of 2 vectors passed" in capsys.readouterr().out


def test_a_board_s_texts_can_not_move_the_cursor(board, capsys, monkeypatch):
    told = Link.info
    hostile = {"model_name": "\x1b[2Jx", "labels": ("\x1b]0;x\x07", "a\u202eb", "c")}
    monkeypatch.setattr(Link, "info", lambda link: dataclasses.replace(told(link), **hostile))
    assert device.main(["info", "--port", board]) == 0
    out = capsys.readouterr().out
    assert "?[2Jx" in out and not set(out) & set("\x1b\x07\u202e")


def test_an_array_that_is_none_is_refused_in_one_line(board, tmp_path):
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': 1, (((")
    with pytest.raises(SignbitError, match="is no array of numpy's"):
        device.main(["infer", str(tmp_path / "x.npy"), "--port", board])


@pytest.mark.parametrize("kind", ["raw", "npy", "pgm"])
def test_an_input_comes_from_a_file(board, host_model, capsys, tmp_path, kind):
    x = np.random.default_rng(4).integers(0, 256, (1, 100), np.uint8)
    path = tmp_path / f"x.{kind}"
    header = {"raw": b"", "pgm": b"P5\n# a comment\n10 10\n255\n"}
    if kind == "npy":
        np.save(path, x.reshape(10, 10))
    else:
        path.write_bytes(header[kind] + x.tobytes())
    assert device.main(["infer", str(path), "--port", board, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["logits"] == host_model.run(x)[0].tolist()
    assert told["label"] == host_model.labels[host_model.predict(x)[0]]


def test_an_input_of_another_size_or_type_is_refused(board, tmp_path):
    (tmp_path / "x").write_bytes(bytes(99))
    with pytest.raises(SignbitError, match="99 bytes, but the model takes 100"):
        device.main(["infer", str(tmp_path / "x"), "--port", board])
    np.save(tmp_path / "x.npy", np.zeros(100))
    with pytest.raises(SignbitError, match="holds float64, but an input is uint8"):
        device.main(["infer", str(tmp_path / "x.npy"), "--port", board])


def pretend_data(monkeypatch, n):
    x = np.random.default_rng(5).integers(0, 256, (n, 100), np.uint8)
    monkeypatch.setattr(device, "dataset_for", lambda *_: SimpleNamespace(test=SimpleNamespace(x=x)))


def test_verify_finds_the_model_by_its_hash(board, models, monkeypatch, capsys):
    pretend_data(monkeypatch, 30)
    assert device.main(["verify", "--port", board, "--limit", "20", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["inputs"], told["logits"], told["different"], told["repeated"]) == (20, 260, 0, 0)


def test_another_model_on_the_board_is_told(board, models, repository):
    wanted = repository / "models" / "digits-mlp.npz"
    with pytest.raises(SignbitError, match=r"the board carries model \w+ \(\w{8}\), not .*digits-mlp.npz"):
        device.main(["verify", "--port", board, "--model", str(wanted)])
    (models / "random.npz").unlink()
    with pytest.raises(SignbitError, match=r"no file in .* has this hash: name it with --model"):
        device.main(["verify", "--port", board])


def test_a_device_that_computes_wrongly_is_found_out(host_library, host_model):
    """Its answers are valid except for one logit of each: what comes first is named, by the layer."""

    class Wrong(HostDevice):
        def serve(self, line):
            answer = super().serve(line)
            if len(line) > 1 and decode(line[:-1]).type == Request.TRACE:
                frame = decode(answer[:-1])
                spoiled = frame.payload[:4] + bytes([frame.payload[4] ^ 1]) + frame.payload[5:]
                return encode(Frame(frame.type, frame.sequence, spoiled))
            return answer

    x = np.random.default_rng(7).integers(0, 256, (3, 100), np.uint8)
    link = Link(Wrong(host_library))
    infer = link.infer

    def wrong_infer(x):
        result = infer(x)
        return type(result)(**vars(result) | {"logits": (result.logits[0] + 1, *result.logits[1:])})

    link.infer = wrong_infer
    result = verify(link, host_model, x, lambda done: None)
    assert (result.different, result.equal) == (3, False)
    assert result.first == "input 0, layer 0 (1 of 12 values)"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("layer_count", 1, "the model has layers 2, the device 1"),
        ("input_size", 0, "the model has inputs 100, the device 0"),
        ("labels", ("a",), "the model has labels .*, the device a"),
    ],
)
def test_a_board_that_does_not_describe_its_model_is_not_believed(
    host_library, host_model, models, field, value, words
):
    info = dataclasses.replace(Link(HostDevice(host_library)).info(), **{field: value})
    with pytest.raises(SignbitError, match=f"the board has the hash of random, but {words}"):
        model_on(info, None, models)


def test_profile_has_a_row_for_each_layer(board, models, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert device.main(["profile", "--port", board, "--target", "cortex-m0"]) == 0
    out = capsys.readouterr().out
    assert "0 dense" in out and "1 dense" in out and "1,200" in out and "…" not in out


def test_monitor_shows_the_text(board, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", iter([]))
    assert device.main(["monitor", "--port", board]) == 0
    assert "self-test passed" in capsys.readouterr().out


def test_a_socket_is_a_port_too(host_library, capsys):
    host = HostDevice(host_library)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                while received := connection.recv(4096):
                    connection.sendall(host.serve(received))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert device.main(["selftest", "--port", f"socket://127.0.0.1:{server.getsockname()[1]}"]) == 0
        thread.join(5)


@pytest.mark.parametrize(
    "port, reason",
    [
        ("socket://nowhere", "a socket is written socket://HOST:PORT"),
        ("qemu:m9", "core 'm9' is unknown; there are m0, m3"),
        ("socket://127.0.0.1:1", "Connection refused"),
        ("/dev/ttyACM_none", "/dev/ttyACM_none: there is no such port; .* list` shows those there are"),
    ],
)
def test_a_port_that_is_none_is_one_line(port, reason):
    with pytest.raises(SignbitError, match=reason):
        device.main(["info", "--port", port])


def test_a_port_that_another_program_holds_is_told(board, plugged, capsys):
    serial = pytest.importorskip("serial")
    with serial.Serial(board, exclusive=True):
        with pytest.raises(SignbitError, match=f"{board}: another program has the port open: close its monitor"):
            device.main(["info", "--port", board])
        plugged += usb(board)
        assert device.main(["list"]) == 0
        assert "another program" in " ".join(capsys.readouterr().out.split())


def test_a_board_that_is_unplugged_during_verify_is_told(host_library, models, monkeypatch):
    pytest.importorskip("serial")
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    host = HostDevice(host_library)

    def serve_some():
        for _ in range(40):
            os.write(ours, host.serve(os.read(ours, 4096)))
        os.close(ours)

    pretend_data(monkeypatch, 30)
    thread = threading.Thread(target=serve_some, daemon=True)
    thread.start()
    with pytest.raises(SignbitError, match="the port is gone: was the board unplugged"):
        device.main(["verify", "--port", os.ttyname(theirs)])
    thread.join(5)
    os.close(theirs)


def test_info_in_a_pipe_has_no_row_that_is_broken(board, host_model, capsys):
    assert device.main(["info", "--port", board]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"model hash      {host_model.hash}" in lines
    assert all(line == line.rstrip() for line in lines)


def test_without_pyserial_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    with pytest.raises(SignbitError, match=r"pyserial is missing: python -m pip install 'signbit\[firmware\]'"):
        device.main(["info", "--port", "/dev/ttyACM0"])


# --- what the commands print, whole, of what a board says

INFO = Info(
    protocol_version=1,
    flags=0,
    tick_source=TickSource.DWT,
    input_shift=1,
    logit_shift=3,
    layer_count=2,
    input_size=100,
    output_size=3,
    scratch_bytes=48,
    model_id=0xABABABAB,
    model_hash="ab" * 32,
    core_id=0x410FC241,
    clock_hz=16_500_000,
    firmware_version="0.1.0",
    model_name="letters",
    labels=("a", "b", "c"),
    reset_cause=ResetCause.WATCHDOG,
    test_vectors=4,
    test_vectors_failed=0,
    fault=None,
    loading=None,
)
STATS = Stats(answered=12, refused=1, dropped=2, stack_used_bytes=300, stack_bytes=1024)
FAULT = Fault(3, *[0] * 6, pc=0x1234, xpsr=0, sp=0x20000100, cfsr=0, hfsr=0, mmfar=0, bfar=0)
FAILED = dataclasses.replace(INFO, flags=3, test_vectors_failed=1, tick_source=TickSource.SYSTICK, fault=FAULT)
SHOWN = f"""\
firmware        signbit 0.1.0, protocol 1
model           letters
model hash      {"ab" * 32}
input, outputs  100 bytes, 3 classes: a b c
layers          2, 48 bytes of scratch
core            cortex-m4 (CPUID 0x410fc241) at 16.5 MHz
emulated        no
self-test       4 of 4 vectors passed
last reset      watchdog
stack           300 of 1024 bytes used
other models    no: built with one model
requests        12 answered, 1 of them refused; 2 broken frames
"""
SHOWN_FAILED = (
    SHOWN.replace("emulated        no", "emulated        yes").replace("4 of 4", "FAILED: 3 of 4")
    + "fault           HardFault: pc 0x00001234, sp 0x20000100\n"
)
LOADING = "yes, of layout cdcdcdcd, 600 bytes each; this one is"
SILICON, EMULATED = "cycles (DWT)", "ticks of the emulator, no measure of a board"


@pytest.fixture
def says(monkeypatch, capsys):
    """Runs a command on a board that says this of itself; gives the exit code and the text."""

    def run(*words, info=INFO, **answers):
        monkeypatch.setattr(device, "open_port", lambda name: nullcontext(SimpleNamespace(write=lambda data: None)))
        for name, answer in {"info": info, "stats": STATS, **answers}.items():
            monkeypatch.setattr(Link, name, lambda *_, answer=answer: answer)
        return device.main([*words, "--port", "x"]), capsys.readouterr().out

    return run


@pytest.mark.parametrize(("info", "code", "text"), [(INFO, 0, SHOWN), (FAILED, 1, SHOWN_FAILED)])
def test_info_shows_all_that_a_board_says(says, info, code, text):
    assert says("info", info=info) == (code, text)
    done, told = says("info", "--json", info=info)
    wanted = dataclasses.asdict(info) | {"labels": list(info.labels), "stats": dataclasses.asdict(STATS)}
    assert (done, json.loads(told)) == (code, wanted)


@pytest.mark.parametrize(("slot", "place"), [(0, "compiled in"), (1, "in slot 1"), (2, "in slot 2")])
def test_info_shows_where_the_model_is(says, slot, place):
    info = dataclasses.replace(INFO, loading=Loading("cd" * 32, 600, 0, slot))
    assert f"other models    {LOADING} {place}\n" in says("info", info=info)[1]


CORES = {
    **{0x410CC200: "cortex-m0", 0x410CC601: "cortex-m0plus", 0x412FC231: "cortex-m3", 0x410FC241: "cortex-m4"},
    **{0x411FC272: "cortex-m7", 0x410FD214: "cortex-m33", 0x411FD221: "cortex-m55", 0x12345678: "portable"},
}


@pytest.mark.parametrize("core_id", CORES, ids=hex)
def test_a_core_is_known_by_its_cpuid(core_id):
    """The part number is in bits 4 to 15, as the cores' reference manuals have it."""
    assert core_target(dataclasses.replace(INFO, core_id=core_id)) == CORES[core_id]


USB_VENDORS = {
    **{0x0483: "ST-Link", 0x0D28: "DAPLink", 0x1366: "J-Link", 0x2E8A: "Raspberry Pi", 0x0403: "FTDI"},
    **{0x10C4: "CP210x", 0x1A86: "CH340"},
}


@pytest.mark.parametrize("vendor", USB_VENDORS, ids=hex)
def test_a_board_is_known_by_its_usb_vendor(plugged, vendor):
    plugged += [SimpleNamespace(device=f"/dev/tty{number}", vid=number, description="x") for number in (vendor, 9)]
    assert [found.description for found in device_ports.candidates()] == [f"{USB_VENDORS[vendor]}: x"]
    assert device_ports.find_port() == f"/dev/tty{vendor}"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (INFO, "signbit 0.1.0, model letters (abababab)"),
        (LinkError("no valid answer"), "nothing that speaks signbit's protocol"),
        (OSError("it is gone"), "it is gone"),
        (None, "no board was found; qemu:m0 to qemu:m55 are emulated ones"),
    ],
    ids=["a board", "another device", "an error", "nothing"],
)
def test_list_shows_what_answers(plugged, monkeypatch, capsys, answer, words):
    def info(link):
        if isinstance(answer, Exception):
            raise answer
        return answer

    plugged += usb("/dev/ttyACM0") if answer else []
    monkeypatch.setattr(device, "open_port", lambda name: nullcontext(SimpleNamespace(write=lambda data: None)))
    monkeypatch.setattr(Link, "info", info)
    assert device.main(["list"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    if answer:
        assert lines[0] == "port adapter what answers"
        assert lines[2:] == [f"/dev/ttyACM0 ST-Link: STM32 STLink {words}", ""]
    else:
        assert lines == [words]


@pytest.mark.parametrize(("info", "unit"), [(INFO, SILICON), (FAILED, EMULATED)])
def test_infer_shows_class_confidence_time_and_logits(says, tmp_path, info, unit):
    (tmp_path / "x").write_bytes(bytes(100))
    words = "infer", str(tmp_path / "x")
    found = Result(1, 987, (-5, 70, 3), 1234, info.tick_source)
    rejected = dataclasses.replace(found, class_index=REJECTED)
    assert says(*words, info=info, infer=found) == (0, f"b  98.7 %  1234 {unit}\nlogits -5 70 3\n")
    assert says(*words, info=info, infer=rejected) == (0, f"rejected  98.7 %  1234 {unit}\nlogits -5 70 3\n")
    for result, label in ((found, "b"), (rejected, None)):
        told = json.loads(says(*words, "--json", info=info, infer=result)[1])
        assert told == {"label": label} | dataclasses.asdict(result) | {"logits": [-5, 70, 3]}


@pytest.mark.parametrize("different", [0, 4])
def test_verify_shows_what_differs_and_what_was_repeated(says, host_model, monkeypatch, different):
    first = "input 3, layer 0 (1 of 12 values)" if different else ""
    found = Verification(20, 1300, different, first, 2, 1000, 1234.0, 5678)
    monkeypatch.setattr(device, "model_on", lambda *_: host_model)
    monkeypatch.setattr(device, "verify", lambda *_: found)
    pretend_data(monkeypatch, 30)
    verdict = f"4 DIFFERENT, first: {first}" if different else "all as in Python"
    text = (
        f"20 inputs, 1,300 logits: {verdict}\n"
        f"min 1,000, median 1,234, max 5,678 {SILICON}\n"
        "requests that were repeated: 2\n"
    )
    assert says("verify") == (int(different > 0), text)
    code, told = says("verify", "--json")
    assert (code, json.loads(told)) == (int(different > 0), dataclasses.asdict(found))


def test_profile_shows_each_layer_s_share_beside_the_prediction(says, host_model, monkeypatch):
    layers = make_plan(host_model, "model", "cortex-m4").layers
    asked = []
    monkeypatch.setattr(device, "model_on", lambda *_: host_model)
    monkeypatch.setattr(
        device, "profile", lambda *given: asked.append(given) or list(map(LayerProfile, layers, (3000.4, 1000.0)))
    )
    code, text = says("profile")
    assert code == 0
    rows = [" ".join(line.split()) for line in text.splitlines()]
    predicted = [f"{layer.cost.instructions:,.0f}" for layer in layers]
    assert f"0 dense 100 → 12 1,200 3,000 75 % {predicted[0]}" in rows, rows
    assert f"1 dense 12 → 13 156 1,000 25 % {predicted[1]}" in rows
    assert rows[-1] == f"{SILICON}; predicted for the kernels of cortex-m4"
    ((_, _, inputs, target),) = asked
    assert inputs.shape == (5, 100) and inputs.dtype == np.uint8 and target == "cortex-m4"


@pytest.mark.parametrize(("vectors", "failed", "code"), [(4, 0, 0), (4, 1, 1)])
def test_selftest_shows_how_many_vectors_pass(says, vectors, failed, code):
    text = f"{vectors - failed} of {vectors} test vectors give the logits of Python\n"
    assert says("selftest", self_test=SelfTest(vectors, failed)) == (code, text)


def test_selftest_without_vectors_is_no_success(says):
    with pytest.raises(SignbitError, match="this firmware was built without test vectors"):
        says("selftest", self_test=SelfTest(0, 0))


@pytest.mark.parametrize(("slot", "failed", "code"), [(1, 0, 0), (2, 1, 1)])
def test_load_shows_where_the_model_is_and_that_it_computes(
    says, host_model, tmp_path, monkeypatch, slot, failed, code
):
    save(host_model, tmp_path / "m.npz")
    block = bytes(1200)
    monkeypatch.setattr(device, "plan_for", lambda *_: SimpleNamespace(swap=SimpleNamespace(block=block)))
    info = dataclasses.replace(
        INFO,
        model_name=host_model.name,
        model_hash=host_model.hash,
        loading=Loading("cd" * 32, 1200, 0, slot),
        flags=2 * failed,
        test_vectors_failed=failed,
    )
    named = f"{host_model.name} ({host_model.hash[:8]}), 1,200 bytes, is in slot {slot}"
    words = "load", str(tmp_path / "m.npz")
    assert says(*words, info=info, load=None) == (failed, f"{named}; {4 - failed} of 4 test vectors pass\n")
    # the board came back with another model
    assert says(*words, info=dataclasses.replace(info, model_hash="ef" * 32), load=None)[0] == 1


def test_an_emulated_board_is_a_board(repository, mnist, capsys):
    """End to end, its build included: 200 MNIST digits on the smallest core."""
    if emulate.missing():
        pytest.skip(emulate.missing())
    port = f"qemu:m0:{repository / 'models' / 'mnist-mlp.npz'}"
    options = ["--timeout", "60", "--data", "mnist", "--limit", "200", "--json"]
    assert device.main(["verify", "--port", port, *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["inputs"], told["different"], told["repeated"]) == (200, 0, 0)

"""`signbit device` and the C device of this computer, behind a pseudo terminal and a socket; and QEMU."""

import dataclasses
import json
import os
import socket
import threading
import tty
from types import SimpleNamespace

import numpy as np
import pytest

from signbit.device import command as device
from signbit.device import ports as device_ports
from signbit.device.checks import model_on, verify
from signbit.emulate import emulation as emulate
from signbit.line.frame import Frame, decode, encode
from signbit.line.link import Link
from signbit.line.protocol import Request
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import save
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


def test_an_emulated_board_is_a_board(repository, mnist, capsys):
    """End to end, its build included: 200 MNIST digits on the smallest core."""
    if emulate.missing():
        pytest.skip(emulate.missing())
    port = f"qemu:m0:{repository / 'models' / 'mnist-mlp.npz'}"
    options = ["--timeout", "60", "--data", "mnist", "--limit", "200", "--json"]
    assert device.main(["verify", "--port", port, *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["inputs"], told["different"], told["repeated"]) == (200, 0, 0)

"""`signbit device COMMAND`: talk to a board, or an emulated one; prove that it computes as Python does."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from signbit.codegen.kernels.targets import TARGETS
from signbit.codegen.report import shape_text
from signbit.console import Column, console, print_table
from signbit.device.checks import core_target, model_on, profile, verify
from signbit.device.inputs import read_input
from signbit.device.load import plan_for
from signbit.device.ports import candidates, find_port, open_port
from signbit.jobs.bars import Bars
from signbit.line.info import Info
from signbit.line.link import DeviceError, Link, LinkError, Stream
from signbit.line.listening import Listener
from signbit.line.protocol import ErrorCode, Source, Stats, TickSource
from signbit.line.words import print_word
from signbit.places import MODELS
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser, note
from signbit.qmodel.counted import counted
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.data.readers.sound_file import read_rows
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.integer import REJECTED
from signbit.qmodel.option_types import number, whole
from signbit.qmodel.shipped import add_model, model_argument
from signbit.qmodel.untrusted import shown

NO_LISTENER = {
    ErrorCode.UNKNOWN_TYPE: "the board can't listen: its model takes no stream of samples, or its firmware is old",
    ErrorCode.NO_SUCH_SOURCE: "the board has no sensor: name a sound with --stream (firmware/README.md: add one)",
}
PROFILE_INPUTS = 5
PROBE_SECONDS = 0.5
ROW_CHARACTERS = 2000
SILENCE_SECONDS = 0.3


def list_ports(options: argparse.Namespace) -> int:
    """Serial ports that may lead to a board, and what answers there."""
    rows = [(found.name, found.description, _probe(found.name)) for found in candidates()]
    if rows:
        columns = Column("port", left=True), Column("adapter", 1, left=True), Column("what answers", left=True)
        print_table(console(), columns, rows)
    else:
        print("no board was found; qemu:m0 to qemu:m55 are emulated ones")
    return EXIT_OK


def info(options: argparse.Namespace) -> int:
    """What runs on the device; exit code 1 when its self-test failed."""
    with open_port(options.port or find_port()) as stream:
        found = _link(stream, options).info()
        stats = _link(stream, options).stats()
    if options.json:
        print(json.dumps(dataclasses.asdict(found) | {"stats": dataclasses.asdict(stats)}, indent=2))
    else:
        _print_info(found, stats)
    return EXIT_DIFFERENT if found.self_test_failed else EXIT_OK


def infer(options: argparse.Namespace) -> int:
    """Class (or rejection), confidence and logits of one input."""
    with open_port(options.port or find_port()) as stream:
        link = _link(stream, options)
        x = read_input(options.file, link.info())
        result = link.infer(x)
    label = None if result.class_index == REJECTED else link.info().labels[result.class_index]
    if options.json:
        print(json.dumps({"label": label} | dataclasses.asdict(result)))
    else:
        name = "rejected" if label is None else shown(label)
        print(f"{name}  {result.confidence_per_mille / 10:.1f} %  {result.ticks} {_unit(link.info())}")
        print("logits", *result.logits)
    return EXIT_OK


def check(options: argparse.Namespace) -> int:
    """Every logit of a test set against Python; exit code 1 when one differs."""
    with open_port(options.port or find_port()) as stream:
        link = _link(stream, options)
        model = model_on(link.info(), options.model, MODELS)
        inputs = dataset_for(model, options.data, options.data_dir).test.x[: options.limit]
        with Bars(f"{model.name} on {options.port or 'the board'}", len(inputs)) as bars:
            result = verify(link, model, inputs, bars.done)
        unit = _unit(link.info())
    if options.json:
        print(json.dumps(dataclasses.asdict(result), indent=2))
    else:
        verdict = "all as in Python" if result.equal else f"{result.different:,} DIFFERENT, first: {result.first}"
        print(f"{counted(result.inputs, 'input')}, {counted(result.logits, 'logit')}: {verdict}")
        print(f"min {result.ticks_min:,}, median {result.ticks_median:,.0f}, max {result.ticks_max:,} {unit}")
        print(f"requests that were repeated: {result.repeated:,}")
    return EXIT_OK if result.equal else EXIT_DIFFERENT


def show_profile(options: argparse.Namespace) -> int:
    """Ticks of each layer beside what codegen predicts."""
    with open_port(options.port or find_port()) as stream:
        link = _link(stream, options)
        found = link.info()
        target = options.target or core_target(found)
        model = model_on(found, options.model, MODELS)
        inputs = np.random.default_rng(0).integers(0, 256, (PROFILE_INPUTS, model.input_size), np.uint8)
        layers = profile(link, model, inputs, target)
    total = sum(layer.ticks for layer in layers) or 1
    columns = (
        *(Column("layer", left=True), Column("shape", 2, left=True), Column("MACs", 1), Column("ticks")),
        *(Column("share"), Column("instructions, predicted")),
    )
    rows = [
        (
            f"{layer.plan.index} {layer.plan.kind}",
            shape_text(layer.plan),
            f"{layer.plan.job.macs:,}",
            f"{layer.ticks:,.0f}",
            f"{100 * layer.ticks / total:.0f} %",
            "the compiler decides" if layer.predicted_instructions is None else f"{layer.predicted_instructions:,.0f}",
        )
        for layer in layers
    ]
    print_table(console(), columns, rows)
    print(f"{_unit(found)}; predicted for the kernels of {target}")
    return EXIT_OK


def listen(options: argparse.Namespace) -> int:
    """The words that the board hears, as they come; with its sensor, or with --stream in a sound that is sent to it."""
    screen = console()
    with open_port(options.port or find_port()) as stream:
        link = _link(stream, options)
        labels = link.info().labels
        try:
            listener = Listener(link, Source.LINE if options.stream else Source.SENSOR)
        except DeviceError as error:
            raise SignbitError(NO_LISTENER.get(error.code, str(error))) from None
        with listener:
            listening = listener.listening
            if options.stream:
                heard = listener.send(read_rows(options.stream, listening.channels, listening.rate_hz)[0])
            else:
                heard = listener.watch(options.seconds)
            if not listening.answers:
                note("the board's model has no decision, so that it names no words; choose one with: signbit decide")
            for word in heard:
                print_word(screen, word, labels, listening.hop_s, options.json)
    if listener.lost:
        note(f"words lost: {listener.lost}; the board keeps few, and nobody asked in time")
    return EXIT_OK


def load_model(options: argparse.Namespace) -> int:
    """Put another model in place of the device's; exit code 1 if the device does not report it afterwards."""
    model = load(options.model)
    with open_port(options.port or find_port()) as stream:
        link = _link(stream, options)
        block = plan_for(link.info(), model).swap.block
        with Bars(f"{model.name} to {options.port or 'the board'}", len(block)) as bars:
            link.load(block, bars.done)
        found = link.info()
    vectors = f"{found.test_vectors - found.test_vectors_failed} of {found.test_vectors} test vectors pass"
    loaded = f"{shown(found.model_name)} ({found.model_hash[:8]}), {len(block):,} bytes"
    print(f"{loaded}, is in slot {found.loading.slot}; {vectors}")
    return EXIT_OK if found.model_hash == model.hash and not found.self_test_failed else EXIT_DIFFERENT


def self_test(options: argparse.Namespace) -> int:
    """Run the embedded test vectors; exit code 1 when one fails."""
    with open_port(options.port or find_port()) as stream:
        result = _link(stream, options).self_test()
    if not result.vectors:
        raise SignbitError("this firmware was built without test vectors")
    print(f"{result.vectors - result.failed} of {result.vectors} test vectors give the logits of Python")
    return EXIT_DIFFERENT if result.failed else EXIT_OK


def monitor(options: argparse.Namespace) -> int:
    """The device's text; each line that is typed is sent, until the end of the input (Ctrl-D)."""
    with open_port(options.port or find_port()) as stream:
        stream.write(b"\0\r\n")
        _print_text(stream)
        for line in sys.stdin:
            stream.write(line.rstrip("\n").encode() + b"\r\n")
            _print_text(stream)
    return EXIT_OK


def _probe(port: str) -> str:
    try:
        with open_port(port) as stream:
            found = Link(stream, timeout=PROBE_SECONDS, retries=0).info()
        return f"signbit {found.firmware_version}, model {found.model_name} ({found.model_hash[:8]})"
    except LinkError:
        return "nothing that speaks signbit's protocol"
    except (SignbitError, OSError) as error:
        return str(error)


def _link(stream: Stream, options: argparse.Namespace) -> Link:
    return Link(stream, options.timeout)


def _unit(info: Info) -> str:
    """What ticks are: only silicon has cycles."""
    counter = "DWT" if info.tick_source == TickSource.DWT else "SysTick"
    return "ticks of the emulator, no measure of a board" if info.emulated else f"cycles ({counter})"


def _print_info(info: Info, stats: Stats) -> None:
    state = f"{info.test_vectors - info.test_vectors_failed} of {info.test_vectors} vectors passed"
    rows = {
        "firmware": f"signbit {info.firmware_version}, protocol {info.protocol_version}",
        "model": info.model_name,
        "model hash": info.model_hash,
        "input, outputs": f"{info.input_size} bytes, {info.output_size} classes: {' '.join(info.labels)}",
        "layers": f"{info.layer_count}, {info.scratch_bytes} bytes of scratch",
        "core": f"{core_target(info)} (CPUID {info.core_id:#010x}) at {info.clock_hz / 1e6:g} MHz",
        "emulated": "yes" if info.emulated else "no",
        "self-test": f"FAILED: {state}" if info.self_test_failed else state,
        "last reset": info.reset_cause.name.lower(),
        "stack": f"{stats.stack_used_bytes} of {stats.stack_bytes} bytes used",
        "other models": _loading_text(info),
        "requests": f"{stats.answered} answered, {stats.refused} of them refused; {stats.dropped} broken frames",
    }
    if info.fault:
        rows["fault"] = str(info.fault)
    alarms = {"fault"} | ({"self-test"} if info.self_test_failed else set())
    screen = console()
    for name, text in rows.items():
        style = "bold red" if name in alarms else None
        # a board's name and labels may be anybody's
        screen.print(f"{name:16}{shown(text, ROW_CHARACTERS)}", style=style, soft_wrap=True)


def _loading_text(info: Info) -> str:
    if info.loading is None:
        return "no: built with one model"
    place = f"in slot {info.loading.slot}" if info.loading.slot else "compiled in"
    return f"yes, of layout {info.loading.layout[:8]}, {info.loading.block_bytes} bytes each; this one is {place}"


def _print_text(stream: Stream) -> None:
    while received := stream.read(SILENCE_SECONDS):
        lines = received.replace(b"\0", b"").replace(b"\r", b"").decode(errors="replace").split("\n")
        print("\n".join(shown(line, ROW_CHARACTERS) for line in lines), end="", flush=True)


def main(arguments: list[str], prog: str = "signbit device") -> int:
    """Returns 0 when all is well, 1 when the device's results differ from Python's."""
    options = _parser(prog).parse_args(arguments)
    return options.run(options)


def _parser(prog: str) -> Parser:
    parser = Parser(prog=prog, description=__doc__.partition(": ")[2])
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    line = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    line.add_argument(
        "-p",
        "--port",
        metavar="PORT",
        help="serial port, socket://HOST:PORT or qemu:CORE[:MODEL] (default: the only board there is)",
    )
    line.add_argument(
        "--timeout", **number("S", 0, 3600, "(]").argument(), default=2.0, help="for one answer (default: %(default)s)"
    )
    _add(commands, "list", list_ports)
    _add(commands, "info", info, line, "--json")
    _add(commands, "infer", infer, line, "--json").add_argument("file", metavar="FILE", type=Path, help="input bytes")
    verifying = _add(commands, "verify", check, line, "--json", "--model")
    verifying.add_argument("--data", metavar="NAME", help="test set (default: the one the model was trained on)")
    verifying.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files")
    verifying.add_argument("--limit", **whole(1).argument(), help="take only the first N inputs")
    profiling = _add(commands, "profile", show_profile, line, "--model")
    profiling.add_argument("--target", choices=TARGETS, help="kernels to predict for (default: those of the core)")
    listening = _add(commands, "listen", listen, line, "--json")
    source = listening.add_mutually_exclusive_group()
    source.add_argument("--stream", metavar="FILE", type=Path, help="send a sound, .wav or .flac, and hear that")
    source.add_argument("--seconds", **number("S", 0, 1e9, "()").argument(), help="stop after so long (default: never)")
    add_model(_add(commands, "load", load_model, line))
    _add(commands, "selftest", self_test, line)
    _add(commands, "monitor", monitor, line)
    return parser


def _add(commands, name: str, run: Callable, *parents_and_options) -> argparse.ArgumentParser:
    parents = [item for item in parents_and_options if not isinstance(item, str)]
    text = run.__doc__.partition(";")[0].rstrip(".")
    command = commands.add_parser(name, help=text, description=run.__doc__, parents=parents, allow_abbrev=False)
    command.set_defaults(run=run)
    if "--json" in parents_and_options:
        command.add_argument("--json", action="store_true", help="print JSON")
    if "--model" in parents_and_options:
        command.add_argument(
            "--model", metavar="MODEL", type=model_argument, help="its file or name (default: found by its hash)"
        )
    return command

"""`python -m tools rivals`: count others' kernels and networks on the emulated cores, from sources that you point at.

CMSIS-NN (github.com/ARM-software/CMSIS-NN) and BitNetMCU (github.com/cpldcpu/BitNetMCU) are compiled by GCC and, where
it is installed, clang.  Writes bench/rivals_counted.json, in which a rival that is not given keeps its rows, and the
tables of bench/README.md.
"""

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from signbit.console import Column, console, print_table
from signbit.emulate.machines import MACHINES
from signbit.jobs.bars import Bars
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from tools.documents.blocks import ROOT, replace_block, table_of
from tools.measure import bench_tables, rival_bitnetmcu, rival_cmsis_nn
from tools.measure.bench_layers import WrongOutput
from tools.measure.rival_code import Counted, missing

BLOCK = "rivals"
PUBLISHED = ROOT / "bench" / "rivals.json"
ZOO = ROOT / "models" / "zoo.json"
OURS_BESIDE = ("mnist-2k.npz", "mnist-4k.npz", "mnist-7k.npz", "mnist-12k.npz")
"""Our models beside BitNetMCU's: those whose accuracy is in its range."""
Measure = Callable[[Path], Iterator[Counted]]


def main(arguments: list[str]) -> int:
    """Count what is given, write the file and the tables."""
    options = _parser().parse_args(arguments)
    rows = bench_tables.read_counted()
    given: list[tuple[str, Path, Measure]] = []
    if options.cmsis_nn:
        given.append((rival_cmsis_nn.NAME, options.cmsis_nn, rival_cmsis_nn.measure))
    if options.bitnetmcu:
        given.append((rival_bitnetmcu.NAME, options.bitnetmcu, rival_bitnetmcu.measure))
    screen = console()
    if given and missing():
        raise SignbitError(missing())
    for name, folder, measure in given:
        counted = _count(name, measure(folder))
        rows = [row for row in rows if not row["rival"].startswith(name)] + counted
        _print(counted)
        write_whole(bench_tables.COUNTED, (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode())
    for name, option in ((rival_cmsis_nn.NAME, "--cmsis-nn"), (rival_bitnetmcu.NAME, "--bitnetmcu")):
        if name not in [rival for rival, _, _ in given]:
            screen.print(f"NOT RUN: {name} keeps its rows; {option} DIR names a checkout", soft_wrap=True)
    replace_block(BLOCK, tables_text(rows, json.loads(ZOO.read_text())))
    bench_tables.write_block()
    screen.print(f"bench/README.md is written{', and bench/' + bench_tables.COUNTED.name if given else ''}")
    return EXIT_OK


def tables_text(rows: Sequence[dict], models: Sequence[dict]) -> str:
    """The block of bench/README.md: CMSIS-NN by compiler and width, and BitNetMCU's networks beside our models."""
    kernels = [row for row in rows if row["rival"].startswith(rival_cmsis_nn.NAME)]
    return "\n\n".join(
        [
            kernels_table(kernels),
            f"Exact instructions per multiply-accumulate of CMSIS-NN's own kernels, requantization included; each "
            f"output was compared with what its rounding gives. Built with {' '.join(rival_cmsis_nn.FLAGS)}, the "
            f"level of its CMakeLists.txt. {sources_text(kernels)}",
            networks_table([row for row in rows if row["rival"] == rival_bitnetmcu.NAME], models),
            "Whole networks: BitNetMCU's own C and weights, each by the compiler and the level (-Os, -O2, -O3) that "
            "take the fewest estimated cycles, with the accuracy that its author publishes, beside our builds for "
            "speed. Flash is what linking the inference alone takes, weights and code included; RAM is static memory "
            f"and stack. {sources_text([row for row in rows if row['rival'] == rival_bitnetmcu.NAME])}",
        ]
    )


def kernels_table(rows: Sequence[dict]) -> str:
    """Instructions per MAC, one line a layer and core."""
    per_mac = {
        (row["subject"], row["core"], row["rival"], row["compiler"]): row["instructions"]
        / rival_cmsis_nn.LAYERS[row["subject"]].macs
        for row in rows
    }
    places = list(dict.fromkeys((row["subject"], row["core"]) for row in rows))
    builds = list(dict.fromkeys((row["rival"], row["compiler"]) for row in rows))

    def cell(rival: str, compiler: str) -> Callable[[tuple[str, str]], str]:
        return lambda place: f"{per_mac[(*place, rival, compiler)]:.3f}"

    columns = [("layer", lambda place: place[0]), ("core", lambda place: place[1].upper())]
    columns += [(f"{rival.rpartition(' ')[2]}, {compiler}", cell(rival, compiler)) for rival, compiler in builds]
    return table_of(sorted(places, key=lambda place: list(MACHINES).index(place[1])), columns, left=2)


def networks_table(rows: Sequence[dict], models: Sequence[dict]) -> str:
    """BitNetMCU's networks and ours, core by core, by accuracy."""
    published = json.loads(PUBLISHED.read_text())
    points = {p["label"]: p for rival in published if rival["name"] == rival_bitnetmcu.NAME for p in rival["points"]}
    lines = [
        row
        | {"network": f"{row['rival']}, {row['subject']}", "accuracy": points[row["subject"]]["accuracy"]}
        | {"build": f"{row['compiler']} {row['flags'].split()[-1]}"}
        for row in rows
    ]
    for model in models:
        for build in model["builds"] if model["file"] in OURS_BESIDE else ():
            if build["optimize"] == "speed" and build["core"] in rival_bitnetmcu.CORES:
                lines.append(
                    build
                    | {"network": f"**{model['file'].removesuffix('.npz')}**", "accuracy": model["test_accuracy_mean"]}
                    | {"build": "GCC", "ram_bytes": build["scratch_bytes"] + build["stack_bytes"]}
                )
    lines.sort(key=lambda line: (list(MACHINES).index(line["core"]), line["accuracy"]))
    columns = (
        ("core", lambda line: line["core"].upper()),
        ("network", "network"),
        ("MNIST accuracy", lambda line: f"{100 * line['accuracy']:.2f} %"),
        ("compiler", "build"),
        *(("instructions", "instructions"), ("est. cycles", "estimated_cycles")),
        *(("flash, bytes", "flash_bytes"), ("RAM, bytes", "ram_bytes")),
    )
    return table_of(lines, columns, left=4)


def sources_text(rows: Sequence[dict]) -> str:
    """`Sources: commit 99f736a, counted 2026-11-28.`"""
    return (
        "Sources: " + "; ".join(dict.fromkeys(f"commit {row['version']}, counted {row['date']}" for row in rows)) + "."
    )


def _count(name: str, measured: Iterator[Counted]) -> list[dict]:
    """Rows with today's date, shown as they come."""
    today = datetime.date.today().isoformat()
    rows = []
    with Bars(name, None) as bars:
        try:
            for counted in measured:
                rows.append(counted.as_row() | {"date": today})
                bars.done(len(rows))
                bars.show("last", f"{counted.rival}, {counted.subject} on {counted.core} by {counted.compiler}")
        except WrongOutput as error:
            raise SignbitError(str(error)) from None
    return rows


def _print(rows: Sequence[dict]) -> None:
    columns = (
        *(Column("rival", left=True), Column("of", left=True), Column("core", left=True)),
        *(Column("compiler", 1, left=True), Column("instructions"), Column("est. cycles", 2), Column("flash", 3)),
    )
    cells = [
        (
            *(row["rival"], row["subject"], row["core"], row["compiler"]),
            *(
                "" if row[key] is None else f"{row[key]:,}"
                for key in ("instructions", "estimated_cycles", "flash_bytes")
            ),
        )
        for row in rows
    ]
    print_table(console(), columns, cells)


def _parser() -> Parser:
    parser = Parser(prog="python -m tools rivals", description=__doc__.partition(": ")[2])
    parser.add_argument("--cmsis-nn", type=Path, metavar="DIR", help="a checkout of CMSIS-NN")
    parser.add_argument("--bitnetmcu", type=Path, metavar="DIR", help="a checkout of BitNetMCU")
    return parser

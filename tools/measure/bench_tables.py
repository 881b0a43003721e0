"""What `tools.measure.bench` shows: the table on the screen, and the README's part."""

import json
from functools import partial

from rich.console import Console

from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.targets import PORTABLE
from signbit.console import Column, print_table
from signbit.emulate.machines import MACHINES, RISCV
from tools.documents.blocks import ROOT, replace_block, table_of
from tools.measure.bench_models import MODELS, layer_name
from tools.measure.rival_emlearn import KERNEL as RIVAL
from tools.measure.rival_emlearn import RIVALS

RESULTS = ROOT / "bench" / "results.json"
HOST = ROOT / "bench" / "host.json"
BLOCK = "bench"
COUNTED = ROOT / "bench" / "rivals_counted.json"
"""What `python -m tools rivals` wrote."""
CMSIS_NN = "CMSIS-NN int8"
SAME_SHAPE = {"dense 1024→1024, one-bit activations": "dense 1024→1024"}
"""Layers for which CMSIS-NN has nothing but the int8 layer of that shape."""
SAME_CODE = {"m7": "m4", "m33": "m4"}
"""Cores that execute the instructions of another."""
PORTABLE_KERNELS = {kernel.name for kernel in KERNELS if PORTABLE in kernel.targets}


def print_rows(screen: Console, rows: list[dict]) -> None:
    """Every row; the kernels that the plan picks are highlighted."""
    columns = (
        *(Column("layer", left=True), Column("core", left=True), Column("kernel", 1, left=True)),
        *(Column("instructions"), Column("per MAC", 3), Column("predicted", 4)),
        *(Column("est. cycles per MAC", 6), Column("flash", 5), Column("scratch", 5)),
    )
    cells = [
        (
            *(row["layer"], row["core"], row["kernel"]),
            f"{row['instructions']:,}",
            f"{row['instructions_per_mac']:.3f}",
            error_text(row),
            "" if row["estimated_cycles"] is None else f"{row['estimated_cycles'] / row['macs']:.3f}",
            f"{row['flash_bytes']:,}",
            f"{row['scratch_bytes']:,}",
        )
        for row in rows
    ]
    print_table(screen, columns, cells, ["bold" if row["chosen"] else None for row in rows])


def prediction_error(row: dict) -> float | None:
    """(predicted - counted) / counted, None where nothing was predicted."""
    predicted = row["predicted_instructions"]
    return None if predicted is None else predicted / row["instructions"] - 1


def error_text(row: dict) -> str:
    error = prediction_error(row)
    return "" if error is None else f"{100 * error:+.1f} %"


def worst_prediction(rows: list[dict]) -> dict | None:
    """The row with the largest error of all that the plan picks, None where there are none."""
    predicted = [row for row in rows if row["chosen"]]
    return max(predicted, key=lambda row: abs(prediction_error(row)), default=None)


def readme_text(rows: list[dict], timings: list[dict], counted: list[dict]) -> str:
    """Four tables: layers on cores, whole models beside emlearn's, and times on a computer."""
    on_riscv = [row for row in rows if row["core"] in RISCV]
    rows = [row for row in rows if row["core"] in MACHINES]
    largest_error, on_riscv_error = (
        f"{100 * abs(prediction_error(worst_prediction(part))):.1f} %" for part in (rows, on_riscv)
    )
    return "\n\n".join(
        [
            layers_table(rows, counted),
            "Exact instructions per multiply-accumulate, activation included: **signbit**, and CMSIS-NN's int8 kernel "
            "on the same shape by the better of GCC and clang (for one-bit activations it has nothing but the int8 "
            "layer; M7 and M33 execute the M4's instructions). "
            f"The plan's prediction of instructions is off by at most {largest_error}.",
            riscv_table(on_riscv),
            "The same on RISC-V, with 32 registers and with 16, and portable C with 32. These kernels are compiled, "
            f"all but one loop, so their prediction is less exact: it is off by at most {on_riscv_error}.",
            models_table(rows),
            "One inference of a whole model with the plan for speed, and of the float network of the same architecture "
            "that emlearn generates (M0 in software, M4 with its floating-point unit). Cycles are estimates from Arm's "
            "timing tables with zero wait states; flash is what linking the network alone takes, code included.",
            host_table(timings),
            "Times of portable C on a computer with vector units, which suit the int8 loop and not one-bit weights. "
            "Ratios are medians, with quartiles, over the rounds of one program that runs the three in turn.",
        ]
    )


def layers_table(rows: list[dict], counted: list[dict]) -> str:
    """Instructions per MAC of the kernel that the plan picks for speed, beside CMSIS-NN's by its better compiler."""
    picked = {(row["layer"], row["core"]): row for row in rows if row["chosen"]}
    theirs: dict[tuple[str, str], int] = {}
    for row in counted:
        if row["rival"] == CMSIS_NN:
            place = row["subject"], row["core"]
            theirs[place] = min(row["instructions"], theirs.get(place, row["instructions"]))

    def cell(core: str, layer: str) -> str:
        ours = picked[layer, core]
        reference = theirs[SAME_SHAPE.get(layer, layer), SAME_CODE.get(core, core)]
        return f"**{ours['instructions_per_mac']:.2f}** / {reference / ours['macs']:.2f}"

    subjects = {subject for subject, _ in theirs}
    layers = [row["layer"] for row in picked.values() if SAME_SHAPE.get(row["layer"], row["layer"]) in subjects]
    columns = ("layer", str), *((core.upper(), partial(cell, core)) for core in MACHINES)
    return table_of(dict.fromkeys(layers), columns)


def riscv_table(rows: list[dict]) -> str:
    """Instructions per MAC of layers and models by the plan for speed, and by a portable kernel."""
    picked = {(row["layer"], row["core"]): row for row in rows if row["chosen"]}
    portable = {(row["layer"], row["core"]): row for row in rows if row["kernel"] in PORTABLE_KERNELS}

    def cell(found: dict, core: str, layer: str) -> str:
        return f"{found[layer, core]['instructions_per_mac']:.2f}" if (layer, core) in found else ""

    columns = (
        ("layer", str),
        *((RISCV[core].title, partial(cell, picked, core)) for core in RISCV),
        ("portable C", partial(cell, portable, next(iter(RISCV)))),
    )
    return table_of(dict.fromkeys(layer for layer, _ in picked), columns)


def read_counted() -> list[dict]:
    """Others' kernels and networks, as they were counted."""
    return json.loads(COUNTED.read_text()) if COUNTED.exists() else []


def write_block() -> None:
    """Write the block of bench/README.md from the files that were measured."""
    rows, timings = (json.loads(path.read_text()) for path in (RESULTS, HOST))
    replace_block(BLOCK, readme_text(rows, timings, read_counted()))


def models_table(rows: list[dict]) -> str:
    """Whole models, and emlearn's float network where it was measured."""
    by_key = {(row["layer"], row["core"], row["kernel"] == RIVAL): row for row in rows}
    builds = [
        (name, core, by_key[layer_name(name), core, False], by_key.get((layer_name(name), core, True)))
        for name in MODELS
        for core in MACHINES
        if (layer_name(name), core, False) in by_key
    ]
    figures = (("instructions", "instructions"), ("est. cycles", "estimated_cycles"), ("flash, bytes", "flash_bytes"))
    ours = (*figures, ("RAM, bytes", "scratch_bytes"))
    columns = (
        ("model", lambda build: build[0]),
        ("core", lambda build: build[1].upper()),
        *((heading, lambda build, key=key: build[2][key]) for heading, key in ours),
        (f"{RIVAL}: instructions", lambda build: build[3] and build[3]["instructions"]),
        *((heading, lambda build, key=key: build[3] and build[3][key]) for heading, key in figures[1:]),
        ("times ours", lambda build: build[3] and f"{build[3]['instructions'] / build[2]['instructions']:.1f}"),
    )
    return table_of(builds, columns, left=2)


def host_table(timings: list[dict]) -> str:
    """Microseconds, and ratios to ours."""

    def ratio(name: str, timing: dict) -> str:
        low, median, high = timing["times_ours"][name]
        return f"{median:.2f} ({low:.2f} to {high:.2f})"

    columns = (
        ("model", "model"),
        ("signbit", lambda timing: f"{timing['microseconds']['ours']:.1f} µs"),
        ("emlearn float, times ours", partial(ratio, "emlearn")),
        ("plain int8 loop, times ours", partial(ratio, "int8")),
    )
    return table_of(timings, columns)


def rival_models() -> list[str]:
    """Shipped models whose architecture emlearn's network is trained for."""
    return [name for name in MODELS if name in RIVALS]

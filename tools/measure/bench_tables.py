"""What `tools.measure.bench` shows: the table on the screen, and the README's part."""

from rich.console import Console

from signbit.console import Column, print_table
from signbit.emulate.machines import MACHINES
from tools.documents.blocks import markdown_table
from tools.measure.bench_models import MODELS, layer_name
from tools.measure.bench_rivals import KERNEL as RIVAL
from tools.measure.bench_rivals import RIVALS

# CMSIS-NN's int8 kernels on the same shapes, instructions per MAC: compiled by GCC 12 and counted once on the same
# emulated cores with a counter of the same kind.  This command does not measure them again.
CMSIS_NN_LAYERS = {
    "dense 784→10": (6.36, 3.67, 1.96, 0.586),
    "dense 784→128": (6.16, 3.42, 1.94, 0.486),
    "dense 256→128": (6.42, 3.52, 2.07, 0.523),
    "dense 1024→1024": (6.10, 3.37, 1.92, 0.481),
    "conv 3×3, 16→16, 14×14, valid": (7.56, 3.33, 2.32, 0.390),
    "dense 1024→1024, one-bit activations": (6.10, 3.37, 1.92, 0.481),
}
CMSIS_NN_COLUMN = {"m0": 0, "m3": 1, "m4": 2, "m7": 2, "m33": 2, "m55": 3}


def print_rows(screen: Console, rows: list[dict]) -> None:
    """Every row; the kernels that the plan picks stand out."""
    columns = (
        *(Column("layer", left=True), Column("core", left=True), Column("kernel", 1, left=True)),
        *(Column("for", 2, left=True), Column("instructions"), Column("a MAC", 3), Column("predicted", 4)),
        *(Column("est. cycles a MAC", 6), Column("flash", 5), Column("scratch", 5)),
    )
    cells = [
        (
            *(row["layer"], row["core"], row["kernel"], row["optimize"]),
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
    """The row with the largest error of all that the plan picks and predicts, None where there are none."""
    predicted = [row for row in rows if row["chosen"] and row["predicted_instructions"] is not None]
    return max(predicted, key=lambda row: abs(prediction_error(row)), default=None)


def readme_text(rows: list[dict], timings: list[dict]) -> str:
    """Three tables: layers on cores, whole models beside emlearn's, and times on a computer."""
    largest_error = abs(prediction_error(worst_prediction(rows)))
    return "\n\n".join(
        [
            layers_table(rows),
            "Exact instructions per multiply-accumulate, activation included: **signbit**, and CMSIS-NN's int8 kernel "
            "on the same shape. CMSIS-NN's figures were counted once on the same emulated cores (compiled by GCC 12; "
            "for one-bit activations it has nothing but the int8 layer); this command does not measure them again. "
            f"The plan's prediction of instructions is off by at most {100 * largest_error:.1f} %.",
            models_table(rows),
            "One inference of a whole model with the plan for speed, and of the float network of the same architecture "
            "that emlearn generates (M0 in software, M4 with its floating-point unit). Cycles are estimates from Arm's "
            "timing tables with zero wait states; flash is what linking the network alone takes, code included.",
            host_table(timings),
            "Times of portable C on a computer with vector units, which suit the int8 loop and not one-bit weights. "
            "Ratios are medians, with quartiles, over the rounds of one program that runs the three by turns.",
        ]
    )


def layers_table(rows: list[dict]) -> str:
    """Instructions per MAC of the kernel that the plan picks for speed, beside CMSIS-NN's."""
    picked = {(row["layer"], row["core"]): row for row in rows if row["chosen"] and row["optimize"] == "speed"}
    body = []
    for layer, references in CMSIS_NN_LAYERS.items():
        cells = [
            f"**{picked[layer, core]['instructions_per_mac']:.2f}** / {references[column]:.2f}"
            for core, column in CMSIS_NN_COLUMN.items()
        ]
        body.append([layer, *cells])
    return markdown_table(["layer", *(core.upper() for core in MACHINES)], body)


def models_table(rows: list[dict]) -> str:
    """Whole models, and emlearn's float network where it was measured."""
    by_key = {(row["layer"], row["core"], row["kernel"] == RIVAL): row for row in rows if row["optimize"] == "speed"}
    headings = ["model", "core", "instructions", "est. cycles", "flash, bytes", "RAM, bytes"]
    headings += [f"{RIVAL}: instructions", "est. cycles", "flash, bytes", "times ours"]
    body = []
    for name in MODELS:
        for core in MACHINES:
            ours = by_key.get((layer_name(name), core, False))
            rival = by_key.get((layer_name(name), core, True))
            if ours:
                body.append([name, core.upper(), *_figures(ours), f"{ours['scratch_bytes']:,}", *_beside(ours, rival)])
    return markdown_table(headings, body, left=2)


def host_table(timings: list[dict]) -> str:
    """Microseconds, and ratios to ours."""
    body = []
    for timing in timings:
        cells = [f"{timing['microseconds']['ours']:.1f} µs"]
        for name in ("emlearn", "int8"):
            low, median, high = timing["times_ours"][name]
            cells.append(f"{median:.2f} ({low:.2f} to {high:.2f})")
        body.append([timing["model"], *cells])
    return markdown_table(["model", "signbit", "emlearn float, times ours", "plain int8 loop, times ours"], body)


def _figures(row: dict) -> list[str]:
    cycles = row["estimated_cycles"]
    return [f"{row['instructions']:,}", "" if cycles is None else f"{cycles:,}", f"{row['flash_bytes']:,}"]


def _beside(ours: dict, rival: dict | None) -> list[str]:
    if rival is None:
        return [""] * 4
    return [*_figures(rival), f"{rival['instructions'] / ours['instructions']:.1f}"]


def rival_models() -> list[str]:
    """Shipped models whose architecture emlearn's network is trained for."""
    return [name for name in MODELS if name in RIVALS]

"""`python -m tools firmware_sizes`: the size of the firmware with the digits model on every board and emulated core.

Writes bench/firmware_sizes.json and the table of bench/README.md.
"""

import json
from dataclasses import asdict
from pathlib import Path

from signbit.emulate import pio
from signbit.emulate.project import Project
from signbit.places import MODELS, ROOT
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError
from tools.documents.blocks import replace_block, table_of
from tools.measure.stack_depth import bound

MODEL = MODELS / "digits-mlp.npz"
FIGURES = ROOT / "bench" / "firmware_sizes.json"
BLOCK = "firmware sizes"


def measure(model: Path = MODEL) -> list[dict]:
    """One entry for each default environment that serves a UART: its sections as linked, the bound of its stack with
    all exceptions, and what its part has.

    Raises SignbitError when something can't be built.
    """
    project = Project(pio.FIRMWARE)
    boards = project.boards()
    envs = [env for env in project.local_envs() if not env.endswith("_batch")]
    elfs = pio.build(envs, model)
    entries = []
    for env in envs:
        board = boards[project.option(f"env:{env}", "board")]
        flash_bytes, ram_bytes = (board["upload"][name] for name in ("maximum_size", "maximum_ram_size"))
        part = {"part_flash_bytes": flash_bytes, "part_ram_bytes": ram_bytes}
        used = {**asdict(pio.size(elfs[env])), "stack_bound_bytes": bound(elfs[env]).bytes}
        entries.append({"env": env, "board": board["name"], "core": board["build"]["cpu"], **used, **part})
    return entries


def table(entries: list[dict]) -> str:
    """The boards among `entries`, without the emulated ones."""
    columns = (
        ("board", "board"),
        ("core", lambda entry: entry["core"].removeprefix("cortex-").upper().replace("PLUS", "+")),
        ("flash, bytes", "flash_bytes"),
        ("of", lambda entry: f"{entry['part_flash_bytes'] // 1024:,} KiB"),
        ("RAM besides the stack, bytes", "ram_bytes"),
        ("stack at most, bytes", "stack_bound_bytes"),
        ("of", lambda entry: f"{entry['part_ram_bytes'] // 1024:,} KiB"),
    )
    return table_of([entry for entry in entries if entry["env"].endswith("_local")], columns, left=2)


def main(arguments: list[str]) -> int:
    """Measure, write both files."""
    parser = Parser(prog="python -m tools firmware_sizes", description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.parse_args(arguments)
    if pio.missing():
        raise SignbitError(f"nothing was measured: {pio.missing()}")
    entries = measure()
    write_whole(FIGURES, (json.dumps(entries, indent=2) + "\n").encode())
    replace_block(BLOCK, table(entries))
    print(table(entries))
    return 0

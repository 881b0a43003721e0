"""`python -m tools.firmware_sizes`: what the firmware takes on every board and emulated core, as JSON."""

import configparser
import json
import sys
from dataclasses import asdict
from pathlib import Path

from qmodel.atomic import write_whole
from qmodel.command import Parser, run_command
from qmodel.errors import SignbitError
from qmodel.file import load
from tools import pio

MODEL = pio.CHECKOUT / "models" / "digits-mlp.npz"
BOARDS = pio.FIRMWARE / "platform" / "boards"


def measure(model: Path = MODEL) -> list[dict]:
    """One entry for each default environment that serves a UART: its sizes, and what its part has; sections as linked.

    Raises SignbitError when something can't be built.
    """
    project = configparser.ConfigParser(interpolation=None)
    project.read(pio.FIRMWARE / "platformio.ini")
    envs = [env for env in project["platformio"]["default_envs"].split() if not env.endswith("_batch")]
    elfs = pio.build(envs, model)
    entries = []
    for env in envs:
        board = json.loads((BOARDS / f"{_board(project, f'env:{env}')}.json").read_text())
        flash_bytes, ram_bytes = (board["upload"][name] for name in ("maximum_size", "maximum_ram_size"))
        part = {"part_flash_bytes": flash_bytes, "part_ram_bytes": ram_bytes}
        entries.append({"env": env, "board": board["name"], **asdict(pio.size(elfs[env])), **part})
    return entries


def _board(project: configparser.ConfigParser, section: str) -> str:
    """The board of a section, or of the one it extends."""
    return project[section].get("board") or _board(project, project[section]["extends"])


def main(arguments: list[str]) -> int:
    """Print the figures, or write them to a file."""
    parser = Parser(prog="python -m tools.firmware_sizes", description=__doc__.partition(": ")[2])
    parser.add_argument("--model", metavar="MODEL", type=Path, default=MODEL, help="model file (default: digits-mlp)")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write there instead of printing")
    options = parser.parse_args(arguments)
    if pio.missing():
        raise SignbitError(f"nothing was measured: {pio.missing()}")
    figures = {"model": load(options.model).name, "environments": measure(options.model)}
    text = json.dumps(figures, indent=2) + "\n"
    if options.output:
        write_whole(options.output, text.encode())
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

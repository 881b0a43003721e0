"""`signbit firmware init DIR`: the firmware as a PlatformIO project of your own, with a model in it."""

import re
import shlex
from pathlib import Path

from signbit.emulate.machines import EMULATED
from signbit.emulate.project import Project
from signbit.places import FIRMWARE
from signbit.qmodel.atomic import write_folder
from signbit.qmodel.command import Command, Parser, run_named
from signbit.qmodel.file import load
from signbit.qmodel.shipped import model_argument

COMMANDS = {"init": Command("signbit.commands.firmware:init", "write the PlatformIO project into a new folder")}
MODEL = "model.npz"
NEXT = {
    "pio run -e nucleo_f401re -t upload": "build for a board and flash it",
    "signbit device info": "ask the board what it runs",
    "python -m signbit.emulate.pio run -e qemu_m3 -t qemu": "without a board, if QEMU is here",
}
NOT_COPIED = {".pio", "__pycache__", "README.md"}


def main(arguments: list[str], prog: str) -> int | None:
    """Run the command that the first argument names."""
    return run_named(COMMANDS, arguments, prog)


def init(arguments: list[str], prog: str) -> None:
    """Write the project and say how to build it."""
    parser = Parser(prog=prog, description="Write the firmware as a PlatformIO project, with one model in it.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="new or empty folder")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        type=model_argument,
        default="digits-mlp",
        help="model file (.npz), or a name that `signbit models` lists (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    model = load(options.model)
    write_folder(options.folder, project_files(options.model))
    print(f"{options.folder}: PlatformIO project with model {model.name} ({model.hash[:8]})")
    boards = [name for name in Project(options.folder).boards() if not name.startswith(EMULATED)]
    print(f"boards: {', '.join(boards)}; NAME_local takes the compiler on PATH")
    print("next:")
    print(f"  cd {shlex.quote(str(options.folder))}")
    for command, purpose in NEXT.items():
        print(f"  {command:<55}{purpose}")


def project_files(model: Path) -> dict[str, bytes]:
    """The project's files by their paths, with the file `model` as the model that is built in."""
    paths = [path.relative_to(FIRMWARE) for path in sorted(FIRMWARE.rglob("*")) if path.is_file()]
    files = {path.as_posix(): (FIRMWARE / path).read_bytes() for path in paths if not NOT_COPIED & set(path.parts)}
    settings, found = re.subn(rb"(?m)^custom_model = .*$", f"custom_model = {MODEL}".encode(), files["platformio.ini"])
    assert found == 1
    return files | {"platformio.ini": settings, MODEL: model.read_bytes(), ".gitignore": b".pio/\n"}

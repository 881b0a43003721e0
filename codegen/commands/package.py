"""`package`: a model as a library for Arduino, PlatformIO, CMake or Zephyr."""

import shutil
import tempfile
from pathlib import Path

from signbit.codegen.commands.common import add_plan_options, add_test_vectors, load_plan
from signbit.codegen.package import FORMATS
from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError


def main(arguments: list[str], prog: str) -> None:
    parser = Parser(prog=prog, description="Write a model as a library that drops into other projects.")
    add_plan_options(parser)
    add_test_vectors(parser)
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="whose library")
    parser.add_argument("-o", "--out", metavar="FOLDER", help="new folder (default: the prefix)")
    options = parser.parse_args(arguments)
    _, plan = load_plan(options, options.test_vectors)
    folder = Path(options.out or plan.prefix)
    if folder.exists():
        raise SignbitError(f"{folder} is there already; remove it, or name another folder with --out")
    _write(folder, FORMATS[options.format](plan))
    print(f"{folder}: {options.format} library of model {plan.model_hash[:8]}, target {plan.target.name}")


def _write(folder: Path, files: dict[str, str]) -> None:
    """All files or none: they appear under the folder's name when they are complete."""
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    except OSError as error:
        raise SignbitError(f"{folder}: {error.strerror}") from None
    try:
        for name, text in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary)
        raise

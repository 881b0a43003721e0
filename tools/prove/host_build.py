"""The firmware's protocol and device, compiled for this computer around a model."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from signbit.codegen.plan import make_plan
from signbit.codegen.process import output_of
from signbit.codegen.render import header_text
from signbit.emulate.pio import FIRMWARE
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel

SOURCES = ("protocol.c", "device.c", "listener.c", "swap.c", "sha256.c", "ports/host.c")
NO_SENSOR = FIRMWARE / "src" / "sensors" / "none.c"
TEST_VECTORS = 2


def build(
    model: QuantizedModel,
    output: Path,
    options: Iterable[str | Path],
    compiler: str = "cc",
    changed: Path | None = None,
    sensor: Path = NO_SENSOR,
    is_swappable: bool = False,
) -> Path:
    """Compile the device with `options`, which may name more sources, to `output`, and write model.h beside it.

    `changed` replaces the firmware's file of that name, and `sensor` is the board's; with `is_swappable` other models
    can be loaded.  Raises SignbitError when there is no compiler, or it complains.
    """
    if not shutil.which(compiler):
        raise SignbitError(f"{compiler} is missing: apt install {'clang' if compiler == 'clang' else 'gcc'}")
    folder = output.parent
    plan = make_plan(model, "model", "portable", test_vectors=TEST_VECTORS, is_swappable=is_swappable)
    (folder / "model.h").write_text(header_text(plan))
    files = [changed if changed and changed.name == name else FIRMWARE / "src" / name for name in SOURCES]
    sources = [*files, sensor]
    includes = [f"-I{folder}", f"-I{FIRMWARE / 'include'}", f"-I{FIRMWARE / 'src'}"]
    output_of([compiler, "-std=c11", *options, *includes, *sources, "-o", output])
    return output


def replaced(text: str, right: str, wrong: str) -> str:
    """`text` with a bug: `wrong` in place of `right`, which must be there once."""
    if text.count(right) != 1:
        raise SignbitError(f"the source has changed: {right!r} is not there once")
    return text.replace(right, wrong)

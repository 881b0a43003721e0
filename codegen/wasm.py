"""A plan's header as a WebAssembly module, by clang with lld or by zig from PyPI."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from signbit.codegen import host
from signbit.codegen.plan import Plan
from signbit.codegen.render import header_text, render
from signbit.qmodel.errors import SignbitError

CLANG = ("clang", "--target=wasm32")
ZIG = (*host.ZIG, "-target", "wasm32-freestanding", "-fno-sanitize=all")
FLAGS = ("-std=c99", "-Os", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-fvisibility=hidden")
LINK = ("-Wl,--no-entry", "-Wl,--strip-all")
INSTALL = "apt install clang lld, or pip install 'signbit[cross]'"


def missing() -> str | None:
    """Why nothing can be compiled to WebAssembly here; None if it can."""
    return None if find_compiler() else f"no compiler for WebAssembly was found ({INSTALL})"


def find_compiler() -> tuple[str, ...] | None:
    """clang where it has its linker, else zig."""
    if shutil.which("clang") and shutil.which("wasm-ld"):
        return CLANG
    return ZIG if host.has_zig() else None


def build(plan: Plan, compiler: tuple[str, ...] | None = None) -> bytes:
    """The module of `page/module.c.j2`; raises SignbitError where there is no compiler, or with its first words."""
    compiler = compiler or find_compiler()
    if compiler is None:
        raise SignbitError(missing())
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        (folder / "model.h").write_text(header_text(plan))
        (folder / "module.c").write_text(render("page/module.c.j2", plan))
        command = [*compiler, *FLAGS, *LINK, "module.c", "-o", "model.wasm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            words = host.first_line(done.stderr)
            raise SignbitError(f"{compiler[0]} could not compile the model to WebAssembly: {words}")
        return (folder / "model.wasm").read_bytes()

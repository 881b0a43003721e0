"""All proofs, in the order of their table.  A new one is a module with a ROW, and a line here."""

from tools.prove import (
    bad_files,
    bits,
    clips,
    compilers,
    disk_full,
    faults,
    faults_on_core,
    fuzz,
    hearing,
    inject,
    load_cut,
    mutants,
    onnx,
    overflow,
    power_cut,
    repro,
    search_kill,
    sigkill,
    stack,
)
from tools.prove.row import Row

VALUES = (bits, clips, hearing, onnx, overflow, repro)
LINES_AND_FILES = (inject, bad_files, fuzz, faults, faults_on_core, power_cut, load_cut)
KILLS = (sigkill, search_kill, disk_full)
CODE = (compilers, mutants, stack)
ROWS: tuple[Row, ...] = tuple(module.ROW for module in (*VALUES, *LINES_AND_FILES, *KILLS, *CODE))

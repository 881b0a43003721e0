"""All proofs, in the order of their table.  A new one is a module with a ROW, and a line here."""

from tools.prove import (
    bad_files,
    bits,
    clips,
    compilers,
    coverage,
    disk_full,
    faults,
    faults_on_core,
    fuzz,
    fuzz_session,
    hearing,
    inject,
    liar,
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
STRANGERS = (inject, bad_files, fuzz, fuzz_session, faults, faults_on_core, liar)
ACCIDENTS = (power_cut, load_cut, sigkill, search_kill, disk_full)
CODE = (compilers, coverage, mutants, stack)
ROWS: tuple[Row, ...] = tuple(module.ROW for module in (*VALUES, *STRANGERS, *ACCIDENTS, *CODE))

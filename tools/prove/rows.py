"""All proofs, in the order of their table.  A new one is a module with a ROW, and a line here."""

from tools.prove import (
    bad_files,
    bits,
    compilers,
    disk_full,
    faults,
    faults_on_core,
    fuzz,
    inject,
    load_cut,
    mutants,
    onnx,
    overflow,
    power_cut,
    repro,
    sigkill,
    stack,
)
from tools.prove.row import Row

MODULES = (bits, onnx, overflow, repro, inject, bad_files, fuzz, faults, faults_on_core, power_cut, load_cut)
ROWS: tuple[Row, ...] = tuple(module.ROW for module in (*MODULES, sigkill, disk_full, compilers, mutants, stack))

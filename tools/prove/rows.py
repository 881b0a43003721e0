"""All proofs, in the order of their table.  A new one is a module with a ROW, and a line here."""

from tools.prove import bad_files, bits, faults, faults_on_core, fuzz, onnx, overflow, power_cut, repro, sigkill
from tools.prove.row import Row

ROWS: tuple[Row, ...] = tuple(
    module.ROW for module in (bits, onnx, overflow, repro, bad_files, fuzz, faults, faults_on_core, power_cut, sigkill)
)

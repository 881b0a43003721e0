"""Helium: a dense layer of many outputs by tables of signed sums."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from signbit.codegen.kernels import helium_assembly as assembly
from signbit.codegen.kernels.base import Job, Piece
from signbit.qmodel.value import WORD_BYTES

TABLE_INPUTS = 8
TABLE_BYTES = 2 << TABLE_INPUTS
PASS_TABLES = 8
PASS_INPUTS = TABLE_INPUTS * PASS_TABLES
LANES = 8
BUILD_INSTRUCTIONS = 84
PASS_INSTRUCTIONS = 74
"""Instructions of one table, and of a pass beside its tables and groups."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The order of the work: passes of up to 8 tables; in a pass, groups of 8 rows; in a group, 8 bytes per table.

    A table holds all 256 sums of +x and -x over 8 inputs, at most 2,040 in magnitude, so that 16 bits hold a pass.
    """

    job: Job

    @property
    def plane_words(self) -> int:
        """Accumulators of one plane, whole groups."""
        return -(-self.job.neurons // LANES) * LANES

    @property
    def rows(self) -> int:
        return self.job.planes * self.plane_words

    @property
    def full_passes(self) -> int:
        return self.job.layer.fan_in // PASS_INPUTS

    @property
    def last_tables(self) -> int:
        """Tables in the pass after the full ones, 0 for none."""
        return -(-(self.job.layer.fan_in % PASS_INPUTS) // TABLE_INPUTS)

    @property
    def scratch_bytes(self) -> int:
        tables = PASS_TABLES if self.full_passes else self.last_tables
        return tables * TABLE_BYTES + PASS_INPUTS + WORD_BYTES * self.rows

    def weights(self) -> np.ndarray:
        """uint8: for each pass, group and table, the sign bits of 8 rows; lanes 0, 2, 4, 6 are the first 4 rows."""
        fan_in, planes, neurons = self.job.layer.fan_in, self.job.planes, self.job.neurons
        tables = -(-fan_in // TABLE_INPUTS)
        bits = np.zeros((planes, self.plane_words, tables * TABLE_INPUTS), np.uint8)
        bits[:, :neurons, :fan_in] = self.job.rows.reshape(planes, neurons, fan_in) < 0
        octets = np.packbits(bits, axis=2, bitorder="little").reshape(-1, 2, LANES // 2, tables)
        lanes = octets.transpose(0, 3, 2, 1)  # groups, tables, row in a half, half
        starts = range(0, tables, PASS_TABLES)
        return np.concatenate([lanes[:, start : start + PASS_TABLES].reshape(-1) for start in starts])

    def values(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "row_bytes": WORD_BYTES * self.rows,
            "plane_words": self.plane_words,
            "tables_at": self.rows + PASS_INPUTS // WORD_BYTES,
            "groups": self.rows // LANES,
            "pass_bytes": PASS_TABLES * self.rows,
            "full_passes": self.full_passes,
            "full_inputs": PASS_INPUTS * self.full_passes,
            "last_tables": self.last_tables,
            "last_inputs": self.job.layer.fan_in % PASS_INPUTS,
        }

    def pieces(self) -> tuple[Piece, ...]:
        passes = [self.last_tables] * (self.last_tables > 0) + [PASS_TABLES] * (self.full_passes > 0)
        mean = (Piece("mve_mean"),) if self.job.planes == 2 else ()
        return (Piece("mve_tables"), *map(_pass_piece, passes), *mean)

    def instructions(self) -> int:
        """Instructions for all accumulators, calls included."""
        groups = self.rows // LANES
        total = 8 + 2 * -(-self.rows // 4)
        for tables, passes in ((PASS_TABLES, self.full_passes), (self.last_tables, int(self.last_tables > 0))):
            total += passes * (PASS_INSTRUCTIONS + BUILD_INSTRUCTIONS * tables + groups * (3 * tables + 8))
        if self.job.planes == 2:
            total += 10 + 5 * -(-self.job.neurons // 4)
        return total


def _pass_piece(tables: int) -> Piece:
    values = {"tables": tables, "assembly": assembly.table_pass(tables)}
    return Piece("mve_pass", f"mve_pass{tables}", values)

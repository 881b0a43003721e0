"""Helium: a dense layer of many outputs by tables of signed sums."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays, function
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m55 import assembly
from signbit.codegen.kernels.m55.outputs import HeliumKernel
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES

TABLE_INPUTS = 8
TABLE_BYTES = 2 << TABLE_INPUTS
PASS_TABLES = 8
PASS_INPUTS = TABLE_INPUTS * PASS_TABLES
LANES = 8


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
        mean = (Piece("m55/mean", values={"listing": assembly.mean}),) if self.job.planes == 2 else ()
        tables = Piece("m55/tables", values={"inputs": assembly.inputs, "build": assembly.build})
        return (tables, *map(_pass_piece, passes), *mean)

    def runs(self) -> list[Run]:
        """The assembly that makes all accumulators."""
        passes = {PASS_TABLES: self.full_passes} if self.full_passes else {}
        if self.last_tables:
            passes[self.last_tables] = passes.get(self.last_tables, 0) + 1
        mean = [assembly.vector_run(assembly.mean, 1, self.job.neurons, 4)] if self.job.planes == 2 else []
        return [
            assembly.vector_run(assembly.fill, 1, WORD_BYTES * self.rows),
            assembly.inputs.run(sum(passes.values())),
            *(assembly.build.run(times, tables=tables) for tables, times in passes.items()),
            *(assembly.table_pass(tables).run(times, groups=self.rows // LANES) for tables, times in passes.items()),
            *mean,
        ]


def _pass_piece(tables: int) -> Piece:
    summary = f"Add the pass's sums, from {tables} tables, to the accumulators; returns the weights of the next pass."
    prototype = "const uint8_t * (int32_t *acc, const uint8_t *weights, const uint16_t *table, uint32_t groups)"
    return function(f"m55_pass{tables}", assembly.table_pass(tables), prototype, summary)


class DenseLut(HeliumKernel):
    """Tables of the signed sums over 8 inputs, gathered for eight rows at a time."""

    layer = Dense
    reads = BYTES

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return (CArray("weights", "uint8_t", Tables(job).weights()), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, Any]:
        return Tables(job).values()

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (assembly.FILL, *Tables(job).pieces(), *super().pieces(job))

    def scratch_bytes(self, job: Job) -> int:
        return Tables(job).scratch_bytes

    def runs(self, job: Job) -> list[Run]:
        return [*Tables(job).runs(), *super().runs(job)]

    def terms(self, job: Job) -> dict[str, float]:
        passes = Tables(job).full_passes + (Tables(job).last_tables > 0)
        return super().terms(job) | {"pass": passes, "mean": job.planes - 1}


KERNELS = (DenseLut(),)

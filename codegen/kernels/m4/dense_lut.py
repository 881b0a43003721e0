"""Dense layers of many neurons on Cortex-M4, M7 and M33: tables of the sums of seven inputs."""

from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m4 import assembly
from signbit.codegen.kernels.m4.dense import finished
from signbit.codegen.kernels.targets import CORTEX_DSP
from signbit.qmodel.activations import Sign
from signbit.qmodel.layers import Dense

GROUP_INPUTS = 7
WORD_INPUTS = 4 * GROUP_INPUTS
PASS_WORDS = 4
TABLE_BYTES = 256


class DenseLut(Kernel):
    """For each seven inputs a table of the 128 sums of 2x, then three instructions for seven weights of a row.

    The bit of +1 is set in a table's index: acc = (sum of the tables' entries) - (sum of x).  UXTAB makes an entry's
    address of a byte of weights, an index already doubled; the offset in LDRH chooses the table.  16 tables make a
    pass over all rows.
    """

    targets = CORTEX_DSP
    layer = Dense
    reads = BYTES

    def fits(self, job: Job) -> bool:
        return job.planes == 1

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        words = self._words(job)
        positive = np.zeros((job.neurons, words * WORD_INPUTS), np.uint32)
        positive[:, : job.layer.fan_in] = job.rows > 0
        groups = positive.reshape(job.neurons, words, 4, GROUP_INPUTS)
        indices = (groups << np.arange(1, 8, dtype=np.uint32)).sum(axis=3)
        rows = (indices.astype(np.uint32) << np.array([0, 8, 16, 24], np.uint32)).sum(axis=2, dtype=np.uint32)
        passes = [rows[:, start : start + PASS_WORDS].reshape(-1) for start in range(0, words, PASS_WORDS)]
        return (CArray("weights", "uint32_t", np.concatenate(passes)), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, Any]:
        words = self._words(job)
        whole = job.layer.fan_in // WORD_INPUTS
        full_passes = whole // PASS_WORDS
        direct, left = whole - PASS_WORDS * full_passes, words - PASS_WORDS * full_passes
        sums_at = min(words, PASS_WORDS) * TABLE_BYTES
        return {
            "tables": _tables_piece(job.input_shift).symbol,
            "full_passes": full_passes,
            "full_inputs": PASS_WORDS * WORD_INPUTS * full_passes,
            "whole_inputs": WORD_INPUTS * whole,
            "direct_tables": 4 * direct,
            "direct_entries": 4 * direct * TABLE_BYTES // 2,
            "last_look_up": _look_up(left).symbol if left else None,
            "sums_at": sums_at,
            "rest": job.layer.fan_in % WORD_INPUTS,
            "rest_at": sums_at + job.neurons,
            "assembly": assembly.table_outputs(job.layer.activation),
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        words = self._words(job)
        kinds = {min(words, PASS_WORDS), words % PASS_WORDS or PASS_WORDS}
        return (_tables_piece(job.input_shift), *map(_look_up, sorted(kinds)))

    def finishes(self, job: Job) -> bool:
        return isinstance(job.layer.activation, Sign)

    def scratch_bytes(self, job: Job) -> int:
        rest_bytes = WORD_INPUTS if job.layer.fan_in % WORD_INPUTS else 0
        return min(self._words(job), PASS_WORDS) * 4 * TABLE_BYTES + 4 * job.neurons + rest_bytes

    def runs(self, job: Job) -> list[Run]:
        full, left = divmod(self._words(job), PASS_WORDS)
        tables = assembly.tables(job.input_shift)
        outputs = [] if self.finishes(job) else [assembly.table_outputs(job.layer.activation).run(neurons=job.neurons)]
        return [
            *(tables.run(times, tables=count) for count, times in self._tables(job).items()),
            assembly.look_up(PASS_WORDS).run(full, sums=job.neurons),
            *([assembly.look_up(left).run(sums=job.neurons)] if left else []),
            *outputs,
        ]

    def terms(self, job: Job) -> dict[str, float]:
        return (
            super().terms(job)
            | finished(job)
            | {
                "cleared": job.neurons,
                "pass": -(-self._words(job) // PASS_WORDS),
                "tables": sum(self._tables(job).values()),
                "rest": WORD_INPUTS if job.layer.fan_in % WORD_INPUTS else 0,
            }
        )

    def _tables(self, job: Job) -> dict[int, int]:
        """How often so many tables are built at once."""
        values = self.values(job)
        calls = {4 * PASS_WORDS: values["full_passes"], values["direct_tables"]: 1}
        if values["rest"]:
            calls[4] = calls.get(4, 0) + 1
        return {tables: times for tables, times in calls.items() if tables and times}

    def _words(self, job: Job) -> int:
        return -(-job.layer.fan_in // WORD_INPUTS)


def _tables_piece(shift: int) -> Piece:
    """The function that builds tables of inputs shifted by 0 or 1."""
    return Piece("m4/tables", f"m4_tables{'_shifted' * shift}", {"listing": assembly.tables(shift)})


def _look_up(words: int) -> Piece:
    """The function that adds the entries of 4 tables for each of `words` words of weights."""
    values = {"words": words, "tables": 4 * words, "assembly": assembly.look_up(words)}
    return Piece("m4/lookup", f"m4_lookup{words}", values)


KERNELS = (DenseLut(),)

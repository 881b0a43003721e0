"""Dense layers of many neurons on Cortex-M4, M7 and M33: tables of the sums of seven inputs."""

from typing import Any

import numpy as np

from signbit.codegen.kernels import dsp_assembly as assembly
from signbit.codegen.kernels.base import BYTES, CArray, Cost, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.dsp_dense import finish_instructions, output_instructions
from signbit.codegen.kernels.targets import CORTEX_DSP
from signbit.qmodel.activations import Sign
from signbit.qmodel.layers import Dense

GROUP_INPUTS = 7
WORD_INPUTS = 4 * GROUP_INPUTS
PASS_WORDS = 4
TABLE_BYTES = 256
STACK_BYTES = 16
BUILD_INSTRUCTIONS = 92
LOOKUP_INSTRUCTIONS = 12


class DspLut(Kernel):
    """For each seven inputs a table of the 128 sums of 2x, then three instructions for seven weights of a row.

    The bit of +1 is set in a table's index: acc = (sum of the tables' entries) - (sum of x).  UXTAB makes an entry's
    address of a byte of weights, an index already doubled; the offset in LDRH chooses the table.  16 tables make a
    pass over all rows.
    """

    name = "dsp_lut"
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
        tables = Piece("dsp_tables", values={"plain": assembly.tables(False), "shifted": assembly.tables(True)})
        return (tables, *map(_look_up, sorted(kinds)))

    def finishes(self, job: Job) -> bool:
        return isinstance(job.layer.activation, Sign)

    def cost(self, job: Job) -> Cost:
        words = self._words(job)
        passes = -(-words // PASS_WORDS)
        shifts = GROUP_INPUTS if job.input_shift else 0
        tables = 4 * words * (BUILD_INSTRUCTIONS + shifts)
        lookups = job.neurons * (LOOKUP_INSTRUCTIONS * words + 5 * passes)
        finish = finish_instructions(job) or job.neurons * (output_instructions(job) + 4)
        rest_bytes = WORD_INPUTS if job.layer.fan_in % WORD_INPUTS else 0
        calls = 140 * passes - 60 + 6 * rest_bytes
        instructions = calls + tables + lookups + 3 * job.neurons + finish
        tables_bytes = min(words, PASS_WORDS) * 4 * TABLE_BYTES
        return Cost(instructions, tables_bytes + 4 * job.neurons + rest_bytes, STACK_BYTES)

    def _words(self, job: Job) -> int:
        return -(-job.layer.fan_in // WORD_INPUTS)


def _look_up(words: int) -> Piece:
    """The function that adds the entries of 4 tables for each of `words` words of weights."""
    values = {"words": words, "tables": 4 * words, "assembly": assembly.look_up(words)}
    return Piece("dsp_lookup", f"dsp_lookup{words}", values)

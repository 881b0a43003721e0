"""Dense layers of many neurons on Cortex-M4, M7 and M33: tables of the sums of seven inputs."""

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Cost, Job, Kernel, activation_arrays
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

    def values(self, job: Job) -> dict:
        return {
            "words": self._words(job),
            "sums_offset": min(self._words(job), PASS_WORDS) * 4 * TABLE_BYTES // 4,
            "rest": job.layer.fan_in % WORD_INPUTS,
            "rest_offset": min(self._words(job), PASS_WORDS) * 4 * TABLE_BYTES // 4 + job.neurons,
        }

    def pieces(self, job: Job) -> tuple[str, ...]:
        words = self._words(job)
        kinds = {min(words, PASS_WORDS), words % PASS_WORDS or PASS_WORDS}
        return ("dsp_tables", *(f"dsp_lookup{kind}" for kind in sorted(kinds)))

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

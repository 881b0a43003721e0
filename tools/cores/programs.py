"""Many models in one C program: what makes thousands of random models a matter of seconds, here and on a core.

The program reads, for each model in turn, `count` inputs, and writes for each of them every layer's output, the class,
the confidence and, if the model has a reject or a decision, what these say; of a model with a front end it reads
samples, and writes the features first; or it reads sensor counts and writes the inputs that they become.  Where its
bytes come from and go to is the business of `stream.h`: stdin and stdout on this computer, semihosting on an emulated
core, flash and a UART on an emulated AVR.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from signbit.codegen.plan import Plan
from signbit.codegen.render import header_text
from signbit.codegen.verify import Comparison, compare, expected_output
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel

STREAM_HERE = Path(__file__).resolve().parent / "streams" / "host"
"""Where this computer's stream.h is."""
TIMEOUT_S = 600

# the declarations come first, before any other include could help them
MAIN = """%(declarations)s
#include "stream.h"

static int quiet;

static void trace(const void *data, uint32_t bytes)
{
    if (!quiet) {
        stream_write(data, bytes);
    }
}
%(implementations)s
/* one model after the other: they share their memory */
static union {
%(members)s
} memory;

int main(void)
{
    stream_open();
%(runs)s
    stream_close();
    return 0;
}
"""
IMPLEMENTATION = """
#define {P}_TRACE(layer, data, bytes) do {{ STREAM_STOP(); trace((data), (bytes)); STREAM_START(); }} while (0)
#define {P}_IMPLEMENTATION
#include "{p}.h"
"""
MEMBER = """    struct {{
        {p}_scratch_t scratch;
        int32_t logits[{P}_OUTPUT_SIZE];
        uint8_t input[{P}_INPUT_SIZE + {offset}];
{samples}    }} {p};"""
RUN = """    {{
        int32_t *const logits = memory.{p}.logits;
        {p}_scratch_t *const scratch = &memory.{p}.scratch;
        uint8_t *const x = memory.{p}.input + {offset};
        int left;
{decision}        for (left = {count}; left > 0; left--) {{
            int32_t verdict[{verdicts}];
{read}            STREAM_START();
            {p}_infer(x, logits, scratch);
            STREAM_STOP();
            verdict[0] = (int32_t){p}_argmax(logits);
            verdict[1] = (int32_t){p}_confidence(logits);
{reject}            trace(verdict, sizeof verdict);
{decide}{predict}        }}
    }}"""
QUANTIZED_MEMBER = """    struct {{
        int16_t counts[{P}_COUNTS_SIZE];
        uint8_t input[{P}_INPUT_SIZE];
    }} {p};"""
QUANTIZE = """    {{
        int left;
        for (left = {count}; left > 0; left--) {{
            stream_read(memory.{p}.counts, sizeof memory.{p}.counts);
            {p}_quantize_input(memory.{p}.counts, memory.{p}.input);
            trace(memory.{p}.input, {P}_INPUT_SIZE);
        }}
    }}"""
READ = """            stream_read(x, {P}_INPUT_SIZE);
"""
SAMPLES = """        int16_t samples[{P}_SAMPLES_SIZE];
"""
READ_SAMPLES = """            stream_read(memory.{p}.samples, 2 * {P}_SAMPLES_SIZE);
            STREAM_START();
            {p}_features(memory.{p}.samples, x, scratch);
            STREAM_STOP();
            trace(x, {P}_INPUT_SIZE);
"""
PREDICT = """            quiet = 1; /* predict runs inference again */
            if ({p}_predict(x, scratch) != (uint32_t)verdict[0]) {{
                return 4;
            }}
{predict_or_reject}{push}            quiet = 0;
"""
REJECT = """            verdict[2] = (int32_t){p}_argmax_or_reject(logits);
"""
DECISION = """        {p}_decision_t decision;
        {p}_begin_decisions(&decision);
"""
DECIDE = """            {{
                const int32_t decided = (int32_t){p}_decide(&decision, logits);
                trace(&decided, sizeof decided);
            }}
"""
STREAM = """        {p}_stream_t stream;
        int16_t samples[{P}_SAMPLES_SIZE + {P}_HOP_SIZE]; /* what the last hop has beyond the samples does not matter */
"""
PUSH = """            {{
                const int16_t *hop = memory.{p}.samples;
                {p}_begin(&memory.{p}.stream, 1);
                while (!{p}_push(&memory.{p}.stream, hop, logits)) {{
                    hop += {P}_HOP_SIZE;
                }}
                if ({p}_argmax(logits) != (uint32_t)verdict[0] || {p}_confidence(logits) != (uint32_t)verdict[1]) {{
                    return 6;
                }}
            }}
"""
PREDICT_OR_REJECT = """            if ({p}_predict_or_reject(x, scratch) != (uint32_t)verdict[2]) {{
                return 5;
            }}
"""


def write_program(
    folder: Path,
    plans: list[Plan],
    count: int,
    suffix: str = ".c",
    offset: int | None = None,
    predict: bool = True,
    quantize: bool = False,
) -> Path:
    """The program's source and headers in `folder`; every plan has a prefix of its own.

    Inputs lie `offset` bytes after a word's beginning; by default 0, 1, 2 and 3 in turn, model by model.
    `predict` checks PREFIX_predict too, which runs inference a second time, and what a stream answers.  With
    `quantize` the program takes sensor counts through PREFIX_quantize_input, and no further.
    """
    member, run = (QUANTIZED_MEMBER, QUANTIZE) if quantize else (MEMBER, RUN)
    names = [
        {
            **(macros := {"p": plan.prefix, "P": plan.macro_prefix}),
            "count": count,
            "offset": index % 4 if offset is None else offset,
            "samples": (STREAM if plan.streams else SAMPLES if plan.front_end else "").format(**macros),
            "push": PUSH.format(**macros) if plan.streams else "",
            "read": (READ_SAMPLES if plan.front_end else READ).format(**macros),
            "verdicts": 3 if plan.reject else 2,
            "reject": REJECT.format(p=plan.prefix) if plan.reject else "",
            "decision": DECISION.format(p=plan.prefix) if plan.decision else "",
            "decide": DECIDE.format(p=plan.prefix) if plan.decision else "",
            "predict_or_reject": PREDICT_OR_REJECT.format(p=plan.prefix) if plan.reject else "",
        }
        for index, plan in enumerate(plans)
    ]
    for plan in plans:
        (folder / f"{plan.prefix}.h").write_text(header_text(plan))
    source = folder / f"main{suffix}"
    source.write_text(
        MAIN
        % {
            "declarations": "\n".join(f'#include "{plan.prefix}.h"' for plan in plans),
            "implementations": "".join(IMPLEMENTATION.format(**name) for name in names),
            "members": "\n".join(member.format(**name) for name in names),
            "runs": "\n".join(run.format(predict=PREDICT.format(**name) if predict else "", **name) for name in names),
        }
    )
    return source


def run(
    plans: list[Plan],
    inputs: list[np.ndarray],
    command: Sequence[str],
    emulator: Sequence[str] = (),
    suffix: str = ".c",
) -> bytes:
    """What the program of `plans`, compiled by `command`, writes for the inputs, n the same for all.

    `emulator` runs it where it is for another computer.  Raises SignbitError when it can't be built or fails.
    """
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        source = write_program(Path(name), plans, len(inputs[0]), suffix)
        program = source.with_suffix("")
        words = [*command, f"-I{STREAM_HERE}", "-o", str(program), str(source)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise SignbitError(f"{' '.join(command)}: {done.stderr.strip()[:2000]}")
        stdin = b"".join(x.tobytes() for x in inputs)
        done = subprocess.run([*emulator, str(program)], input=stdin, capture_output=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise SignbitError(f"the program ended with exit code {done.returncode}: {done.stderr.decode()[:2000]}")
    return done.stdout


def compare_all(
    models: list[QuantizedModel], inputs: list[np.ndarray], output: bytes, order: str = "<"
) -> list[Comparison]:
    """Compare each model's part of the program's output with Python; anything left over is a difference."""
    results, start = [], 0
    for model, x in zip(models, inputs, strict=True):
        record_bytes = sum(array.nbytes for array in expected_output(model, x[:1]).values())
        results.append(compare(model, x, output[start : start + record_bytes * len(x)], order))
        start += record_bytes * len(x)
    if start != len(output):
        results.append(Comparison(0, 0, 0, 1, f"{len(output)} bytes instead of {start}"))
    return results

"""What the documents say of the zoo: models/README.md, and the README's picture, tables and sources."""

import json
from collections.abc import Sequence

from tools.documents.blocks import ROOT, markdown_table

RIVALS = ROOT / "bench" / "rivals.json"
BLOCK = "zoo"
PICTURE = "docs/img/accuracy_flash.png"

MODELS_TEXT = """# Models that come with signbit

Networks whose weights take one bit each. Every file holds the integer model and, as provenance, its command, data hash,
settings and scores; `python -m trainer evaluate FILE` counts the test score again. `python -m tools zoo` trains and
measures them, and writes [zoo.json](zoo.json) and this page; [tools/zoo/recipes.py](../tools/zoo/recipes.py) is the
list of recipes.

%(table)s

Accuracy is the integer model's on the test part, mean ± standard deviation over the runs; a run reads the test part
once, at its end. One run's model ships: the best on the validation part, the lowest seed on a tie; of folds, the first.
Bytes are weights and parameters, and scratch, as `python -m codegen inspect FILE --target portable --optimize size`
prints them. Instructions are exact, counted on emulated cores with the plan for speed, which may take more scratch;
the M0's of a model beyond 245 KiB on a machine with an M3, which executes an M0's code as it is. Cycles are
estimates from Arm's timing tables with zero wait states, and no physical board took part. "Different" are
test inputs, of all runs together, that the fake-quantized network and the integer model label differently
(`trainer/learning/evaluate.py` says what these are). CPU time is that of a whole run on one core.

%(sections)s
The mnist commands need MNIST's files: see `--data-dir` in `python -m trainer --help`. The same command gives the same
hash with other BLAS kernels, thread counts and SIMD instructions, which `tests/test_networks.py` checks;
`trainer/exact/grid.py` says how.
"""
SECTION = """## %(file)s

%(purpose)s.

- network `%(network)s`
- model hash `%(hash)s`
- data hash `%(data_hash)s`

%(runs)s

```
%(command)s
```
"""


def models_text(rows: Sequence[dict]) -> str:
    """models/README.md."""
    headings = ["file", "test accuracy", "runs", "bytes", "scratch", "MACs"]
    headings += ["M0 instructions", "est. cycles", "scratch", "M4 instructions", "est. cycles", "scratch"]
    headings += ["different", "CPU time"]
    body = [
        [
            f"[{row['file']}](#{row['file'].replace('.', '')})",
            spread(row),
            f"{len(row['seeds'])} {'folds' if row['folds'] else 'seeds'}",
            *_numbers(row, "flash_bytes", "arena_bytes", "macs"),
            *_numbers(row, "instructions_m0", "estimated_cycles_m0", "arena_bytes_m0"),
            *_numbers(row, "instructions_m4", "estimated_cycles_m4", "arena_bytes_m4"),
            str(row["labels_different"]),
            f"{row['train_cpu_s']:.0f} s",
        ]
        for row in rows
    ]
    sections = [SECTION % (row | {"purpose": _sentence(row["purpose"]), "runs": _runs(row)}) for row in rows]
    return MODELS_TEXT % {"table": markdown_table(headings, body), "sections": "\n".join(sections)}


def readme_text(rows: Sequence[dict], rivals: Sequence[dict]) -> str:
    """The README's block."""
    return "\n\n".join(
        [
            "![Test accuracy on MNIST against bytes of weights, on logarithmic axes: our models with the spread over "
            f"their runs, and {', '.join(rival['name'] for rival in rivals)}]({PICTURE})",
            zoo_table(rows),
            "Mean ± standard deviation of the integer model's accuracy on the test part, which each run reads once, at "
            "its end. Bytes are weights and parameters; instructions are exact, counted on emulated cores, and cycles "
            "are estimates. [models/README.md](models/README.md) has commands, seeds and hashes; `python -m tools zoo` "
            "makes all of it. What others publish for MNIST on microcontrollers, their own figures:",
            rivals_table(rivals),
            "\n".join(
                f"- {rival['name']}: {rival['style']}. From {rival['source']}. Bytes: {rival['sizes']}.{_cycles(rival)}"
                for rival in rivals
            ),
            "Searches over 8-bit networks, such as SpArSe (Fedorov et al., NeurIPS 2019) and µNAS (Liberis, Dudziak "
            "and Lane, EuroMLSys 2021), also report MNIST in a few kilobytes; their tables were not at hand to be "
            "checked, so they are not drawn.",
        ]
    )


def zoo_table(rows: Sequence[dict]) -> str:
    """Our models, a line each."""
    headings = ["model", "data", "test accuracy", "bytes", "scratch", "MACs"]
    headings += ["M0 instructions", "est. cycles", "M4 instructions", "est. cycles"]
    figures = ("flash_bytes", "arena_bytes", "macs")
    counts = ("instructions_m0", "estimated_cycles_m0", "instructions_m4", "estimated_cycles_m4")
    body = [
        [
            f"[{row['file'].removesuffix('.npz')}](models/{row['file']})",
            row["data"].removesuffix(".csv"),
            spread(row),
            *_numbers(row, *figures, *counts),
        ]
        for row in rows
    ]
    return markdown_table(headings, body, left=2)


def rivals_table(rivals: Sequence[dict]) -> str:
    """Others' published points, a line each."""
    body = [
        [
            rival["name"],
            point["label"],
            f"{100 * point['accuracy']:.2f} %",
            f"{point['flash_bytes']:,}",
            "" if point["cycles"] is None else f"{point['cycles']:,}",
        ]
        for rival in rivals
        for point in rival["points"]
    ]
    return markdown_table(["others", "network", "test accuracy", "bytes", "cycles"], body, left=2)


def read_rivals() -> list[dict]:
    return json.loads(RIVALS.read_text())


def spread(row: dict) -> str:
    """`99.25 % ± 0.04`"""
    return f"{100 * row['test_accuracy_mean']:.2f} % ± {100 * row['test_accuracy_sd']:.2f}"


def _runs(row: dict) -> str:
    headings = ["fold and seed" if row["folds"] else "seed", "epoch", "validation", "test", "CPU time"]
    body = [
        [
            f"**{run['seed']}**, ships" if run["seed"] == row["shipped_seed"] else str(run["seed"]),
            f"{run['epoch']} of {run['epochs']}",
            *(_score(run[f"{part}_correct"], run[f"{part}_count"]) for part in ("validation", "test")),
            f"{run['train_cpu_s']:.0f} s",
        ]
        for run in row["runs"]
    ]
    return markdown_table(headings, body)


def _score(correct: int, count: int) -> str:
    return f"{100 * correct / count:.2f} % ({correct}/{count})"


def _numbers(row: dict, *keys: str) -> list[str]:
    return [f"{row[key]:,}" for key in keys]


def _cycles(rival: dict) -> str:
    return f" Cycles: {rival['cycles_on']}." if rival["cycles_on"] else ""


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]

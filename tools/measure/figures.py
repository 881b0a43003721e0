"""`python -m tools figures`: measure the models that ship, write bench/figures.json and the README's table.

Accuracy is counted anew on the test set; every layer's every output is compared with Python on this computer and on
six emulated cores; sizes are those of the real firmware.
"""

import io
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from signbit.codegen.plan import make_plan
from signbit.codegen.verify import edge_inputs, find_compiler, verify
from signbit.console import console
from signbit.emulate.emulation import emulate, missing
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from tools.documents.blocks import ROOT, markdown_table, replace_block
from tools.setup import demo

MODELS = ("digits-mlp.npz", "mnist-mlp.npz")
FIGURES = ROOT / "bench" / "figures.json"
BLOCK = "figures"
DEMO_BLOCK = "demo"


@dataclass(frozen=True)
class Row:
    """One model: counts over its whole test set; `different` sums this computer and all cores."""

    file: str
    network: str
    data: str
    test_correct: int
    test_count: int
    flash_bytes: int
    scratch_bytes: int
    firmware_flash_bytes_m0: int
    firmware_ram_bytes_m0: int
    cores: list[str]
    values_compared: int
    different: int


def measure(path: Path, data_dir: str | None, progress) -> Row:
    """Everything about one model; needs a host compiler and what `signbit.emulate.emulation.missing` names."""
    model = load(path)
    plan = make_plan(model)
    dataset = dataset_for(model, None, data_dir)
    compiler = find_compiler()
    here = [verify(model, plan, inputs, compiler) for inputs in (dataset.test.x, edge_inputs(model))]
    cores = emulate(path, dataset.test.x, progress=progress)
    on_m0 = next(core for core in cores if core.core == "m0")
    return Row(
        file=path.name,
        network=network(model),
        data=dataset.name,
        test_correct=int((model.predict(dataset.test.x) == dataset.test.y).sum()),
        test_count=len(dataset.test),
        flash_bytes=plan.data_bytes,
        scratch_bytes=plan.scratch_bytes,
        firmware_flash_bytes_m0=on_m0.flash_bytes,
        firmware_ram_bytes_m0=on_m0.ram_bytes,
        cores=[core.title for core in cores],
        values_compared=sum(part.values for part in here) + sum(core.values for core in cores),
        different=sum(part.different for part in here) + sum(core.different + core.uart_different for core in cores),
    )


def network(model: QuantizedModel) -> str:
    """A model in a few characters, such as 784-128-10."""
    return "-".join(str(size) for size in (model.input_size, *(layer.neurons for layer in model.layers)))


def table(rows: list[dict]) -> str:
    """The README's table."""
    headings = [
        "model",
        "test accuracy, integer",
        "weights and parameters, bytes",
        "scratch, bytes",
        "whole firmware on M0, flash / RAM bytes",
        "values compared, C with Python",
        "different",
    ]
    return markdown_table(
        headings,
        [
            [
                f"{row['data']}, {row['network']}",
                f"{100 * row['test_correct'] / row['test_count']:.2f} %",
                f"{row['flash_bytes']:,}",
                f"{row['scratch_bytes']:,}",
                f"{row['firmware_flash_bytes_m0']:,} / {row['firmware_ram_bytes_m0']:,}",
                f"{row['values_compared']:,}",
                f"{row['different']:,}",
            ]
            for row in rows
        ],
    )


def demo_screen() -> str:
    """What `tools/demo` prints."""
    text = io.StringIO()
    screen = console()
    screen.file = text
    demo.run(demo.FOLDER, screen, console(stderr=True))
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())


def main(arguments: list[str]) -> int:
    """Measure, write both files; 1 if anything differs."""
    parser = Parser(prog="python -m tools figures", description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.add_argument("--data-dir", metavar="DIR", help="folder of MNIST's files (default: $SIGNBIT_DATA_DIR)")
    options = parser.parse_args(arguments)
    if missing():
        raise SignbitError(f"nothing was measured: {missing()}")

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    rows = [asdict(measure(ROOT / "models" / name, options.data_dir, say)) for name in MODELS]
    write_whole(FIGURES, (json.dumps(rows, indent=2) + "\n").encode())
    replace_block(BLOCK, table(rows))
    replace_block(DEMO_BLOCK, f"```\n{demo_screen()}\n```")
    print(table(rows))
    return EXIT_DIFFERENT if any(row["different"] for row in rows) else EXIT_OK

"""`python -m tools figures`: measure the models that ship, write bench/figures.json, bench/README.md, README's demo.

Every layer's every output over the test set is compared with Python, on this computer and on six emulated cores, and
sizes are those of the real firmware.  The screen of tools/demo goes into the README.
"""

import io
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from signbit.codegen.host import Host
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import edge_inputs, verify
from signbit.console import console
from signbit.emulate.emulation import emulate, missing
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from tools.documents.blocks import README, ROOT, replace_block, table_of
from tools.setup import demo
from tools.setup.options import DEMO_FOLDER

MODELS = ("digits-mlp.npz", "mnist-mlp.npz")
FIGURES = ROOT / "bench" / "figures.json"
BLOCK = "figures"
DEMO_BLOCK = "demo"


@dataclass(frozen=True)
class Row:
    """One model over its whole test set; `values_compared` and `different` sum this computer and all cores.

    Flash and RAM are those of the firmware for an M0, the stack left out.
    """

    file: str
    network: str
    test_count: int
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
    host = Host()
    here = [verify(model, plan, inputs, host) for inputs in (dataset.test.x, edge_inputs(model))]
    cores = emulate(path, dataset.test.x, progress=progress)
    on_m0 = next(core for core in cores if core.core == "m0")
    return Row(
        file=path.name,
        network=network(model),
        test_count=len(dataset.test),
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
    """The table of bench/README.md."""
    columns = (
        ("model", lambda row: f"{row['file'].removesuffix('.npz')}, {row['network']}"),
        ("test inputs", "test_count"),
        ("values compared", "values_compared"),
        ("different", "different"),
        ("firmware for M0: flash, bytes", "firmware_flash_bytes_m0"),
        ("RAM, bytes", "firmware_ram_bytes_m0"),
    )
    return table_of(rows, columns)


def demo_screen() -> str:
    """What `tools/demo` prints."""
    text = io.StringIO()
    screen = console()
    screen.file = text
    demo.run(DEMO_FOLDER, screen, console(stderr=True))
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
    replace_block(DEMO_BLOCK, f"```\n{demo_screen()}\n```", README)
    print(table(rows))
    return EXIT_DIFFERENT if any(row["different"] for row in rows) else EXIT_OK

"""python -m tools bench_trainer: seconds per epoch, beside torch's for the same network if torch is installed.

Both train in float32 on one thread of this machine, each with the kernels that its library chooses for the processor,
in turn, on random images of MNIST's size, without augmentation; torch has the same layers, latent weights,
straight-through estimators, Adam and clipping, once eagerly and once by torch.compile with channels last.  The figures
are CPU time, of which a busy machine takes less away than of the clock's.  The networks are the zoo's, in batches of
the size that they were trained with, two of them also in large batches; a last column says what it costs that the same
seed gives the same bytes.  With torch there, it writes bench/trainer.json and the table of bench/README.md.
"""

import os

# before numpy and torch are imported: one thread each
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
if __name__ == "__main__":
    # torch chooses its kernels by the processor, so numpy's BLAS does, too
    for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(variable, None)

import importlib  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass, replace  # noqa: E402
from operator import itemgetter  # noqa: E402

import numpy as np  # noqa: E402

from signbit.qmodel.atomic import write_whole  # noqa: E402
from signbit.qmodel.command import Parser, note  # noqa: E402
from signbit.qmodel.option_types import whole  # noqa: E402
from signbit.trainer.learning.loss import cross_entropy  # noqa: E402
from signbit.trainer.learning.optim import Adam  # noqa: E402
from signbit.trainer.network.architecture import Architecture, architecture_text, parse, resolve  # noqa: E402
from signbit.trainer.network.layer import Mode  # noqa: E402
from signbit.trainer.network.network import build  # noqa: E402
from tools.documents.blocks import ROOT, replace_block, table_of  # noqa: E402
from tools.zoo.recipes import RECIPES  # noqa: E402


@dataclass(frozen=True)
class Network:
    name: str
    text: str
    """Its layers in the text form."""
    batch_size: int


INPUT_SHAPE, CLASSES, EPOCH_INPUTS = (28, 28, 1), 10, 55_000
LR = 0.01
LARGE_BATCH = 400
PERCEPTRON = Network("784-1024×3-10", "dense:1024, dense:1024, dense:1024, dense", 100)
RECORD = ROOT / "bench" / "trainer.json"
BLOCK = "trainer"
TORCH_SIDES = {"torch_s": "eager", "torch_compiled_s": "compiled"}
"""How torch runs, by the names that its seconds have in the record."""


def main(arguments: list[str]) -> None:
    parser = Parser(prog="python -m tools bench_trainer", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", **whole(1).argument(), default=60, help="timed steps (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None
    rows = []
    networks = [*zoo_networks(), PERCEPTRON]
    in_large_batches = [each for each in networks if each.name in ("mnist-4k", PERCEPTRON.name)]
    networks += [replace(each, batch_size=LARGE_BATCH) for each in in_large_batches]
    for network in networks:
        architecture = resolve(parse(network.text), INPUT_SHAPE, CLASSES)
        steps = [_numpy_step(architecture, network.batch_size, is_exact) for is_exact in (True, False)]
        if torch is not None:
            steps += [_torch_step(torch, architecture, network.batch_size, is_best) for is_best in (False, True)]
        seconds = _epoch_seconds(steps, options.steps, network.batch_size)
        rows.append(
            {
                "network": network.name,
                "layers": network.text,
                "batch_size": network.batch_size,
                "numpy_s": round(seconds[0], 3),
                "inexact_s": round(seconds[1], 3),
                **{name: round(spent, 3) for name, spent in zip(TORCH_SIDES, seconds[2:], strict=False)},
            }
        )
        _print_row(rows[-1], first=len(rows) == 1)
    if torch is None:
        note("torch is not installed, so nothing was compared and nothing is written")
        return
    record = {"numpy": np.__version__, "torch": torch.__version__, "rows": rows}
    write_whole(RECORD, (json.dumps(record, indent=2) + "\n").encode())
    replace_block(BLOCK, table(record))


def zoo_networks() -> list[Network]:
    """The zoo's networks for MNIST."""
    networks = []
    for recipe in RECIPES:
        if recipe.data == "mnist":
            settings = recipe.settings(recipe.seeds[0])
            layers = settings.architecture(INPUT_SHAPE, CLASSES)
            networks.append(Network(recipe.stem, architecture_text(layers), settings.batch_size))
    return networks


def table(record: dict) -> str:
    """The table of bench/README.md."""

    def figure(of_row: Callable[[dict], float]) -> Callable[[dict], str]:
        return lambda row: f"{of_row(row):.2f}"

    columns = [("network", "network"), ("batch", "batch_size")]
    columns.append(("signbit, CPU s per epoch", figure(itemgetter("numpy_s"))))
    for name, how in TORCH_SIDES.items():
        if name in record["rows"][0]:
            columns.append((f"torch {record['torch']} {how}", figure(itemgetter(name))))
            columns.append(("ratio", figure(lambda row, name=name: row["numpy_s"] / row[name])))
    columns.append(("cost of exact sums", figure(lambda row: row["numpy_s"] / row["inexact_s"])))
    return table_of(record["rows"], columns)


def _print_row(row: dict, first: bool) -> None:
    sides = {name: f"torch {how}" for name, how in TORCH_SIDES.items() if name in row}
    if first:
        titles = "".join(f"{title:>16}{'ratio':>7}" for title in sides.values())
        print(f"{'CPU seconds per epoch':<22}{'batch':>6}{'signbit':>9}{titles or '   torch is not installed'}")
    cells = "".join(f"{row[name]:>16.2f}{row['numpy_s'] / row[name]:>7.2f}" for name in sides)
    print(f"{row['network']:<22}{row['batch_size']:>6}{row['numpy_s']:>9.2f}{cells}", flush=True)


def _epoch_seconds(steps: list[Callable[[], None]], count: int, batch_size: int) -> list[float]:
    """CPU seconds of an epoch for each, from the median of five rounds in turn, so that a busy spell hits both."""
    rounds = 5
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds + 1):
        for step, spent in zip(steps, times, strict=True):
            start = time.process_time()
            for _ in range(max(1, count // rounds)):
                step()
            spent.append((time.process_time() - start) / max(1, count // rounds))
    # the first round warms up
    return [float(np.median(spent[1:])) * (EPOCH_INPUTS // batch_size) for spent in times]


def _numpy_step(architecture: Architecture, batch_size: int, is_exact: bool) -> Callable[[], None]:
    """A training step; without exact sums (`signbit.trainer.exact.grid`) to see what they cost."""
    rng = np.random.default_rng(0)
    network = build(architecture, INPUT_SHAPE, "deterministic", rng)
    if not is_exact:
        for layer in network.layers:
            layer.grid = None
    optimizer = Adam(network.parameters)
    inputs = rng.integers(256, size=(batch_size, int(np.prod(INPUT_SHAPE))), dtype=np.uint8)
    classes = rng.integers(CLASSES, size=batch_size)

    def step() -> None:
        _, gradient = cross_entropy(network.forward(inputs, Mode.TRAIN), classes)
        network.backward(gradient)
        optimizer.step(LR)
        network.clip()

    return step


def _torch_step(torch, architecture: Architecture, batch_size: int, is_best: bool) -> Callable[[], None]:
    """The same step with torch's own convolution, pool, batch norm and Adam; compiled, with channels last, at best."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    functional = torch.nn.functional
    shape, latent, norms = INPUT_SHAPE, [], []
    for spec in architecture:
        if spec.kind == "dense":
            size = (spec.outputs, int(np.prod(shape)))
        elif spec.kind == "conv":
            size = (spec.outputs, shape[2], *spec.kernel)
        else:
            raise SystemExit("error: torch's side knows conv and dense layers only")
        latent.append(torch.nn.Parameter(torch.empty(size).uniform_(-0.3, 0.3)))
        norms.append((torch.nn.BatchNorm1d if spec.kind == "dense" else torch.nn.BatchNorm2d)(spec.outputs, eps=1.0))
        shape = spec.output_shape(shape)
    optimizer = torch.optim.Adam([*latent, *(parameter for norm in norms for parameter in norm.parameters())], lr=LR)
    rng = np.random.default_rng(0)
    inputs = rng.integers(256, size=(batch_size, 1, *INPUT_SHAPE[:2]), dtype=np.uint8)
    classes = torch.from_numpy(rng.integers(CLASSES, size=batch_size))

    def loss(x):
        for index, spec in enumerate(architecture):
            weight = latent[index]
            weight = weight + (torch.where(weight >= 0, 1.0, -1.0) - weight).detach()
            if spec.kind == "dense":
                x = functional.linear(x.flatten(1), weight)
            else:
                top, _, left, _ = spec.window.padding
                x = functional.conv2d(x, weight, stride=spec.stride, padding=(top, left))
                if spec.pool != (1, 1):
                    x = functional.max_pool2d(x, spec.pool)
            x = norms[index](x)
            if index < len(architecture) - 1:
                clipped = (16 * x).clamp(0, 127)
                x = clipped + (clipped.round() - clipped).detach()
        return functional.cross_entropy(x, classes)

    loss = torch.compile(loss) if is_best else loss

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        x = torch.from_numpy((inputs >> 1).astype(np.float32))
        loss(x.to(memory_format=torch.channels_last) if is_best else x).backward()
        optimizer.step()
        with torch.no_grad():
            for weight in latent:
                weight.clamp_(-1, 1)

    return step

"""`python -m tools train_rivals`: train networks that others publish for spoken commands on the data of our models.

They get the training part with its changed copies, the validation part, the test part and the log-mel features of
`commands-4k`, and train in PyTorch as float networks, whose accuracy flatters their 8-bit form.  Writes
bench/rivals_trained.json, in which a rival that is not named keeps its row, and the table of bench/README.md.  Every
run goes on where it was stopped.  Needs torch, soundfile and the folder of commands.
"""

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from signbit.console import console
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_OK, Parser
from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.mnist import DATA_DIR_VARIABLE
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.option_types import whole
from signbit.threads import one_blas_thread
from signbit.trainer.learning.sound import augmented
from tools.documents.blocks import ROOT, replace_block
from tools.zoo import tables
from tools.zoo.recipes import RECIPES, Recipe, chosen
from tools.zoo.rows import measured_rows

MODEL = "commands-4k"
MODELS, CACHE = ROOT / "models", ROOT / "build" / "rivals"
BATCH, LR, GRADIENT_MAX = 100, 0.003, 1.0
EPOCHS, SEEDS = 20, 3


@dataclass(frozen=True)
class Rival:
    """A class of tools/zoo/rival_networks.py and the sizes that it takes after classes and bands."""

    title: str
    source: str
    kind: str
    sizes: tuple[int, ...]

    def make(self, classes: int, bands: int):
        """The network before it is trained, an `nn.Module`."""
        return getattr(_networks(), self.kind)(classes, bands, *self.sizes)


RIVALS = {
    "ds-cnn": Rival("DS-CNN in MLPerf Tiny's shape", "arXiv 2106.07597", "DsCnn", (64,)),
    "ds-cnn-16": Rival("DS-CNN of 16 channels", "arXiv 2106.07597", "DsCnn", (16,)),
    "bc-resnet": Rival("BC-ResNet-0.625", "arXiv 2106.04140", "BcResNet", (5,)),
    "fastgrnn": Rival("FastGRNN, 48 units of rank 16", "arXiv 1901.02358", "FastGrnn", (48, 16)),
}
"""By the names of `--only`."""


@dataclass(frozen=True, eq=False)
class Task:
    """A rival with a seed and a number of epochs; `path` is where its record will be."""

    name: str
    seed: int
    epochs: int
    cache: Path

    @property
    def path(self) -> Path:
        """Other networks or another way to train are another file."""
        code = b"".join(
            Path(__file__).with_name(name).read_bytes() for name in ("rival_networks.py", "train_rivals.py")
        )
        key = hashlib.sha256(code).hexdigest()[:12]
        return self.cache / f"{self.name}-{self.epochs}-{self.seed}-{key}.json"

    def record(self) -> dict | None:
        """What the finished run found; None if it is not finished."""
        return json.loads(self.path.read_text()) if self.path.is_file() else None

    def train(self, data: Dataset) -> Iterator[int]:
        """Train to the end and write the record; gives the number of each epoch that is done.

        Adam with a rate that falls to 0 along a cosine; the network after the last epoch counts.
        """
        import torch

        torch.manual_seed(self.seed)
        inputs, classes = _inputs(torch, data, data.train), torch.from_numpy(data.train.y)
        mean, spread = inputs.mean(), inputs.std()
        network = RIVALS[self.name].make(len(data.labels), data.input_shape[2])
        optimizer = torch.optim.Adam(network.parameters(), LR)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs * (len(classes) // BATCH))
        parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
        checkpoint = self.path.with_suffix(".checkpoint")
        done, before_s = 0, 0.0
        if checkpoint.is_file():
            kept = torch.load(checkpoint, weights_only=True)
            for name, part in parts.items():
                part.load_state_dict(kept[name])
            torch.set_rng_state(kept["random"])
            done, before_s = kept["epochs"], kept["cpu_s"]
        start_s = time.process_time() - before_s
        for epoch in range(done + 1, self.epochs + 1):
            network.train()
            order = torch.randperm(len(classes))
            for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
                optimizer.zero_grad()
                scores = network((inputs[batch] - mean) / spread)
                torch.nn.functional.cross_entropy(scores, classes[batch]).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_MAX)
                optimizer.step()
                schedule.step()
            state = {name: part.state_dict() for name, part in parts.items()}
            state |= {"random": torch.get_rng_state(), "epochs": epoch, "cpu_s": time.process_time() - start_s}
            stream = io.BytesIO()
            torch.save(state, stream)
            write_whole(checkpoint, stream.getvalue())
            yield epoch
        record: dict = {"seed": self.seed}
        network.eval()
        with torch.no_grad():
            for name, part in (("validation", data.validation), ("test", data.test)):
                guesses = network((_inputs(torch, data, part) - mean) / spread).argmax(1).numpy()
                record |= {f"{name}_correct": int(np.sum(guesses == part.y)), f"{name}_count": len(part)}
        record["train_cpu_s"] = round(time.process_time() - start_s, 1)
        write_whole(self.path, (json.dumps(record) + "\n").encode())
        checkpoint.unlink()


def main(arguments: list[str]) -> int:
    """Train what is missing; the file and the table are written before the first run and after each."""
    one_blas_thread()
    options = _parser().parse_args(arguments)
    _networks()
    names = list(RIVALS) if options.only is None else options.only.split(",")
    if unknown := sorted(set(names) - set(RIVALS)):
        raise SignbitError(f"--only {unknown[0]!r} is unknown; there are {', '.join(RIVALS)}")
    (recipe,) = chosen(RECIPES, MODEL)
    place = recipe.place(Path(options.data_dir or os.environ.get(DATA_DIR_VARIABLE, "")))
    if not place.is_dir():
        raise SignbitError(f"{place} is not there; name the folder that it is in with --data-dir")
    CACHE.mkdir(parents=True, exist_ok=True)
    tasks = [Task(name, seed, options.epochs, CACHE) for seed in range(options.seeds) for name in names]
    screen = console(stderr=True)
    _write(tasks)
    for seed in range(options.seeds):
        missing = [task for task in tasks if task.seed == seed and task.record() is None]
        data = commands(recipe, place, seed) if missing else None
        for task in missing:
            for epoch in task.train(data):
                screen.print(f"{task.name} seed {seed}: epoch {epoch} of {task.epochs}")
            _write(tasks)
    return EXIT_OK


def commands(recipe: Recipe, place: Path, seed: int) -> Dataset:
    """The parts and features of the model, with the copies of the training part that its recipe makes for `seed`."""
    return augmented(dataset_for(load(MODELS / recipe.file), str(place)), recipe.settings(seed))


def _write(tasks: Sequence[Task]) -> None:
    """The rows of the rivals that `tasks` train, other rows as they were, and the table."""
    rows = {row["rival"]: row for row in tables.read_trained()}
    for name in dict.fromkeys(task.name for task in tasks):
        rows[name] = _row(name, [task for task in tasks if task.name == name])
    ordered = [rows[name] for name in RIVALS if name in rows]
    write_whole(tables.TRAINED, (json.dumps(ordered, indent=1, ensure_ascii=False) + "\n").encode())
    replace_block(tables.BLOCK, tables.tables_text(measured_rows(MODELS), tables.read_rivals()))


def _inputs(torch: ModuleType, data: Dataset, part: Split):
    """Features (frames, 1, bands) as a float tensor (n, 1, bands, frames)."""
    frames, _, bands = data.input_shape
    return torch.from_numpy(np.ascontiguousarray(part.x.reshape(-1, 1, frames, bands).swapaxes(2, 3))).float()


def _row(name: str, tasks: Sequence[Task]) -> dict:
    """What the table says of a rival; `runs` has the finished ones."""
    rival, model = RIVALS[name], load(MODELS / f"{MODEL}.npz")
    network = rival.make(len(model.labels), model.input_shape[2])
    return {
        "data": "commands",
        "rival": name,
        "name": rival.title,
        "source": rival.source,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "int8_bytes": _networks().int8_bytes(network),
        "epochs": tasks[0].epochs,
        "runs": [record for task in tasks if (record := task.record()) is not None],
    }


def _networks() -> ModuleType:
    try:
        from tools.zoo import rival_networks
    except ImportError:
        raise SignbitError("train_rivals needs PyTorch; pip install 'signbit[torch]'") from None
    return rival_networks


def _parser() -> Parser:
    parser = Parser(prog="python -m tools train_rivals", description=__doc__.partition(": ")[2])
    parser.add_argument("--only", metavar="NAME,...", help=f"some of {', '.join(RIVALS)} (default: all)")
    parser.add_argument(
        "--epochs", **whole(1).argument(), default=EPOCHS, help="passes over the training part (default: %(default)s)"
    )
    parser.add_argument("--seeds", **whole(1).argument(), default=SEEDS, help="runs of each (default: %(default)s)")
    parser.add_argument(
        "--data-dir", metavar="DIR", help=f"the folder that `commands` is in (default: ${DATA_DIR_VARIABLE})"
    )
    return parser

"""A power cut at every step of every save: the old file or the new one, and nothing lost that was acknowledged.

The product's own functions save models, checkpoints, headers and packages, over what is there and anew; each step is
recorded, and after each prefix of the steps files may be torn, lost or renamed too early, in whatever order the file
system likes (`tools.prove.disk`).
"""

import random
import stat
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from signbit.codegen.package import FORMATS, package_files
from signbit.codegen.plan import make_plan
from signbit.codegen.publication import Publication
from signbit.codegen.render import header_text
from signbit.qmodel.atomic import write_folder, write_whole
from signbit.qmodel.file import save
from tools.networks.random import random_model
from tools.prove.disk import Recorder, Step, after_cut
from tools.prove.row import SEED, Outcome, Row

CUTS = 500
"""In each step of the proof, spread over one story's steps."""
State = dict[str, bytes]


def run(first: int, count: int, ignores: Callable[[int], bool] = lambda mode: False) -> Outcome:
    """Cuts of one story; the stories take turns.  `ignores` is a planted bug: calls of fsync that do nothing."""
    stories = (models_and_headers, package, checkpoints)
    story, rng = stories[first // CUTS % len(stories)], random.Random(f"{SEED} {first}")
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        steps, allowed = story(Path(name), rng, ignores)
    findings: dict[str, None] = {}
    for number in range(first, first + count):
        at = rng.randrange(len(steps) + 1)
        files = after_cut(steps[:at], rng)
        if not allowed(at, files):
            findings[f"{story.__name__}, cut {number}, after step {at} of {len(steps)}: {_words(files)}"] = None
    return Outcome({f"in {story.__name__.replace('_', ' ')}": count}, tuple(findings)[:5])


def models_and_headers(folder: Path, rng: random.Random, ignores) -> tuple[list[Step], Callable]:
    """A model and its header are saved several times over each other."""
    recorder, history = Recorder(folder, ignores), {"m.npz": [(0, None)], "m.h": [(0, None)]}
    with recorder:
        for _ in range(3):
            model = random_model(rng.randrange(1 << 30), (rng.randrange(1, 40), 3))
            text = header_text(make_plan(model, "m")).encode()
            for name, write in (("m.npz", partial(save, model)), ("m.h", partial(write_whole, data=text))):
                write(folder / name)
                history[name].append((len(recorder.steps), (folder / name).read_bytes()))

    def allowed(at: int, files: State) -> bool:
        return all(files.get(name) in _since(versions, at) for name, versions in history.items())

    return recorder.steps, allowed


def package(folder: Path, rng: random.Random, ignores) -> tuple[list[Step], Callable]:
    """A library is written to a new folder, or to an empty one, where a cut may leave some of the files."""
    is_new = rng.random() < 0.5
    if not is_new:
        (folder / "lib").mkdir()
    recorder = Recorder(folder, ignores)
    kind = rng.choice(sorted(FORMATS))
    model = random_model(rng.randrange(1 << 30), (9, 3))
    package_of = package_files(kind, model, make_plan(model, "m"), Publication())
    with recorder:
        write_folder(folder / "lib", package_of)
    wanted = {f"lib/{name}": data for name, data in package_of.items()}

    def allowed(at: int, files: State) -> bool:
        there = {name: data for name, data in files.items() if name.startswith("lib/") and name[4] != "."}
        unfinished = not there if is_new else there.items() <= wanted.items()
        return there == wanted or (unfinished and at < len(recorder.steps))

    return recorder.steps, allowed


def checkpoints(folder: Path, rng: random.Random, ignores) -> tuple[list[Step], Callable]:
    """A run saves its state a few times, then its model, and then it removes the state: never is there neither."""
    recorder, history = Recorder(folder, ignores), []
    state, model = folder / "m.npz.checkpoint", folder / "m.npz"
    with recorder:
        for _ in range(3):
            write_whole(state, rng.randbytes(rng.randrange(1, 5000)))
            history.append((len(recorder.steps), state.read_bytes()))
        save(random_model(rng.randrange(1 << 30), (9, 3)), model)
        saved, content = len(recorder.steps), model.read_bytes()
        state.unlink()

    def allowed(at: int, files: State) -> bool:
        if files.get(model.name) == content:
            return True
        if model.name in files or at >= saved:
            return False
        return files.get(state.name) in _since([(0, None), *history], at)

    return recorder.steps, allowed


def _since(versions: list[tuple[int, bytes | None]], at: int) -> list[bytes | None]:
    """The last version that was acknowledged after `at` steps, and the one that was being written."""
    done = sum(end <= at for end, _ in versions)
    return [content for _, content in versions[done - 1 : done + 1]]


def _words(files: State) -> str:
    return ", ".join(f"{name} of {len(data)} bytes" for name, data in files.items()) or "no file"


def three(ignores: Callable[[int], bool]) -> Outcome:
    """All stories, with a planted bug."""
    return sum((run(first, CUTS, ignores) for first in range(0, 3 * CUTS, CUTS)), Outcome())


ROW = Row(
    "power-cut",
    "a power cut leaves the old file or the new one, and what was acknowledged",
    "cuts",
    short=3000,
    total=1_000_000,
    step=CUTS,
    covers=(
        "qmodel/atomic.py",
        "qmodel/file.py",
        "codegen/package.py",
        "tools/prove/disk.py",
        "tools/prove/power_cut.py",
    ),
    run=run,
    controls={
        "no fsync of files": lambda: three(stat.S_ISREG),
        "no fsync of folders": lambda: three(stat.S_ISDIR),
    },
)

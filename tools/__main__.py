"""`python -m tools`: the commands of a checkout, and what each does."""

import importlib
import sys
from dataclasses import dataclass

from signbit.qmodel.command import EXIT_OK, run_command
from signbit.qmodel.errors import SignbitError


@dataclass(frozen=True)
class Command:
    """`module` has `main(arguments) -> exit code`; `words` are what is typed after `python -m tools`."""

    words: tuple[str, ...]
    module: str
    what_for: str


def _command(words: str, module: str, what_for: str) -> Command:
    return Command(tuple(words.split()), f"tools.{module}", what_for)


COMMANDS = (
    _command("demo", "setup.demo", "the whole way on real data; tools/demo sets up what it needs first"),
    _command("check", "setup.check", "all tests; tools/check sets up what they need first"),
    _command("pin", "setup.pin", "record the versions that all tests passed with, for SIGNBIT_PINNED=1 tools/check"),
    _command("sbom", "setup.sbom", "a wheel's bill of materials, CycloneDX"),
    _command("bench", "measure.bench", "count every kernel on every emulated core; bench/results.json"),
    _command("rivals", "measure.rivals", "count CMSIS-NN and BitNetMCU on the same cores; bench/rivals_counted.json"),
    _command("tables", "measure.tables", "tables beside scikit-learn's classifiers and emlearn's C; bench/tables.json"),
    _command("bench_trainer", "zoo.bench_trainer", "time an epoch, and torch's for comparison; bench/trainer.json"),
    _command(
        "bench_reject", "measure.bench_reject", "what a reject refuses, of known and unknown digits; docs/TRAINING.md"
    ),
    _command("bridge_torch", "measure.bridge_torch", "train the networks of docs/BRIDGE.md in PyTorch; its figures"),
    _command("figures", "measure.figures", "measure the models of the first page; bench/figures.json"),
    _command("page", "measure.page", "weigh and time a live page in Chromium; bench/page.json"),
    _command("firmware_sizes", "measure.firmware_sizes", "size of the firmware on every board"),
    _command("stack", "measure.stack", "the stack's high-water mark on each core beside its bound"),
    _command("fit_costs", "measure.fit_costs", "measure the portable kernels' cost coefficients"),
    _command("fit_code_size", "measure.fit_code_size", "measure how many bytes of code kernels are"),
    _command("prove", "prove.command", "every promise's proof; with --long, bench/proofs.json and docs/SECURITY.md"),
    _command("zoo", "zoo.command", "train and measure the models that ship; models/zoo.json"),
    _command("bench_tune", "zoo.bench_tune", "search networks in place of the zoo's for digits; bench/tune.json"),
    _command("activity", "zoo.activity", "write real activity of 30 people, HAPT, as CSV with its published split"),
    _command("site", "documents.site", "the documents as a site with live models; build/site"),
    _command("notebooks", "documents.notebooks", "the tutorials as executed Jupyter notebooks; build/notebooks"),
    _command("tutorial_pictures", "documents.tutorial_pictures", "train and draw what docs/TUTORIAL.md shows"),
)


def main(arguments: list[str]) -> int | None:
    """Run the command that `arguments` begin with; none prints the index."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(index())
        return EXIT_OK
    for command in COMMANDS:
        if tuple(arguments[: len(command.words)]) == command.words:
            return importlib.import_module(command.module).main(arguments[len(command.words) :])
    raise SignbitError(f"command {arguments[0]!r} is unknown; python -m tools lists all")


def index() -> str:
    width = max(len(" ".join(command.words)) for command in COMMANDS)
    rows = [f"  {' '.join(command.words):<{width}}  {command.what_for}" for command in COMMANDS]
    return "\n".join(("python -m tools COMMAND [--help]", "", *rows))


if __name__ == "__main__":
    sys.exit(run_command(main))

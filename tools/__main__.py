"""`python -m tools`: the commands of a checkout, and what each does."""

import importlib
import sys
from dataclasses import dataclass

from signbit.qmodel.command import EXIT_OK, run_command
from signbit.qmodel.errors import SignbitError


@dataclass(frozen=True)
class Command:
    """`module` of tools has `main(arguments) -> exit code`; `word` is what is typed after `python -m tools`."""

    word: str
    module: str
    what_for: str


COMMANDS = (
    Command("demo", "setup.demo", "the whole way on real data; tools/demo sets up what it needs first"),
    Command("check", "setup.check", "all tests; tools/check sets up what they need first"),
    Command("pin", "setup.pin", "record the versions that all tests passed with, for SIGNBIT_PINNED=1 tools/check"),
    Command("sbom", "setup.sbom", "a wheel's bill of materials, CycloneDX"),
    Command("bench", "measure.bench", "count every kernel on every emulated core; bench/results.json"),
    Command("rivals", "measure.rivals", "count CMSIS-NN and BitNetMCU on the same cores; bench/rivals_counted.json"),
    Command(
        "train_rivals",
        "zoo.train_rivals",
        "train DS-CNN, BC-ResNet and FastGRNN on spoken commands; bench/rivals_trained.json",
    ),
    Command("tables", "measure.tables", "tables beside scikit-learn's classifiers and emlearn's C; bench/tables.json"),
    Command("bench_trainer", "zoo.bench_trainer", "time an epoch, and torch's for comparison; bench/trainer.json"),
    Command(
        "bench_reject", "measure.bench_reject", "what a reject refuses, of known and unknown digits; docs/TRAINING.md"
    ),
    Command("bridge_torch", "measure.bridge_torch", "train the networks of docs/BRIDGE.md in PyTorch; its figures"),
    Command("figures", "measure.figures", "measure the models of the first page; bench/figures.json"),
    Command("page", "measure.page", "weigh and time a live page in Chromium; bench/page.json"),
    Command("firmware_sizes", "measure.firmware_sizes", "size of the firmware on every board"),
    Command("stack", "measure.stack", "the stack's high-water mark on each core beside its bound"),
    Command("fit_costs", "measure.fit_costs", "measure the portable kernels' cost coefficients"),
    Command("fit_code_size", "measure.fit_code_size", "measure how many bytes of code kernels are"),
    Command("mutants_map", "mutants.map_tests", "note which tests run which lines, for mutants; build/mutants"),
    Command("mutants", "mutants.command", "plant bugs, and run the tests that are nearest; bench/mutants.json"),
    Command("prove", "prove.command", "every promise's proof; with --long, bench/proofs.json and docs/SECURITY.md"),
    Command("zoo", "zoo.command", "train and measure the models that ship; models/zoo.json"),
    Command("bench_tune", "zoo.bench_tune", "search networks in place of the zoo's for digits; bench/tune.json"),
    Command("bench_workers", "zoo.bench_workers", "trials of a search by one worker and by two; bench/workers.json"),
    Command("activity", "zoo.activity", "write real activity of 30 people, HAPT, as CSV with its published split"),
    Command("site", "documents.site", "the documents as a site with live models; build/site"),
    Command("notebooks", "documents.notebooks", "the tutorials as executed Jupyter notebooks; build/notebooks"),
    Command("tutorial_pictures", "documents.tutorial_pictures", "train and draw what docs/TUTORIAL.md shows"),
)


def main(arguments: list[str]) -> int | None:
    """Run the command that `arguments` begin with; none prints the index."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(index())
        return EXIT_OK
    return importlib.import_module(f"tools.{named(arguments[0]).module}").main(arguments[1:])


def named(word: str) -> Command:
    """The command of that name; raises SignbitError if there is none."""
    for command in COMMANDS:
        if command.word == word:
            return command
    raise SignbitError(f"command {word!r} is unknown; python -m tools lists all")


def index() -> str:
    width = max(len(command.word) for command in COMMANDS)
    rows = [f"  {command.word:<{width}}  {command.what_for}" for command in COMMANDS]
    return "\n".join(("python -m tools COMMAND [--help]", "", *rows))


if __name__ == "__main__":
    sys.exit(run_command(main))

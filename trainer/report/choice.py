"""What `--model auto` shows: progress while candidates run, and the table that it chose from."""

from rich.console import Console

from signbit.console import Column, console, print_table
from signbit.qmodel.data.dataset import Dataset
from signbit.trainer.learning.auto import Choice, settings_for
from signbit.trainer.learning.settings import Settings
from signbit.trainer.report.progress import Steps


def settings_shown(data: Dataset, given: dict, is_quiet: bool) -> Settings:
    """The settings of `settings_for`, and on stderr how they came about."""
    with Steps("choosing among networks and encodings", is_quiet) as steps:
        settings, choice = settings_for(data, given, steps)
    if choice is not None and not is_quiet:
        print_choice(console(stderr=True), choice)
    return settings


def print_choice(screen: Console, choice: Choice) -> None:
    """The candidates of `--model auto`, those of the last round first, and which of them was taken."""
    columns = (
        Column("network", left=True),
        *(Column("input encoding", 1, left=True), Column("epochs", 3), Column("accuracy")),
        *(Column("± error", 2), Column("bytes"), Column("", left=True)),
    )
    rows = [
        (
            f"{candidate.settings.model} {'-'.join(map(str, candidate.settings.hidden))}".strip(),
            candidate.settings.input_encoding,
            f"{candidate.epochs}",
            f"{candidate.accuracy:.2%}",
            f"{candidate.standard_error:.2%}",
            f"{candidate.size_bytes:,}",
            "taken" if candidate.settings == choice.settings else "",
        )
        for candidate in choice.candidates
    ]
    print_table(screen, columns, rows)
    screen.print(
        "taken: the smallest within one standard error of the best, or with very few samples the one with the lowest "
        f"loss.  Choosing was {choice.work:.1f} times the work of the run.",
        highlight=False,
    )

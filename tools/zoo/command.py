"""`python -m tools zoo`: train the models that ship, measure them, write models/zoo.json, documents and picture."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signbit.jobs.executor import add_cluster
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import whole
from tools.cores import emulated as cores
from tools.documents.blocks import README, ROOT, TABLES, replace_block
from tools.documents.pictures import picture
from tools.measure import bench_tables, rivals
from tools.measure.bench_layers import WrongOutput
from tools.zoo import tables as zoo_tables
from tools.zoo.measure import measured_values
from tools.zoo.picture import AXES, accuracy_against
from tools.zoo.pool import Pool
from tools.zoo.recipes import RECIPES, Recipe, chosen
from tools.zoo.rows import keep_measured, measured_rows, read_rows, shipped_index, training_row, write_rows
from tools.zoo.runs import runs_of, source_hash


@dataclass(frozen=True)
class Places:
    """Where the zoo is: recipes, and the files that are written."""

    recipes: tuple[Recipe, ...] = RECIPES
    models: Path = ROOT / "models"
    cache: Path = ROOT / "build" / "zoo"
    readme: Path = README
    tables: Path = TABLES
    pictures: Path = ROOT / "docs" / "img"


PLACES = Places()


def main(arguments: list[str], places: Places = PLACES) -> int:
    options = _parser().parse_args(arguments)
    match options.command:
        case "train":
            train(places, chosen(places.recipes, options.only), options)
        case "measure":
            return measure(places, chosen(places.recipes, options.only))
        case "tables":
            write_documents(places)
    return EXIT_OK


def train(places: Places, recipes: Sequence[Recipe], options) -> None:
    """Run what is missing in the cache, then ship one model of each recipe whose runs are all there.

    Raises SignbitError when runs failed, after all others.
    """
    source = None if options.any_source else source_hash()
    missing = [run for recipe in recipes for run in runs_of(recipe, places.cache) if run.record(source) is None]
    # the longest first, so that no core waits at the end; what was never run may be long, the longer the later
    # it is in the table
    taken_s = {row["file"]: row["train_cpu_s"] for row in read_rows(places.models)}
    missing.sort(
        key=lambda run: (taken_s.get(run.recipe.file, float("inf")), places.recipes.index(run.recipe)), reverse=True
    )
    pool = Pool(options.data_dir, options.jobs, options.cluster)
    pool.train(missing)
    # another command may have shipped its models meanwhile
    rows = {row["file"]: row for row in read_rows(places.models)}
    for recipe in recipes:
        runs = runs_of(recipe, places.cache)
        records = [run.record(source) for run in runs]
        if None not in records:
            row = training_row(recipe, runs, records)
            write_whole(places.models / recipe.file, runs[shipped_index(recipe, records)].model.read_bytes())
            rows[recipe.file] = keep_measured(row, rows.get(recipe.file))
            print(f"{recipe.file}: seed {row['shipped_seed']}, {row['validation_accuracy']:.2%} on validation")
    write_rows(places.models, [rows[recipe.file] for recipe in places.recipes if recipe.file in rows])
    if pool.failed:
        raise SignbitError(f"{len(pool.failed)} of {len(missing)} runs failed: {pool.failed[0]}")


def measure(places: Places, recipes: Sequence[Recipe]) -> int:
    """Measure the models of `recipes`, write zoo.json and the documents; 1 if a core computes something else."""
    if cores.missing():
        raise SignbitError(f"nothing was measured: {cores.missing()}")
    files = {recipe.file for recipe in recipes}
    rows = read_rows(places.models)
    for row in rows:
        if row["file"] not in files:
            continue
        print(f"{row['file']} ...", file=sys.stderr)
        try:
            row.update(measured_values(places.models / row["file"]))
        except WrongOutput as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return EXIT_DIFFERENT
    write_rows(places.models, rows)
    write_documents(places)
    return EXIT_OK


def write_documents(places: Places) -> None:
    """models/README.md, blocks of two documents and the pictures, all from zoo.json and bench/rivals.json."""
    rows, marks = measured_rows(places.models), zoo_tables.read_rivals()
    places.pictures.mkdir(parents=True, exist_ok=True)
    for name, axis in AXES.items():
        write_whole(places.pictures / f"accuracy_{name}.png", picture(accuracy_against(axis, rows, marks)))
    write_whole(places.models / "README.md", zoo_tables.models_text(rows).encode())
    replace_block(zoo_tables.BLOCK, zoo_tables.tables_text(rows, marks), places.tables)
    replace_block(rivals.BLOCK, rivals.tables_text(bench_tables.read_counted(), rows), places.tables)
    for name, text in zoo_tables.first_page(rows).items():
        replace_block(name, text, places.readme)


def _parser() -> Parser:
    parser = Parser(prog="python -m tools zoo", description=__doc__.partition(": ")[2])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    training = commands.add_parser("train", help="train what is missing, every seed, and ship the best on validation")
    training.add_argument("--jobs", **whole(1, 1000).argument(), help="runs at once (default: one for each core)")
    add_cluster(training)
    training.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where MNIST's files are, and the folders fashion, activity and commands (default: $SIGNBIT_DATA_DIR)",
    )
    training.add_argument(
        "--any-source", action="store_true", help="also take an older trainer's finished runs instead of repeating them"
    )
    measuring = commands.add_parser(
        "measure", help="build, run and count the models that ship, then write the documents"
    )
    for command in (training, measuring):
        command.add_argument("--only", metavar="NAME,...", help="some recipes, mnist-1k for example (default: all)")
    commands.add_parser("tables", help="write tables and pictures of the documents from models/zoo.json")
    return parser

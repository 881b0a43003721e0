"""`package`: a model as a library for other projects, in one of several formats."""

import argparse
from pathlib import Path

from signbit.codegen.commands.common import add_plan_options, add_test_vectors, load_plan
from signbit.codegen.names import check_package_name
from signbit.codegen.package import FORMATS, package_files
from signbit.codegen.publication import Publication
from signbit.qmodel.atomic import write_folder
from signbit.qmodel.command import Parser


def main(arguments: list[str], prog: str) -> None:
    parser = Parser(
        prog=prog,
        description="Write a model as a library that drops into other projects, with an example, README and licence.",
        epilog="\n".join(["formats:", *(f"  {name:<12}{item.title}" for name, item in FORMATS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        conflict_handler="resolve",  # --version is the package's
    )
    add_plan_options(parser)
    add_test_vectors(parser)
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="kind of library")
    parser.add_argument("-o", "--out", metavar="FOLDER", help="new folder (default: the prefix)")
    Publication.add_arguments(parser, *Publication.declared())
    options = parser.parse_args(arguments)
    publication = Publication(**Publication.given_in(options))
    model, plan = load_plan(options, options.test_vectors)
    check_package_name(plan.prefix, options.format)
    folder = Path(options.out or plan.prefix)
    write_folder(folder, package_files(options.format, model, plan, publication))
    print(f"{folder}: {options.format} library of model {plan.model_hash[:8]}, target {plan.target.name}")

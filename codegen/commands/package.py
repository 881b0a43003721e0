"""`package`: a model as a library for Arduino, PlatformIO, CMake or Zephyr."""

from pathlib import Path

from signbit.codegen.commands.common import add_plan_options, add_test_vectors, load_plan
from signbit.codegen.names import check_package_name
from signbit.codegen.package import FORMATS
from signbit.qmodel.atomic import write_folder
from signbit.qmodel.command import Parser


def main(arguments: list[str], prog: str) -> None:
    parser = Parser(prog=prog, description="Write a model as a library that drops into other projects.")
    add_plan_options(parser)
    add_test_vectors(parser)
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="kind of library")
    parser.add_argument("-o", "--out", metavar="FOLDER", help="new folder (default: the prefix)")
    options = parser.parse_args(arguments)
    _, plan = load_plan(options, options.test_vectors)
    check_package_name(plan.prefix, options.format)
    folder = Path(options.out or plan.prefix)
    write_folder(folder, {name: text.encode() for name, text in FORMATS[options.format](plan).items()})
    print(f"{folder}: {options.format} library of model {plan.model_hash[:8]}, target {plan.target.name}")

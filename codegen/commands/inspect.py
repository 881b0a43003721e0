"""`inspect`: what the model costs, before anything is written."""

import json

from signbit.codegen.commands.common import add_plan_options, add_test_vectors, load_plan
from signbit.codegen.measure import measure, missing
from signbit.codegen.report import as_dict, print_layers, summary
from signbit.console import console
from signbit.qmodel.command import Parser


def main(arguments: list[str], prog: str) -> None:
    parser = Parser(prog=prog, description="Show a model's layers and what they cost.")
    add_plan_options(parser)
    add_test_vectors(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    _, plan = load_plan(options, options.test_vectors)
    not_measured = missing(plan)
    measured = None if not_measured else measure(plan)
    if options.json:
        print(json.dumps(as_dict(plan, measured), indent=2))
        return
    screen = console()
    print_layers(screen, plan)
    for line in summary(plan, measured, not_measured if plan.target.flags else None):
        screen.print(line, soft_wrap=True)

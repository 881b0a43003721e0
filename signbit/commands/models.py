"""`signbit models`: the models that come with signbit."""

import json

from signbit.console import Column, console, print_table
from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.shipped import accuracy_text, shipped


def main(arguments: list[str], prog: str) -> None:
    """List them, or say more about one."""
    parser = Parser(
        prog=prog,
        description="List the trained models that come with signbit; their names work wherever a MODEL is asked for.",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="say more about this one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    rows = {row["name"]: row for row in shipped()}
    if options.name not in (None, *rows):
        raise SignbitError(f"model {options.name!r} is unknown; there are {', '.join(rows)}")
    if options.json:
        print(json.dumps(rows[options.name] if options.name else list(rows.values()), indent=2, default=str))
    elif options.name:
        _print_one(rows[options.name])
    else:
        _print_all(list(rows.values()))


def _print_all(rows: list[dict]) -> None:
    columns = (
        *(Column("name", left=True), Column("data", left=True), Column("test accuracy", left=True)),
        *(Column("M0 flash"), Column("MACs", 1), Column("network", 2, left=True)),
    )
    cells = [
        (
            *(row["name"], row["data"], accuracy_text(row)),
            f"{min(build['flash_bytes'] for build in row['builds'] if build['core'] == 'm0'):,}",
            *(f"{row['macs']:,}", row["network"]),
        )
        for row in rows
    ]
    print_table(console(), columns, cells)


def _print_one(row: dict) -> None:
    lines = {
        "file": row["path"],
        "purpose": row["purpose"],
        "network": row["network"],
        "data": row["data"],
        "accuracy": f"{accuracy_text(row)} on the test part, integer model",
        "MACs": f"{row['macs']:,}",
        "hash": row["hash"],
        "trained by": row["command"].replace("python -m trainer", "signbit", 1),
    }
    for name, text in lines.items():
        print(f"{name:12}{text}")
    keys = ("flash_bytes", "scratch_bytes", "stack_bytes", "instructions", "estimated_cycles")
    columns = (
        Column("core", left=True),
        Column("optimized for", left=True),
        *(Column(key.replace("_", " ")) for key in keys),
    )
    cells = [
        (build["core"], build["optimize"], *("" if build[key] is None else f"{build[key]:,}" for key in keys))
        for build in row["builds"]
    ]
    print_table(console(), columns, cells)

"""The subcommands of `python -m codegen`, one file each: `add_parser(subparsers)` and `run(options)`."""

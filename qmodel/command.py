"""What every command line of the project shares: one-line errors, exit codes, --version."""

import argparse
import os
import sys
from collections.abc import Callable

from signbit import __version__
from signbit.qmodel.errors import SignbitError

EXIT_OK = 0
EXIT_DIFFERENT = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse with `--version`, no abbreviations, and errors of one line."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.add_argument("--version", action="version", version=f"signbit {__version__}")

    def error(self, message: str):
        raise SignbitError(f"{' '.join(message.split())} (see {self.prog} --help)")


def run_command(main: Callable[[list[str]], int | None], arguments: list[str] | None = None) -> int:
    """Run `main(arguments)` and return its exit code; user errors become one line on stderr and code 2."""
    try:
        code = main(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
        return EXIT_OK if code is None else code
    except SignbitError as error:
        return _complain(str(error))
    except BrokenPipeError:
        # the reader of our stdout went away (`| head`): not an error, but Python would print one at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def note(message: str) -> None:
    """One line on stderr that is no error."""
    print("note:", " ".join(message.split()), file=sys.stderr)


def _complain(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return EXIT_USAGE

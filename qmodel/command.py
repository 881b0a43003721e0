"""What every command line of the project shares: commands by name, one-line errors, exit codes, --version."""

import argparse
import codecs
import errno
import os
import pkgutil
import sys
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from signbit import __version__
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

VERSION = f"signbit {__version__}"
EXIT_OK = 0
EXIT_DIFFERENT = 1
EXIT_USAGE = 2
EXIT_NOT_RUN = 3
EXIT_INTERRUPTED = 130
MESSAGE_CHARACTERS = 1000
PLAIN = {"→": "->", "×": "x", "·": ".", "–": "-", "—": "-", "…": "...", "±": "+-", "≤": "<=", "≥": ">=", "µ": "u"}
"""Replacements for characters that an output's encoding lacks."""


class Parser(argparse.ArgumentParser):
    """argparse with `--version`, no abbreviations, and errors of one line."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.add_argument("--version", action="version", version=VERSION)

    def error(self, message: str):
        raise SignbitError(f"{' '.join(message.split())} (see {self.prog} --help)")


class Command(NamedTuple):
    """`main`, written module:function and imported when it is run, takes the arguments and the words typed so far."""

    main: str
    what_for: str


def run_named(commands: Mapping[str, Command], arguments: list[str], prog: str) -> int | None:
    """Run the one of `commands` that `arguments` begin with; none prints the list.  `prog` is what was typed so far."""
    first = arguments[0] if arguments else "--help"
    if first in ("-h", "--help"):
        print(_list_of(commands, prog))
        return EXIT_OK
    if first == "--version":
        print(VERSION)
        return EXIT_OK
    if first not in commands:
        raise SignbitError(f"command {first!r} is unknown; there are {', '.join(commands)} (see {prog} --help)")
    main = pkgutil.resolve_name(commands[first].main)
    return main(arguments[1:], f"{prog} {first}")


class Ended(BaseException):
    """A signal ended the command in good order; it is to exit with `exit_code`.

    Neither an Exception nor a KeyboardInterrupt, which Optuna would take for a failure of the trial.
    """

    exit_code = EXIT_INTERRUPTED


def run_command(main: Callable[[list[str]], int | None], arguments: list[str] | None = None) -> int:
    """Run `main(arguments)` and return its exit code; user errors become one line on stderr and code 2."""
    try:
        _prepare_streams()
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
        if sys.stdout is sys.__stdout__ and error.errno == errno.ENOSPC and error.filename is None:
            # Python would try once more at exit, and print an error of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}")
    except MemoryError:
        return _complain("there is not enough memory for this; give less data, or a smaller network")
    except (KeyboardInterrupt, Ended) as interrupt:
        print("interrupted", file=sys.stderr)
        return getattr(interrupt, "exit_code", EXIT_INTERRUPTED)


def _prepare_streams() -> None:
    """Let no character stop a command whose output can't show it; raises SignbitError where there is no output."""
    if sys.stderr is None:
        # for the rest of the process
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    if sys.stdout is None:
        raise SignbitError("standard output is closed; send it to a file, or to /dev/null")
    codecs.register_error("signbit.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="signbit.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What replaces characters that can't be written: a similar one, the letter without its accent, or "?"."""
    texts = []
    for character in error.object[error.start : error.end]:
        letter = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        texts.append(PLAIN.get(character) or letter or "?")
    return "".join(texts), error.end


def note(message: str) -> None:
    """One line on stderr that is not an error."""
    print("note:", shown(" ".join(message.split()), MESSAGE_CHARACTERS), file=sys.stderr)


def _list_of(commands: Mapping[str, Command], prog: str) -> str:
    width = max(map(len, commands))
    rows = [f"  {name:<{width}}  {command.what_for}" for name, command in commands.items()]
    return "\n".join((f"usage: {prog} COMMAND [--help]", "", *rows))


def _complain(message: str) -> int:
    print("error:", shown(" ".join(message.split()), MESSAGE_CHARACTERS), file=sys.stderr)
    return EXIT_USAGE

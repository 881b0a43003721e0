"""`signbit COMMAND`: what a user needs, by one name; each is the same code as the module's own command."""

import importlib
import sys

from signbit.threads import one_blas_thread

one_blas_thread()

from signbit import __version__  # noqa: E402
from signbit.qmodel.command import EXIT_OK, run_command  # noqa: E402
from signbit.qmodel.errors import SignbitError  # noqa: E402

VERBS = {
    # verb: module with main(arguments), the words that come before the user's, what it is for
    "train": ("signbit.trainer.command.cli", ["train"], "train a network with one-bit weights"),
    "summary": ("signbit.trainer.command.cli", ["summary"], "what a network will cost, before training"),
    "evaluate": ("signbit.trainer.command.cli", ["evaluate"], "accuracy and confusion matrix of a saved model"),
    "export": ("signbit.codegen.commands.cli", ["export"], "write a model as a C header"),
    "inspect": ("signbit.codegen.commands.cli", ["inspect"], "what each layer costs"),
    "verify": ("signbit.codegen.commands.cli", ["verify"], "compile the C and compare it with Python, bit for bit"),
    "package": ("signbit.codegen.commands.cli", ["package"], "a library for Arduino, PlatformIO, CMake or Zephyr"),
    "device": ("signbit.device.command", [], "talk to a board"),
    "emulate": ("signbit.emulate.command", [], "the whole firmware on emulated cores"),
}


def command(arguments: list[str]) -> int | None:
    """Run the verb that `arguments` begin with; none prints the list."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(help_text())
        return EXIT_OK
    if arguments[0] == "--version":
        print(f"signbit {__version__}")
        return EXIT_OK
    if arguments[0] not in VERBS:
        raise SignbitError(f"command {arguments[0]!r} is unknown; there are {', '.join(VERBS)} (see signbit --help)")
    module, words, _ = VERBS[arguments[0]]
    return importlib.import_module(module).main([*words, *arguments[1:]])


def help_text() -> str:
    width = max(map(len, VERBS))
    rows = [f"  {verb:<{width}}  {what_for}" for verb, (_, _, what_for) in VERBS.items()]
    return "\n".join(("signbit COMMAND [--help]", "", *rows))


def main() -> int:
    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())

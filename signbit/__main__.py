"""`signbit COMMAND`: what a user needs, by one name; each is the same code as the module's own command."""

import sys

from signbit.threads import one_blas_thread

one_blas_thread()

from signbit import bridge  # noqa: E402
from signbit.codegen import commands as codegen  # noqa: E402
from signbit.qmodel.command import Command, run_command, run_named  # noqa: E402
from signbit.trainer import command as trainer  # noqa: E402

COMMANDS = {
    **trainer.COMMANDS,
    **codegen.COMMANDS,
    **bridge.COMMANDS,
    "record": Command("signbit.commands.record:main", "record clips of words with a microphone, for training"),
    "models": Command("signbit.commands.models:main", "the trained models that come with signbit"),
    "firmware": Command("signbit.commands.firmware:main", "a PlatformIO project that runs a model on a board"),
    "emulate": Command("signbit.emulate.command:main", "the whole firmware on emulated cores"),
    "device": Command("signbit.device.command:main", "talk to a board"),
}


def main(prog: str = "signbit") -> int:
    """The console script."""
    return run_command(lambda arguments: run_named(COMMANDS, arguments, prog))


if __name__ == "__main__":
    sys.exit(main("python -m signbit"))

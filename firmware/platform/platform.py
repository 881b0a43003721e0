"""PlatformIO platform without packages: compiler and emulator come from PATH."""

from platformio.public import PlatformBase


class SignbitarmPlatform(PlatformBase):
    """The class name is the one PlatformIO derives from `signbit-arm`."""

    @staticmethod
    def qemu_command(board, elf: str, serial: str) -> list[str] | None:
        """The command line that starts `elf` with the firmware's UART at `serial`; None where QEMU has no such board.

        `build.qemu` of the board's file names QEMU's machine and the number of its UART that the firmware uses.
        """
        machine = board.get("build.qemu", {})
        if not machine:
            return None
        others = ["-serial", "null"] * machine["uart"]
        words = f"qemu-system-arm -M {machine['machine']} -display none -monitor none".split()
        semihosting = ["-semihosting-config", "enable=on,target=native"]
        return [*words, *semihosting, *others, "-serial", serial, "-kernel", elf]

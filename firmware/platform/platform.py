"""PlatformIO platform without packages: compiler and emulator come from PATH."""

from platformio.public import PlatformBase


class SignbitarmPlatform(PlatformBase):
    """The class name is the one PlatformIO derives from `signbit-arm`."""

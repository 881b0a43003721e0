"""Where the project's files are, in a checkout and where pip installed it, and where new ones may go."""

import os
from pathlib import Path

import signbit

ROOT = Path(signbit.__path__[-1])
"""The checkout, or the folder of the installed package: both hold firmware/ and models/."""
IS_CHECKOUT = len(signbit.__path__) > 1
FIRMWARE = ROOT / "firmware"
MODELS = ROOT / "models"


def cache_folder() -> Path:
    """What may be thrown away and made again: data sets, and builds of an installed package."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "signbit"


def workspace() -> Path:
    """PlatformIO's folder for builds: in the checkout's project, or in the cache, never in site-packages."""
    return FIRMWARE / ".pio" if IS_CHECKOUT else cache_folder() / "pio"

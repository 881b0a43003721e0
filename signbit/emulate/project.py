"""The PlatformIO project of the firmware, read without PlatformIO: its environments and boards."""

import json
from configparser import ConfigParser
from pathlib import Path


class Project:
    """firmware/ as its files have it, nothing resolved: platformio.ini, boards/*.ini and platform/boards/*.json."""

    def __init__(self, firmware: Path):
        self.firmware = firmware
        self.sections = ConfigParser(interpolation=None)
        self.sections.read([firmware / "platformio.ini", *sorted(firmware.glob("boards/*.ini"))], encoding="utf-8")

    def boards(self) -> dict[str, dict]:
        """The file of each board of the local platform, by the board's name."""
        files = sorted(self.firmware.glob("platform/boards/*.json"))
        return {path.stem: json.loads(path.read_text()) for path in files}

    def option(self, section: str, name: str) -> str | None:
        """An option of a section, or of those it extends, the last named first, as PlatformIO does it."""
        values = self.sections[section]
        if name in values:
            return values[name]
        bases = [base for base in values.get("extends", "").split(", ") if base]
        return next((found for base in reversed(bases) if (found := self.option(base, name))), None)

    def local_envs(self) -> list[str]:
        """The environments that use the compiler on PATH, without those of programs in test/."""
        local = self.sections.get("local", "platform", fallback=None)
        envs = [section for section in self.sections if section.startswith("env:")]
        found = [env for env in envs if local and self.option(env, "platform") == local]
        return [env.removeprefix("env:") for env in found if not env.startswith("env:test_")]

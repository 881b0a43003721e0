"""PlatformIO's test runner for programs on emulated cores: `PLAN n`, then `name:PASS` or `name:FAIL`, then `DONE`.

PlatformIO itself passes a suite whose program stopped half-way with exit code 0, or whose runner raised.  Here a suite
passes only when as many cases as were planned have come and the program said that it is done.
"""

import re

import click
from platformio.public import TestCase, TestRunnerBase, TestStatus
from platformio.test.exception import UnitTestSuiteError

PLAN = re.compile(r"PLAN (\d+)")
CASE = re.compile(r"(\w+):(PASS|FAIL)")
TIMEOUT_S = 600
"""After which a program that hangs is ended; the slowest takes a second."""


class CustomTestRunner(TestRunnerBase):
    """The name that PlatformIO looks for."""

    planned = None
    done = False
    broken = None

    def on_testing_line_output(self, line):
        # an exception from here would only be logged
        try:
            self._read(line.strip())
        except Exception as error:
            self.broken = error

    def stage_testing(self):
        section = f"env:{self.test_suite.env_name}"
        board = self.platform.board_config(self.project_config.get(section, "board"))
        command = self.platform.qemu_command(board, "${platformio.build_dir}/${this.__env__}/firmware.elf", "null")
        self.project_config.set(section, "test_testing_command", ["timeout", str(TIMEOUT_S), *command])
        super().stage_testing()
        if self.options.without_testing:
            return
        cases = len(self.test_suite.cases)
        if self.broken:
            raise UnitTestSuiteError(f"the output makes no sense: {self.broken}")
        if self.planned is None or not self.done or cases != self.planned:
            planned = "an unknown number of" if self.planned is None else self.planned
            raise UnitTestSuiteError(f"the program ended early: {cases} of {planned} cases were told")

    def _read(self, line):
        if self.done and line:
            raise ValueError(f"{line!r} after DONE")
        if plan := PLAN.fullmatch(line):
            self.planned = int(plan[1])
        elif case := CASE.fullmatch(line):
            status = TestStatus.PASSED if case[2] == "PASS" else TestStatus.FAILED
            self.test_suite.add_case(TestCase(name=case[1], status=status))
            click.echo(line)
        elif line == "DONE":
            self.done = True
        elif line:
            click.echo(line)

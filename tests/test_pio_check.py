"""`pio check`: cppcheck with its MISRA addon and clang-tidy, over every port; and that they would find something."""

import re
import shutil
import subprocess

import pytest

from signbit.emulate import pio

# one environment for each port
ENVS = (
    "qemu_m0",
    "qemu_m3",
    "nucleo_f401re_local",
    "nucleo_f103rb_local",
    "nucleo_l432kc_local",
    "nucleo_h743zi_local",
    "nucleo_g071rb_local",
    "pico_local",
)
PLANTED = """
#include "port.h"
int planted(int wild);
int planted(int wild)
{
    int *pointer = 0;
    if (wild) {
        return *pointer;
    }
    goto end;
end:
    return 0;
}
"""


@pytest.fixture(scope="module", autouse=True)
def tools_are_here():
    if pio.missing():
        pytest.skip(pio.missing())
    for program in pio.CHECKERS.values():
        if not shutil.which(program):
            pytest.skip(f"{program} is missing: apt install --no-install-recommends cppcheck clang-tidy")


def check(project, *envs):
    arguments = ["check", "--fail-on-defect", "low", *(word for env in envs for word in ("-e", env))]
    command, environment = pio.command(arguments), pio.environment()
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def test_nothing_is_found_but_the_deviations():
    code, output = check(pio.FIRMWARE, *ENVS)
    assert code == 0, output
    assert output.count("PASSED  ") == 2 * len(ENVS)
    assert output.count("No defects found") == 2 * len(ENVS)


def test_what_is_planted_is_found_by_both_checkers(firmware_copy):
    (firmware_copy / "src" / "planted.c").write_text(PLANTED)
    code, output = check(firmware_copy, "qemu_m3")
    assert code != 0
    found = [line for line in output.splitlines() if "planted.c:" in line]
    for finding in ("nullPointer", "misra-c2012-15.1", "clang-analyzer-core.NullDereference"):
        assert any(f"[{finding}]" in line for line in found), output


def test_every_deviation_has_its_reason(repository):
    suppressed = re.findall(r"^misra-c2012-([\d.]+)$", (repository / "firmware" / "misra.txt").read_text(), re.M)
    explained = re.findall(r"^\| ([\d.]+) \|", (repository / "docs" / "MISRA.md").read_text(), re.M)
    assert suppressed == explained and len(set(explained)) == len(explained)

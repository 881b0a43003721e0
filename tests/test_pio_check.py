"""`pio check`: cppcheck with its MISRA addon and clang-tidy, over every port; and that they would find something."""

import re
import shutil
import subprocess

import pytest

from signbit.emulate import pio

WHOLE = ("qemu_m0", "qemu_m3", "nucleo_f401re_local")
"""Boards of which all is checked: each kind of kernels, and a board that is not only emulated."""
PORTS = {
    "stm32": ("nucleo_f103rb_local", "nucleo_l432kc_local", "nucleo_h743zi_local", "nucleo_g071rb_local"),
    "rp2040": ("pico_local",),
}
"""By the beginning of their files' names, ports and sensors with a board of each family: only these files differ."""
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


def check(project, *envs, sources=()):
    """Exit code and output of the checkers, for those of the `sources` that are in src; by default all of a board."""
    arguments = ["check", "--fail-on-defect", "low", *(word for env in envs for word in ("-e", env))]
    arguments += [word for name in sources for word in ("-f", f"+<src/{name}>")]
    command, environment = pio.command(arguments), pio.environment()
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def assert_nothing_is_found(code, output, envs):
    assert code == 0, output
    assert output.count("PASSED  ") == 2 * len(envs)
    assert output.count("No defects found") == 2 * len(envs)


@pytest.mark.parametrize("env", WHOLE)
def test_nothing_is_found_but_the_deviations(env):
    assert_nothing_is_found(*check(pio.FIRMWARE, env), [env])


@pytest.mark.parametrize("port", PORTS)
def test_nothing_is_found_in_other_ports(port):
    sources = [f"{folder}/{port}*.c" for folder in ("ports", "sensors")]
    assert_nothing_is_found(*check(pio.FIRMWARE, *PORTS[port], sources=sources), PORTS[port])


def test_sources_of_all_boards_depend_on_none(repository):
    """So that they are checked for some only."""
    macros = {
        word for ini in (repository / "firmware").rglob("*.ini") for word in re.findall(r"-D(\w+)", ini.read_text())
    }
    assert {"STM32_FAMILY_F4", "NRF_TX_PIN", "SIGNBIT_EMULATED"} < macros
    shared = "".join(path.read_text() for path in (repository / "firmware" / "src").glob("*.[ch]"))
    assert {word for word in macros if re.search(rf"\b{word}\b", shared)} == {"SIGNBIT_EMULATED", "SIGNBIT_SEMIHOSTING"}


def test_what_is_planted_is_found_by_both_checkers(firmware_copy):
    places = ("planted.c", "ports/planted.c")
    for place in places:
        (firmware_copy / "src" / place).write_text(PLANTED)
    code, output = check(firmware_copy, "qemu_m3", sources=places)
    assert code != 0
    for place in places:
        found = [line for line in output.splitlines() if f"src/{place}:" in line]
        for finding in ("nullPointer", "misra-c2012-15.1", "clang-analyzer-core.NullDereference"):
            assert any(f"[{finding}]" in line for line in found), output


def test_every_deviation_has_its_reason(repository):
    suppressed = re.findall(r"^misra-c2012-([\d.]+)$", (repository / "firmware" / "misra.txt").read_text(), re.M)
    explained = re.findall(r"^\| ([\d.]+) \|", (repository / "docs" / "MISRA.md").read_text(), re.M)
    assert suppressed == explained and len(set(explained)) == len(explained)

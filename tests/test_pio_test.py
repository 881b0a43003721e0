"""`pio test` on emulated cores: the suite passes, and nothing that went wrong can."""

import subprocess

import pytest

from signbit.emulate import emulation as emulate
from signbit.emulate import pio

MAIN = """
#include "semihost.h"
int main(void)
{
%s
}
"""


@pytest.fixture(scope="module", autouse=True)
def tools_are_here():
    if emulate.missing():
        pytest.skip(emulate.missing())


def run(project, *envs):
    arguments = ["test", *(word for env in envs for word in ("-e", env))]
    command, environment = pio.command(arguments), pio.environment()
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def test_the_device_passes_on_an_emulated_core():
    code, output = run(pio.FIRMWARE, "test_m0", "test_m55")
    assert code == 0, output
    assert output.count("embedded_vectors_give_the_logits_of_python:PASS") == 2
    assert output.count("[PASSED]") == 2


@pytest.mark.parametrize(
    "body, reason",
    [
        ('semihost_print("PLAN 1\\nall:PASS\\n"); return 0;', "ended early: 1 of 1"),
        ('semihost_print("all:PASS\\nDONE\\n"); return 0;', "1 of an unknown number of cases"),
        ('semihost_print("PLAN 2\\nall:PASS\\nDONE\\n"); return 0;', "ended early: 1 of 2"),
        ('semihost_print("PLAN 1\\nall:PASS\\nDONE\\n"); __asm volatile("udf #0"); return 0;', "errored with 103 code"),
        ('semihost_print("PLAN 1\\nall:PASS\\nDONE\\n"); return 77;', "errored with 77 code"),
        ('semihost_print("PLAN 1\\nall:PASS\\nDONE\\nmore:PASS\\n"); return 0;', "after DONE"),
        ('semihost_print("PLAN 1\\nall:FAIL\\nDONE\\n"); return 0;', "FAILED"),
        ("return 0;", "0 of an unknown number of cases"),
    ],
    ids=["no end", "no plan", "too few", "crash", "exit code", "too many", "failed", "nothing"],
)
def test_what_went_wrong_is_no_pass(firmware_copy, body, reason):
    (firmware_copy / "test" / "test_device" / "main.c").write_text(MAIN % body)
    code, output = run(firmware_copy, "test_m3")
    assert code != 0 and reason in output, output
    assert "PASSED" not in output

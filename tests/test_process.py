"""Programs of a tool chain: what they print, and one line where they fail."""

import os
import subprocess
import sys

import pytest

from signbit.codegen.process import WORDS_MAX, output_of
from signbit.qmodel.errors import SignbitError


def test_a_program_s_output_and_folder(tmp_path):
    assert output_of([sys.executable, "-c", "import os; print(os.getcwd())"], tmp_path).strip() == os.fspath(tmp_path)


@pytest.mark.parametrize(
    ("title", "begin"), [(None, sys.executable), ("Cortex-M4", "Cortex-M4")], ids=["untitled", "Cortex-M4-Cortex-M4"]
)
def test_a_program_that_fails_is_one_line(title, begin):
    program = f"import sys; sys.stderr.write('no\\n  such {'x' * WORDS_MAX}'); sys.exit(3)"
    with pytest.raises(SignbitError) as error:
        output_of([sys.executable, "-c", program], title=title)
    assert str(error.value).startswith(f"{begin}: no such xxx") and len(str(error.value)) == len(begin) + 2 + WORDS_MAX


def test_a_program_that_does_not_end_is_stopped():
    with pytest.raises(subprocess.TimeoutExpired):
        output_of([sys.executable, "-c", "import time; time.sleep(30)"], timeout_s=0.1)

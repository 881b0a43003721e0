"""Two models in one program: every symbol and macro carries its model's prefix."""

import re
import shutil
import subprocess

import pytest

from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from tests.c_programs import STRICT
from tools.networks.random import random_model

MAIN = """#include "first.h"
#include "second.h"
#include <stdio.h>

static uint8_t input[200];
static first_scratch_t first_scratch;
static second_scratch_t second_scratch;

int main(void)
{
    printf("%u %u %u %u\\n", (unsigned)first_self_test(&first_scratch), (unsigned)second_self_test(&second_scratch),
           (unsigned)first_predict(input, &first_scratch), (unsigned)second_predict(input, &second_scratch));
    return 0;
}
"""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_two_models_in_two_translation_units_link_and_run(compiler, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed (apt install {compiler})")
    for seed, prefix in enumerate(("first", "second")):
        plan = make_plan(random_model(seed, (100 + 3 * seed, 20, 5)), prefix, test_vectors=5)
        (tmp_path / f"{prefix}.h").write_text(header_text(plan))
        (tmp_path / f"{prefix}.c").write_text(f'#define {prefix.upper()}_IMPLEMENTATION\n#include "{prefix}.h"\n')
    (tmp_path / "main.c").write_text(MAIN)
    sources = [str(tmp_path / name) for name in ("main.c", "first.c", "second.c")]
    program = tmp_path / "program"
    subprocess.run([compiler, "-std=c99", "-O2", *STRICT, *sources, "-o", str(program)], check=True)
    words = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.split()
    assert words[:2] == ["0", "0"]
    assert all(int(word) < 5 for word in words[2:])


def test_every_name_carries_the_prefix():
    text = header_text(make_plan(random_model(1, (40, 6, 3)), "wren", test_vectors=1))
    macros = set(re.findall(r"#\s*define\s+(\w+)", text))
    assert macros and all(name.startswith("WREN_") for name in macros)
    without_bodies = re.sub(r"(?ms)^(typedef struct )?\{.*?^\}", "", text)
    names = set(re.findall(r"(?m)^(?:static )?(?:const )?[\w ]+?[ *](\w+)(?:\[|\(| =)", without_bodies))
    assert len(names) > 10 and all(name.startswith(("wren_", "WREN_")) for name in names)


def test_self_test_finds_a_changed_weight(tmp_path):
    model = random_model(2, (60, 10, 4))
    text = header_text(make_plan(model, "wren", test_vectors=4))
    word = re.search(r"wren_layer0_weights\[\d+\] = \{\s+0x([0-9a-f]{8})u", text)
    changed = text.replace(f"0x{word[1]}u", f"0x{int(word[1], 16) ^ 0x00010000:08x}u", 1)
    answers = []
    for name, content in (("good", text), ("bad", changed)):
        (tmp_path / "wren.h").write_text(content)
        (tmp_path / f"{name}.c").write_text(
            '#define WREN_IMPLEMENTATION\n#include "wren.h"\n'
            "int main(void) { static wren_scratch_t s; return (int)wren_self_test(&s); }\n"
        )
        subprocess.run(["cc", "-o", str(tmp_path / name), str(tmp_path / f"{name}.c")], check=True)
        answers.append(subprocess.run([str(tmp_path / name)]).returncode)
    assert answers[0] == 0 and answers[1] > 0

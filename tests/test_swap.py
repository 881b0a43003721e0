"""Swappable headers: another model's block in the place of the compiled one computes what Python does."""

import dataclasses
import hashlib
import re
import struct
import subprocess
import zlib

import pytest

from signbit.codegen import program
from signbit.codegen.__main__ import main as codegen
from signbit.codegen.kernels.targets import TARGETS
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.codegen.swap import MAGIC, check_ranges
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import save
from tests.c_programs import STRICT, inputs_for, plans_for, run_here
from tools.networks.random import FRONT_ENDS, front_end_model, random_model, random_network, with_counts
from tools.networks.retrained import retrained

SEEDS = range(10)
# a block in RAM takes the place of the compiled one before main begins
SWAPPED = """
#ifdef {P}_IMPLEMENTED
static const union {{ uint8_t bytes[sizeof({p}_weights_t)]; {p}_weights_t weights; }} {p}_other = {{ {{ {bytes} }} }};
__attribute__((constructor)) static void {p}_swap(void)
{{
    {p}_use(&{p}_other.weights);
}}
#endif
"""


def networks():
    """A few of every kind, some of them for sensor counts."""
    models = [random_network(seed) for seed in SEEDS]
    return [with_counts(model, seed) if seed % 4 == 3 else model for seed, model in zip(SEEDS, models, strict=True)]


@pytest.mark.parametrize("target", ["portable", "cortex-m0", "cortex-m4"])
def test_code_with_another_model_s_block_computes_that_model(target, monkeypatch):
    models = networks()
    others = [retrained(model, 1000 + seed) for seed, model in zip(SEEDS, models, strict=True)]
    plans = plans_for(models, target=target, test_vectors=2, is_swappable=True)
    blocks = [plan.swap.block for plan in plans_for(others, target=target, test_vectors=2, is_swappable=True)]

    def swapped_text(plan):
        block = blocks[plans.index(plan)]
        names = {"p": plan.prefix, "P": plan.macro_prefix, "bytes": ",".join(map(str, block))}
        return header_text(plan) + SWAPPED.format(**names)

    monkeypatch.setattr(program, "header_text", swapped_text)
    inputs = [inputs_for(model, 20, seed) for seed, model in zip(SEEDS, others, strict=True)]
    plain = [f"-D{plan.macro_prefix}_PORTABLE" for plan in plans if plan.target.flags]
    compared = run_here(others, plans, inputs, ["cc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", *plain])
    assert [comparison.first for comparison in compared if not comparison.equal] == []


@pytest.mark.parametrize("target", TARGETS)
def test_models_of_one_form_have_one_layout(target):
    """Other weights, thresholds, shifts, scales and margins change nothing of the code."""
    for seed, model in zip(SEEDS, networks(), strict=True):
        plans = [make_plan(one, "m", target, is_swappable=True) for one in (model, retrained(model, seed))]
        assert plans[0].swap.layout == plans[1].swap.layout
        assert plans[0].swap.block != plans[1].swap.block
        assert plans[0].data_bytes == plans[1].data_bytes


def plan_of(model, **options):
    return make_plan(model, "m", **{"test_vectors": 2, "is_swappable": True} | options)


def test_another_form_is_another_layout():
    """Each change would be another program: it must not take the compiled one's block."""
    model = random_model(7, (20, 12, 5))
    labels = (*model.labels[:-1], "another")
    layout = plan_of(model).swap.layout
    others = (
        plan_of(random_model(7, (20, 13, 5))),
        plan_of(random_model(7, (20, 12, 5), high=63)),
        plan_of(random_model(7, (20, 12, 5), input_shift=0)),
        plan_of(dataclasses.replace(model, labels=labels)),
        plan_of(model, test_vectors=3),
        plan_of(model, target="cortex-m0"),
    )
    assert len({layout, *(plan.swap.layout for plan in others)}) == 1 + len(others)
    same = (plan_of(dataclasses.replace(model, name="other")), make_plan(model, "p", test_vectors=2, is_swappable=True))
    assert {plan.swap.layout for plan in same} == {layout}


@pytest.mark.parametrize("kind", ["counts", "stream"])
def test_the_compiled_block_is_the_file_s(tmp_path, kind):
    """What C lays out from the header's text is the same bytes that `export --block` writes, head, sums and all."""
    model = with_counts(random_network(3), 3) if kind == "counts" else front_end_model(3, *FRONT_ENDS[4])
    save(model, tmp_path / "m.npz")
    header, block = tmp_path / "m.h", tmp_path / "m.block"
    options = ["--prefix", "m", "--swappable", "--test-vectors", "2", "--block", str(block)]
    assert codegen(["export", str(tmp_path / "m.npz"), "-o", str(header), *options]) == 0
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#define M_IMPLEMENTATION\n#include "m.h"\n'
        "int main(void) { return !fwrite(m_weights(), sizeof(m_weights_t), 1, stdout); }\n"
    )
    strict = [flag for flag in STRICT if flag != "-Wmissing-prototypes"]
    for compiler in (["cc", "-std=c99"], ["c++", "-std=c++17", "-x", "c++"]):
        program_path = tmp_path / "program"
        subprocess.run([*compiler, *strict, str(tmp_path / "main.c"), "-o", program_path], check=True)
        data = subprocess.run([program_path], capture_output=True, check=True).stdout
        assert data == block.read_bytes()
    assert struct.unpack("<II", data[:8]) == (MAGIC, len(data)) and len(data) % 4 == 0
    assert data[40:72] == hashlib.sha256(data[72:-4]).digest()
    assert data[72:104].hex() == model.hash
    assert data[104:136] == model.name.encode().ljust(32, b"\0")
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    assert re.search(r'#define M_LAYOUT "(\w+)"', header.read_text())[1] == data[8:40].hex()


def test_every_name_of_a_swappable_header_carries_the_prefix():
    text = header_text(plan_of(random_model(1, (40, 6, 3)), test_vectors=1))
    assert all(name.startswith("M_") or name.startswith("m_") for name in re.findall(r"#\s*define\s+(\w+)", text))


def test_ranges_beyond_the_limits_are_refused_by_number():
    swap = plan_of(random_model(7, (20, 12, 5))).swap
    check_ranges(swap, swap.limits.values)
    low, high = swap.members[0].values[:2].tolist()
    for at, value in ((0, low + 1), (1, high - 1)):
        limits = swap.limits.values.copy()
        limits[at] = value
        with pytest.raises(
            SignbitError, match=rf"layer 0 has accumulators in {low}..{high}, but the compiled code hold"
        ):
            check_ranges(swap, limits)
    limits = swap.limits.values.copy()
    limits[11] = -5
    with pytest.raises(SignbitError, match=r"layer 1 has sums in .*-5$"):
        check_ranges(swap, limits)


def test_a_block_without_swappable_code_is_refused(tmp_path):
    save(random_model(1, (4, 3)), tmp_path / "m.npz")
    with pytest.raises(SignbitError, match="--block is for code that can swap models; add --swappable"):
        codegen(["export", str(tmp_path / "m.npz"), "-o", str(tmp_path / "m.h"), "--block", str(tmp_path / "m.block")])
    assert not (tmp_path / "m.h").exists()

"""The reject: its integers, in Python and in C, its part of the model file, and how thresholds are chosen."""

import contextlib
import dataclasses
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.codegen.host import Host, find_compiler
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.codegen.report import as_dict, summary
from signbit.codegen.verify import edge_inputs, verify
from signbit.device import command
from signbit.device.checks import verify as verify_device
from signbit.emulate import emulation
from signbit.line.link import Link
from signbit.qmodel import file, integer
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT32_MAX, INT32_MIN, MARGIN_MAX, REJECTED
from signbit.qmodel.reject import Reject
from tests.c_programs import STRICT
from tests.host_device import HostDevice, load_device
from tests.test_model_file import header_change, header_of, npy, rewrite
from tools.networks.random import random_model

ENDS = (INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX - 1, INT32_MAX)
MARGINS = (0, 1, 2, INT32_MAX, INT32_MAX + 1, MARGIN_MAX - 1, MARGIN_MAX)
CLASSES = 4

PROGRAM = """
#include <stdio.h>
#define M_IMPLEMENTATION
#include "m.h"
int main(void)
{
    int32_t logits[M_OUTPUT_SIZE];
    while (fread(logits, 1, sizeof logits, stdin) == sizeof logits) {
        const uint32_t decided = m_argmax_or_reject(logits);
        fwrite(&decided, 1, sizeof decided, stdout);
        if ((decided == M_REJECTED) != (m_label(decided)[0] == 0)) {
            return 4;
        }
    }
    return 0;
}
"""


def margins_of(*values) -> Reject:
    return Reject(np.array(values, np.uint32))


def rejecting(model, *margins):
    return dataclasses.replace(model, reject=margins_of(*margins)).validate()


@pytest.fixture
def model():
    return rejecting(random_model(1, (40, 6, 3)), 0, 500, MARGIN_MAX)


def exact_decision(logits: list[int], margins: list[int]) -> int:
    """SPEC 12 word by word, with Python's unbounded integers."""
    best = logits.index(max(logits))
    others = [logit for index, logit in enumerate(logits) if index != best]
    margin = logits[best] - max(others) if others else MARGIN_MAX
    return REJECTED if margin < margins[best] else best


LOGITS = st.one_of(st.sampled_from(ENDS), st.integers(INT32_MIN, INT32_MAX), st.integers(-3, 3))


THRESHOLDS = st.one_of(st.sampled_from(MARGINS), st.integers(0, MARGIN_MAX))


@given(st.lists(st.tuples(LOGITS, THRESHOLDS), min_size=1, max_size=6))
def test_a_decision_is_that_of_the_spec(drawn):
    logits, margins = map(list, zip(*drawn, strict=True))
    decided = margins_of(*margins).run(np.array([logits], np.int32))
    assert decided.dtype == np.int32 and decided.tolist() == [exact_decision(logits, margins)]


def test_ties_and_ends_by_hand():
    rows = np.array([[5, 5, 1], [5, 4, 1], [INT32_MAX, INT32_MIN, INT32_MIN], [INT32_MIN] * 3], np.int32)
    assert integer.margin(rows).tolist() == [0, 1, MARGIN_MAX, 0]
    assert margins_of(0, 0, 0).run(rows).tolist() == [0, 0, 0, 0]
    assert margins_of(1, 1, 1).run(rows).tolist() == [REJECTED, 0, 0, REJECTED]
    assert margins_of(MARGIN_MAX, 0, 0).run(rows).tolist() == [REJECTED, REJECTED, 0, REJECTED]
    assert margins_of(MARGIN_MAX).run(np.array([[INT32_MIN]], np.int32)).tolist() == [0]


def decisions_in_c(folder, reject: Reject, logits: np.ndarray, change=lambda text: text) -> np.ndarray:
    model = dataclasses.replace(random_model(1, (4, logits.shape[1])), reject=reject).validate()
    (folder / "m.h").write_text(change(header_text(make_plan(model, prefix="m"))))
    (folder / "main.c").write_text(PROGRAM)
    command = [*find_compiler(), "-std=c99", "-O2", *STRICT, "-o", folder / "main", folder / "main.c"]
    subprocess.run(command, check=True)
    done = subprocess.run([folder / "main"], input=logits.tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.int32)


def cases(classes: int, seed: int) -> np.ndarray:
    """Logits (n, classes): int32's ends in every combination, ties, and any other."""
    rng = np.random.default_rng(seed)
    ends = np.stack(np.meshgrid(*[ENDS] * classes), axis=-1).reshape(-1, classes)
    near = rng.integers(-3, 4, (2000, classes))
    anything = rng.integers(INT32_MIN, INT32_MAX + 1, (2000, classes)) >> rng.integers(0, 32, (2000, 1))
    return np.concatenate([ends, near, anything]).astype(np.int32)


SETS = {
    "nothing refused": (0, 0, 0, 0),
    "ties refused": (1, 1, 1, 1),
    "near ones refused": (1, 2, 3, 4),
    "half the range": (INT32_MAX, INT32_MAX + 1, 0, 2),
    "all but the largest": (MARGIN_MAX, MARGIN_MAX - 1, 1, MARGIN_MAX),
}


@pytest.mark.parametrize("name", SETS)
def test_c_decides_as_python(name, tmp_path):
    logits, reject = cases(CLASSES, 1), margins_of(*SETS[name])
    assert np.array_equal(decisions_in_c(tmp_path, reject, logits), reject.run(logits))


def test_one_class_is_never_refused_in_c(tmp_path):
    logits, reject = cases(1, 2), margins_of(MARGIN_MAX)
    assert decisions_in_c(tmp_path, reject, logits).tolist() == [0] * len(logits) == reject.run(logits).tolist()


PLANTS = {
    "at the threshold": ("distance < margins[best]", "distance <= margins[best]"),
    "signed": ("distance < margins[best]", "(int32_t)distance < (int32_t)margins[best]"),
    "another class's": ("< margins[best]", "< margins[index]"),
    "the best against itself": ("index != best && ", ""),
    "earlier classes left out": ("index != best", "index > best"),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_wrong_decision_is_found(name, tmp_path):
    """Each fault in the C is one that the cases above do see."""
    logits, seen = cases(CLASSES, 1), False

    def change(text):
        broken = text.replace(*PLANTS[name])
        assert broken != text
        return broken

    for margins in SETS.values():
        reject = margins_of(*margins)
        seen |= not np.array_equal(decisions_in_c(tmp_path, reject, logits, change), reject.run(logits))
    assert seen


def test_verify_compares_every_decision(model, monkeypatch):
    import signbit.codegen.program as module

    x = edge_inputs(model)
    assert len(set(model.decide(model.run(x)).tolist())) > 1
    plan = make_plan(model)
    result = verify(model, plan, x, Host())
    assert result.equal and result.values == len(x) * (6 + 3 + 2 + 1)
    broken = header_text(plan).replace("return RANDOM_REJECTED;", "return best;")
    monkeypatch.setattr(module, "header_text", lambda plan: broken)
    result = verify(model, plan, x, Host())
    wrong = int((model.decide(model.run(x)) == REJECTED).sum())
    assert result.different == wrong > 0 and result.first.startswith("class or rejection, input ")


# -- header, report ----------------------------------------------------------------------------------------------------


def test_a_header_without_a_reject_has_nothing_of_it(model):
    plain = header_text(make_plan(dataclasses.replace(model, reject=None)))
    assert "reject" not in plain.lower()
    text = header_text(make_plan(model))
    assert "RANDOM_REJECTED 0xffffffffu" in text and "12 for random_predict_or_reject()" in text


def test_inspect_shows_the_margins(model):
    plan = make_plan(model)
    lines = [line for line in summary(plan) if line.startswith("reject")]
    assert lines[1] == "reject    class 1: below a margin of 0.122 (500)" and len(lines) == 3
    assert as_dict(plan)["reject"][2] == {"label": "class 2", "margin": MARGIN_MAX, "logits": MARGIN_MAX / 2**12}
    assert as_dict(make_plan(random_model(1, (40, 6, 3))))["reject"] is None


# -- device ------------------------------------------------------------------------------------------------------------


def test_a_device_answers_with_a_rejection(model, tmp_path, monkeypatch, capsys):
    """As it goes over the line, as `signbit device infer` shows it and as `signbit device verify` checks it."""
    device = HostDevice(load_device(tmp_path, model))
    link = Link(device)
    x = edge_inputs(model)[:40]
    decided = model.decide(model.run(x)).tolist()
    assert [link.infer(row).class_index for row in x] == decided
    assert verify_device(link, model, x, lambda done: None).equal
    other = dataclasses.replace(model, reject=None)
    assert verify_device(link, other, x, lambda done: None).different == decided.count(REJECTED) > 0
    monkeypatch.setattr(command, "open_port", lambda port: contextlib.nullcontext(device))
    for row in (decided.index(REJECTED), decided.index(0)):
        (tmp_path / "x.bin").write_bytes(x[row].tobytes())
        assert command.main(["infer", "-p", "x", str(tmp_path / "x.bin")]) == 0
        name = "rejected" if decided[row] == REJECTED else "class 0"
        assert capsys.readouterr().out.startswith(f"{name}  ")


def test_an_emulated_core_answers_with_a_rejection(repository, tmp_path):
    """The whole firmware, whose UART answers are compared with Python's decisions."""
    if reason := emulation.missing():
        pytest.skip(reason)
    x = load_dataset("digits").test.x[:40]
    plain = file.load(repository / "models" / "digits-mlp.npz")
    middle = int(np.median(integer.margin(plain.run(x))))
    model = rejecting(plain, *[middle] * 10)
    assert 10 < (model.decide(model.run(x)) == REJECTED).sum() < 30
    file.save(model, tmp_path / "m.npz")
    (result,) = emulation.emulate(tmp_path / "m.npz", x, ["m3"], uart_trips=40)
    assert result.equal and result.uart_trips == 40


# -- model file --------------------------------------------------------------------------------------------------------


def test_the_part_is_written_read_and_hashed(model):
    data = file.to_bytes(model)
    header = header_of(data)
    assert (header["version"], header["parts"], header["reject"]) == (2, ["reject"], {"kind": "margin"})
    again = file.from_bytes(data)
    assert again.hash == model.hash and again.reject.margins.tolist() == [0, 500, MARGIN_MAX]
    hashes = {dataclasses.replace(model, reject=None).hash, model.hash, rejecting(model, 1, 500, MARGIN_MAX).hash}
    assert len(hashes) == 3


BAD = {
    "another kind": ({"change_header": header_change(reject={"kind": "energy"})}, "unknown kind"),
    "more settings": ({"change_header": header_change(reject={"kind": "margin", "rate": 1})}, "unknown kind"),
    "no object": ({"change_header": header_change(reject=None)}, "unknown kind"),
    "no array": ({"drop": ["reject.margins.npy"]}, "'reject.margins' is missing"),
    "signed": ({"replace": {"reject.margins.npy": npy(np.zeros(3, np.int32))}}, "uint32"),
    "too short": ({"replace": {"reject.margins.npy": npy(np.zeros(2, np.uint32))}}, "uint32"),
    "other margins": ({"replace": {"reject.margins.npy": npy(np.zeros(3, np.uint32))}}, "hash does not fit"),
    "part not named": ({"change_header": header_change(parts=[])}, "but the model uses"),
    "key left out": ({"change_header": lambda header: header.pop("reject")}, "'reject.margins' is not one"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_damaged_part_is_refused(model, case):
    change, words = BAD[case]
    with pytest.raises(SignbitError, match=words) as caught:
        file.from_bytes(rewrite(file.to_bytes(model), **change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("margins", [np.zeros(2, np.uint32), np.zeros(3, np.int64), np.zeros((3, 1), np.uint32)])
def test_margins_that_do_not_fit_are_refused(model, margins):
    with pytest.raises(SignbitError, match="reject's margins must be uint32"):
        dataclasses.replace(model, reject=Reject(margins)).validate()

"""Decisions from the answers of a stream: the integers, the model file, the C."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.codegen.host import Host
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.codegen.report import as_dict, summary
from signbit.codegen.verify import verify_stream
from signbit.qmodel import file, integer
from signbit.qmodel.decision import SURE, Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import REJECTED
from tests.test_header_text import faults
from tools.networks.random import FRONT_ENDS, front_end_model

SHIFT = 4


@pytest.fixture
def model():
    return front_end_model(0, *FRONT_ENDS[0])


def thresholds(*values):
    return np.array(values, np.uint32)


def answers(*classes):
    """Logits of answers that are sure of a class, one each, and of no class for None."""
    rows = [[1000 * (index == label) for index in range(3)] for label in classes]
    return np.array(rows, np.int32).reshape(-1, 3)


def test_a_class_is_named_once_when_the_answers_agree():
    decision = Decision(1, 3, 4, thresholds(3 * SURE, 2 * SURE, 3 * SURE + 1))
    assert decision.run(answers(0, 0, 0, 0, 0, 0, 0, 0, 0, 0), SHIFT).tolist() == [-1, -1, 0, -1, -1, -1, -1, 0, -1, -1]
    assert decision.run(answers(0, 1, 0, 1, 2, 2, 2, 2), SHIFT).tolist() == [-1, -1, -1, 1, -1, -1, -1, -1]
    assert decision.run(answers(), SHIFT).tolist() == []


def step_by_step(decision, logits):
    """SPEC 14 with a list of recent answers, as a device goes through it."""
    recent, wait, named = [(0, 0)] * decision.answers, 0, []
    for row in logits:
        recent = [*recent[1:], (int(integer.argmax(row[None])[0]), int(integer.confidence(row[None], SHIFT)[0]))]
        scores = [sum(sure for label, sure in recent if label == index) for index in range(len(row))]
        best = scores.index(max(scores))
        if wait or max(scores) < decision.thresholds[best]:
            wait, result = max(0, wait - 1), REJECTED
        else:
            wait, result = decision.dead_time, best
        named.append(result)
    return named


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(0, 6), st.integers(0, 10))
def test_all_answers_at_once_are_decided_as_one_by_one(seed, count, dead_time, tenths):
    rng = np.random.default_rng(seed)
    logits = rng.integers(-60, 60, (80, 3)).astype(np.int32)
    decision = Decision(1, count, dead_time, rng.integers(0, 1 + 100 * tenths * count, 3).astype(np.uint32))
    assert decision.run(logits, SHIFT).tolist() == step_by_step(decision, logits)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("dead_time", {"dead_time": 1}),
        ("answers", {"answers": 5}),
        ("thresholds", {"thresholds": thresholds(1, 1, 1)}),
    ],
)
def test_another_decision_in_c_is_seen(model, what, change):
    model = dataclasses.replace(model, decision=Decision(1, 3, 3, thresholds(2 * SURE, 2 * SURE, 9 * SURE)))
    other = dataclasses.replace(model, decision=dataclasses.replace(model.decision, **change))
    assert not verify_stream(model, make_plan(other), Host()).equal


def test_model_file_keeps_the_decision_as_a_part(model, tmp_path):
    file.save(model, tmp_path / "m.npz")
    again = file.load(tmp_path / "m.npz")
    assert again.parts == ("decision", "front_end") and again.hash == model.hash
    assert again.decision.settings() == model.decision.settings()
    assert np.array_equal(again.decision.thresholds, model.decision.thresholds)
    plain = dataclasses.replace(model, decision=None)
    assert plain.parts == ("front_end",) and plain.hash != model.hash
    for name in ("hops", "answers", "dead_time"):
        changed = dataclasses.replace(model.decision, **{name: getattr(model.decision, name) + 1})
        assert dataclasses.replace(model, decision=changed).hash != model.hash


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decision": Decision(0, 1, 1, thresholds(1, 1, 1))}, "hops"),
        ({"decision": Decision(1, 1, 1, thresholds(1, 1, 1))}, "answers"),
        ({"decision": Decision(1, 65, 1, thresholds(1, 1, 1))}, "answers"),
        ({"decision": Decision(1, 2, -1, thresholds(1, 1, 1))}, "dead_time"),
        ({"decision": Decision(1, 2, 1, thresholds(1, 1))}, "thresholds must be uint32 of shape"),
        ({"decision": Decision(1, 2, 1, np.ones(3))}, "thresholds must be uint32 of shape"),
        ({"front_end": None}, "a decision is for streams"),
    ],
)
def test_decision_that_cannot_be_is_refused(model, changes, words):
    with pytest.raises(SignbitError, match=words):
        dataclasses.replace(model, **changes).validate()


def test_header_and_report_say_what_a_decision_takes(model):
    plan = make_plan(model, "p" * 31)
    assert faults(header_text(plan)) == []
    size = 4 * (model.decision.answers + 2)
    assert any(line == f"decide    every {model.decision.hops} hops, {size} bytes of RAM" for line in summary(plan))
    assert as_dict(plan)["decision"]["ram_bytes"] == size
    plain = header_text(make_plan(dataclasses.replace(model, decision=None)))
    assert "decide(" not in plain and "NOTHING" not in plain

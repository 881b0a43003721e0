"""Minutes of speech in two streams of the generated C on this computer: every logit of every hop, and decisions.

The sound is one, from its beginning on, of spoken commands at other loudness each and of silence between them.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from signbit.codegen.host import Host
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import verify_stream
from signbit.qmodel.decision import Decision
from tools.prove import planted
from tools.prove.clips import clip, missing_clips, shipped
from tools.prove.row import SEED, Outcome, Row

MINUTES = 10
DECISION = {"hops": 3, "answers": 4, "dead_time": 17}
"""The second stream answers at every third hop."""
SURE_PER_MILLE = 900
PLANTED = {
    "a hop that is forgotten": ("stream->filled -= passed", "stream->filled -= 2u * passed"),
    "a decision that never waits": ("decision->wait = ", "decision->wait = 0u * "),
}


def run(first: int, count: int, seconds: int = 60) -> Outcome:
    """`count` minutes, each so long, from the `first` one on, as one stream."""
    model = shipped()
    thresholds = np.full(model.output_size, SURE_PER_MILLE * DECISION["answers"], np.uint32)
    model = replace(model, decision=Decision(**DECISION, thresholds=thresholds))
    rate_hz = model.front_end.rate_hz
    rows = speech(rate_hz, (first + count) * seconds)[first * seconds * rate_hz :]
    found = verify_stream(model, make_plan(model), Host(), rows)
    wrong = (f"minutes from {first} on: {found.first}",) if found.different else ()
    return Outcome({"hops": found.inputs, "values": found.values}, wrong)


def speech(rate_hz: int, seconds: int) -> np.ndarray:
    """Its first seconds, int16 (rows, 1)."""
    rng, pieces, left, number = np.random.default_rng(SEED), [], rate_hz * seconds, 0
    while left > 0:
        pause = np.zeros(int(rng.integers(rate_hz)))
        word = clip(number, rate_hz) * 2.0 ** rng.uniform(-6, 3)
        pieces += [pause, word]
        left, number = left - len(pause) - len(word), number + 1
    rows = np.concatenate(pieces)[: rate_hz * seconds]
    return np.clip(np.rint(rows), -(1 << 15), (1 << 15) - 1).astype(np.int16)[:, None]


def with_bug(right: str, wrong: str) -> Outcome:
    """Some seconds in C that has a bug."""
    with planted.in_headers(right, wrong):
        return run(0, 1, seconds=12)


ROW = Row(
    "hearing",
    "a stream of speech gives Python's logits at every hop, and its decisions",
    "minutes",
    short=1,
    total=MINUTES,
    step=MINUTES,
    covers=("qmodel", "codegen", "tools/prove/clips.py", "tools/prove/hearing.py"),
    run=run,
    controls={name: partial(with_bug, *change) for name, change in PLANTED.items()},
    missing=missing_clips,
)

"""The proofs that are commands of their own: a short run of each, and a planted bug that each must find."""

import pytest

from signbit.codegen.kernels.targets import PORTABLE
from tools.cores import emulated as cores
from tools.cores import programs
from tools.prove.bits import PLACES, prove

MODELS = 300


@pytest.mark.parametrize("place", PLACES)
def test_2700_random_models_agree_in_every_bit(place):
    """300 at each of nine places; `python -m tools prove bits` goes on to 10,000."""
    if place != PORTABLE and cores.missing([place]):
        pytest.skip(cores.missing([place]))
    proof = prove(MODELS, seed=PLACES.index(place), places=(place,))
    assert proof.models == MODELS and proof.results > 250 * MODELS
    assert proof.first == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (">> activation->shift", ">> (activation->shift - 1)"),
        ("q < 0 ? 0 : ", "q < 1 ? 1 : "),
        ("acc > most ? acc : most", "acc >= most ? most : acc"),
    ],
    ids=["shift", "clamp", "pool"],
)
def test_planted_bug_is_found(monkeypatch, right, wrong):
    text_of = programs.header_text
    monkeypatch.setattr(programs, "header_text", lambda plan: text_of(plan).replace(right, wrong))
    assert prove(100, seed=1, places=(PORTABLE,)).different > 0


def test_every_core_and_this_computer_take_part():
    assert PLACES == (PORTABLE, "m0", "m3", "m4", "m7", "m33", "m55", "riscv32", "riscv32e")

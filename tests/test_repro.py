"""The same seed gives the same bytes everywhere: sums on a grid, own arithmetic and random numbers."""

import hashlib

import numpy as np
import pytest

from signbit.qmodel.errors import SignbitError
from signbit.trainer.exact import arithmetic, noise
from signbit.trainer.exact.grid import EXACT, Grid
from signbit.trainer.network.architecture import parse, resolve
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.network import build
from tools.prove import machines, repro
from tools.prove.machines import MACHINES, RUNS, Crash, hash_of
from tools.prove.row import Outcome


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_grid_keeps_sums_exact_and_follows_the_gradients(rng):
    grid = Grid(127)
    for scale in (1.0, 1e-3, 1e5, 1e5, 1e-9):
        gradient = (rng.normal(size=(50, 6, 6, 8)) * scale).astype(np.float32)
        before = gradient.copy()
        for _ in range(60):
            gradient = grid.round(before.copy())
        step = 2.0**grid.exponent
        units = gradient.astype(np.float64) / step
        assert np.array_equal(units, np.rint(units)) or np.array_equal(units * 2, np.rint(units * 2))
        assert np.abs(units).reshape(-1, 8).sum(axis=0).max() * 127 <= 2 * EXACT
        assert np.abs(gradient - before).max() <= step
        # at least a quarter of the range is in use
        assert np.abs(units).reshape(-1, 8).sum(axis=0).max() * 127 >= EXACT / 5


def test_gradients_do_not_depend_on_the_order_of_the_sums(rng):
    """A batch in another order: not one bit of any gradient changes, of batch norm and every kind of weights."""
    text = "conv3x3pad:8 pool2, depthwise3x3pad, conv3x3:12 sign, dense:20, dense"
    shape = (8, 8, 1)
    network = build(resolve(parse(text), shape, 3), shape, "deterministic", rng)
    inputs = rng.integers(256, size=(60, 64), dtype=np.uint8)
    gradient = np.rint(rng.normal(size=(60, 3)) * 2.0**10).astype(np.float32) * np.float32(2.0**-16)
    order = rng.permutation(60)

    def gradients(order):
        fresh = build(resolve(parse(text), shape, 3), shape, "deterministic", np.random.default_rng(0))
        fresh.forward(inputs[order], Mode.TRAIN)
        fresh.backward(gradient[order])
        return [parameter.gradient.copy() for parameter in fresh.parameters]

    assert network.parameters
    for one, other in zip(gradients(np.arange(60)), gradients(order), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.any()


def test_own_exp_and_cos_are_those():
    x = np.linspace(-79, 0, 4001)
    np.testing.assert_allclose(arithmetic.exp(x.astype(np.float32)), np.exp(x.astype(np.float32)), rtol=1e-6)
    np.testing.assert_allclose(arithmetic.exp(x), np.exp(x), rtol=1e-13)
    assert arithmetic.exp(np.float32([-1e30]))[0] < 1e-30
    for angle in np.linspace(0, np.pi, 200):
        assert arithmetic.cos(float(angle)) == pytest.approx(np.cos(angle), abs=1e-11)


def test_random_numbers_by_their_raw_bits():
    """Fixed numbers: PCG64's raw output is numpy's promise, all else is made of it here."""
    digest = hashlib.sha256()
    rng = np.random.default_rng(2015)
    digest.update(noise.permutation(rng, 1000).astype("<i8").tobytes())
    digest.update(noise.uniform(rng, -1, 1, (10, 10)).astype("<f8").tobytes())
    digest.update(noise.uniform32(rng, -1, 1, (7, 9)).astype("<f4").tobytes())
    assert sorted(noise.permutation(rng, 1000)) == list(range(1000))
    values = noise.uniform(rng, -0.3, 0.3, (10_000,))
    assert abs(values.mean()) < 0.01 and values.min() >= -0.3 and values.max() < 0.3
    assert values.std() == pytest.approx(0.3 / np.sqrt(3), rel=0.03)
    assert digest.hexdigest() == RANDOM_DIGEST


RANDOM_DIGEST = "8976d74dd0c1f9e876d9ee8062ae8a9333e0506ba47cce22a62cb3e3b09b99f6"


def test_a_blas_that_crashes_is_not_run_and_anything_else_is_an_error(monkeypatch):
    """A signal is no difference, unless it ends most runs; a traceback is an error."""
    expected = hash_of(RUNS["mlp"], MACHINES[0])
    monkeypatch.setattr(repro, "expected", lambda name: expected)
    monkeypatch.setattr(repro, "hash_of", lambda *_, **options: Crash("signal 11"))
    assert repro.run(0, 2) == Outcome({"not run, since a BLAS kernel crashed": 2})
    with pytest.raises(SignbitError, match="fewer than 5 environments"):
        repro.run(0, 7)
    monkeypatch.undo()
    monkeypatch.setattr(machines, "TRAIN_AND_HASH", "import os; os.kill(os.getpid(), 11)")
    found = hash_of(RUNS["mlp"], MACHINES[1])
    assert isinstance(found, Crash) and found.reason.startswith("OPENBLAS_CORETYPE=Haswell: ended by signal 11")
    monkeypatch.setattr(machines, "TRAIN_AND_HASH", "raise ValueError('no model')")
    with pytest.raises(SignbitError, match="no model"):
        hash_of(RUNS["mlp"], {})

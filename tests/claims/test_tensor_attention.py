"""Claim 2.26: its parts at small size, and what comes out false where what it measures is wrong."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

from softunit.claims import tensor_attention as claim
from softunit.claims.base import Effort
from softunit.claims.tensor_attention import CLAIM, _curves, _slope, _times

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)

QUICK = Effort(share=0.15)
MODULE = "softunit.claims.tensor_attention"
FAST = {
    "tensor_polynomial": ((100, 200, 400), [1.0, 2.0, 4.1]),
    "tensor": ((10, 20, 40), [1.0, 7.0, 60.0]),
}
CURVES = {"tensor": [((10, 20), (60.0, 97.0))], "matrix": [((10, 20), (50.0, 51.0))]}


@pytest.fixture(autouse=True)
def without_a_clock_and_training(monkeypatch):
    monkeypatch.setattr(f"{MODULE}._times", lambda effort: FAST)
    monkeypatch.setattr(f"{MODULE}._curves", lambda effort: CURVES)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == []
    assert len(evidence.findings) == 7
    assert [series.label for series in evidence.picture.series] == [
        "tensor attention, seed 0",
        "matrix attention, seed 0",
    ]
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_a_polynomial_of_lower_degree_is_found(monkeypatch):
    monkeypatch.setattr(f"{MODULE}.DEGREE", 2)
    (what,) = failing(CLAIM.measure(QUICK))
    assert what.startswith("difference of degree 2")


def test_the_exact_form_in_place_of_the_polynomial_is_found(monkeypatch):
    """It makes n^3 numbers, and needs no bound."""
    from softunit.nn.studies import tensor

    monkeypatch.setattr(
        tensor, "attend", lambda q, k, v, unit: tensor.reference(q, k, v, unit="tensor")
    )
    found = failing(CLAIM.measure(QUICK))
    assert len(found) == 2
    assert "largest array" in found[0]
    assert "within 3" in found[1]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("_times", {**FAST, "tensor_polynomial": ((1, 2, 4), [1.0, 4.0, 16.0])}, "polynomial form"),
        ("_times", {**FAST, "tensor": ((1, 2, 4), [1.0, 4.0, 16.0])}, "exact form"),
        ("_curves", {**CURVES, "tensor": [((10,), (70.0,))]}, "tensor attention"),
        ("_curves", {**CURVES, "matrix": [((10,), (70.0,))]}, "matrix attention"),
    ],
    ids=["quadratic polynomial", "quadratic exact", "unsolved", "solved by both"],
)
def test_what_does_not_fit_is_found(monkeypatch, name, value, word):
    monkeypatch.setattr(f"{MODULE}.{name}", lambda effort: value)
    (what,) = failing(CLAIM.measure(QUICK))
    assert word in what


def test_times_are_measured():
    from softunit.nn.studies import tensor

    for unit in ("tensor", "tensor_polynomial"):
        seconds = tensor.times((8, 16), unit, 4, 1, np.random.default_rng(0))
        assert all(0 < s < math.inf for s in seconds)
    assert _slope((10, 20, 40), [1.0, 8.0, 64.0]) == pytest.approx(3.0)


def test_a_small_share_keeps_the_lengths_and_steps_and_takes_a_seed(monkeypatch):
    from softunit.nn.studies import tensor

    trained = []

    def learned(task, pairs, steps, rng):
        trained.append((pairs, steps))
        return tensor.Learned((steps,), (99.0,))

    monkeypatch.setattr(tensor, "learned", learned)
    monkeypatch.setattr(tensor, "times", lambda lengths, *rest: [1.0 * n for n in lengths])
    assert {name: lengths for name, (lengths, _) in _times(QUICK).items()} == {
        "tensor_polynomial": claim.LENGTHS,
        "tensor": claim.EXACT_LENGTHS,
    }
    assert _curves(Effort(share=0.1)) == {
        "tensor": [((claim.STEPS,), (99.0,))],
        "matrix": [((claim.STEPS,), (99.0,))],
    }
    assert trained == [(True, claim.STEPS), (False, claim.STEPS)]


def test_rows_of_the_task_are_what_they_say(rng):
    from softunit.nn.studies.tensor import Triples

    task = Triples(modulus=11, tokens=4)
    query, token, there = (x.numpy() for x in task.rows(4000, rng))
    sums = (token[:, :, None] + token[:, None, :] + query[:, None, None]) % 11
    assert np.array_equal((sums == 0).any((1, 2)), there)
    assert 0.45 < there.mean() < 0.55
    # No residue, counted from the query, is more likely in one kind of rows than in the other.
    shifted = (token + 6 * query[:, None]) % 11
    for answer in (True, False):
        shares = (
            np.bincount(shifted[there == answer].ravel(), minlength=11) / (there == answer).sum()
        )
        assert shares[0] == 0
        np.testing.assert_allclose(shares[1:], 0.4, atol=0.06)


def test_pairs_learn_what_single_keys_do_not():
    """A small task: three hundred steps tell them apart."""
    from softunit.nn.studies.tensor import Triples, learned

    task = Triples(modulus=7, tokens=2)
    pairs, single = (learned(task, kind, 150, np.random.default_rng(0)) for kind in (True, False))
    assert pairs.steps == tuple(range(15, 151, 15))
    assert pairs.percent[-1] > 90
    assert single.percent[-1] < 75

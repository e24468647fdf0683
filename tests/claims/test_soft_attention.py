"""Claim 1.2: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

from softunit.claims.base import Effort
from softunit.claims.soft_attention import CLAIM, COUNTS, KEYS, _times

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)

QUICK = Effort(share=0.1)
MODULE = "softunit.claims.soft_attention"


@pytest.fixture(autouse=True)
def small_and_without_a_clock(monkeypatch):
    given = {"soft": [1.0, 2.0, 4.1], "softmax": [1.0, 3.9, 15.8]}
    monkeypatch.setattr(f"{MODULE}._times", lambda effort, lengths: given)
    monkeypatch.setattr(f"{MODULE}.COUNTS", COUNTS[::2])


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    ticks = []
    evidence = CLAIM.measure(Effort(share=0.1, tick=ticks.append))
    assert failing(evidence) == []
    assert len(evidence.findings) == 6
    assert any("spectral" in words for words in ticks)
    assert len(evidence.picture.series) == 2 * len(KEYS)
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_too_few_iterations_are_found(monkeypatch):
    monkeypatch.setattr(f"{MODULE}.ITERATIONS", 8)
    found = failing(CLAIM.measure(QUICK))
    assert len(found) == 2
    assert all("condition" in what for what in found)


def test_an_error_that_rises_is_found(monkeypatch):
    monkeypatch.setattr(
        f"{MODULE}._errors", lambda effort, draws: [[0.9, 0.5, 0.4], [0.9, 0.4, 0.5]]
    )
    (what,) = failing(CLAIM.measure(QUICK))
    assert "error to the full kernel" in what


def test_a_norm_above_one_is_found(monkeypatch):
    """Normalised by rows only, the norm exceeds one."""
    from softunit.nn.attention import Soft
    from softunit.nn.studies import soft

    made = soft.weights
    monkeypatch.setattr(
        soft,
        "weights",
        lambda q, k, unit: made(
            q,
            k,
            unit=Soft(landmarks=None, normalisation="rows")
            if unit == Soft(landmarks=None)
            else unit,
        ),
    )
    (what,) = failing(CLAIM.measure(QUICK))
    assert "spectral norm" in what


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"soft": [1.0, 4.0, 16.0], "softmax": [1.0, 4.0, 16.0]}, "twice the tokens"),
        ({"soft": [1.0, 2.0, 4.0], "softmax": [1.0, 2.0, 4.0]}, "softmax"),
    ],
    ids=["quadratic", "linear softmax"],
)
def test_times_that_do_not_fit_are_found(monkeypatch, given, word):
    monkeypatch.setattr(f"{MODULE}._times", lambda effort, lengths: given)
    (what,) = failing(CLAIM.measure(QUICK))
    assert word in what


def test_times_are_measured():
    found = _times(QUICK, (64, 128))
    assert sorted(found) == ["soft", "softmax"]
    for seconds in found.values():
        assert len(seconds) == 2
        assert all(0 < s < math.inf for s in seconds)


def test_the_condition_up_to_which_the_start_of_the_paper_is_proven():
    from softunit.nn.studies.soft import proven_condition

    most = proven_condition(20, 1e-10)
    left = (1 - 2 / most**2) ** (2**20)
    assert left == pytest.approx(1e-10, rel=0.01)
    assert np.isclose(proven_condition(22, 1e-10), 2 * most)

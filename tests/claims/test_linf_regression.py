"""Claim 1.17: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest

from softunit.claims.base import Effort
from softunit.claims.linf_regression import CLAIM, D, M, _times, instance
from softunit.lstsq import SKETCHES, _Plan
from softunit.sketches import CountSketch, Gaussian

QUICK = Effort(share=0.12)


@pytest.fixture(autouse=True)
def linear_time(monkeypatch):
    """No test is judged by a clock."""
    given = ([1 << 14, 1 << 15, 1 << 16], [1.0, 2.0, 4.1])
    monkeypatch.setattr("softunit.claims.linf_regression._times", lambda effort: given)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    ticks = []
    evidence = CLAIM.measure(Effort(share=0.12, tick=ticks.append))
    assert failing(evidence) == []
    assert len(evidence.findings) == 5
    assert "12 seeds" in ticks[0]
    assert evidence.picture is not None
    assert len(evidence.picture.series) == 3
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_the_instance_is_what_it_says():
    a, b, bar = instance()
    x, *_ = np.linalg.lstsq(a, b)
    assert not x.any()
    assert np.linalg.svd(a, compute_uv=False)[-1] == 1.0
    assert np.count_nonzero(b) == 50
    eps = math.sqrt(D * math.log(len(a) / 0.05) / M)
    assert bar == pytest.approx(eps / math.sqrt(D) * np.linalg.norm(b))


class Pretender(CountSketch):
    """A sparse sketch that says it is dense."""

    dense: ClassVar[bool] = True


@pytest.mark.parametrize("name", ["srht", "gaussian"])
def test_a_sparse_sketch_in_place_of_a_dense_one_is_found(monkeypatch, name):
    monkeypatch.setitem(SKETCHES, name, Pretender)
    (what,) = failing(CLAIM.measure(QUICK))
    assert what.lower().startswith(f"percent of {name}")


def test_a_dense_sketch_in_place_of_the_sparse_one_is_found(monkeypatch):
    monkeypatch.setitem(SKETCHES, "countsketch", Gaussian)
    missed, refused = failing(CLAIM.measure(QUICK))
    assert "CountSketches that miss it" in missed
    assert "refuses" in refused


def test_a_promise_that_cannot_be_kept_is_found(monkeypatch):
    monkeypatch.setattr(_Plan, "_refuse", lambda self, subject: None)
    assert failing(CLAIM.measure(QUICK)) == [
        "entrywise promises that lstsq refuses for CountSketch"
    ]


def test_quadratic_time_is_found(monkeypatch):
    given = ([1 << 14, 1 << 15, 1 << 16], [1.0, 4.0, 16.0])
    monkeypatch.setattr("softunit.claims.linf_regression._times", lambda effort: given)
    (what,) = failing(CLAIM.measure(QUICK))
    assert "slope" in what


def test_times_are_measured():
    sizes, seconds = _times(Effort(share=0.01))
    assert sizes == [1 << 14, 1 << 15, 1 << 16, 1 << 17]
    assert all(0 <= s < math.inf for s in seconds)
    assert sum(seconds) > 0

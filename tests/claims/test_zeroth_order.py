"""The claim on zeroth-order optimisation holds at a small size, and can come out false."""

from __future__ import annotations

import dataclasses

import pytest

from softunit.claims import zeroth_order
from softunit.claims.base import Effort
from softunit.solvers import ZerothOrder

SMALL = Effort(share=0.05)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(zeroth_order, "DRAWS", 12_000)


def test_the_claim_holds():
    evidence = zeroth_order.CLAIM.measure(SMALL)
    failed = [finding.what for finding in evidence.findings if not finding.holds]
    assert not failed
    assert len(evidence.picture.series) == 2


def test_a_biased_estimate_is_found(monkeypatch):
    honest = zeroth_order.scaling
    monkeypatch.setattr(zeroth_order, "scaling", lambda *a: 1.1 * honest(*a))
    estimates = zeroth_order._estimates(SMALL)
    assert min(estimates.values()) > 0.02


def test_steps_that_go_by_the_dimension_are_found(monkeypatch):
    def short(kind, k, size):
        return (k + 1) / k, size / k  # as if every direction were as steep

    monkeypatch.setattr("softunit.solvers.zeroth_order.second_moment", short)
    monkeypatch.setattr(zeroth_order, "STEPS", ("bound",))
    low, _ = zeroth_order._calls(SMALL, zeroth_order._Watched(), (10, 100))
    assert max(low["bound"]) / min(low["bound"]) > 2.0


def test_a_gradient_that_is_asked_for_is_counted(monkeypatch):
    class Cheating(ZerothOrder):
        def begin(self, problem, x):
            return dataclasses.replace(problem.evaluate(x), exact=False)

    monkeypatch.setattr(zeroth_order, "ZerothOrder", Cheating)
    unit = zeroth_order._Watched()
    zeroth_order._calls(SMALL, unit, (10,))
    assert len(unit.asked) > 0


def test_a_run_that_never_gets_there_counts_as_endless(monkeypatch):
    monkeypatch.setattr(zeroth_order, "MOST", 1)
    _, full = zeroth_order._calls(SMALL, zeroth_order._Watched(), (10,))
    assert full == [float("inf")]

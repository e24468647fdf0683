"""Claim 0.5: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np

from softunit.claims import Effort, hyperbolic
from softunit.claims.hyperbolic import CLAIM
from softunit.curvature import Diagonal
from softunit.solvers import paper_newton
from softunit.units import CoshSquares

QUICK = Effort(share=0.05)


def still(monkeypatch):
    """Leave out what depends on a clock."""
    sizes = np.array([1e5, 1e6])
    monkeypatch.setattr(hyperbolic, "step_seconds", lambda unit, effort: (sizes, sizes * 1e-7))


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds(monkeypatch):
    still(monkeypatch)
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == []
    assert len(evidence.findings) == 13
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_a_step_with_the_printed_plus_is_found(monkeypatch):
    still(monkeypatch)
    right = paper_newton.cho_solve
    monkeypatch.setattr(paper_newton, "cho_solve", lambda factor, g: -right(factor, g))
    assert len(failing(CLAIM.measure(QUICK))) >= 6


def test_too_small_a_w_is_found(monkeypatch):
    monkeypatch.setattr(hyperbolic, "paper_weights", lambda unit, a, b: np.full(len(b), 1e-3))
    assert hyperbolic.least_eigenvalue("cosh", QUICK) < 0


def test_a_wrong_curvature_is_found(monkeypatch):
    still(monkeypatch)
    right = CoshSquares.curvature

    def wrong(self, z, target, weights=None, *, kind="exact"):
        found = right(self, z, target, weights, kind=kind)
        return Diagonal(found.weights - 2 * np.abs(target) - 5)

    monkeypatch.setattr(CoshSquares, "curvature", wrong)
    assert any(what.startswith("cosh: least eigenvalue") for what in failing(CLAIM.measure(QUICK)))


def test_steps_that_grow_quadratically_are_found(monkeypatch):
    logs = -np.log(hyperbolic.EPSILONS)
    assert hyperbolic.straightness(logs, np.log(logs)) < 0.98
    still(monkeypatch)
    sizes = np.array([1e5, 1e6])
    monkeypatch.setattr(hyperbolic, "step_seconds", lambda unit, effort: (sizes, sizes**1.5))
    assert failing(CLAIM.measure(QUICK)) == [CLAIM.measure(QUICK).findings[-1].what]


def test_the_time_of_a_step_is_measured(monkeypatch):
    monkeypatch.setattr(hyperbolic, "LONGEST", 40_000)
    sizes, seconds = hyperbolic.step_seconds("exp", dataclasses.replace(QUICK, share=1.0))
    assert sizes[0] == 200_000
    assert sizes[-1] == 800_000
    assert (seconds > 0).all()

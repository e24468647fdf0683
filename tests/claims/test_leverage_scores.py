"""Claim 0.1: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import numpy as np

from softunit.claims import Effort, leverage_scores
from softunit.claims.leverage_scores import CLAIM
from softunit.units import LeverageScores

QUICK = Effort(share=0.05)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == []
    assert len(evidence.findings) == 5
    assert evidence.picture is not None
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_without_the_regulariser_the_hessian_is_not_positive_definite(monkeypatch):
    monkeypatch.setattr(leverage_scores, "CURVATURE", 0.0)
    monkeypatch.setattr(leverage_scores, "MARGIN", 1e-9)
    assert leverage_scores._least_eigenvalues(QUICK)[0] < 0
    assert any("smallest eigenvalue" in what for what in failing(CLAIM.measure(QUICK)))


def test_a_wrong_jacobian_is_found(monkeypatch):
    right = LeverageScores.value_gradient

    def wrong(self, z, target, weights=None):
        value, g = right(self, z, target, weights)
        return value, g * np.sign(z - self.shift)

    monkeypatch.setattr(LeverageScores, "value_gradient", wrong)
    assert not leverage_scores._jacobian_error(QUICK).holds


def test_a_wrong_gradient_stops_newton_and_descent(monkeypatch):
    right = LeverageScores.value_gradient

    def wrong(self, z, target, weights=None):
        value, g = right(self, z, target, weights)
        return value, -g

    monkeypatch.setattr(LeverageScores, "value_gradient", wrong)
    found = failing(CLAIM.measure(QUICK))
    assert any("Newton steps" in what for what in found)
    assert any("gradient descent" in what for what in found)


def test_too_deep_a_curvature_is_found(monkeypatch):
    right = LeverageScores.curvature

    def wrong(self, z, target, weights=None, *, kind="exact"):
        return right(self, z, 30.0 * (target - 0.5), weights, kind=kind)

    monkeypatch.setattr(LeverageScores, "curvature", wrong)
    assert not leverage_scores._deepest_curvature(QUICK).holds

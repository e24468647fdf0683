"""Claim 0.4: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.claims import Effort, _sampled_newton, softmax_regression
from softunit.claims.softmax_regression import CLAIM
from softunit.curvature import CentredDiagonal
from softunit.problem import Problem
from softunit.sketches import LeverageSampling
from softunit.units import SoftmaxSquares

QUICK = Effort(share=0.05)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == []
    assert len(evidence.findings) == 12
    assert evidence.picture is not None
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_a_wrong_curvature_is_found(monkeypatch):
    right = SoftmaxSquares.curvature

    def wrong(self, z, target, weights=None, *, kind="exact"):
        found = right(self, z, target, weights, kind=kind)
        f = found.centre
        return CentredDiagonal(found.weights - 2 * f * (f - target), f)

    monkeypatch.setattr(SoftmaxSquares, "curvature", wrong)
    assert any("Hessian against" in what for what in failing(CLAIM.measure(QUICK)))


def test_a_wrong_gradient_is_found(monkeypatch):
    right = SoftmaxSquares.value_gradient

    def wrong(self, z, target, weights=None):
        value, g = right(self, z, target, weights)
        f = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        return value, g + 2 * f * (f @ (f - target))  # the sign slip of a reprint

    monkeypatch.setattr(SoftmaxSquares, "value_gradient", wrong)
    findings = list(softmax_regression._derivatives(QUICK))
    assert not any(finding.holds for finding in findings)


def test_too_large_a_curvature_is_found(monkeypatch):
    monkeypatch.setattr(
        SoftmaxSquares,
        "curvature",
        lambda self, z, b: CentredDiagonal(np.where(b > 0.1, 20.0, -20.0), np.full(len(z), 0.1)),
    )
    findings = list(softmax_regression._curvatures(QUICK))
    assert not any(finding.holds for finding in findings)


def test_weights_below_the_condition_are_found(monkeypatch):
    right = softmax_regression.weights_for
    monkeypatch.setattr(
        softmax_regression, "weights_for", lambda A, wanted, shift: 0.5 * right(A, wanted, 0.0)
    )
    findings = list(softmax_regression._convexity(QUICK))
    assert not any(finding.holds for finding in findings)


def test_a_wrong_sign_of_the_step_is_found(monkeypatch):
    right = _sampled_newton.step
    monkeypatch.setattr(_sampled_newton, "step", lambda *args: -right(*args))
    found = failing(CLAIM.measure(QUICK))
    assert sum("largest factor of a step" in what for what in found) == 4
    assert sum("steps to eps" in what for what in found) == 2


def test_samples_of_the_wrong_weight_are_found(monkeypatch):
    right = LeverageSampling.sample

    def heavy(self, a, rng, *, weights=None):
        index, weight = right(self, a, rng, weights=weights)
        return index, 3 * weight

    monkeypatch.setattr(LeverageSampling, "sample", heavy)
    assert sum("largest factor of a step" in what for what in failing(CLAIM.measure(QUICK))) == 4


def test_the_step_by_all_rows_is_newtons(rng, monkeypatch):
    everything = lambda self, a, rng, *, weights=None: (np.arange(len(a)), np.ones(len(a)))  # noqa: E731
    monkeypatch.setattr(LeverageSampling, "sample", everything)
    A, x = rng.standard_normal((30, 3)), rng.standard_normal(3)
    f = np.exp(A @ x) / np.exp(A @ x).sum()
    problem = Problem(A, SoftmaxSquares(), f)
    x = x + 0.01 * rng.standard_normal(3)
    point = problem.evaluate(x)
    weights = SoftmaxSquares().curvature(A @ x, f).weights
    assert (weights > 0).all(), "choose another draw: here rows would be left out"
    step = _sampled_newton.step(problem, A, x, 30, rng)
    expected = np.linalg.solve(problem.hessian(point), point.gradient)
    np.testing.assert_allclose(step, expected, rtol=1e-9)


@pytest.mark.parametrize("share", [0.5, 1e-3])
def test_steps_are_counted_until_the_share_is_met(share):
    path = (1.0, 0.4, 0.01, 0.0004)
    assert _sampled_newton._steps(path, share) == {0.5: 1, 1e-3: 3}[share]
    assert _sampled_newton._steps(path, 1e-9) == np.inf

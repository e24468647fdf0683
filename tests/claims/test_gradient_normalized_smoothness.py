"""Claim 1.12: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.claims import Effort
from softunit.claims import gradient_normalized_smoothness as module
from softunit.claims._approximate_units import Logistic, SmoothMaximum
from softunit.claims.gradient_normalized_smoothness import CLAIM, PACKAGE, PRINTED, RUNS
from softunit.curvature import Diagonal
from softunit.problem import Problem
from softunit.run import minimize

QUICK = Effort(share=0.2)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == []
    assert len(evidence.findings) == 8
    assert all("PACKAGE" not in note for note in evidence.notes)


@pytest.mark.parametrize("unit", [SmoothMaximum(0.3), Logistic()], ids=["maximum", "logistic"])
def test_derivatives_of_the_units(unit, rng):
    A, x = rng.standard_normal((12, 3)), rng.standard_normal(3)
    target = (rng.random(12) < 0.5).astype(float)
    problem = Problem(A, unit, target)
    point, h = problem.evaluate(x), 1e-5
    moves = h * np.eye(3)
    slopes = [(problem.value(x + m) - problem.value(x - m)) / (2 * h) for m in moves]
    bends = [(problem.gradient(x + m) - problem.gradient(x - m)) / (2 * h) for m in moves]
    np.testing.assert_allclose(slopes, point.gradient, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(bends, problem.hessian(point), rtol=1e-6, atol=1e-8)


def test_the_approximate_hessian_exceeds_by_the_gradients_square(rng):
    A, b = rng.standard_normal((20, 4)), rng.standard_normal(20)
    problem = Problem(A, SmoothMaximum(0.5), b)
    point = problem.evaluate(rng.standard_normal(4))
    more = problem.hessian(point, kind="gauss_newton") - problem.hessian(point)
    np.testing.assert_allclose(more, np.outer(point.gradient, point.gradient) / 0.5, atol=1e-12)


def test_the_fisher_matrix_is_that_of_the_rows_gradients(rng):
    A, y = rng.standard_normal((15, 3)), (rng.random(15) < 0.5).astype(float)
    problem = Problem(A, Logistic(), y)
    x = rng.standard_normal(3)
    rows = (1 / (1 + np.exp(-A @ x)) - y)[:, None] * A
    hessian = problem.hessian(problem.evaluate(x), kind="gauss_newton")
    np.testing.assert_allclose(hessian, rows.T @ rows / 15, rtol=1e-10)


@pytest.mark.parametrize("method", RUNS)
def test_both_methods_end_at_the_optimum(method, rng):
    problem = module._maximum(rng)
    path = RUNS[method](problem, "exact", np.ones(20))
    best = minimize(problem, solver="newton", tol=0.0).value
    assert path.gradient <= module.TINY
    assert path.values[-1] == pytest.approx(best, abs=1e-12)
    assert all(after < before for before, after in zip(path.values, path.values[1:], strict=False))


def test_too_many_iterations_are_found(monkeypatch):
    right = SmoothMaximum.curvature
    monkeypatch.setattr(
        SmoothMaximum,
        "curvature",
        lambda self, z, b, weights=None, kind="exact": right(self, z, b, kind="gauss_newton"),
    )
    found = list(module._iterations(module._maxima(QUICK)))
    assert [finding.holds for finding in found] == [False, True, False, True]


def test_a_gradient_of_the_wrong_sign_is_found(monkeypatch):
    right = SmoothMaximum.value_gradient

    def wrong(self, z, target, weights=None):
        value, gradient = right(self, z, target)
        return value, -gradient

    monkeypatch.setattr(SmoothMaximum, "value_gradient", wrong)
    found = list(module._iterations(module._maxima(QUICK)))
    assert not any(finding.holds for finding in found)
    assert all(finding.value == np.inf for finding in found)


def test_a_rate_that_is_not_linear_is_found(monkeypatch):
    def exact(self, z, target, weights=None, *, kind="exact"):
        p = 1 / (1 + np.exp(-z))
        return Diagonal(p * (1 - p) if weights is None else weights * p * (1 - p))

    monkeypatch.setattr(Logistic, "curvature", exact)
    found = list(module._rates(module._logistic(QUICK, module._LOGISTIC, 1.0)))
    assert not any(finding.holds for finding in found if "R^2" in finding.what)


def test_a_run_that_gets_nowhere_is_found(monkeypatch):
    stuck = module.Path((0.7, 0.7), 1.0)
    monkeypatch.setattr(
        module, "RUNS", {PACKAGE: lambda *args: stuck, PRINTED: lambda *args: stuck}
    )
    assert all(path.n_iter == np.inf for path in module._maxima(QUICK)[PACKAGE, "exact"])
    found = list(module._rates(module._logistic(QUICK, module._LOGISTIC, 1.0)))
    assert not any(finding.holds for finding in found)


def test_the_line_through_the_gaps():
    fit = module._fit([10.0 * 0.5**k for k in range(20)] + [1e-15, -1e-16])
    assert fit.straight == pytest.approx(1.0)
    assert fit.factor == pytest.approx(0.5)
    assert np.isnan(module._fit([1.0, 0.5, 0.0]).straight)

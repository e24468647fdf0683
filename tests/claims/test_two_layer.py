"""Claim 0.2: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import numpy as np

from softunit.claims import Effort, two_layer
from softunit.claims.two_layer import CLAIM
from softunit.coupled_curvature import Updated
from softunit.penalties import ScoreRidge
from softunit.problem import Problem
from softunit.solvers.paper_newton import PaperNewton
from softunit.units import TwoLayerSquares

QUICK = Effort(share=0.05)


def failing(findings):
    return [finding.what for finding in findings if not finding.holds]


def test_it_holds():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence.findings) == []
    assert len(evidence.findings) == 3 + 2 * 6
    assert len(evidence.picture.series) == 7
    assert "of 9 runs" in evidence.notes[0]
    assert "times l." in evidence.notes[1]


def test_a_wrong_curvature_is_found(monkeypatch):
    right = TwoLayerSquares.curvature

    def wrong(self, z, target, weights=None, *, kind="exact"):
        found = right(self, z, target, weights, kind=kind)
        return Updated(found.base, found.factors, -found.core)

    monkeypatch.setattr(TwoLayerSquares, "curvature", wrong)
    assert len(failing(two_layer._derivatives(QUICK))) == 1


def test_a_wrong_gradient_is_found(monkeypatch):
    right = TwoLayerSquares.value_gradient

    def wrong(self, z, target, weights=None):
        value, g = right(self, z, target, weights)
        return value, 1.001 * g

    monkeypatch.setattr(TwoLayerSquares, "value_gradient", wrong)
    assert len(failing(two_layer._derivatives(QUICK))) == 2


def test_too_small_a_bound_is_found(monkeypatch):
    monkeypatch.setattr(two_layer, "lowest", lambda unit, b: 0.0)
    assert len(failing(two_layer._convexity(QUICK))) == 1


def test_a_hessian_of_too_few_rows_contracts_too_slowly(monkeypatch):
    right = PaperNewton.__init__

    def few(self, **settings):
        right(self, **(settings | {"rows": 25}))

    monkeypatch.setattr(PaperNewton, "__init__", few)
    runs = {"tanh": two_layer._penalised("tanh", 3, QUICK)}
    assert any("every step" in what for what in failing(two_layer._rates(runs, "few rows")))


def test_steps_that_are_far_too_long_never_arrive(monkeypatch):
    right = PaperNewton.hessian
    monkeypatch.setattr(PaperNewton, "hessian", lambda *given: 0.4 * right(*given))
    runs = {"tanh": two_layer._penalised("tanh", 3, QUICK)}
    assert len(failing(two_layer._rates(runs, "steps two and a half times too long"))) == 2


def test_the_bound_of_relu_holds_away_from_its_kinks():
    rng = np.random.default_rng(3)
    unit, b = TwoLayerSquares("relu", rng.standard_normal((3, 8))), rng.standard_normal(3)
    low = two_layer.lowest(unit, b)
    for _ in range(200):
        curvature = unit.curvature(3 * rng.standard_normal(8), b)
        assert np.linalg.eigvalsh(curvature.matvec(np.eye(8)))[0] >= low
    problem = Problem(np.eye(8), unit, b, ScoreRidge(np.sqrt(-low)))
    assert np.linalg.eigvalsh(problem.hessian(problem.evaluate(np.zeros(8))))[0] >= 0


def test_runs_that_never_step_are_as_bad_as_can_be():
    run = two_layer.Run((1.0,), 0.5)
    assert run.worst == np.inf
    assert run.growth == np.inf

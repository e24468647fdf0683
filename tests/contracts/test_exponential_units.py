"""exp, cosh and sinh units beyond the shared table: infima, overflow, digits near one."""

from __future__ import annotations

import numpy as np
import pytest

import softunit as su
from softunit.errors import InputError
from softunit.penalties import Ridge, ScoreRidge
from softunit.units import CoshSquares, ExpSquares, RescaledSquares, SinhSquares

UNITS = [ExpSquares(), CoshSquares(), SinhSquares()]
CURVES = {"ExpSquares": np.exp, "CoshSquares": np.cosh, "SinhSquares": np.sinh}
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: type(unit).__name__)


@each_unit
@pytest.mark.parametrize("b", [-3.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 30.0])
def test_the_least_curvature_and_value_are_those_of_a_fine_grid(unit, b):
    z = np.linspace(-30, 6, 400_001)
    target = np.full(len(z), b)
    seen = unit.curvature(z, target).weights.min()
    bounds = unit.bounds(np.array([b]))
    assert bounds.lowest <= seen + 1e-12
    assert seen <= bounds.lowest + 1e-3 * max(1.0, abs(bounds.lowest))
    assert bounds.lowest_rows == pytest.approx(bounds.lowest)
    values = 0.5 * (CURVES[type(unit).__name__](z) - b) ** 2
    assert bounds.lower == pytest.approx(values.min(), abs=1e-4 * (1 + abs(b)) ** 2)
    assert bounds.lower <= values.min() + 1e-15


@each_unit
def test_convexity_is_decided_at_the_exact_threshold(unit):
    edge = {"ExpSquares": 0.0, "CoshSquares": 1.0, "SinhSquares": np.sqrt(8.0)}[type(unit).__name__]
    assert unit.bounds(np.array([edge - 1e-9, -1.0])).convex
    assert not unit.bounds(np.array([edge + 1e-6, -1.0])).convex


@each_unit
def test_weights_enter_the_bounds(unit):
    b, s = np.array([3.0, -0.5, 5.0]), np.array([2.0, 0.0, 0.1])
    plain, weighted = unit.bounds(b), unit.bounds(b, s)
    np.testing.assert_allclose(weighted.lowest_rows, s * plain.lowest_rows)
    assert weighted.lower == 0.0, "the row that cannot be met has no weight"


@each_unit
def test_overflow_is_an_infinite_value_and_a_finite_gradient(unit):
    z, b = np.array([500.0, 0.1, 0.2]), np.array([1.0, 2.0, 3.0])
    value, gradient = unit.value_gradient(z, b)
    assert value == np.inf
    assert np.isfinite(gradient).all()
    assert unit.value(z, b, np.array([0.0, 1.0, 1.0])) == pytest.approx(unit.value(z[1:], b[1:]))
    below = unit.value(np.array([-500.0, 0.1, 0.2]), b)
    assert np.isfinite(below) == isinstance(unit, ExpSquares)
    narrow, _ = unit.value_gradient(np.array([50.0, 0.1], dtype=np.float32), b[:2])
    assert narrow == np.inf, "float32 overflows sooner"


@each_unit
def test_digits_survive_near_one(unit):
    if isinstance(unit, SinhSquares):
        z, b = np.array([1e-9]), np.array([0.0])
        assert unit.value(z, b) == pytest.approx(5e-19, rel=1e-12)
        return
    power = 1 if isinstance(unit, ExpSquares) else 2
    z = np.array([1e-6])
    exact = z + z * z / 2 if power == 1 else z * z / 2
    assert unit.value(z, np.ones(1)) == pytest.approx(0.5 * exact[0] ** 2, rel=1e-9)


@pytest.mark.parametrize("weighted", [True, False])
def test_the_objective_is_a_sum_whatever_the_weights(weighted):
    rng = np.random.default_rng(0)
    a, b, x = rng.standard_normal((30, 3)), rng.standard_normal(30), rng.standard_normal(3)
    s = rng.uniform(0.1, 3.0, 30) if weighted else np.ones(30)
    problem = su.Problem(
        a, SinhSquares(), b, [Ridge(0.3), ScoreRidge(0.5)], weights=s if weighted else None
    )
    z = a @ x
    expected = s @ (np.sinh(z) - b) ** 2 + 0.25 * z @ z + 0.3 * x @ x
    assert problem.value(x) == pytest.approx(0.5 * expected, rel=1e-12)
    assert problem.mass == 1.0
    half = problem.sampled(slice(0, 15), weights=2 * s[:15] if weighted else None)
    part = s[:15] @ (np.sinh(z[:15]) - b[:15]) ** 2 * s.sum() / s[:15].sum()
    assert half.value(x) == pytest.approx(0.5 * (part + 0.5 * z[:15] @ z[:15] + 0.3 * x @ x))
    twin = problem.derived(penalty=Ridge(0.0), weights=2 * s)
    assert twin.value(x) == pytest.approx(s @ (np.sinh(z) - b) ** 2, rel=1e-12)


def test_a_sampling_solver_reaches_the_optimum_of_the_sum():
    rng = np.random.default_rng(1)
    a = rng.standard_normal((30_000, 10))
    b = np.clip(np.sinh(a @ rng.standard_normal(10) / 6) + 0.1 * rng.standard_normal(30_000), -2, 2)
    for penalty in (Ridge(10.0), ScoreRidge(0.3)):
        problem = su.Problem(a, SinhSquares(), b, penalty)
        found, exact = (
            su.minimize(problem, tol=1e-9),
            su.minimize(problem, solver="newton", tol=1e-12),
        )
        assert found.solver == "SketchedNewton"
        assert found.converged
        np.testing.assert_allclose(found.x, exact.x, atol=1e-7)


@each_unit
def test_a_strong_regulariser_is_certified_row_by_row(unit):
    rng = np.random.default_rng(2)
    a, b, s = rng.standard_normal((50, 3)), 3 * rng.standard_normal(50), rng.uniform(0.1, 4, 50)
    least = np.linalg.eigvalsh(a.T @ a)[0]
    for weights in (None, s):
        scale = np.ones(50) if weights is None else weights
        lowest = unit.bounds(b, weights).lowest_rows
        w = np.sqrt(np.maximum(0, -lowest) + 1e-3 / least)
        problem = su.Problem(a, unit, b, ScoreRidge(w), weights=weights)
        found = su.minimize(problem, tol=1e-12)
        certificate = su.certify(problem, found.x)
        assert certificate.unique
        assert certificate.strong_convexity >= 0.9e-3
        assert certificate.gap_bound <= 1e-9 * max(1.0, found.value)
        far = su.certify(problem, found.x + 0.1)
        assert far.gap_bound >= problem.value(found.x + 0.1) - found.value
        assert scale.sum() > 0
    weak = su.Problem(a, unit, b, ScoreRidge(1e-3))
    assert su.certify(weak, np.zeros(3)).strong_convexity == 0.0


def test_a_loss_of_many_weights_is_bounded_by_its_own_curvature():
    # The bound on the curvature holds the weights already: a Gram with weights would count twice.
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((40, 3)), rng.gamma(1.0, size=40)
    s = rng.uniform(0.01, 0.1, 40)
    problem = su.Problem(a, su.units.SoftmaxCrossEntropy(), b, [ScoreRidge(0.2)], weights=s)
    x = 0.3 * rng.standard_normal(3)
    certificate = su.certify(problem, x)
    optimum = su.minimize(problem, tol=1e-12)
    assert certificate.gap_bound >= problem.value(x) - optimum.value
    assert certificate.strong_convexity == pytest.approx(0.04 * np.linalg.eigvalsh(a.T @ a)[0])


def test_targets_beyond_the_range_of_squares_are_refused():
    for unit in (*UNITS, RescaledSquares("exp")):
        with pytest.raises(InputError, match=r"1e\+70 in row 1; squared errors of targets beyond"):
            unit.check([1.0, 1e70], 2)

"""Where the gradient vanishes and the objective still falls."""

from __future__ import annotations

import numpy as np
import pytest

import softunit as su
from softunit.errors import InputError
from softunit.saddles import lower_point
from softunit.solution import Status
from softunit.units import CoshSquares, ExpSquares, RescaledSquares, SoftmaxSquares


def cosh_problem(rng: np.random.Generator, *, noise: float = 0.0) -> su.Problem:
    a = rng.standard_normal((30, 3))
    return su.Problem(a, CoshSquares(), np.cosh(a @ [0.8, -0.5, 0.3]) + noise)


@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs", "gradient-descent"])
def test_a_maximum_is_not_called_converged(solver, rng):
    problem = cosh_problem(rng)
    solution = su.minimize(problem, solver=solver)
    assert solution.status is Status.SADDLE
    assert not solution.converged
    assert "negative curvature" in solution.message


def test_the_point_given_is_lower_and_leads_to_a_minimum(rng):
    problem = cosh_problem(rng)
    zero = problem.evaluate(np.zeros(3))
    lower = lower_point(problem, zero)
    assert problem.value(lower) < 0.999 * zero.value
    end = su.minimize(problem, lower, tol=1e-10)
    assert end.converged
    assert lower_point(problem, problem.evaluate(end.x)) is None


def test_minima_are_left_alone(rng):
    for seed in range(20):
        draw = np.random.default_rng(seed)
        a = draw.standard_normal((40, 4))
        b = draw.dirichlet(np.ones(40))
        for unit, target in ((SoftmaxSquares(), b), (ExpSquares(), 40 * b)):
            problem = su.Problem(a, unit, target, su.penalties.Ridge(1e-6))
            end = su.minimize(problem, tol=1e-9)
            if end.converged:
                x = problem.evaluate(end.x)
                around = [problem.value(end.x + 1e-3 * draw.standard_normal(4)) for _ in range(20)]
                assert min(around) >= x.value * (1 - 1e-9)


def test_where_looking_is_dear_or_pointless_nobody_looks(rng, monkeypatch):
    problem = cosh_problem(rng)
    zero = problem.evaluate(np.zeros(3))
    convex = su.Problem(problem.design, ExpSquares(), -np.ones(30))
    assert lower_point(convex, convex.evaluate(np.zeros(3))) is None
    monkeypatch.setattr("softunit.saddles.WORK", 1)
    assert lower_point(problem, zero) is None
    assert su.minimize(problem).status is Status.CONVERGED


def test_values_alone_are_not_asked_for_a_hessian(rng):
    problem = cosh_problem(rng)
    solution = su.minimize(problem, solver="zeroth-order", max_iter=2)
    assert solution.cost.curvatures == 0


def test_the_regressor_goes_on_from_a_degenerate_saddle():
    a, b = np.array([[-2.0], [3], [3], [-3], [-2]]), np.array([0, 0.1, 0.2, 0.6, 0.1])
    model = su.RescaledRegressor("sinh").fit(a, b)
    grid = [
        su.Problem(a, su.units.NormalisedSquares("sinh"), b).value(np.array([x]))
        for x in np.r_[np.linspace(-60, -0.01, 400), np.linspace(0.01, 60, 400)]
    ]
    assert model.solution_.value <= min(grid) * (1 + 1e-6)


def test_rescaled_cosh_is_stationary_at_zero(rng):
    a = rng.standard_normal((30, 3))
    b = np.cosh(a @ [0.8, -0.5, 0.3])
    problem = su.Problem(a, RescaledSquares("cosh"), b / b.sum())
    assert su.minimize(problem).status is Status.SADDLE


@pytest.mark.parametrize("factor", [1e-200, 1e153])
def test_columns_whose_squares_leave_float64_are_refused(factor, rng):
    a = rng.standard_normal((30, 3))
    a[:, 1] *= factor
    for model in (su.SoftmaxRegressor(), su.HyperbolicRegressor("exp")):
        with pytest.raises(InputError, match="column 1 is so"):
            model.fit(a, np.full(30, 1 / 30))


def test_weights_of_scores_beyond_float64_are_refused(rng):
    a = rng.standard_normal((30, 3))
    with pytest.raises(InputError, match=r"`w` must not exceed 1e.100"):
        su.HyperbolicRegressor("exp", w=1e200).fit(a, np.ones(30))

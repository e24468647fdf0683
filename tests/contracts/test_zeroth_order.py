"""Values alone: what estimates are worth, what steps they make, and that no gradient is asked."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest

import softunit as su
from softunit.errors import InputError, NeedsError
from softunit.penalties import Ridge, ScoreRidge
from softunit.solution import Status
from softunit.solvers import ZerothOrder
from softunit.solvers.directions import (
    Directions,
    Probe,
    draw,
    majoriser,
    scale_from_values,
    scaling,
    second_moment,
)
from softunit.units import Multinomial, SoftmaxSquares
from tests.contracts.cases import multinomial_problem, squares_problem

KINDS = get_args(Directions)
each_kind = pytest.mark.parametrize("kind", KINDS)


def without_gradients(unit_class):
    """The unit, with an error for everything but values."""

    @dataclasses.dataclass(frozen=True)
    class Blind(unit_class):
        def gradient(self, *arguments, **settings):
            raise AssertionError("a gradient was asked for")

        value_gradient = curvature = gradient

    return Blind


def probe_at(problem, x):
    return Probe(problem, x, problem.scores(x)), problem.value(x)


@each_kind
def test_estimates_are_unbiased(kind, rng):
    problem = squares_problem(np.random.default_rng(3), noise=0.5)
    x, k, draws = rng.standard_normal(4), 2, 6000
    truth = problem.gradient(x)
    probe, value = probe_at(problem, x)
    z = np.concatenate([draw(kind, k, x.shape, rng) for _ in range(draws)])
    estimates = scaling(kind, k, 4) * (probe.along(z, value, None).slopes[:, None] * z)
    estimates = estimates.reshape(draws, k, 4).sum(axis=1)
    error = estimates.std(axis=0) / draws**0.5
    assert (np.abs(estimates.mean(axis=0) - truth) <= 4.5 * error).all()
    # And they vary as much as the moments say: E |ghat|^2 is the case H = I.
    a, b = second_moment(kind, k, 4)
    moment = (estimates**2).sum(axis=1)
    wanted = (a + 4 * b) * float(truth @ truth)
    assert abs(moment.mean() - wanted) <= 4.5 * moment.std() / draws**0.5


@pytest.mark.parametrize("kind", ["gaussian", "orthonormal"])
def test_mean_curvature_along_an_estimate_is_what_the_step_assumes(kind, rng):
    size, k, draws = 5, 2, 20_000
    root = rng.standard_normal((size, size))
    h, g = root @ root.T, rng.standard_normal(size)
    g *= 1 / np.linalg.norm(g)
    bends = []
    for _ in range(draws):
        z = draw(kind, k, (size,), rng)
        ghat = scaling(kind, k, size) * (z @ g) @ z
        bends.append(ghat @ h @ ghat)
    a, b = second_moment(kind, k, size)
    wanted = a * g @ h @ g + b * np.trace(h)
    assert abs(np.mean(bends) - wanted) <= 4.5 * np.std(bends) / draws**0.5


def test_the_bias_falls_with_the_square_of_the_step(rng):
    problem = squares_problem(np.random.default_rng(1), noise=1.0)
    x = rng.standard_normal(4)
    truth = problem.gradient(x)
    probe, value = probe_at(problem, x)
    errors = [np.linalg.norm(probe.gradient(value, h) - truth) for h in (0.2, 0.02)]
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.15)
    assert np.linalg.norm(probe.gradient(value, None) - truth) <= 1e-8 * np.linalg.norm(truth)


def test_second_differences_are_curvatures(rng):
    problem = multinomial_problem(np.random.default_rng(2))
    x = rng.standard_normal(problem.shape)
    probe, value = probe_at(problem, x)
    z = draw("gaussian", 3, problem.shape, rng)
    seen = probe.along(z, value, None, move=1e-3)
    hessian = problem.hessian(problem.evaluate(x))
    wanted = [v.ravel() @ hessian @ v.ravel() for v in z]
    np.testing.assert_allclose(seen.curvatures, wanted, rtol=1e-5)
    moved = sum(slope * problem.design.matvec(v) for slope, v in zip(seen.slopes, z, strict=True))
    np.testing.assert_allclose(seen.image, moved, atol=1e-12)


@each_kind
def test_directions_are_what_they_are_called(kind, rng):
    z = draw(kind, 3, (2, 4), rng).reshape(3, 8)
    if kind != "gaussian":
        np.testing.assert_allclose(z @ z.T, np.eye(3), atol=1e-12)
        assert len(draw(kind, 99, (2, 4), rng)) == 8
    if kind == "coordinate":
        assert ((z == 0) | (z == 1)).all()


@each_kind
@pytest.mark.parametrize("steps", ["measured", "bound"])
def test_no_gradient_is_ever_asked_for(kind, steps):
    planted = squares_problem(np.random.default_rng(7))
    problem = su.Problem(
        planted.design, without_gradients(SoftmaxSquares)(), planted.target, ScoreRidge(0.5)
    )
    solution = su.minimize(
        problem, solver=ZerothOrder(kind, 3, steps=steps), tol=1e-4, max_iter=3000
    )
    assert solution.converged
    assert (problem.cost.gradients, problem.cost.curvatures) == (0, 0)
    with pytest.raises(AssertionError, match="a gradient was asked for"):
        su.minimize(problem, solver="lbfgs")


def test_every_value_is_counted(monkeypatch):
    asked = []
    honest = Multinomial.value

    def value(self, *arguments):
        asked.append(1)
        return honest(self, *arguments)

    monkeypatch.setattr(Multinomial, "value", value)
    problem = multinomial_problem(np.random.default_rng(0))
    solution = su.minimize(problem, solver=ZerothOrder(batch=4), tol=1e-3, max_iter=50)
    assert solution.cost.values == len(asked)
    assert solution.cost.gradients == 0
    # Two for each direction of a step and its trial, and two for each entry of a sweep.
    assert len(asked) >= 9 * solution.n_iter + 2 * problem.size


def test_the_gradient_that_ends_a_run_is_the_gradient():
    problem = squares_problem(np.random.default_rng(7), noise=0.3)
    solution = su.minimize(problem, solver=ZerothOrder("gaussian", 2), tol=1e-6, max_iter=20_000)
    assert solution.status is Status.CONVERGED
    told = problem.gradient_norm(problem.gradient(solution.x))
    assert solution.gradient_norm == pytest.approx(told, rel=1e-3)


@each_kind
def test_single_directions_reach_the_optimum(kind):
    # Directions along which nothing is left must neither end the run nor mislead its steps.
    problem = multinomial_problem(np.random.default_rng(1), columns=2)
    solution = su.minimize(problem, solver=ZerothOrder(kind, 1), tol=1e-5, max_iter=3000)
    assert solution.converged


def test_coordinates_without_slope_do_not_end_a_run():
    a = np.kron(np.eye(8), np.ones((4, 1)))  # columns that do not meet: the others stay put
    problem = su.Problem(a, Multinomial(), np.tile([0, 1, 1, 0], 8), Ridge(0.1))
    for seed in range(6):
        solver = ZerothOrder("coordinate", 1, seed=seed)
        solution = su.minimize(problem, np.eye(8)[3], solver=solver, tol=1e-6, max_iter=400)
        assert solution.converged, seed


def test_runs_are_reproducible_and_seeds_differ():
    ends = [
        su.minimize(
            squares_problem(np.random.default_rng(7)),
            solver=ZerothOrder("gaussian", 2, seed=seed),
            tol=0.0,
            max_iter=20,
        ).x
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[0] - ends[2]).max() > 1e-6


def test_the_majoriser_is_above_every_hessian(rng):
    for problem in (
        su.Problem(rng.standard_normal((30, 4)), SoftmaxSquares(), rng.dirichlet(np.ones(30)),
                   [Ridge(0.2), ScoreRidge(0.3)]),
        multinomial_problem(rng, weights=rng.uniform(0, 3, 120)),
    ):  # fmt: skip
        norm, trace = majoriser(problem, 0)
        for _ in range(20):
            point = problem.evaluate(rng.standard_normal(problem.shape))
            values = np.linalg.eigvalsh(problem.hessian(point))
            assert values[-1] <= norm * (1 + 1e-6)
            assert values.sum() <= trace * (1 + 1e-9)


def test_the_effective_rank_is_that_of_the_hessian(rng):
    a = rng.standard_normal((200, 6)) * np.array([1.0, 1, 1, 0.1, 0.1, 0.1])
    problem = su.Problem(a, SoftmaxSquares(), rng.dirichlet(np.ones(200)), ScoreRidge(1.0))
    solver = ZerothOrder("gaussian", 2)
    x = rng.standard_normal(6)
    state = solver.init(problem, solver.begin(problem, x))
    for _ in range(12):
        state, status = solver.step(problem, state)
        assert status is Status.RUNNING
    values = np.linalg.eigvalsh(problem.hessian(problem.evaluate(state.point.x)))
    assert state.trace == pytest.approx(values.sum(), rel=0.5)
    assert 0.5 <= state.rank / (values.sum() / values[-1]) <= 2.0


def test_the_scale_of_the_tolerance_comes_from_values(rng):
    problem = squares_problem(rng)
    assert scale_from_values(problem, 0) == pytest.approx(problem.gradient_scale, rel=1e-6)
    assert scale_from_values(multinomial_problem(rng), 0) == 1.0
    tall = su.Problem(
        rng.standard_normal((2000, 3)), SoftmaxSquares(), rng.dirichlet(np.ones(2000))
    )
    assert 0.5 <= scale_from_values(tall, 0) / tall.gradient_scale <= 2.0


def test_many_parameters_end_by_fresh_directions(monkeypatch):
    monkeypatch.setattr("softunit.solvers.zeroth_order.SWEEP", 3)
    problem = squares_problem(np.random.default_rng(7))
    solution = su.minimize(problem, solver=ZerothOrder("gaussian", 8), tol=1e-5, max_iter=2000)
    assert solution.converged
    assert problem.gradient_norm(problem.gradient(solution.x)) <= 1e-4


@dataclasses.dataclass(frozen=True)
class Noisy(SoftmaxSquares):
    """Values that are off by up to `level`, the same at the same scores."""

    level: float = 0.0

    def value(self, z, target, weights=None):
        rough = np.modf(1e7 * np.abs(np.sin(1e5 * z)).sum())[0]
        return super().value(z, target, weights) + self.level * (2 * rough - 1)


def test_noise_below_the_difference_step_is_lived_with():
    clean = squares_problem(np.random.default_rng(7))
    level = 1e-6
    problem = su.Problem(clean.design, Noisy(level=level), clean.target)
    solution = su.minimize(problem, solver=ZerothOrder(noise=level), tol=1e-3, max_iter=200)
    assert clean.value(solution.x) <= 1e-2 * clean.value(np.zeros(4))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"noise": 0.5}, "`noise` 0.5 is above the difference step"),
        ({"noise": 1e-4, "smoothing": 1e-6}, "is above the difference step: values on both sides"),
    ],
)
def test_noise_above_the_difference_step_is_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        su.minimize(squares_problem(np.random.default_rng(7)), solver=ZerothOrder(**settings))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"directions": "sphere"}, "`directions` must be 'orthonormal' or 'gaussian'"),
        ({"batch": 0}, "`batch` must be an integer >= 1; got 0"),
        ({"smoothing": 0.0}, "`smoothing` must be a finite number > 0"),
        ({"noise": -1.0}, "`noise` must be a finite number >= 0"),
        ({"steps": "long"}, "`steps` must be 'measured' or 'bound'"),
        ({"seed": -1}, "`seed` must be an integer >= 0"),
    ],
)
def test_bad_settings_get_a_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        ZerothOrder(**settings)


def test_what_is_missing_is_named(monkeypatch):
    problem = squares_problem(np.random.default_rng(0))
    weighted = su.Problem(
        problem.design, SoftmaxSquares(), problem.target, weights=np.full(60, 2.0)
    )
    with pytest.raises(NeedsError, match="no known bound on its curvature with weights"):
        su.minimize(weighted, solver=ZerothOrder(steps="bound"))
    monkeypatch.setattr(su.Problem, "stores_scores", False)
    with pytest.raises(NeedsError, match="ZerothOrder keeps the scores, and 60 x 1"):
        su.minimize(problem, solver="zeroth-order")


def test_the_step_of_the_bound_is_the_one_printed(rng):
    problem = squares_problem(rng)
    solver = ZerothOrder("gaussian", 3, steps="bound")
    state = solver.init(problem, solver.begin(problem, np.zeros(4)))
    norm, trace = majoriser(problem, 0)
    eta = solver._length(problem, state, state.point.gradient)
    assert eta == pytest.approx(3 / (norm * (3 + 1 + trace / norm)))


def test_scores_are_made_anew_after_fifty_steps():
    problem = squares_problem(np.random.default_rng(7), noise=0.5)
    solver = ZerothOrder("gaussian", 2)
    state = solver.init(problem, solver.begin(problem, np.ones(4)))
    drifted = False
    while state.count < 50:
        drifted |= bool((state.point.scores != problem.scores(state.point.x)).any())
        state, _ = solver.step(problem, state)
    assert drifted
    np.testing.assert_array_equal(state.point.scores, problem.scores(state.point.x))


@pytest.mark.parametrize("smoothing", [1e-300, 1e300])
def test_a_difference_step_must_have_a_square(smoothing):
    with pytest.raises(InputError, match=r"`smoothing` must be from 1e-100 to 1e\+100, or None"):
        ZerothOrder(smoothing=smoothing)


def test_a_difference_step_that_tells_nothing_is_refused(rng):
    problem = squares_problem(rng, noise=0.5)
    with pytest.raises(InputError, match=r"`smoothing` 1e-30 tells no slope .* too small"):
        su.minimize(problem, solver=ZerothOrder(smoothing=1e-30))


def test_a_flat_objective_is_no_fault_of_the_difference_step():
    problem = su.Problem(np.ones((4, 1)), SoftmaxSquares(), np.full(4, 0.25))
    assert su.minimize(problem, solver=ZerothOrder(smoothing=1e-3)).value == 0.0

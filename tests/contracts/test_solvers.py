"""Every solver of the table on the shared problems, and the loop that drives them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import softunit as su
from softunit._numeric import ShiftedCholesky
from softunit.errors import InputError, NeedsError, NotConvergedError
from softunit.line import Line
from softunit.penalties import Ridge, ScoreRidge
from softunit.solution import Status
from softunit.solvers import (
    LBFGS,
    GradientDescent,
    GradientRegularizedNewton,
    Newton,
    Search,
    SketchedNewton,
    Solver,
)
from softunit.solvers.conjugate_gradients import conjugate_gradients
from softunit.solvers.memory import Memory
from softunit.solvers.paper_newton import PaperNewton
from softunit.units import Multinomial, SoftmaxCrossEntropy, SoftmaxSquares
from tests.contracts.cases import SOLVERS, labels, multinomial_problem, squares_problem

each_solver = pytest.mark.parametrize("case", SOLVERS, ids=lambda case: case.name)
seeds = st.integers(0, 2**32 - 1)


def fits(case, problem):
    """Whether a solver may run on such a problem: some need rows that do not couple."""
    try:
        case.subject.check(problem(np.random.default_rng(0)))
    except NeedsError:
        return False
    return True


@each_solver
@pytest.mark.parametrize("columns", [2, 3])
def test_every_solver_reaches_the_same_optimum(case, columns, rng):
    seed = int(rng.integers(1 << 30))
    problem = multinomial_problem(np.random.default_rng(seed), columns=columns)
    exact = su.minimize(problem, solver="newton-cholesky", tol=1e-13)
    found = su.minimize(problem, solver=case.subject, tol=case.tol, max_iter=case.max_iter)
    assert found.converged
    assert found.value == pytest.approx(exact.value, rel=1e-12 if case.tol < 1e-6 else 1e-7)
    assert found.gradient_norm <= case.tol
    outside = problem.gradient(found.x)
    told = pytest.approx(problem.gradient_norm(outside), rel=case.gradient_rtol, abs=1e-15)
    assert found.gradient_norm == told


@pytest.mark.parametrize(
    "case", [c for c in SOLVERS if fits(c, squares_problem)], ids=lambda case: case.name
)
def test_every_solver_brings_back_a_planted_point(case):
    problem = squares_problem(np.random.default_rng(7))
    solution = su.minimize(problem, solver=case.subject, tol=case.tol, max_iter=case.max_iter)
    assert solution.converged
    assert solution.value <= 1e-10


@each_solver
def test_history_falls_and_ends_where_the_solution_is(case):
    problem = multinomial_problem(np.random.default_rng(1))
    solution = su.minimize(problem, solver=case.subject, tol=case.tol, max_iter=case.max_iter)
    values = np.array([record.value for record in solution.history])
    assert (np.diff(values) <= 1e-12 * np.abs(values[:-1])).all()
    assert [record.iteration for record in solution.history] == list(range(solution.n_iter + 1))
    assert solution.history[-1].value == solution.value
    assert solution.history[-1].gradient_norm == solution.gradient_norm
    seconds = [record.seconds for record in solution.history]
    assert seconds == sorted(seconds)


@each_solver
def test_settings_are_frozen_and_steps_leave_the_state_alone(case):
    problem = multinomial_problem(np.random.default_rng(4))
    point = problem.evaluate(np.zeros(problem.shape))
    state = case.subject.init(problem, point)
    before = point.x.copy(), point.gradient.copy()
    first, _ = case.subject.step(problem, state)
    again, _ = case.subject.step(problem, state)
    np.testing.assert_array_equal(before[0], point.x)
    np.testing.assert_array_equal(before[1], point.gradient)
    np.testing.assert_array_equal(first.point.x, again.point.x)
    assert first.point.value < point.value
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
        case.subject.anything = 1


@given(seed=seeds, noise=st.floats(0.0, 1.0))
@settings(max_examples=40)
def test_an_indefinite_start_is_left_downhill(seed, noise):
    rng = np.random.default_rng(seed)
    problem = squares_problem(rng, noise=noise)
    x0 = 3 * rng.standard_normal(4)
    for solver in (Newton(kind="exact"), GradientRegularizedNewton(), LBFGS()):
        solution = su.minimize(problem, x0, solver=solver, tol=1e-9, max_iter=30)
        assert solution.value <= solution.history[0].value
        assert np.isfinite(solution.x).all()


@given(seed=seeds)
def test_a_line_is_the_objective_along_it(seed):
    rng = np.random.default_rng(seed)
    for keeps in (True, False):
        problem = multinomial_problem(rng)
        start = problem.evaluate(rng.standard_normal(problem.shape))
        if not keeps:
            start = dataclasses.replace(start, scores=None)
        direction, t = rng.standard_normal(problem.shape), float(rng.uniform(0, 2))
        line = Line(problem, start, direction)
        value, slope = line.at(t)
        there = problem.evaluate(start.x + t * direction)
        assert value == pytest.approx(there.value, rel=1e-12)
        assert slope == pytest.approx(np.vdot(there.gradient, direction), rel=1e-9, abs=1e-12)
        assert line.point(t).value == pytest.approx(value, rel=1e-12)
        assert line.slope == pytest.approx(line.at(0.0)[1], rel=1e-9, abs=1e-12)


def test_a_search_uphill_finds_nothing():
    problem = multinomial_problem(np.random.default_rng(0))
    start = problem.evaluate(np.zeros(problem.shape))
    assert Search().step(Line(problem, start, start.gradient)) is None


def test_conjugate_gradients_solve_and_leave_negative_curvature():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    h, b = root @ root.T + np.eye(6), rng.standard_normal(6)
    x = conjugate_gradients(lambda v: h @ v, lambda r: r, b, rtol=1e-12, max_iter=50)
    np.testing.assert_allclose(x, np.linalg.solve(h, b), rtol=1e-8)
    np.testing.assert_array_equal(
        conjugate_gradients(lambda v: -v, lambda r: 2 * r, b, rtol=1e-3, max_iter=5), 2 * b
    )


def test_too_few_iterations_say_what_would_help():
    solution = su.minimize(multinomial_problem(np.random.default_rng(0)), max_iter=1, tol=1e-12)
    assert solution.status is Status.MAX_ITER
    assert not solution.converged
    with pytest.raises(NotConvergedError, match="Raise `max_iter`"):
        solution.raise_if_failed()
    done = su.minimize(multinomial_problem(np.random.default_rng(0)))
    assert done.raise_if_failed() is done


def test_zero_tolerance_runs_to_rounding():
    solution = su.minimize(multinomial_problem(np.random.default_rng(0)), tol=0.0)
    assert solution.status is Status.ROUNDING
    assert solution.gradient_norm < 1e-13


def test_a_callback_sees_every_iteration_and_may_stop():
    seen = []

    def stop_after_two(record, point):
        seen.append((record.iteration, point.value))
        return record.iteration == 2

    problem = multinomial_problem(np.random.default_rng(0))
    solution = su.minimize(problem, callback=stop_after_two, tol=1e-12)
    assert solution.status is Status.STOPPED
    assert [iteration for iteration, _ in seen] == [0, 1, 2]
    assert solution.n_iter == 2


def test_auto_takes_what_fits():
    rng = np.random.default_rng(0)
    assert su.minimize(multinomial_problem(rng)).solver == "Newton"
    assert su.minimize(squares_problem(rng)).solver == "GradientRegularizedNewton"
    wide = su.Problem(
        rng.standard_normal((30, 2100)), SoftmaxSquares(), rng.dirichlet(np.ones(30)), Ridge(1.0)
    )
    assert su.minimize(wide, max_iter=3).solver == "LBFGS"
    with pytest.raises(
        NeedsError, match=r"forms the Hessian, and 2100 parameters .* Newton, LBFGS"
    ):
        su.minimize(wide, solver="gradient-regularized-newton")


def test_newton_on_more_columns_than_the_preconditioner_decomposes(monkeypatch):
    monkeypatch.setattr("softunit.solvers.preconditioner.DENSE_LIMIT", 3)
    problem = multinomial_problem(np.random.default_rng(0))
    assert su.minimize(problem, solver="newton-cg", tol=1e-9).converged


def test_sampling_solvers_refuse_units_that_couple_rows():
    class Sampler(Newton):
        needs = frozenset({"rows"})

    with pytest.raises(NeedsError, match="SoftmaxSquares couples all rows"):
        su.minimize(squares_problem(np.random.default_rng(0)), solver=Sampler())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"tol": -1.0}, "`tol` must be a finite number >= 0; got -1.0"),
        ({"tol": "tight"}, "`tol` must be"),
        ({"max_iter": 1.5}, "`max_iter` must be an integer >= 0; got 1.5"),
        ({"solver": "newtn"}, r"got 'newtn'. Did you mean 'newton'"),
        ({"solver": 3}, "got 3"),
        ({"x0": np.zeros(2)}, r"`x0` has shape \(2,\)"),
        ({"x0": np.full((5, 3), np.nan)}, "NaN or infinity"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        su.minimize(multinomial_problem(np.random.default_rng(0)), **arguments)


def test_two_columns_on_request():
    rng = np.random.default_rng(0)
    a, y = rng.standard_normal((50, 2)), labels(2)(rng, 50)
    one = su.minimize(su.Problem(a, Multinomial(), y, Ridge(0.1)), tol=1e-11)
    symmetric = su.Problem(a, Multinomial(symmetric=True), y, Ridge(0.2))
    two = su.minimize(symmetric, tol=1e-11)
    np.testing.assert_allclose(two.x[:, 1] - two.x[:, 0], one.x, atol=1e-9)


def test_status_values_are_sentences():
    for status in Status:
        assert status.advice.endswith(".")
        assert len(status.advice) > 10
    assert all(isinstance(case.subject, Solver) for case in SOLVERS)


def test_a_memory_gone_wrong_is_forgotten():
    problem = multinomial_problem(np.random.default_rng(0))
    point = problem.evaluate(np.zeros(problem.shape))
    # A pair of negative curvature turns the direction uphill: the solver starts afresh.
    g = point.gradient
    wrong = Memory(15, ((g, -1e-3 * g, -1e-3 * float(np.vdot(g, g))),))
    state = dataclasses.replace(LBFGS().init(problem, point), memory=wrong)
    after, status = LBFGS().step(problem, state)
    assert status is Status.RUNNING
    assert after.point.value < point.value
    assert len(after.memory.pairs) == 1


@pytest.mark.parametrize("case", SOLVERS, ids=lambda case: case.name)
def test_no_step_is_left_at_the_optimum(case):
    problem = multinomial_problem(np.random.default_rng(0))
    x = su.minimize(problem, tol=0.0).x
    solution = su.minimize(problem, x, solver=case.subject, tol=0.0, max_iter=30)
    assert solution.status in (Status.ROUNDING, Status.NO_DESCENT)
    assert solution.value <= problem.value(x) * (1 + 1e-14)


def test_a_radius_too_large_is_halved_until_it_fits():
    problem = squares_problem(np.random.default_rng(3), noise=1.0)
    x0 = np.full(4, 4.0)
    solver = GradientRegularizedNewton(gamma=1e8)
    solution = su.minimize(problem, x0, solver=solver, tol=1e-9, max_iter=200)
    assert solution.converged
    assert solution.value < problem.value(x0)


def test_rows_of_no_weight_are_as_good_as_absent():
    problem = multinomial_problem(
        np.random.default_rng(0), weights=np.r_[np.zeros(60), np.ones(60)]
    )
    half = problem.design.rows(slice(60, 120))
    again = su.Problem(half, Multinomial(3), problem.target[60:], problem.penalties)
    x = np.random.default_rng(1).standard_normal(problem.shape)
    assert problem.value(x) == pytest.approx(again.value(x), rel=1e-12)


def test_a_shifted_cholesky_solves_whatever_it_is_given():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((5, 5))
    h, b = root @ root.T, rng.standard_normal(5)
    exact = ShiftedCholesky(h.copy())
    assert exact.shift == 0.0
    np.testing.assert_allclose(exact.solve(b), np.linalg.solve(h, b), rtol=1e-8)
    indefinite = ShiftedCholesky(h - 2 * np.trace(h) / 5 * np.eye(5))
    assert indefinite.shift > 0
    assert b @ indefinite.solve(b) > 0
    silent = h.copy()
    silent[2] = silent[:, 2] = 0.0
    assert ShiftedCholesky(silent).solve(np.eye(5)[2]) @ np.eye(5)[2] == 1.0
    # A diagonal of 1e-300 beside off-diagonal rounding of 1e-17.
    noise = np.array([[1.0, 1e-17], [1e-17, 1e-300]])
    assert np.isfinite(ShiftedCholesky(noise).solve(np.ones(2))).all()
    # Off-diagonal entries that no shift outweighs: the scaled right side is what is left.
    hopeless = ShiftedCholesky(np.array([[1e-5, 1e20], [1e20, 1e-5]]))
    assert hopeless.shift == np.inf
    np.testing.assert_allclose(hopeless.solve(np.ones(2)), 1e5)
    with pytest.raises(FloatingPointError, match="not finite"):
        ShiftedCholesky(np.full((2, 2), np.inf))


def test_convergence_is_believed_only_of_fresh_scores():
    @dataclasses.dataclass(frozen=True)
    class Wishful(Newton):
        """Claims a gradient of zero after its first step."""

        def step(self, problem, state):
            point = dataclasses.replace(
                state.point,
                gradient=np.zeros_like(state.point.gradient),
                x=state.point.x + 1e-3,
                exact=False,
            )
            return dataclasses.replace(state, point=point), Status.RUNNING

    problem = multinomial_problem(np.random.default_rng(0))
    assert problem.stores_scores
    solution = su.minimize(problem, solver=Wishful(), max_iter=3)
    assert solution.status is Status.MAX_ITER
    assert solution.gradient_norm > 1e-3


def test_a_start_off_the_zero_sums_is_brought_back_by_conjugate_gradients():
    problem = multinomial_problem(np.random.default_rng(0))
    x0 = np.random.default_rng(1).standard_normal(problem.shape) + 5.0
    solution = su.minimize(problem, x0, solver="newton-cg", tol=1e-10, max_iter=20)
    assert solution.converged
    held = problem.ridge > 0
    assert np.abs(solution.x[held].sum(axis=1)).max() < 1e-6


@pytest.mark.parametrize(
    "solver", ["newton", "sketched-newton", "gradient-regularized-newton", "newton-cholesky"]
)
@pytest.mark.parametrize("rows", [60, 5000])
def test_a_constant_column_that_a_softmax_cannot_see_stays_where_it_is(solver, rows):
    rng = np.random.default_rng(0)
    a = np.column_stack([rng.standard_normal((rows, 3)), np.full(rows, 3.7), np.zeros(rows)])
    for unit in (SoftmaxCrossEntropy(), SoftmaxSquares()):
        problem = su.Problem(a, unit, rng.dirichlet(np.ones(rows)))
        solution = su.minimize(problem, solver=solver, tol=1e-9)
        assert solution.converged
        assert np.abs(solution.x[3:]).max() < 1e-6


@pytest.mark.parametrize(
    ("solver", "settings", "sentence"),
    [
        (Newton, {"kind": "full"}, "`kind` must be 'exact' or 'gauss_newton'; got 'full'"),
        (Newton, {"linear": "qr"}, "`linear` must be 'auto' or 'cholesky' or 'cg'; got 'qr'"),
        (Newton, {"max_cg": 0}, "`max_cg` must be an integer >= 1; got 0"),
        (Newton, {"search": None}, "`search` must be a Search"),
        (SketchedNewton, {"search": 1}, "`search` must be a Search"),
        (GradientDescent, {"search": "wolfe"}, "`search` must be a Search"),
        (GradientRegularizedNewton, {"kind": 1}, "`kind` must be"),
        (GradientRegularizedNewton, {"gamma": 0.0}, "`gamma` must be a finite number > 0; got 0.0"),
        (GradientRegularizedNewton, {"gamma": np.inf}, "`gamma` must be a finite number > 0"),
        (LBFGS, {"memory": 0}, "`memory` must be an integer >= 1; got 0"),
        (LBFGS, {"search": 0.9}, "`search` must be a Search"),
        (Search, {"decrease": "a"}, "`decrease` must be a finite number > 0; got 'a'"),
        (Search, {"flatten": 1.0}, "`flatten` must be below 1; got 1.0"),
        (Search, {"decrease": 0.9, "flatten": 0.5}, "`decrease` 0.9 must be below `flatten` 0.5"),
    ],
)
def test_settings_are_checked_when_a_solver_is_made(solver, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        solver(**settings)
    assert solver() == solver()
    assert hash(solver()) == hash(solver())


def test_a_softmax_that_is_all_but_one_row_leaves_sampled_newton_no_step():
    rng = np.random.default_rng(0)
    a, shares = rng.standard_normal((20, 3)), rng.dirichlet(np.ones(20))
    problem = su.Problem(a, SoftmaxSquares(), shares, ScoreRidge(4.5))
    assert su.minimize(problem, solver=PaperNewton(rows=2)).status is Status.NO_DESCENT

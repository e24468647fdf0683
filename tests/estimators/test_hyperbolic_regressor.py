"""exp, cosh and sinh regression: planted points, traps, scales, weights, and what is said."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import least_squares
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.errors import InputError, NeedsError, NotUniqueWarning, SoftunitWarning
from softunit.estimators._descents import Descents, LeastSquares, meets
from softunit.estimators._objective import Settings
from softunit.penalties import Ridge, ScoreRidge
from softunit.solution import Status
from softunit.solvers.paper_newton import PaperNewton
from softunit.units import CoshSquares, ExpSquares, GroupedSoftmax, Multinomial, SinhSquares

CURVES = {"exp": np.exp, "cosh": np.cosh, "sinh": np.sinh}
SLOPES = {"exp": np.exp, "cosh": np.sinh, "sinh": np.cosh}
each_unit = pytest.mark.parametrize("unit", ["exp", "cosh", "sinh"])


def planted(unit: str, seed: int, *, n: int = 60, d: int = 8, noise: float = 0.0):
    """A design, a target, and the x that meets it without noise, its first entry positive."""
    rng = np.random.default_rng(seed)
    a, x = rng.standard_normal((n, d)), rng.standard_normal(d)
    x *= np.sign(x[0])
    b = CURVES[unit](a @ x)
    return a, b * (1 + noise * rng.standard_normal(n)), x


@each_unit
@pytest.mark.parametrize("exact", [True, False], ids=["linear", "phases"])
def test_planted_points_come_back(unit, exact, monkeypatch):
    if not exact:
        monkeypatch.setattr("softunit.estimators._descents.EXACT", -1.0)
    for seed in range(50):
        a, b, x = planted(unit, seed)
        model = su.HyperbolicRegressor(unit).fit(a, b)
        assert model.solution_.converged, seed
        np.testing.assert_allclose(model.coef_, x, rtol=0, atol=1e-8, err_msg=str(seed))
        np.testing.assert_allclose(model.predict(a), b, rtol=1e-8)


@each_unit
def test_noise_ends_where_scipy_from_the_planted_point_does(unit):
    for seed in range(10):
        a, b, x = planted(unit, seed, d=4, noise=0.2)
        model = su.HyperbolicRegressor(unit).fit(a, b)
        found = least_squares(
            lambda v, a=a, b=b: CURVES[unit](a @ v) - b,
            x,
            lambda v, a=a: SLOPES[unit](a @ v)[:, None] * a,
            ftol=1e-15,
            xtol=1e-15,
            gtol=1e-15,
            x_scale="jac",
        )
        assert model.solution_.converged
        assert model.solution_.value <= found.cost * (1 + 1e-9)
        residual = CURVES[unit](a @ model.coef_) - b
        assert model.solution_.value == pytest.approx(0.5 * residual @ residual, rel=1e-12)


@each_unit
def test_the_value_is_the_papers_sum(unit):
    a, b, _ = planted(unit, 3, noise=0.1)
    w = np.linspace(0.1, 0.5, 60)
    model = su.HyperbolicRegressor(unit, w, ridge=0.3).fit(a, b)
    z = a @ model.coef_
    residual = CURVES[unit](z) - b
    value = residual @ residual + (w * z) @ (w * z) + 0.3 * model.coef_ @ model.coef_
    assert model.solution_.value == pytest.approx(0.5 * value, rel=1e-12)
    gradient = a.T @ (SLOPES[unit](z) * residual + w**2 * z) + 0.3 * model.coef_
    assert np.abs(gradient).max() <= 1e-9 * np.abs(a.T @ np.diag(b**2)).sum(axis=1).max()


def test_golden_values_of_the_formulas():
    """Figures computed once with 30 digits from the formulas, independent of this package."""
    a = np.array([[1.0, 0], [0, 1], [1, 1], [2, -1]])
    x, b = np.array([0.3, -0.2]), np.array([1.5, 0.5, 2, 3])
    golden = {
        ExpSquares(): (
            0.8598188049590227,
            (-4.138789211129, 0.770605952588),
            (16.269681322837, -6.476420446457, 5.143180459014),
        ),
        CoshSquares(): (
            2.213162880194701,
            (-2.691187087791, 1.047160309563),
            (-5.611845604322, 1.629739154947, -1.103742954183),
        ),
        SinhSquares(): (
            5.092753318720947,
            (-8.308063039589, -0.025229013238),
            (2.701004132179, 0.743440206315, 2.664620153320),
        ),
    }
    for unit, (value, gradient, hessian) in golden.items():
        problem = su.Problem(a, unit, b, ScoreRidge(0.5))
        point = problem.evaluate(x)
        assert point.value == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(point.gradient, gradient, rtol=1e-10)
        formed = problem.hessian(point)[np.triu_indices(2)]
        np.testing.assert_allclose(formed, hessian, rtol=1e-10)


def test_the_linearised_start_of_the_two_minima():
    # Minima of 6.87341 at -5.1344 and of 7.55283 at 0.6683: the start lies on the second's side.
    a, b = np.array([[0.5], [1.8], [-0.3]]), np.array([1.3, 3.5, 4.7])
    model = su.HyperbolicRegressor().fit(a, b)
    assert model.coef_[0] == pytest.approx(0.6683, abs=1e-3)
    assert model.solution_.value == pytest.approx(7.55283, abs=1e-5)
    assert model.certificate_.gap_bound > 1, "nothing says that this is the lowest"
    other = su.minimize(su.Problem(a, ExpSquares(), b), [-5.0], tol=1e-12)
    assert other.x[0] == pytest.approx(-5.1344, abs=1e-3)
    assert other.value == pytest.approx(6.87341, abs=1e-5)


def test_zero_is_a_trap_for_cosh_that_the_regressor_does_not_fall_into():
    a, b, x = planted("cosh", 0, noise=0.1)
    trapped = su.minimize(su.Problem(a, CoshSquares(), b))
    np.testing.assert_array_equal(trapped.x, 0.0)
    assert trapped.status is Status.SADDLE
    model = su.HyperbolicRegressor("cosh").fit(a, b)
    assert model.solution_.value < 0.01 * trapped.value
    np.testing.assert_allclose(model.coef_, x, atol=0.5)


def test_the_sign_of_cosh_is_named_and_fixed():
    a, b, x = planted("cosh", 1)
    model = su.HyperbolicRegressor("cosh").fit(a, b)
    assert model.coef_[0] > 0
    np.testing.assert_array_equal(model.solution_.x, model.coef_)
    assert model.certificate_.unique is False
    assert "does not see the sign" in str(model.certificate_)
    assert model.certify(a, b).unique is False
    assert su.HyperbolicRegressor("sinh").fit(a, np.sinh(a @ x)).certificate_.unique is not False


def test_cosh_below_one_has_its_minimum_at_zero_and_its_proof():
    a, _, _ = planted("cosh", 2)
    model = su.HyperbolicRegressor("cosh").fit(a, np.full(60, 0.5))
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.certificate_.unique
    assert model.certificate_.gap_bound < 1e-10
    assert model.solution_.value == pytest.approx(60 / 8)


@pytest.mark.parametrize("size", [1e60, 1e8, 1e-8])
def test_the_scale_of_the_target_does_not_matter_to_exp(size):
    a, b, _ = planted("exp", 4, d=3, noise=0.1)
    a = np.column_stack([a, np.ones(60)])
    plain, scaled = (su.HyperbolicRegressor().fit(a, s * b) for s in (1.0, size))
    assert scaled.solution_.converged
    np.testing.assert_allclose(scaled.coef_[:3], plain.coef_[:3], atol=1e-8)
    assert scaled.coef_[3] - plain.coef_[3] == pytest.approx(np.log(size), rel=1e-9)
    assert scaled.solution_.value == pytest.approx(size**2 * plain.solution_.value, rel=1e-9)


@each_unit
def test_small_and_large_targets_converge(unit):
    for size in (1e-4, 1e-2, 4.0):
        a, _, x = planted(unit, 5, noise=0.0)
        rng = np.random.default_rng(6)
        b = CURVES[unit](size * (a @ x)) * (1 + 0.01 * rng.standard_normal(60))
        model = su.HyperbolicRegressor(unit).fit(a, b)
        assert model.solution_.converged, size
        assert model.solution_.gradient_norm <= 1e-10


@pytest.mark.parametrize("factor", [1e12, 1e-12])
def test_scaled_columns_predict_as_before(factor):
    a, b, _ = planted("exp", 6, d=3, noise=0.1)
    scale = np.array([1, factor, 1 / factor])
    base = su.HyperbolicRegressor().fit(a, b)
    again = su.HyperbolicRegressor().fit(a * scale, b)
    np.testing.assert_allclose(again.predict(a * scale), base.predict(a), rtol=1e-8)


@each_unit
def test_weights_are_repeated_rows_and_zero_is_absence(unit):
    a, b, _ = planted(unit, 7, d=3, noise=0.1)
    times = np.random.default_rng(0).integers(0, 4, 60)
    weighted = su.HyperbolicRegressor(unit).fit(a, b, sample_weight=times.astype(float))
    repeated = su.HyperbolicRegressor(unit).fit(np.repeat(a, times, axis=0), np.repeat(b, times))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8)
    assert weighted.solution_.value == pytest.approx(repeated.solution_.value, rel=1e-9)


@each_unit
def test_sparse_and_float32_designs_fit_as_dense_ones(unit):
    a, b, _ = planted(unit, 8, d=4, noise=0.1)
    a = np.where(np.abs(a) < 0.3, 0.0, a).astype(np.float32)
    dense = su.HyperbolicRegressor(unit).fit(a.astype(np.float64), b)
    for form in (sparse.csr_matrix(a), a):
        np.testing.assert_allclose(
            su.HyperbolicRegressor(unit).fit(form, b).coef_, dense.coef_, atol=1e-8
        )


def test_collinear_columns_get_the_least_norm():
    a, b, _ = planted("exp", 9, d=3, noise=0.1)
    with pytest.warns(NotUniqueWarning, match="moves no score"):
        model = su.HyperbolicRegressor().fit(np.column_stack([a, a[:, 1]]), b)
    assert model.coef_[1] == pytest.approx(model.coef_[3], abs=1e-8)
    base = su.HyperbolicRegressor().fit(a, b)
    assert base.coef_[1] == pytest.approx(2 * model.coef_[1], abs=1e-7)


def test_targets_that_exp_cannot_meet_are_named():
    a, b, _ = planted("exp", 10, d=3)
    b[[7, 9]] = -2.0, 0.0
    with pytest.warns(
        SoftunitWarning, match=r"2 entries <= 0; the first is -2 in row 7.* least 2 of"
    ):
        model = su.HyperbolicRegressor(ridge=1e-3).fit(a, b)
    assert model.solution_.converged
    assert model.solution_.value >= 2.0
    assert "no point has a smaller loss than 2" in str(model.certificate_)


def test_where_the_infimum_lies_at_infinity_it_is_approached():
    a, b = np.array([[1.0], [2.0], [0.5]]), np.zeros(3)
    with pytest.warns(SoftunitWarning, match="3 entries <= 0"):
        model = su.HyperbolicRegressor().fit(a, b)
    assert model.solution_.converged
    assert model.coef_[0] < -5
    assert model.n_iter_ <= 200


def test_a_start_that_would_overflow_is_moved_and_said():
    a, b = np.array([[1.0], [1000.0]]), np.array([np.e, -1.0])
    with (
        pytest.warns(SoftunitWarning, match="1 entries <= 0"),
        pytest.warns(SoftunitWarning, match="the start was moved towards zero") as caught,
    ):
        model = su.HyperbolicRegressor().fit(a, b)
    assert len(caught) == 2
    assert all(warning.filename == __file__ for warning in caught)
    assert model.solution_.converged
    assert np.isfinite(model.predict(a)).all()


def test_predictions_beyond_float64_are_infinite_and_quiet():
    a, b, _ = planted("exp", 11, d=2)
    model = su.HyperbolicRegressor().fit(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(model.predict(1e5 * np.sign(model.coef_)[None, :])).all()


def test_too_few_iterations_warn():
    a, b, _ = planted("exp", 12, noise=0.2)
    with pytest.warns(ConvergenceWarning, match="Raise `max_iter`"):
        su.HyperbolicRegressor(max_iter=1).fit(a, b)


@each_unit
@pytest.mark.parametrize("solver", ["lbfgs", "newton", "gradient-regularized-newton"])
def test_other_solvers_reach_the_same_optimum(unit, solver):
    a, b, _ = planted(unit, 13, d=3, noise=0.1)
    base = su.HyperbolicRegressor(unit).fit(a, b)
    other = su.HyperbolicRegressor(unit, solver=solver, max_iter=3000, tol=1e-9).fit(a, b)
    assert other.solution_.value == pytest.approx(base.solution_.value, rel=1e-9)


def test_more_columns_than_a_hessian_is_formed_for(monkeypatch):
    a, b, x = planted("exp", 14, n=80, d=4, noise=0.1)
    base = su.HyperbolicRegressor().fit(a, b)
    for place in ("estimators._descents", "estimators._hyperbolic_phases", "solvers.auto"):
        monkeypatch.setattr(f"softunit.{place}.FORM_LIMIT", 3)
    wide = su.HyperbolicRegressor(max_iter=2000, tol=1e-9).fit(a, b)
    assert wide.solution_.solver == "LBFGS"
    np.testing.assert_allclose(wide.coef_, base.coef_, atol=1e-6)
    even = su.HyperbolicRegressor("cosh", max_iter=2000, tol=1e-9).fit(a, np.cosh(a @ x))
    np.testing.assert_allclose(even.coef_, x, atol=1e-6)


@each_unit
def test_an_interrupt_keeps_the_best_point(unit, monkeypatch):
    a, b, _ = planted(unit, 15, noise=0.3)
    right, calls = su.Problem.hessian, []

    def interrupted(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return right(self, *args, **kwargs)

    monkeypatch.setattr(su.Problem, "hessian", interrupted)
    model = su.HyperbolicRegressor(unit, tol=0.0, keyboard_interrupt="return")
    with pytest.warns(ConvergenceWarning, match="Ctrl-C"):
        model.fit(a, b)
    assert model.solution_.status is Status.INTERRUPTED
    assert np.isfinite(model.coef_).all()


# The paper's algorithm --------------------------------------------------------------------------


@each_unit
def test_the_papers_algorithm_agrees_in_the_papers_regime(unit):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((3000, 4))
    b = CURVES[unit](a @ rng.standard_normal(4) / 2) + 0.1 * rng.standard_normal(3000)
    b = np.maximum(b, 0.01) if unit == "exp" else b
    w = np.sqrt(b * b / 2 + 1.1)
    paper = su.HyperbolicRegressor(unit, w, fidelity="paper").fit(a, b)
    ours = su.HyperbolicRegressor(unit, w).fit(a, b)
    assert paper.solution_.solver == "PaperNewton"
    assert paper.solution_.converged
    np.testing.assert_allclose(paper.coef_, ours.coef_, atol=1e-8)
    assert ours.certificate_.strong_convexity > 0
    again = su.HyperbolicRegressor(unit, w, fidelity="paper", random_state=1).fit(a, b)
    if unit != "cosh":  # there zero is the answer, and the start
        assert again.solution_.history != paper.solution_.history


def test_the_papers_algorithm_refuses_outside_its_regime():
    a, b, _ = planted("cosh", 16)
    with (
        pytest.warns(ConvergenceWarning, match="Start elsewhere"),
        pytest.warns(SoftunitWarning, match="the paper asks for w_i"),
    ):
        model = su.HyperbolicRegressor("sinh", fidelity="paper").fit(20 * a, 1e6 * b)
    assert model.solution_.status in (Status.NO_DESCENT, Status.MAX_ITER)


def test_the_paper_says_where_it_sits_in_the_trap():
    a, b, _ = planted("cosh", 17)
    with (
        pytest.warns(ConvergenceWarning, match="this is no minimum"),
        pytest.warns(SoftunitWarning, match="some row lacks"),
    ):
        model = su.HyperbolicRegressor("cosh", w=0.1, fidelity="paper").fit(a, b)
    assert model.solution_.status is Status.SADDLE
    np.testing.assert_array_equal(model.coef_, 0.0)


def test_the_sampled_hessian_is_close_and_right_on_average():
    rng = np.random.default_rng(1)
    a = rng.standard_normal((4000, 3)) * rng.gamma(0.3, size=(4000, 1))
    problem = su.Problem(a, SinhSquares(), rng.standard_normal(4000), ScoreRidge(1.0))
    point = problem.evaluate(rng.standard_normal(3) / 4)
    exact = problem.hessian(point)
    whitener = np.linalg.inv(np.linalg.cholesky(exact))
    draws = [PaperNewton(rows=300).hessian(problem, point, rng) for _ in range(100)]
    worst = max(np.abs(np.linalg.eigvalsh(whitener @ one @ whitener.T) - 1).max() for one in draws)
    assert worst < 0.5
    mean = whitener @ np.mean(draws, axis=0) @ whitener.T
    np.testing.assert_allclose(mean, np.eye(3), atol=0.03)
    full = PaperNewton(rows=5000).hessian(problem, point, rng)
    np.testing.assert_allclose(full, exact, rtol=1e-10)


def test_the_sampled_hessian_has_weights_ridge_and_curvature_of_both_signs():
    rng = np.random.default_rng(4)
    a, weights = rng.standard_normal((2000, 3)), rng.uniform(0.5, 2.0, 2000)
    b = rng.uniform(0.0, 3.0, 2000)
    problem = su.Problem(a, ExpSquares(), b, Ridge(200.0), weights=weights)
    point = problem.evaluate(rng.standard_normal(3) / 4)
    exact = problem.hessian(point)
    curvatures = ExpSquares().curvature(a @ point.x, problem.target, weights).weights
    assert (curvatures < 0).mean() > 0.2
    full = PaperNewton(rows=2000).hessian(problem, point, rng)
    np.testing.assert_allclose(full, exact, rtol=1e-10)
    draws = np.array([PaperNewton(rows=500).hessian(problem, point, rng) for _ in range(200)])
    error = draws.std(axis=0) / 200**0.5
    assert (np.abs(draws.mean(axis=0) - exact) <= 5 * error).all()


def test_rows_without_weight_do_not_tell_columns_apart():
    rng = np.random.default_rng(5)
    a = rng.standard_normal((600, 2))
    a[:300, 1] = 2 * a[:300, 0]
    b = np.exp(a @ [0.3, 0.2]) + 0.1 * rng.standard_normal(600)
    weights = np.repeat([1.0, 0.0], 300)
    with pytest.warns(NotUniqueWarning, match="moves no score"):
        model = su.HyperbolicRegressor().fit(a, np.abs(b), sample_weight=weights)
    assert model.certificate_.unique is False
    assert model.coef_[1] == pytest.approx(2 * model.coef_[0], abs=1e-8)


def test_the_limit_holds_for_all_runs_together():
    a = np.array([[1.0], [2.0], [0.5]])
    problem = su.Problem(a, ExpSquares(), np.zeros(3))  # the infimum lies at infinity
    end = Descents(problem, Settings("auto", 0.0, 100), lambda record: None).descend(np.ones(1))
    assert end.n_iter == 100
    assert end.status is Status.MAX_ITER


def test_least_squares_for_starts_minimise_what_they_say(monkeypatch):
    rng = np.random.default_rng(6)
    a, z, v = rng.standard_normal((30, 3)), rng.standard_normal(30), rng.uniform(0.0, 2.0, 30)
    w, ridge = rng.uniform(0.0, 2.0, 30), np.array([0.0, 1.0, 30.0])
    problem = su.Problem(a, ExpSquares(), np.ones(30), (Ridge(ridge), ScoreRidge(w)))
    form = a.T @ ((v + 0.5 * w**2)[:, None] * a) + 0.5 * np.diag(ridge)
    wanted = np.linalg.solve(form, a.T @ (v * z))
    np.testing.assert_allclose(LeastSquares(problem, v, 0.5).solve(z, 1), wanted, rtol=1e-10)
    np.testing.assert_allclose(LeastSquares(problem, v, 0.5).solve(z), wanted, rtol=1e-12)
    monkeypatch.setattr("softunit.estimators._descents.FORM_LIMIT", 1)
    np.testing.assert_allclose(LeastSquares(problem, v, 0.5).solve(z), wanted, rtol=1e-10)


def test_rows_without_weight_need_not_meet_their_scores():
    problem = su.Problem(np.eye(3), ExpSquares(), np.ones(3), weights=[1.0, 2.0, 0.0])
    assert meets(problem, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 9.0]))
    assert not meets(problem, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.1, 3.0]))


@pytest.mark.parametrize("centred", [True, False], ids=["softmax", "rescaled"])
def test_the_papers_algorithm_takes_what_couples_rows(centred):
    rng = np.random.default_rng(2)
    a = rng.standard_normal((2000, 3))
    unit = su.units.SoftmaxSquares() if centred else su.units.RescaledSquares("exp")
    b = rng.dirichlet(np.ones(2000))
    problem = su.Problem(a, unit, b, ScoreRidge(5.0 if centred else 60.0), weights=np.ones(2000))
    point = problem.evaluate(0.01 * rng.standard_normal(3))
    full = PaperNewton(rows=2000).hessian(problem, point, rng)
    np.testing.assert_allclose(full, problem.hessian(point), rtol=1e-9, atol=1e-9)
    solution = su.minimize(problem, solver=PaperNewton(), tol=1e-10)
    best = su.minimize(problem, tol=1e-12)
    assert solution.converged
    np.testing.assert_allclose(solution.x, best.x, atol=1e-9)


def test_the_papers_algorithm_says_what_it_needs():
    rng = np.random.default_rng(3)
    a = rng.standard_normal((6, 2))
    for unit, target in (
        (Multinomial(), [0, 1, 2, 0, 1, 2]),
        (GroupedSoftmax([0, 0, 0, 1, 1, 1]), np.full(6, 1 / 3)),
    ):
        with pytest.raises(NeedsError, match="is no diagonal D"):
            su.minimize(su.Problem(a, unit, target), solver=PaperNewton())
    with pytest.raises(InputError, match=r"`eps` must be below 1; got 1\.5"):
        PaperNewton(eps=1.5)
    with pytest.raises(InputError, match="`rows` must be an integer >= 1; got 0"):
        PaperNewton(rows=0)


@pytest.mark.parametrize(
    ("settings", "x", "b", "sentence"),
    [
        ({"unit": "tanh"}, np.eye(3), [1, 2, 3], "`unit` must be 'exp' or 'cosh' or 'sinh'; got"),
        ({"fidelity": "x"}, np.eye(3), [1, 2, 3], "`fidelity` must be 'auto' or 'paper'; got 'x'"),
        ({"restarts": -1}, np.eye(3), [1, 2, 3], "`restarts` must be an integer >= 0; got -1"),
        ({"w": np.ones(2)}, np.eye(3), [1, 2, 3], r"`w` .*has shape \(2,\), but A has 3"),
        ({}, np.eye(3), [1, 2], r"shape \(2,\), but A has 3 rows"),
        ({}, np.eye(3), [1, np.nan, 2], "NaN or infinity in 1 of 3"),
        ({}, np.eye(3), [1, 1e200, 2], "the target b is 1e.200 in row 1"),
        ({}, np.eye(3), None, "y is None"),
        ({"ridge": -1}, np.eye(3), [1, 2, 3], "`ridge` must be a finite number >= 0"),
    ],
)
def test_bad_input_gets_a_sentence(settings, x, b, sentence):
    with pytest.raises(InputError, match=sentence):
        su.HyperbolicRegressor(**settings).fit(x, b)


GUIDES = Path(__file__).parents[2] / "docs" / "guides"


@pytest.mark.filterwarnings("ignore:the target b holds 1 entries")
def test_the_guide_to_growth_curves_prints_what_it_says(capsys):
    text = (GUIDES / "growth-curves.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert "positive definite" in capsys.readouterr().out
    said = re.search(r"model.coef_  # (\[.*\])", text).group(1)
    np.testing.assert_allclose(names["model"].coef_, eval(said), atol=5e-4)
    cells = float(re.search(r"# ([\d.]+) cells at", text).group(1))
    assert np.exp(names["model"].coef_[0]) == pytest.approx(cells, abs=0.05)
    logs = re.search(r"\[0\]  # (\[.*\])", text).group(1)
    seen, a, counts = (names[name] for name in ("seen", "A", "counts"))
    found = np.linalg.lstsq(a[seen], np.log(counts[seen]))[0]
    np.testing.assert_allclose(found, eval(logs), atol=5e-4)

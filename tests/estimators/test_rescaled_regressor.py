"""Rescaled regression: planted points with and without a gauge, and what is vacuous without."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit._numeric import softmax
from softunit.errors import InputError, SoftunitWarning
from softunit.estimators._rescaled_phases import falls_everywhere
from softunit.units import NormalisedSquares, RescaledSquares, SoftmaxSquares

CURVES = {"exp": np.exp, "cosh": np.cosh, "sinh": np.sinh}
each_unit = pytest.mark.parametrize("unit", ["exp", "cosh", "sinh"])


def planted(unit: str, seed: int, *, n: int = 100, d: int = 5, noise: float = 0.0):
    rng = np.random.default_rng(seed)
    a, x = rng.standard_normal((n, d)), rng.standard_normal(d) / 2
    if unit != "exp":
        x *= np.sign(x[0])
    u = CURVES[unit](a @ x) * (1 + noise * rng.standard_normal(n))
    return a, u / u.sum(), x


@each_unit
def test_planted_points_come_back(unit):
    for seed in range(50):
        a, b, x = planted(unit, seed)
        model = su.RescaledRegressor(unit).fit(a, b)
        assert model.solution_.converged, seed
        np.testing.assert_allclose(model.coef_, x, rtol=0, atol=1e-8, err_msg=str(seed))
        np.testing.assert_allclose(model.predict(a), b, rtol=0, atol=1e-9 * np.abs(b).max())


@each_unit
@pytest.mark.filterwarnings("ignore:rescaled sinh without a gauge")
def test_planted_points_come_back_without_a_gauge(unit):
    for seed in range(50):
        a, b, x = planted(unit, seed)
        model = su.RescaledRegressor(unit, None).fit(a, b)
        assert model.solution_.converged, seed
        np.testing.assert_allclose(model.coef_, x, rtol=0, atol=1e-8, err_msg=str(seed))


def test_exp_with_a_gauge_is_the_softmax_fit():
    a, b, _ = planted("exp", 0, noise=0.3)
    rescaled, plain = su.RescaledRegressor().fit(a, b), su.SoftmaxRegressor().fit(a, b)
    np.testing.assert_array_equal(rescaled.coef_, plain.coef_)
    assert rescaled.solution_.value == plain.solution_.value
    z = np.random.default_rng(1).standard_normal(100)
    one, other = NormalisedSquares("exp"), SoftmaxSquares()
    assert one.value(z, b) == pytest.approx(other.value(z, b), rel=1e-12)
    np.testing.assert_allclose(one.gradient(z, b), other.gradient(z, b), atol=1e-15)
    for kind in ("exact", "gauss_newton"):
        np.testing.assert_allclose(
            one.curvature(z, b, kind=kind).matvec(b),
            other.curvature(z, b, kind=kind).matvec(b),
            atol=1e-14,
        )


def test_the_gauge_divides_by_the_square_of_the_sum():
    rng = np.random.default_rng(2)
    z, b, s = rng.standard_normal(9), rng.dirichlet(np.ones(9)), rng.uniform(0.5, 2, 9)
    for unit, curve in CURVES.items():
        total = curve(z).sum()
        free, gauged = RescaledSquares(unit).value(z, b, s), NormalisedSquares(unit).value(z, b, s)
        assert free == pytest.approx(total**2 * gauged, rel=1e-12)


def test_golden_values_of_the_formulas():
    """Figures computed once with 30 digits from the formulas, independent of this package."""
    a = np.array([[1.0, 0], [0, 1], [1, 1], [2, -1]])
    problem = su.Problem(a, RescaledSquares("exp"), np.array([0.1, 0.2, 0.3, 0.4]))
    point = problem.evaluate(np.array([0.3, -0.2]))
    assert point.value == pytest.approx(0.5080983896451178, rel=1e-14)
    np.testing.assert_allclose(point.gradient, [1.485717984411, -0.928530472243], rtol=1e-10)
    hessian = problem.hessian(point)[np.triu_indices(2)]
    np.testing.assert_allclose(
        hessian, [8.304444953463, -7.053901279741, 6.395686759701], rtol=1e-10
    )


@each_unit
@pytest.mark.filterwarnings("ignore:rescaled")
@pytest.mark.parametrize("gauge", ["normaliser", None])
def test_noise_leaves_a_stationary_point(unit, gauge):
    a, b, x = planted(unit, 3, noise=0.05)
    model = su.RescaledRegressor(unit, gauge, restarts=3).fit(a, b)
    assert model.solution_.converged
    if gauge is not None:
        assert np.linalg.norm(model.coef_ - x) < 0.3 * np.linalg.norm(x)
        assert model.predict(a).sum() == pytest.approx(1.0)


def test_the_vacuous_case_of_exp_is_named():
    rng = np.random.default_rng(4)
    a, b = rng.uniform(0.5, 2.0, (30, 3)), rng.dirichlet(np.ones(30))
    with pytest.warns(SoftunitWarning, match="has no optimum on this A") as caught:
        model = su.RescaledRegressor("exp", None).fit(a, b)
    assert [warning.filename for warning in caught if "no optimum" in str(warning.message)] == [
        __file__
    ]
    assert "tends to zero" in str(model.certificate_)
    far = su.Problem(a, RescaledSquares("exp"), b).value(np.full(3, -20.0))
    assert far < 1e-9
    gauged = su.RescaledRegressor("exp").fit(a, b)
    assert gauged.solution_.converged
    assert "tends to zero" not in str(gauged.certificate_)
    held = su.RescaledRegressor("exp", None, ridge=1.0).fit(a, b)
    assert "tends to zero" not in str(held.certificate_)


def test_whether_a_direction_falls_everywhere_is_decided():
    rng = np.random.default_rng(5)
    a = rng.standard_normal((40, 3))
    b = np.full(40, 1 / 40)
    assert falls_everywhere(su.Problem(a, RescaledSquares("exp"), b)) is False
    tilted = a - 5 * np.array([1.0, -2.0, 0.0]) * np.sign(a @ [1.0, -2.0, 0.0])[:, None]
    tilted *= np.sign(tilted @ [1.0, -2.0, 0.0])[:, None]
    assert falls_everywhere(su.Problem(tilted, RescaledSquares("exp"), b)) is True


def test_too_large_a_design_to_tell_is_said(monkeypatch):
    monkeypatch.setattr("softunit.estimators._rescaled_phases.LP_LIMIT", 10)
    a, b, _ = planted("exp", 6)
    with pytest.warns(SoftunitWarning, match="too large to tell"):
        su.RescaledRegressor("exp", None).fit(a, b)


def test_the_vacuous_case_of_sinh_is_named():
    a, b, _ = planted("sinh", 7)
    assert su.Problem(a, RescaledSquares("sinh"), b).value(np.zeros(5)) == 0.0
    with pytest.warns(SoftunitWarning, match="is zero at x = 0, whatever b is"):
        model = su.RescaledRegressor("sinh", None).fit(a, b)
    assert "whatever b is" in str(model.certificate_)


@pytest.mark.parametrize("unit", ["cosh", "sinh"])
def test_the_sign_is_named_and_fixed(unit):
    a, b, _ = planted(unit, 8)
    model = su.RescaledRegressor(unit).fit(a, b)
    assert model.coef_[0] > 0
    assert model.certificate_.unique is False
    assert "does not see the sign" in str(model.certificate_)


def test_where_the_sum_of_sinh_is_zero_there_is_no_value():
    unit, b = NormalisedSquares("sinh"), np.array([0.5, 0.5])
    value, gradient = unit.value_gradient(np.zeros(2), b)
    assert value == np.inf
    np.testing.assert_array_equal(gradient, 0.0)
    np.testing.assert_array_equal(unit.curvature(np.zeros(2), b).diagonal(), 0.0)


def test_many_rows_are_tried_on_a_sample_first(monkeypatch):
    a, b, x = planted("cosh", 14, n=2000, noise=0.1)
    whole = su.RescaledRegressor("cosh", restarts=3).fit(a, b)
    monkeypatch.setattr("softunit.estimators._hyperbolic_phases.FEW", 300)
    monkeypatch.setattr("softunit.estimators._hyperbolic_phases.FEW_EACH", 1)
    sampled = su.RescaledRegressor("cosh", restarts=3).fit(a, b, sample_weight=np.ones(2000))
    np.testing.assert_allclose(sampled.coef_, whole.coef_, atol=1e-9)
    assert sampled.solution_.value == pytest.approx(whole.solution_.value, rel=1e-9)
    rows = [run.cost.rows / max(run.cost.products, 1) for run in sampled.phases_]
    assert min(rows) < 1000 < max(rows)
    even = su.HyperbolicRegressor("cosh").fit(a, np.cosh(a @ x))
    np.testing.assert_allclose(even.coef_, x, atol=1e-8)


def test_an_interrupt_keeps_the_best_point(monkeypatch):
    a, b, _ = planted("cosh", 15, noise=0.3)
    right, calls = su.Problem.hessian, []

    def interrupted(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return right(self, *args, **kwargs)

    monkeypatch.setattr(su.Problem, "hessian", interrupted)
    model = su.RescaledRegressor("cosh", tol=0.0, keyboard_interrupt="return")
    with pytest.warns(ConvergenceWarning, match="Ctrl-C"):
        model.fit(a, b)
    assert np.isfinite(model.coef_).all()


def test_outcome_weights_count():
    a, b, _ = planted("cosh", 9, noise=0.3)
    weight = np.where(np.arange(100) < 50, 100.0, 1.0)
    fits = [
        su.RescaledRegressor("cosh", restarts=2).fit(a, b, sample_weight=w) for w in (weight, None)
    ]
    heavy, plain = ((((m.predict(a) - b) ** 2)[:50]).sum() for m in fits)
    assert heavy < plain


def test_the_papers_algorithm_runs_in_its_regime():
    rng = np.random.default_rng(10)
    a, b = rng.standard_normal((2000, 3)), rng.dirichlet(np.ones(2000))
    settings = {"gauge": None, "w": 60.0}
    paper = su.RescaledRegressor(fidelity="paper", **settings).fit(a, b)
    ours = su.RescaledRegressor(**settings).fit(a, b)
    assert paper.solution_.converged
    np.testing.assert_allclose(paper.coef_, ours.coef_, atol=1e-8)


def test_a_target_whose_sum_is_not_one_is_named():
    a, b, _ = planted("cosh", 11)
    with pytest.warns(SoftunitWarning, match="sums to 3, but shares"):
        model = su.RescaledRegressor("cosh", restarts=1).fit(a, 3 * b)
    assert model.solution_.value >= (1 - 3) ** 2 / 200


def test_too_few_iterations_warn():
    a, b, _ = planted("cosh", 12, noise=0.5)
    with pytest.warns(ConvergenceWarning, match="Raise `max_iter`"):
        su.RescaledRegressor("cosh", max_iter=1).fit(a, b)


def test_predict_is_the_softmax_for_exp():
    a, b, _ = planted("exp", 13)
    model = su.RescaledRegressor().fit(a, b)
    np.testing.assert_allclose(model.predict(a), softmax(a @ model.coef_), rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "x", "b", "sentence"),
    [
        ({"unit": "tanh"}, np.eye(3), [1, 2, 3], "`unit` must be 'exp' or 'cosh' or 'sinh'; got"),
        ({"gauge": "lse"}, np.eye(3), [1, 2, 3], "`gauge` must be 'normaliser' or None; got 'lse'"),
        ({"fidelity": "paper"}, np.eye(3), [1, 2, 3], "which has no gauge: give gauge=None"),
        ({"w": np.ones(2)}, np.eye(3), [0.1, 0.2, 0.7], r"`w` .*has shape \(2,\), but A has 3"),
        ({}, np.ones((1, 2)), [1.0], "n_samples = 1"),
        ({}, np.eye(3), [1, 1], r"shape \(2,\), but A has 3 rows"),
    ],
)
def test_bad_input_gets_a_sentence(settings, x, b, sentence):
    with pytest.raises(InputError, match=sentence):
        su.RescaledRegressor(**settings).fit(x, b)


def test_units_name_what_they_take():
    for unit in (RescaledSquares, NormalisedSquares):
        with pytest.raises(InputError, match="got 'softmax'"):
            unit("softmax")

"""Softmax regression: planted points, degenerate designs, and targets that cannot be met."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit._numeric import softmax
from softunit.errors import InputError, NotUniqueWarning, SoftunitWarning
from softunit.penalties import ScoreRidge
from softunit.solution import Status
from softunit.spectrum import clearly_independent


def planted(rng: np.random.Generator, *, n: int = 200, d: int = 5, noise: float = 0.0):
    a, x = rng.standard_normal((n, d)), rng.standard_normal(d)
    return a, softmax(a @ x + noise * rng.standard_normal(n)), x


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_a_planted_point_comes_back(form, rng):
    a, b, x = planted(rng)
    model = su.SoftmaxRegressor().fit(form(a), b)
    assert model.solution_.converged
    np.testing.assert_allclose(model.coef_, x, atol=1e-10)
    np.testing.assert_allclose(model.predict(form(a)), b, atol=1e-12)
    np.testing.assert_array_equal(model.solution_.x, model.coef_)
    assert model.certificate_.gap_bound < 1e-20


def test_a_planted_point_comes_back_through_the_phases_too(rng, monkeypatch):
    monkeypatch.setattr("softunit.estimators._softmax_phases.EXACT", 0.0)
    a, b, x = planted(rng)
    model = su.SoftmaxRegressor().fit(a, b)
    assert len(model.phases_) >= 2
    np.testing.assert_allclose(model.coef_, x, atol=1e-8)


def test_targets_with_zeros_go_through_the_phases(rng):
    a, b, x = planted(rng)
    b[b < np.quantile(b, 0.2)] = 0.0
    model = su.SoftmaxRegressor().fit(a, b / b.sum())
    assert model.solution_.converged
    assert np.linalg.norm(model.coef_ - x) < 0.5 * np.linalg.norm(x)


def test_noise_leaves_a_local_minimum_that_is_proved(rng):
    a, b, _ = planted(rng, noise=0.2)
    model = su.SoftmaxRegressor().fit(a, b)
    full = model.certify(a, b)
    assert model.solution_.converged
    assert full.local_gap_bound < 1e-12
    assert full.gap_bound == pytest.approx(model.solution_.value, rel=1e-6)


def test_the_spurious_minimum_is_not_where_it_ends():
    # Two minima: 0.0922 near 0.03, and a spurious one of 0.1200 near -1.98.
    a, b = np.array([[-3.8], [-3.1], [3.5]]), np.array([0.6, 0.0, 0.4])
    model = su.SoftmaxRegressor().fit(a, b)
    assert model.coef_[0] == pytest.approx(0.0261, abs=1e-3)
    assert model.solution_.value == pytest.approx(0.09220, abs=1e-5)


def test_the_regulariser_pulls_to_the_uniform_distribution(rng):
    a, b, _ = planted(rng)
    model = su.SoftmaxRegressor(w=np.full(200, np.sqrt(20.0))).fit(a, b)
    assert np.abs(a @ model.coef_).max() <= 1 / np.sqrt(20)
    assert model.certificate_.unique
    assert model.certificate_.gap_bound < 1e-14
    assert su.SoftmaxRegressor(ridge=100.0).fit(a, b).certificate_.unique


def test_outcome_weights_count(rng):
    a, b, _ = planted(rng, noise=0.5)
    weight = np.ones(200)
    weight[:100] = 100.0
    model, plain = (
        su.SoftmaxRegressor().fit(a, b, sample_weight=weight),
        su.SoftmaxRegressor().fit(a, b),
    )
    first = slice(0, 100)

    def miss(fit) -> float:
        return float(((fit.predict(a) - b)[first] ** 2).sum())

    assert miss(model) < miss(plain)


@pytest.mark.parametrize("extra", ["constant", "twin", "zero"])
def test_null_directions_get_the_least_norm(extra, rng):
    a, b, _ = planted(rng, noise=0.1)
    more = {"constant": np.full(200, 3.0), "twin": -a[:, 1], "zero": np.zeros(200)}[extra]
    base = su.SoftmaxRegressor().fit(a, b)
    with pytest.warns(NotUniqueWarning, match="moves no score"):
        model = su.SoftmaxRegressor().fit(np.column_stack([a, more]), b)
    assert model.certificate_.unique is False
    assert np.linalg.norm(model.coef_) <= np.linalg.norm(base.coef_) + 1e-9
    np.testing.assert_allclose(
        model.predict(np.column_stack([a, more])), base.predict(a), atol=1e-10
    )
    expected = {"constant": 0.0, "twin": -model.coef_[1], "zero": 0.0}[extra]
    assert model.coef_[5] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("factor", [1e12, 1e-12])
def test_scaled_columns_predict_as_before(factor, rng):
    a, b, _ = planted(rng, noise=0.1)
    scale = np.array([1, factor, 1, 1 / factor, 1])
    base = su.SoftmaxRegressor().fit(a, b)
    np.testing.assert_allclose(
        su.SoftmaxRegressor().fit(a * scale, b).predict(a * scale), base.predict(a), atol=1e-9
    )


def test_identical_rows_say_that_nothing_can_be_learnt():
    with pytest.warns(NotUniqueWarning, match="moves no score"):
        model = su.SoftmaxRegressor().fit(np.ones((5, 2)), np.array([0.6, 0.1, 0.1, 0.1, 0.1]))
    np.testing.assert_array_equal(model.coef_, 0.0)


@pytest.mark.parametrize(
    ("b", "sentence"),
    [(lambda b: 3 * b, "its sum is 3 and"), (lambda b: b - 0.01, "least entry -0.0")],
)
def test_what_is_no_distribution_is_fitted_with_a_warning(b, sentence, rng):
    a, target, _ = planted(rng)
    with pytest.warns(SoftunitWarning, match=sentence):
        model = su.SoftmaxRegressor().fit(a, b(target))
    assert model.solution_.converged


def test_too_few_iterations_warn(rng):
    a, b, _ = planted(rng, noise=1.0)
    with pytest.warns(ConvergenceWarning, match="Raise `max_iter`"):
        su.SoftmaxRegressor(max_iter=1).fit(a, b)


@pytest.mark.parametrize(
    ("settings", "x", "b", "sentence"),
    [
        ({}, np.ones((1, 2)), [1.0], "n_samples = 1"),
        ({}, np.eye(3), [0.5, 0.5], r"shape \(2,\), but A has 3 rows"),
        ({}, np.eye(3), [0.5, np.inf, 0.5], "NaN or infinity in 1 of 3"),
        ({}, np.eye(3), None, "y is None"),
        ({"w": np.ones(2)}, np.eye(3), [0.2, 0.3, 0.5], r"has shape \(2,\)"),
        ({"ridge": -1}, np.eye(3), [0.2, 0.3, 0.5], "`ridge` must be a finite number >= 0"),
        ({"tol": None}, np.eye(3), [0.2, 0.3, 0.5], "`tol` must be"),
    ],
)
def test_bad_input_gets_a_sentence(settings, x, b, sentence):
    with pytest.raises(InputError, match=sentence):
        su.SoftmaxRegressor(**settings).fit(x, b)


def test_the_better_of_both_descents_is_kept():
    # From zero the descent ends at 0.04 near infinity; from the convex end at 0.03.
    a, b = np.array([[3.8], [5.0], [-1.7]]), np.array([0.0, 0.8, 0.2])
    model = su.SoftmaxRegressor().fit(a, b)
    assert model.solution_.value == pytest.approx(0.0299987, abs=1e-6)
    assert model.coef_[0] == pytest.approx(1.8307, abs=1e-3)


def test_a_few_rows_show_independence_only_where_there_is_some(rng):
    a, b = rng.standard_normal((600, 2)), rng.dirichlet(np.ones(600))
    constant = np.column_stack([a, 5.0 - a[:, 0]])  # columns that add up to a constant
    labels = np.repeat(np.arange(200), 3)
    grouped = np.column_stack([a, labels / 200.0])  # a constant in each group
    softmax_of, groups = su.units.SoftmaxSquares(), su.units.GroupedSoftmax(labels)
    assert clearly_independent(su.Problem(a, softmax_of, b))
    assert clearly_independent(su.Problem(constant, su.units.ExpSquares(), b))
    assert clearly_independent(su.Problem(constant, softmax_of, b, ScoreRidge(1.0)))
    assert not clearly_independent(su.Problem(constant, softmax_of, b))
    assert not clearly_independent(su.Problem(grouped, groups, b))
    assert not clearly_independent(su.Problem(a, softmax_of, b, weights=np.ones(600)))
    assert not clearly_independent(su.Problem(a[:199], softmax_of, b[:199]))


def test_what_rounding_ended_is_proved_only_by_its_certificate(rng):
    a, b, _ = planted(rng, noise=0.1)
    model = su.SoftmaxRegressor(w=5.0).fit(a, b)
    problem = model._problem(*model._checked(a, b, None, reset=False))
    x = problem.design.from_input(model.coef_)
    model._keep(problem, dataclasses.replace(model.solution_, x=x, status=Status.ROUNDING))
    assert model.solution_.status is Status.PROVED
    with pytest.warns(ConvergenceWarning, match="No further step"):
        model._keep(problem, dataclasses.replace(model.solution_, x=x + 1, status=Status.ROUNDING))
    assert model.solution_.status is Status.ROUNDING

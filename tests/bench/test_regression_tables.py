"""The judge's figures are the definition's and the package's, and zero at a planted x."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from softunit.bench.regression import (
    REGRESSION_CASES,
    REGRESSION_SUITES,
    RegressionCase,
    Scaled,
    table,
)
from softunit.bench.regression.ours import problem
from tests.bench.stand_ins import FAMILIES, regression

EYE = np.eye(3)


def task_and_point(family, *, ridge=0.0, noisy=True):
    """Return a small task, and a point near its start."""
    task = dataclasses.replace(regression(family, noisy=noisy), n=60, d=3, ridge=ridge).task()
    x = task.start + 0.05 * np.random.default_rng(0).standard_normal(3)
    return task, x


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("family", FAMILIES)
def test_derivatives_are_those_of_differences(family, ridge):
    task, x = task_and_point(family, ridge=ridge)
    scaled, step = Scaled(task), 1e-5

    def differences(f):
        return np.array([(f(x + step * e) - f(x - step * e)) / (2 * step) for e in EYE])

    _, gradient = scaled.value_gradient(x)
    slopes = differences(lambda y: scaled.value_gradient(y)[0])
    np.testing.assert_allclose(gradient, slopes, atol=1e-7 * np.abs(gradient).max())
    J = scaled.jacobian(x)
    np.testing.assert_allclose(J, differences(scaled.residual).T, atol=1e-7 * np.abs(J).max())
    H = np.array([scaled.product(x, e) for e in EYE])
    bends = differences(lambda y: scaled.value_gradient(y)[1])
    np.testing.assert_allclose(H, bends, atol=1e-6 * np.abs(H).max())


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("family", FAMILIES)
def test_products_with_the_jacobian_are_those_of_the_formed_one(family, ridge):
    task, x = task_and_point(family, ridge=ridge)
    scaled, rng = Scaled(task), np.random.default_rng(1)
    J, operator, r = scaled.jacobian(x), scaled.operator(x), scaled.residual(x)
    v, y = rng.standard_normal(3), rng.standard_normal(len(r))
    np.testing.assert_allclose(operator @ v, J @ v, atol=1e-12 * np.abs(J).max())
    np.testing.assert_allclose(operator.rmatvec(y), J.T @ y, atol=1e-12 * np.abs(J.T @ y).max())
    value, gradient = scaled.value_gradient(x)
    assert value == pytest.approx(0.5 * r @ r, rel=1e-13)
    np.testing.assert_allclose(gradient, J.T @ r, atol=1e-12 * np.abs(gradient).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_value_gradient_and_scale_are_the_packages(family):
    task, x = task_and_point(family, ridge=0.3)
    own, (value, gradient) = problem(task), task.value_gradient(x)
    assert own.value(x) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(own.gradient(x), gradient, atol=1e-12 * np.abs(gradient).max())
    assert own.gradient_scale == pytest.approx(task.scale, rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_planted_x_meets_an_exact_target_and_no_noisy_one(family):
    exact, _ = task_and_point(family, noisy=False)
    value, gradient = exact.judged(exact.planted[:, None], np.zeros(1))
    assert (value, gradient) == pytest.approx((0.0, 0.0), abs=1e-12)
    noisy, _ = task_and_point(family)
    value, gradient = noisy.judged(noisy.planted[:, None], np.zeros(1))
    assert value > 0.0
    assert gradient > 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_is_the_same_each_time_and_another_with_another_seed(family):
    case = regression(family)
    first, again = case.task(), case.task()
    other = dataclasses.replace(case, seed=1).task()
    np.testing.assert_array_equal(first.A, again.A)
    np.testing.assert_array_equal(first.target["b"], again.target["b"])
    assert not np.array_equal(first.A, other.A)
    ratio = np.linalg.cond(dataclasses.replace(case, n=4000, condition=1e4).task().A) ** 2
    assert ratio == pytest.approx(1e4, rel=0.5)


def test_points_that_are_none_and_worse_optima_have_an_infinite_gradient():
    task, x = task_and_point("softmax")
    assert task.judged(np.full((3, 1), np.nan), np.zeros(1)) == (np.inf, np.inf)
    assert task.judged(x, np.zeros(1)) == (np.inf, np.inf)  # no column
    assert task.judged(x[:, None], np.ones(1)) == (np.inf, np.inf)  # an intercept
    # Saturated at one row, softmax is flat, and far above what the planted x reaches.
    far = 1e4 * task.A[0]
    value, gradient = task.value_gradient(far)
    assert np.abs(gradient).max() / task.scale < 1e-12
    assert task.judged(far[:, None], np.zeros(1)) == (pytest.approx(value), np.inf)


def test_scores_that_overflow_are_judged_without_a_warning():
    task, x = task_and_point("exp")
    assert task.judged(1e6 * x[:, None], np.zeros(1))[1] == np.inf


@pytest.mark.parametrize("name", REGRESSION_CASES)
def test_a_case_survives_json_and_is_named_by_what_it_is(name):
    case = REGRESSION_CASES[name]
    assert RegressionCase.from_dict(case.to_dict()) == case
    assert case.name.startswith(case.family)
    assert case.name.endswith(f"-e{round(-np.log10(case.bar))}")
    assert ("exact" in name) == (not case.noisy) == ("exact" in case.tags)
    assert ("ill" in name) == ("ill-conditioned" in case.tags)


def test_suites_hold_the_sizes_that_are_to_be_compared():
    full = [REGRESSION_CASES[name] for name in REGRESSION_SUITES["regression"].cases]
    sizes = {(c.n, c.d) for c in full if c.family == "softmax"}
    assert {(10_000, 10), (100_000, 100), (500_000, 200), (1_000_000, 500)} <= sizes
    assert {c.family for c in full} == set(FAMILIES)
    assert max(c.n for c in full if c.family == "leverage") == 100_000
    for m, case in zip((6, 8, 10), table("exp", 50, 3, digits=(6, 8, 10)), strict=True):
        assert (case.name, case.bar) == (f"exp-50-3-e{m}", 10.0**-m)

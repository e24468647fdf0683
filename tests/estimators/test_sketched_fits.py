"""The classifier by samples on more rows than one: scikit-learn's optimum."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import softunit as su
from softunit.solvers import SketchedNewton

N, D, K = 50_000, 10, 4


@pytest.fixture(scope="module")
def data():
    """Rows enough for a sample, columns of several sizes, and classes of unequal size."""
    rng = np.random.default_rng(20)
    a = rng.standard_normal((N, D)) * np.geomspace(0.1, 10, D) + rng.uniform(-3, 3, D)
    z = (a - a.mean(axis=0)) / a.std(axis=0) @ rng.standard_normal((D, K)) + [1, 0, 0, -2]
    return a, (z + rng.gumbel(size=(N, K))).argmax(axis=1)


def loss(model, a, y, C: float, weights) -> float:
    """Return scikit-learn's objective over C and the sum of weights, in float64."""
    probabilities = model.predict_proba(a)
    mean = log_loss(y, probabilities, sample_weight=weights, labels=model.classes_)
    return mean + 0.5 * float(np.sum(np.float64(model.coef_) ** 2)) / (C * weights.sum())


def theirs(a, y, C: float, weights, *, intercept: bool = True):
    model = LogisticRegression(
        C=C, solver="newton-cholesky", tol=1e-9, max_iter=100, fit_intercept=intercept
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where float64 ends is not the question here
        return model.fit(a, y, weights)


def sampled(model) -> bool:
    return {record.share for record in model.solution_.history} > {1.0}


@pytest.mark.parametrize("classes", [2, K])
@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
def test_samples_lead_where_scikit_learn_goes(data, intercept, classes):
    a, y = data[0], np.minimum(data[1], classes - 1)
    ones = np.ones(N)
    model = su.SoftmaxClassifier(C=0.1, solver="sketched-newton", tol=1e-7, fit_intercept=intercept)
    model.fit(a, y)
    assert sampled(model)
    assert model.solution_.converged
    assert model.certificate_.gap_bound < 1e-9
    other = theirs(a, y, 0.1, ones, intercept=intercept)
    assert loss(model, a, y, 0.1, ones) == pytest.approx(loss(other, a, y, 0.1, ones), rel=1e-6)
    assert loss(model, a, y, 0.1, ones) <= loss(other, a, y, 0.1, ones) * (1 + 1e-9)
    if classes == 2 or intercept:
        np.testing.assert_allclose(model.predict_proba(a), other.predict_proba(a), atol=1e-4)


def test_class_weights_and_row_weights(data):
    a, y = data
    weights = np.random.default_rng(21).pareto(1.5, N) + 0.1
    weights[: N // 5] = 0.0
    balance = {0: 0.2, 1: 1.0, 2: 3.0, 3: 10.0}
    model = su.SoftmaxClassifier(
        C=0.1, solver=SketchedNewton(), tol=1e-7, class_weight=balance
    ).fit(a, y, weights)
    assert sampled(model)
    assert model.solution_.converged
    whole = weights * np.vectorize(balance.get)(y)
    other = theirs(a, y, 0.1, whole)
    assert loss(model, a, y, 0.1, whole) == pytest.approx(loss(other, a, y, 0.1, whole), rel=1e-6)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_float32(data, form):
    a, y = data
    narrow = (a * (np.abs(a) > 0.5)).astype(np.float32)
    model = su.SoftmaxClassifier(C=0.1, solver="sketched-newton", tol=1e-7).fit(form(narrow), y)
    assert sampled(model)
    assert model.solution_.converged
    assert model.coef_.dtype == np.float32
    wide, ones = narrow.astype(np.float64), np.ones(N)
    other = theirs(wide, y, 0.1, ones)
    assert loss(model, wide, y, 0.1, ones) == pytest.approx(
        loss(other, wide, y, 0.1, ones), rel=1e-6
    )


def test_large_data_are_sampled_without_being_asked(data):
    a, y = data
    model = su.SoftmaxClassifier(C=0.1).fit(a, y)
    assert model.solution_.solver == "SketchedNewton"
    assert sampled(model)
    ones = np.ones(N)
    other = theirs(a, y, 0.1, ones)
    assert loss(model, a, y, 0.1, ones) == pytest.approx(loss(other, a, y, 0.1, ones), rel=1e-6)


def test_a_warm_start_goes_on(data):
    a, y = data
    model = su.SoftmaxClassifier(C=0.1, solver="sketched-newton", tol=1e-6, warm_start=True)
    first = model.fit(a, y).solution_
    again = model.fit(a, y).solution_
    assert again.n_iter <= 2
    assert again.value == pytest.approx(first.value, rel=1e-9)
    moved = model.set_params(C=0.2).fit(a, y).solution_
    cold = su.SoftmaxClassifier(C=0.2, solver="sketched-newton", tol=1e-8).fit(a, y).solution_
    assert moved.value == pytest.approx(cold.value, rel=1e-8)

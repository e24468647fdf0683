"""The judge's figures are the definition's: by differences, and by other people's optima."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from softunit.bench import Task, gradient_of, gradient_seconds, judge, judged


def task_of(rng, k=3, *, intercept=True, n=60, ridge=0.1, kind="dense"):
    """Return a small task, and a point of it."""
    X = rng.normal(size=(n, 4))
    X = sparse.csr_matrix(X) if kind == "sparse" else X.astype(kind if kind != "dense" else float)
    task = Task(X, np.arange(n) % k, k, ridge, intercept)
    return task, rng.normal(size=(4, task.columns)), rng.normal(size=task.columns) * intercept


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("kind", ["dense", "sparse", "float32"])
def test_gradient_is_that_of_differences(rng, k, kind, monkeypatch):
    monkeypatch.setattr(judge, "_ROWS", 7)
    task, W, b = task_of(rng, k, kind=kind)
    _, G, g = gradient_of(task, W, b)
    step = 1e-6
    for index in np.ndindex(W.shape):
        shift = np.zeros_like(W)
        shift[index] = step
        up, down = (gradient_of(task, W + sign * shift, b)[0] for sign in (1, -1))
        assert G[index] == pytest.approx((up - down) / (2 * step), abs=1e-8)
    for column in range(task.columns):
        shift = step * (np.arange(task.columns) == column)
        up, down = (gradient_of(task, W, b + sign * shift)[0] for sign in (1, -1))
        assert g[column] == pytest.approx((up - down) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("intercept", [True, False])
def test_the_optimum_of_scikit_learn_is_one(rng, k, intercept):
    task, _, _ = task_of(rng, k, intercept=intercept)
    model = LogisticRegression(
        C=task.inverse_ridge, fit_intercept=intercept, solver="newton-cholesky", tol=1e-12
    ).fit(task.X, task.y)
    b = model.intercept_ if intercept else np.zeros(task.columns)
    _, gradient = judged(task, model.coef_.T, b)
    assert gradient < 1e-10
    assert judged(task, 1.01 * model.coef_.T, b)[1] > 1e-5


def test_scores_far_out_do_not_overflow(rng):
    task, W, b = task_of(rng)
    value, gradient = judged(task, 1e4 * W, b)
    assert np.isfinite([value, gradient]).all()


def test_points_that_are_none_have_an_infinite_gradient(rng):
    task, W, b = task_of(rng, intercept=False)
    assert judged(task, np.full_like(W, np.nan), b) == (np.inf, np.inf)
    assert judged(task, W.T, b) == (np.inf, np.inf)
    assert judged(task, W, b + 1.0) == (np.inf, np.inf)  # an intercept that was not asked for
    assert judged(task, W, b)[1] < np.inf


def test_no_ridge_is_an_infinite_C(rng):
    task, _, _ = task_of(rng, ridge=0.0)
    assert task.inverse_ridge == np.inf
    assert task_of(rng, ridge=0.1)[0].inverse_ridge == pytest.approx(1 / 6)


def test_one_gradient_takes_some_time(rng):
    assert gradient_seconds(task_of(rng)[0]) > 0.0

"""Packages that pip gives: Cyanure, glum and statsmodels; imported when they are asked to fit."""

from __future__ import annotations

import numpy as np

from softunit.bench.judge import BAR, Task
from softunit.bench.peers.base import MAX_ITER, Answer, Peer, from_model

SMALL = 500_000
"""Entries of a design up to which statsmodels is tried: it forms (n, K) tables many times."""


def _cyanure(task: Task, tol: float) -> Answer:
    """Fit by Cyanure, whose tolerance is the duality gap over the value."""
    from cyanure.estimators import LogisticRegression

    model = LogisticRegression(
        lambda_1=task.ridge,
        tol=tol,
        fit_intercept=task.intercept,
        multi_class="multinomial" if task.k > 2 else "auto",
        max_iter=MAX_ITER,
        n_threads=task.threads,
        verbose=False,
    )
    model.fit(task.X, task.y)
    W = np.asarray(model.coef_).reshape(task.d, -1)  # a column for each class
    b = np.ravel(model.intercept_) if task.intercept else np.zeros(task.columns)
    return Answer(W, b, int(np.max(model.n_iter_)))


def _glum(task: Task, tol: float) -> Answer:
    """Fit by glum's iteratively reweighted least squares; its tolerance is the judge's."""
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="binomial",
        alpha=task.ridge,
        fit_intercept=task.intercept,
        gradient_tol=tol,
        max_iter=MAX_ITER,
    )
    model.fit(task.X, task.y.astype(task.X.dtype))
    return from_model(model)


def _two_classes(task: Task) -> str:
    return "" if task.k == 2 else "two classes only"


def _statsmodels(task: Task, tol: float) -> Answer:
    """Fit by MNLogit with Newton's method; its tolerance is on the change of a coefficient."""
    from statsmodels.discrete.discrete_model import MNLogit

    X = np.column_stack([task.X, np.ones(task.n)]) if task.intercept else task.X
    fit = MNLogit(task.y, X).fit(method="newton", tol=tol, maxiter=MAX_ITER, disp=False)
    W = np.asarray(fit.params)
    if task.columns > 1:
        W = np.column_stack([np.zeros(len(W)), W])
    b = W[task.d] if task.intercept else np.zeros(task.columns)
    return Answer(W[: task.d], b, int(fit.mle_retvals["iterations"]))


def _small_without_ridge(task: Task) -> str:
    if task.ridge > 0:
        return "it has no ridge"
    return "small dense tables only" if task.is_sparse or task.n * task.d > SMALL else ""


OTHERS = (
    Peer("cyanure", _cyanure, "cyanure", "cyanure", 1e-6),
    Peer("glum", _glum, "glum", "glum", BAR, _two_classes),
    Peer("statsmodels", _statsmodels, "statsmodels", "statsmodels", 1e-5, _small_without_ridge),
)

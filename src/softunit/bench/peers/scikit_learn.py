"""scikit-learn's solvers of logistic regression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from softunit.bench.judge import BAR, Task
from softunit.bench.peers.base import MAX_ITER, Answer, Peer, from_model, takes_all

HESSIAN_LIMIT = 2e9
"""Bytes of a formed Hessian above which newton-cholesky is not tried."""


def _hessian_fits(task: Task) -> str:
    # scikit-learn forms it over every class, intercepts included.
    size = (task.d + task.intercept) * (1 if task.k == 2 else task.k)
    needed = 8.0 * size**2
    return "" if needed <= HESSIAN_LIMIT else f"its Hessian would take {needed / 1e9:.1f} GB"


def _two_without_intercept(task: Task) -> str:
    if task.k != 2:
        return "two classes only"
    return "it would penalise the intercept" if task.intercept else ""


def _peer(solver: str, first_tol: float = BAR, refuses: Callable[[Task], str] = takes_all) -> Peer:
    """Return scikit-learn's classifier with a solver."""

    def fit(task: Task, tol: float) -> Answer:
        model = LogisticRegression(
            C=task.inverse_ridge,
            solver=solver,
            tol=tol,
            fit_intercept=task.intercept,
            max_iter=MAX_ITER,
        ).fit(task.X, task.y)
        if not task.intercept:
            model.intercept_ = np.zeros(task.columns)
        return from_model(model)

    return Peer(f"sklearn-{solver}", fit, "sklearn", "scikit-learn", first_tol, refuses)


SCIKIT_LEARN = (
    # Their tolerance is the largest entry of the mean gradient, as the judge's.
    _peer("newton-cholesky", refuses=_hessian_fits),
    _peer("newton-cg"),
    _peer("lbfgs"),
    # The gradient's length over that at zero, times the share of the rarer class.
    _peer("liblinear", 1e-5, _two_without_intercept),
)

# Apart, to run last: it is the one that is stopped most often. Its tolerance is the largest
# relative change of a coefficient in one pass.
SAGA = _peer("saga", 1e-5)

"""Ours: the estimators with all they do, and `softunit.minimize` from the start the others get."""

from __future__ import annotations

from typing import Any

import numpy as np

from softunit.bench.peers.base import MAX_ITER, Answer, Peer
from softunit.bench.regression.task import RegressionTask
from softunit.estimators import (
    HyperbolicRegressor,
    LeverageScoreInverter,
    SoftmaxRegressor,
    TwoLayerRegressor,
)
from softunit.penalties import NoPenalty, Ridge
from softunit.problem import Problem
from softunit.run import minimize
from softunit.units import (
    CoshSquares,
    ExpSquares,
    LeverageScores,
    SinhSquares,
    SoftmaxSquares,
    TwoLayerSquares,
    Unit,
)

UNITS: dict[str, Unit] = {
    "softmax": SoftmaxSquares(),
    "exp": ExpSquares(),
    "cosh": CoshSquares(),
    "sinh": SinhSquares(),
}
"""Units that need no more than scores and a target."""


def estimator(task: RegressionTask, tol: float) -> Any:
    """Return our regressor of a task's family."""
    if task.family == "softmax":
        return SoftmaxRegressor(ridge=task.ridge, tol=tol, max_iter=MAX_ITER)
    if task.family == "two-layer":
        matrix, ridge = task.target["C"], task.ridge
        return TwoLayerRegressor(matrix, "tanh", ridge=ridge, tol=tol, max_iter=MAX_ITER)
    if task.family == "leverage":
        return LeverageScoreInverter(tol=tol, max_iter=MAX_ITER)
    curve: Any = task.family
    return HyperbolicRegressor(curve, ridge=task.ridge, tol=tol, max_iter=MAX_ITER)


def unit(task: RegressionTask) -> Unit:
    """Return the unit of a task's family."""
    match task.family:
        case "two-layer":
            return TwoLayerSquares("tanh", task.target["C"])
        case "leverage":
            return LeverageScores(task.A, task.target["b"])
        case _:
            return UNITS[task.family]


def problem(task: RegressionTask) -> Problem:
    """Return the objective of a task in its own columns."""
    penalty = Ridge(task.ridge) if task.ridge else NoPenalty()
    return Problem(task.A, unit(task), task.target.get("sigma", task.target["b"]), penalty)


def _estimator(task: RegressionTask, tol: float) -> Answer:
    """Fit as a user does: checks, phases and certificate included."""
    model = estimator(task, tol)
    if task.family == "leverage":
        model.fit(task.A, task.target["sigma"], task.target["b"])
        phases = (model.solution_,)
    else:
        model.fit(task.A, task.target["b"])
        phases = model.phases_
    products = sum(phase.cost.products for phase in phases)
    return _answer(model.coef_, sum(phase.n_iter for phase in phases), products)


def _minimize(task: RegressionTask, tol: float) -> Answer:
    """Minimise from the start that the others get."""
    end = minimize(problem(task), task.start, tol=tol, max_iter=MAX_ITER)
    return _answer(end.x, end.n_iter, end.cost.products)


def _answer(x: Any, n_iter: int, products: float) -> Answer:
    """Return the answer; a pass is two products with A, as a gradient takes."""
    return Answer(np.asarray(x, dtype=np.float64)[:, None], np.zeros(1), n_iter, products / 2)


def _no_ridge(task: RegressionTask) -> str:
    return "it has no ridge" if task.ridge and task.family == "leverage" else ""


OURS = (
    Peer("softunit", _estimator, "softunit", "softunit", refuses=_no_ridge),
    Peer("softunit-minimize", _minimize, "softunit", "softunit"),
)

"""Ours."""

from __future__ import annotations

from softunit.bench.judge import Task
from softunit.bench.peers.base import MAX_ITER, Answer, Peer, from_model
from softunit.errors import InputError
from softunit.estimators import SoftmaxClassifier
from softunit.solvers.auto import check_solver


def _peer(solver: str) -> Peer:
    """Return our classifier with a solver."""

    def fit(task: Task, tol: float) -> Answer:
        model = SoftmaxClassifier(
            C=task.inverse_ridge,
            solver=solver,
            tol=tol,
            fit_intercept=task.intercept,
            max_iter=MAX_ITER,
        ).fit(task.X, task.y)
        return from_model(model, passes=model.solution_.cost.rows / task.n)

    def refuses(task: Task) -> str:
        try:
            check_solver(solver)
        except InputError:
            return "this version has no such solver"
        return ""

    name = "softunit" if solver == "auto" else f"softunit-{solver}"
    return Peer(name, fit, "softunit", "softunit", refuses=refuses, standard=solver == "auto")


OURS = tuple(
    _peer(solver) for solver in ("auto", "sketched-newton", "newton", "newton-cg", "lbfgs")
)

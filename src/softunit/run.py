"""The only loop: tolerance, clock, history, callbacks."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import check_count, check_positive
from softunit._numeric import EPS
from softunit.errors import InputError
from softunit.problem import Point, Problem
from softunit.solution import Record, Solution, Status
from softunit.solvers.auto import resolve_solver
from softunit.solvers.base import Solver

STALL = 5  # iterations without any progress after which a run is at rounding level

Callback = Callable[[Record, Point], bool | None]
"""Called after each iteration with its record and point; a true answer stops the run."""


def minimize(
    problem: Problem,
    x0: npt.ArrayLike | None = None,
    *,
    solver: str | Solver[Any] = "auto",
    tol: float = 1e-6,
    max_iter: int = 200,
    callback: Callback | None = None,
) -> Solution:
    """Minimise a problem and return where the run ended; it never raises for not converging.

    The run has converged when the largest absolute entry of the gradient is at most `tol`. For
    rowwise units that is the gradient of the *mean* objective, in the coordinates of the input's
    columns. Units that couple all rows have no natural mean: there the entry is divided by the
    largest entry of |A|' |g_z(0)|, so that neither n nor the scale of the target matters.

    Parameters
    ----------
    problem : Problem
    x0 : array_like of shape (d,) or (d, K), or None, default None
        Start; None means zeros.
    solver : str or Solver, default "auto"
        "auto", a name ("newton", "gradient-regularized-newton", "lbfgs", "gradient-descent") or a
        solver of `softunit.solvers`.
    tol : float, default 1e-6
        See above; 0 runs to rounding level.
    max_iter : int, default 200
    callback : callable or None, default None
        Called as callback(record, point) after each iteration; a true answer stops the run.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        If `x0` has the wrong shape, the objective is not finite there, or a parameter is wrong.
    NeedsError
        If the problem lacks what the solver needs.
    """
    if not isinstance(problem, Problem):
        raise InputError(f"`problem` must be a softunit Problem; got {type(problem).__name__}.")
    check_positive("tol", tol, zero=True)
    check_count("max_iter", max_iter)
    chosen = resolve_solver(solver, problem)
    run = _Run(problem, tol, callback)
    start = problem.evaluate(_start(problem, x0))
    if not math.isfinite(start.value) or not np.isfinite(start.gradient).all():
        raise InputError(
            f"the objective is not finite at the start: value {start.value}. Scale the columns of"
            " A, or choose another `x0`."
        )
    state = chosen.init(problem, start)
    run.record(0, state.point)
    n_iter, status, exact = 0, Status.RUNNING, True
    while status is Status.RUNNING:
        norm = run.history[-1].gradient_norm
        if norm <= tol:
            if exact:
                status = Status.CONVERGED
                break
            state, exact = run.refreshed(state), True
            continue
        if n_iter >= max_iter:
            status = Status.MAX_ITER
            break
        if run.stalled():
            status = Status.ROUNDING
            break
        state, status = chosen.step(problem, state)
        if status is not Status.RUNNING:
            if exact:
                break
            # Scores moved along lines have gathered rounding: one fresh product may free the way.
            state, exact, status = run.refreshed(state), True, Status.RUNNING
            continue
        n_iter, exact = n_iter + 1, not problem.stores_scores
        if run.record(n_iter, state.point):
            status = Status.STOPPED if run.history[-1].gradient_norm > tol else Status.CONVERGED
    return run.solution(state.point, status, n_iter, type(chosen).__name__)


class _Run:
    """The clock and the history of one run."""

    def __init__(self, problem: Problem, tol: float, callback: Callback | None) -> None:
        self.problem, self.tol, self.callback = problem, tol, callback
        self.begin, self.cost = time.perf_counter(), problem.cost.copy()
        self.history: list[Record] = []

    def record(self, iteration: int, point: Point) -> bool:
        """Append one record; return whether the callback asks to stop."""
        record = Record(
            iteration=iteration,
            value=point.value,
            gradient_norm=self.problem.gradient_norm(point.gradient),
            seconds=time.perf_counter() - self.begin,
            products=self.problem.cost.since(self.cost).products,
        )
        self.history.append(record)
        return bool(self.callback and self.callback(record, point))

    def stalled(self) -> bool:
        """Return whether neither value nor gradient has moved beyond rounding for a while."""
        if len(self.history) <= STALL:
            return False
        before, since = self.history[-STALL - 1], self.history[-STALL:]
        fallen = before.value - min(r.value for r in since)
        shorter = min(r.gradient_norm for r in since) < 0.5 * before.gradient_norm
        return fallen <= 4 * EPS * abs(before.value) and not shorter

    def refreshed(self, state: Any) -> Any:
        """Return the state with its point evaluated afresh, and correct the last record."""
        point = self.problem.evaluate(state.point.x)
        norm = self.problem.gradient_norm(point.gradient)
        self.history[-1] = dataclasses.replace(
            self.history[-1], value=point.value, gradient_norm=norm
        )
        return dataclasses.replace(state, point=point)

    def solution(self, point: Point, status: Status, n_iter: int, solver: str) -> Solution:
        """Return the solution with its history and cost."""
        last = self.history[-1]
        return Solution(
            x=point.x,
            value=last.value,
            gradient_norm=last.gradient_norm,
            status=status,
            n_iter=n_iter,
            history=tuple(self.history),
            seconds=time.perf_counter() - self.begin,
            cost=self.problem.cost.since(self.cost),
            solver=solver,
            tol=self.tol,
        )


def _start(problem: Problem, x0: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    if x0 is None:
        return np.zeros(problem.shape)
    x = np.array(x0, dtype=np.float64)
    if x.shape != problem.shape:
        raise InputError(f"`x0` has shape {x.shape}, but x has shape {problem.shape}.")
    if not np.isfinite(x).all():
        raise InputError(f"`x0` holds {int((~np.isfinite(x)).sum())} entries of NaN or infinity.")
    return x

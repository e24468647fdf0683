"""The only loop: tolerance, clock, history, callbacks."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from softunit._checks import check_choice, check_count, check_positive
from softunit._numeric import EPS
from softunit._threads import blocks_on_threads
from softunit._typing import Array
from softunit.checkpoints import Checkpoint, Part, Progress, opened
from softunit.errors import InputError
from softunit.point import Point
from softunit.problem import Problem
from softunit.saddles import lower_point
from softunit.solution import Record, Solution, Status
from softunit.solvers.auto import resolve_solver
from softunit.solvers.base import Solver

Callback = Callable[[Record, Point], bool | None]
"""Called after each iteration with its record and point; a true answer stops the run."""

Interrupt: TypeAlias = Literal["raise", "return"]
"""What Ctrl-C does during the iterations."""


def minimize(
    problem: Problem,
    x0: npt.ArrayLike | None = None,
    *,
    solver: str | Solver[Any] = "auto",
    tol: float = 1e-6,
    max_iter: int = 200,
    callback: Callback | None = None,
    keyboard_interrupt: Interrupt = "raise",
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    every: float = 30.0,
    resume: bool = False,
) -> Solution:
    """Minimise a problem and return where the run ended; it never raises for not converging.

    The run has converged when the largest absolute entry of the gradient is at most `tol`. For
    rowwise units that is the gradient of the *mean* objective, in the coordinates of the input's
    columns; with an l1 penalty it is the subgradient of least norm. Units that couple all rows have
    no natural mean: there the entry is divided by the largest entry of |A|' |g_z(0)|, so that
    neither n nor the scale of the target matters; for exp, cosh and sinh, whose papers minimise a
    sum, by that of |A|' |u'(z) b| where u(z) = b.

    Parameters
    ----------
    problem : Problem
    x0 : array_like of shape (d,) or (d, K), or None, default None
        Start; None means zeros.
    solver : str or Solver, default "auto"
        "auto", a name ("newton", "sketched-newton", "gradient-regularized-newton", "lbfgs",
        "gradient-descent", ...) or a solver of `softunit.solvers`.
    tol : float, default 1e-6
        See above; 0 runs to rounding level.
    max_iter : int, default 200
    callback : callable or None, default None
        Called as callback(record, point) after each iteration; a true answer stops the run.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does: raise `KeyboardInterrupt`, or end the run with status `INTERRUPTED` at
        the last point completed. Before the first point is complete it raises either way.
    checkpoint : str, path-like, Checkpoint or None, default None
        File to which the state of the run is written now and then, at its end and before an
        exception leaves it. A fit of several runs opens a `Checkpoint` for all of them.
    every : float, default 30.0
        Seconds between two writings; 0 writes after each iteration.
    resume : bool, default False
        Whether to go on from the file, as if the run had not been ended, at its iteration and with
        its history; `x0` is then left aside. Where there is no file the run starts at `x0`.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        If `x0` has the wrong shape, the objective is not finite there, or a parameter is wrong.
    NeedsError
        If the problem lacks what the solver needs.
    FileError
        If the checkpoint is damaged, of another problem or solver or a later version, cannot be
        written, or is that of an unfinished run and `resume` is false.
    """
    if not isinstance(problem, Problem):
        raise InputError(f"`problem` must be a softunit Problem; got {type(problem).__name__}.")
    check_positive("tol", tol, zero=True)
    check_count("max_iter", max_iter)
    check_interrupt(keyboard_interrupt)
    chosen = resolve_solver(solver, problem)
    # One block has no use for threads, and holding them takes longer than a small step.
    several = problem.by_rows.several(problem.columns)
    file: AbstractContextManager[Checkpoint | None]
    if isinstance(checkpoint, Checkpoint):
        file = nullcontext(checkpoint)
    else:
        file = opened(checkpoint, every=every, resume=resume)
    with blocks_on_threads() if several else nullcontext(), file as kept:
        part = None if kept is None else kept.part(problem, chosen, tol, max_iter)
        if part is not None and part.solution is not None:
            return part.solution
        x = _start(problem, x0 if part is None or part.start is None else part.start)
        return _run(_Run(problem, chosen, tol, callback, part), x, max_iter, keyboard_interrupt)


def check_interrupt(value: object) -> None:
    """Raise `InputError` unless value says what Ctrl-C does."""
    check_choice("keyboard_interrupt", value, get_args(Interrupt))


def _run(run: _Run, x0: Array, max_iter: int, keyboard_interrupt: Interrupt) -> Solution:
    """Begin, iterate and tell the end."""
    start = None if run.resumed else _begun(run, x0)
    try:
        status = _iterate(run, start, max_iter)
    except KeyboardInterrupt:
        if keyboard_interrupt == "raise" or not run.history:
            run.hold()
            raise
        status = Status.INTERRUPTED
    except BaseException:
        run.hold()
        raise
    stood = run.progress()
    if not (run.point.exact and run.point.share == 1.0):
        run.refresh()
    looks = status is Status.CONVERGED and "gradient" in run.solver.needs
    if looks and lower_point(run.problem, run.point) is not None:
        status = Status.SADDLE
    solution = run.solution(status)
    if run.part is not None:
        run.part.hold(stood, solution)
    return solution


def _begun(run: _Run, x0: Array) -> Point:
    start = run.solver.begin(run.problem, x0)
    if not math.isfinite(start.value) or not np.isfinite(start.gradient).all():
        raise InputError(
            f"the objective is not finite at the start: value {start.value}. Scale the columns of"
            f" A, or choose another `x0`.{_why_infinite(run.problem, start)}"
        )
    return start


def _why_infinite(problem: Problem, start: Point) -> str:
    z = problem.scores(start.x) if start.scores is None else start.scores
    return problem.unit.why_infinite(z, problem.target)


def _iterate(run: _Run, start: Point | None, max_iter: int) -> Status:
    """Step until the run has ended, and return how; the run keeps the point.

    It starts at a point, or where a checkpoint says for None.
    """
    solver = run.solver
    if start is not None:
        run.record(0, solver.init(run.problem, start))
    state, n_iter = run.state, run.history[-1].iteration
    while True:
        whole, exact = state.point.share == 1.0, state.point.exact
        if whole and run.history[-1].gradient_norm <= run.tol:
            if exact:
                return Status.CONVERGED
            state = run.refreshed(state)
            if run.deceived():
                return Status.ROUNDING
            continue
        if n_iter >= max_iter:
            return Status.MAX_ITER
        if run.stalled():
            if not state.point.coarse:
                return Status.ROUNDING
            state = run.refreshed(state)
            continue
        state, status = solver.step(run.problem, state)
        if status is not Status.RUNNING:
            if whole and exact:
                return status
            # What was moved along lines, rounded or sampled has no step left: look afresh.
            state = run.refreshed(state)
            continue
        n_iter += 1
        if run.record(n_iter, state):
            return Status.STOPPED


class _Run:
    """The clock, the history and the last complete state of one run."""

    point: Point

    def __init__(
        self,
        problem: Problem,
        solver: Solver[Any],
        tol: float,
        callback: Callback | None,
        part: Part | None = None,
    ) -> None:
        self.problem, self.solver, self.tol, self.callback = problem, solver, tol, callback
        self.begin, self.cost = time.perf_counter(), problem.cost.copy()
        self.history: list[Record] = []
        self.judged_from = 0
        self.afresh: list[float] = []
        self.patience = solver.patience(problem)
        self.state: Any = None
        self.part = part
        self.resumed = part is not None and part.progress is not None
        if part is not None and part.progress is not None:
            self._resume(part.progress)

    def _resume(self, progress: Progress) -> None:
        """Go on as if the time and the work before were those of this run."""
        self.state, self.point = progress.state, progress.state.point
        self.history, self.judged_from = list(progress.history), progress.judged_from
        self.afresh = list(progress.afresh)
        self.begin -= progress.seconds
        self.cost = self.cost.since(progress.cost)

    def record(self, iteration: int, state: Any) -> bool:
        """Append the record of a state; return whether the callback asks to stop."""
        point: Point = state.point
        record = Record(
            iteration=iteration,
            value=point.value,
            gradient_norm=self.gradient_norm(point),
            seconds=time.perf_counter() - self.begin,
            products=self.problem.cost.since(self.cost).products,
            decrement=getattr(state, "decrement", math.nan),
            share=point.share,
        )
        # Before their record: an interrupt between them understates the point.
        self.state, self.point = state, point
        self.history.append(record)
        if self.part is not None and self.part.due:
            self.part.save(self.progress())
        return bool(self.callback and self.callback(record, point))

    def hold(self) -> None:
        """Tell the checkpoint, if there is one, where the run stands."""
        if self.part is not None and self.history:
            self.part.hold(self.progress())

    def progress(self) -> Progress:
        """Return where the run stands."""
        spent = self.problem.cost.since(self.cost)
        seconds = time.perf_counter() - self.begin
        history = list(self.history)
        return Progress(self.state, history, self.judged_from, self.afresh, seconds, spent)

    @cached_property
    def scale(self) -> float:
        """What gradient entries are divided by: made once, by what the solver may look at."""
        return self.solver.gradient_scale(self.problem)

    def gradient_norm(self, point: Point) -> float:
        """Return what is compared with the tolerance."""
        entries = self.problem.least_subgradient(point)
        return float(np.abs(entries).max()) / self.scale

    def stalled(self) -> bool:
        """Return whether neither value nor gradient has moved beyond rounding for a while."""
        latest = self.history[self.judged_from :][-self.patience - 1 :]
        if len(latest) <= self.patience or any(record.share < 1.0 for record in latest):
            return False
        before, *since = latest
        fallen = before.value - min(r.value for r in since)
        shorter = min(r.gradient_norm for r in since) < 0.5 * before.gradient_norm
        return fallen <= 4 * EPS * abs(before.value) and not shorter

    def deceived(self) -> bool:
        """Return whether points that seemed to be within tol are not, again and again.

        Scores moved along lines are then more exact than those that the point itself gives: each
        is one step from an optimum that float64 cannot name. A solver that sees no gradients may
        well be deceived by the few slopes that it has measured, and goes on.
        """
        if "gradient" not in self.solver.needs:
            return False
        self.afresh.append(self.history[-1].gradient_norm)
        if self.afresh[-1] <= self.tol or len(self.afresh) <= self.patience:
            return False
        before, since = self.afresh[: -self.patience], self.afresh[-self.patience :]
        return min(since) >= 0.5 * min(before)

    def refreshed(self, state: Any) -> Any:
        """Return the state with its point evaluated afresh."""
        self.refresh()
        self.state = dataclasses.replace(state, point=self.point)
        return self.state

    def refresh(self) -> None:
        """Evaluate the point afresh, on all rows and in float64, and correct its record.

        Values from before were rounded or moved: progress is judged by those that follow.
        """
        self.judged_from = len(self.history) - 1
        point = self.solver.refresh(self.problem, self.point)
        norm = self.gradient_norm(point)
        self.history[-1] = dataclasses.replace(
            self.history[-1], value=point.value, gradient_norm=norm, share=1.0
        )
        self.point = point

    def solution(self, status: Status) -> Solution:
        """Return the solution with its history and cost."""
        last = self.history[-1]
        return Solution(
            x=self.point.x,
            value=last.value,
            gradient_norm=last.gradient_norm,
            status=status,
            n_iter=last.iteration,
            history=tuple(self.history),
            seconds=time.perf_counter() - self.begin,
            cost=self.problem.cost.since(self.cost),
            solver=type(self.solver).__name__,
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

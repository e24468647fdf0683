"""Two runs told as one, and a run that goes on where the gradient alone stops too early."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from softunit._typing import Array
from softunit.solution import Record, Solution, Status

SETTLED = 1e-4
SAMPLED = 1e-1  # likewise where a further digit costs passes over the rows, as with samples
TIGHTER = 1e-2  # the tolerance of each further run, in units of the one before

Run = Callable[[Array, float, int], Solution]
"""(start, tol, max_iter) -> Solution."""


def settled(first: Solution, run: Run, max_iter: int, *, share: float = SETTLED) -> Solution:
    """Return the end of a Newton run, continued while its value still promises to fall.

    Where the optimal value is tiny (large C, separable classes) a gradient within tol can leave
    the value many per cent above it; a few more Newton steps, nearly free, settle that.

    Parameters
    ----------
    first : Solution
    run : callable
        Minimises the same problem by the same solver.
    max_iter : int
        Of all runs together.
    share : float, default SETTLED
        Of tol: a smaller promised decrease, relative to the value, ends the run; at least SAMPLED
        for solvers other than Newton.
    """
    best, tol = _tried(first, run, max_iter), first.tol
    if first.solver != "Newton":
        share = max(share, SAMPLED)
    while best.converged and promised_decrease(best) > share * first.tol * abs(best.value):
        tol *= TIGHTER
        left = max_iter - best.n_iter
        more = run(best.x, tol, left) if left > 0 and tol > 0 else best
        if more.n_iter == 0 or not more.value < best.value:
            break
        best = joined(best, more)
        if not more.converged:
            break
    return best


def _tried(first: Solution, run: Run, max_iter: int) -> Solution:
    """Return a warm start that was within tol from the beginning with one step made after all.

    It has promised nothing yet: the step shows what there is to gain.
    """
    if not first.converged or first.n_iter > 0 or first.gradient_norm == 0 or max_iter == 0:
        return first
    trial = joined(first, run(first.x, 0.0, 1))
    if not trial.converged:  # the value fell and the gradient rose
        trial = joined(trial, run(trial.x, first.tol, max_iter - trial.n_iter))
    return trial if trial.converged and trial.value < first.value else first


def promised_decrease(solution: Solution) -> float:
    """Return what one more Newton step would gain, judged by the last one; 0 without one.

    Half the decrement, which goes with the square of the gradient.
    """
    if len(solution.history) < 2:
        return 0.0
    before, last = solution.history[-2:]
    if not 0 < last.gradient_norm < before.gradient_norm:
        return 0.0
    ratio = last.gradient_norm / before.gradient_norm
    return 0.5 * last.decrement * ratio**2 if last.decrement > 0 else 0.0


def joined(first: Solution, second: Solution) -> Solution:
    """Return a second run, begun where the first ended, as its continuation.

    Tolerance, solver's name and convergence are those of the first.
    """
    reached = second.gradient_norm <= first.tol
    later = tuple(_later(first, record) for record in second.history[1:])
    return dataclasses.replace(
        second,
        status=Status.CONVERGED if reached else second.status,
        n_iter=first.n_iter + second.n_iter,
        history=first.history + later,
        seconds=first.seconds + second.seconds,
        cost=first.cost + second.cost,
        solver=first.solver,
        tol=first.tol,
    )


def _later(first: Solution, record: Record) -> Record:
    return dataclasses.replace(
        record,
        iteration=record.iteration + first.n_iter,
        seconds=record.seconds + first.seconds,
        products=record.products + first.cost.products,
    )

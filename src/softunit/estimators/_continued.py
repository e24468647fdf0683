"""Two runs told as one, and a run that goes on where the gradient alone stops too early."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from softunit._typing import Array
from softunit.solution import Record, Solution, Status

SETTLED = 1e-4  # of tol: a smaller promised decrease, relative to the value, ends a run
TIGHTER = 1e-2  # the tolerance of each further run, in units of the one before

Run = Callable[[Array, float, int], Solution]
"""(start, tol, max_iter) -> Solution."""


def settled(first: Solution, run: Run, max_iter: int) -> Solution:
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
    """
    best, tol = first, first.tol
    while best.converged and promised_decrease(best) > SETTLED * first.tol * abs(best.value):
        tol *= TIGHTER
        left = max_iter - best.n_iter
        more = run(best.x, tol, left) if left > 0 and tol > 0 else best
        if more.n_iter == 0 or not more.value < best.value:
            break
        best = joined(best, more)
        if not more.converged:
            break
    return best


def promised_decrease(solution: Solution) -> float:
    """Return what one more Newton step would gain, judged by the last one; 0 without one.

    Newton's decrease goes with the square of the gradient.
    """
    if len(solution.history) < 2:
        return 0.0
    before, last = solution.history[-2:]
    if not 0 < last.gradient_norm < before.gradient_norm:
        return 0.0
    return (before.value - last.value) * (last.gradient_norm / before.gradient_norm) ** 2


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

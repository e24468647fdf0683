"""Two runs told as one, and a run that goes on where the gradient alone stops too early."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from softunit._typing import Array
from softunit.solution import Record, Solution, Status

SETTLED = 1e-4
SAMPLED = 1.0  # likewise where a further digit costs passes over the rows, as with samples
DOUBTFUL = 0.1  # of the value
STEPS = 8  # by which the pace of a run is judged
TIGHTER = 1e-2  # the tolerance of each further run, in units of the one before

Run = Callable[[Array, float, int], Solution]
"""(start, tol, max_iter) -> Solution."""


def settled(
    first: Solution,
    run: Run,
    max_iter: int,
    *,
    share: float = SETTLED,
    gap: Callable[[Array], float] = lambda x: 0.0,
    cheap: bool = False,
) -> Solution:
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
    gap : callable, default none
        x -> a bound on the value above the optimum. Solvers other than Newton, whose promise rests
        on an approximate Hessian, go on where it is more than DOUBTFUL of the value.
    cheap : bool, default False
        Whether a further step costs as little as Newton's, whoever makes it.
    """
    best, tol = _tried(first, run, max_iter), first.tol
    newton = cheap or first.solver == "Newton"
    share = share if newton else max(share, SAMPLED)

    def unsettled(solution: Solution) -> bool:
        if promised_decrease(solution) > share * first.tol * abs(solution.value):
            return True
        return not newton and gap(solution.x) > DOUBTFUL * abs(solution.value)

    while best.converged and unsettled(best):
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

    It has promised nothing yet, unless the solver told the decrement of the start: the step shows
    what there is to gain.
    """
    if not first.converged or first.n_iter > 0 or first.gradient_norm == 0 or max_iter == 0:
        return first
    if first.history[0].decrement > 0:
        return first
    trial = joined(first, run(first.x, 0.0, 1))
    if not trial.converged:  # the value fell and the gradient rose
        trial = joined(trial, run(trial.x, first.tol, max_iter - trial.n_iter))
    return trial if trial.converged and trial.value < first.value else first


def promised_decrease(solution: Solution) -> float:
    """Return what going on would gain, judged by the last steps; 0 without one.

    Half the decrement, which goes with the square of the gradient; or, if that is more and the
    solver is not Newton's, what is left where the value falls by a steady factor.
    """
    if len(solution.history) < 2:
        return max(0.0, 0.5 * solution.history[0].decrement)
    before, last = solution.history[-2:]
    if not 0 < last.gradient_norm < before.gradient_norm:
        return 0.0
    ratio = last.gradient_norm / before.gradient_norm
    promised = 0.5 * last.decrement * ratio**2 if last.decrement > 0 else 0.0
    if solution.solver in ("Newton", "ProximalNewton"):  # whose steps are no steady descent
        return promised
    return max(promised, _steadily_left(solution.history))


def _steadily_left(history: Sequence[Record]) -> float:
    """Return what is left of a value that falls by the factor of the last steps, all rows seen."""
    values = [record.value for record in history[-STEPS - 1 :] if record.share == 1.0]
    half = (len(values) - 1) // 2
    if half < 2:
        return 0.0
    early, late = values[-1 - 2 * half] - values[-1 - half], values[-1 - half] - values[-1]
    if not 0 < late < early:
        return 0.0
    factor = late / early
    return late * factor / (1.0 - factor)


def joined(first: Solution, second: Solution) -> Solution:
    """Return a second run, begun where the first ended, as its continuation.

    Tolerance, solver's name and convergence are those of the first.
    """
    reached = second.gradient_norm <= first.tol and second.status is not Status.SADDLE
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

"""A path of elastic nets: warm starts, and columns left out while they would stay at zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from softunit._checks import check_vector
from softunit._typing import Array
from softunit.designs.base import Design
from softunit.errors import InputError
from softunit.penalties import Penalty
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Cost, Solution, Status
from softunit.solvers.blocks import Index, restricted

__all__ = ["PathPoint", "Screened", "elastic_net_path", "screened_minimum"]

WORTH = 0.5  # of the columns: a design of more is not worth its copy
ENDED = (Status.MAX_ITER, Status.STOPPED, Status.INTERRUPTED)

Fit = Callable[[Problem, Array, int], Solution]
"""(problem, start, most iterations) -> Solution."""


@dataclass(frozen=True)
class Screened:
    """An optimum over all columns, found over few.

    Attributes
    ----------
    solution : Solution
        Of the whole problem; iterations, seconds and costs of all runs together.
    screened : int
        Columns that the strong rule left out.
    recalled : int
        How many of these had to be taken back, because their gradient was too large in the end.
    """

    solution: Solution
    screened: int
    recalled: int


@dataclass(frozen=True)
class PathPoint(Screened):
    """The optimum for one strength.

    Attributes
    ----------
    strength : float
    problem : Problem
        With the penalty of this strength.
    """

    strength: float
    problem: Problem


def elastic_net_path(
    problem: Problem,
    strengths: npt.ArrayLike,
    penalty: Callable[[float], Penalty | Sequence[Penalty]],
    *,
    x0: Array | None = None,
    tol: float = 1e-6,
    max_iter: int = 200,
) -> Iterator[PathPoint]:
    """Yield the optimum for each strength of an elastic net, each started at the one before.

    Columns are left out and taken back as in `screened_minimum`, so that each is the optimum of
    all columns.

    Parameters
    ----------
    problem : Problem
        Gives design, unit, target, weights and offset.
    strengths : array_like of shape (m,)
        In the order in which they are wanted; falling ones profit from the rule.
    penalty : callable
        From a strength to the penalty, as ``lambda s: ElasticNet(s * scale, 0.9)``.
    x0 : ndarray of the shape of x, or None, default None
        Start; None means zeros.
    tol : float, default 1e-6
        As in `softunit.minimize`, for all columns.
    max_iter : int, default 200
        Most iterations for each strength.

    Yields
    ------
    PathPoint

    Raises
    ------
    InputError
        If a strength is not a finite number >= 0.
    """
    values = check_vector("`strengths`", strengths, np.size(strengths))
    if (values < 0).any():
        raise InputError(f"`strengths` must be >= 0; the least is {values.min():g}.")

    def fit(part: Problem, start: Array, most: int) -> Solution:
        return minimize(part, start, tol=tol, max_iter=most)

    x = np.zeros(problem.shape) if x0 is None else x0
    before: Problem | None = None
    for value in values:
        twin = (before or problem).derived(penalty=penalty(float(value)))
        found = screened_minimum(twin, x, before, fit, max_iter)
        x, before = found.solution.x, twin
        yield PathPoint(**vars(found), strength=float(value), problem=twin)


def screened_minimum(
    problem: Problem, x: Array, before: Problem | None, fit: Fit, max_iter: int = 200
) -> Screened:
    """Return the minimum of a problem, begun at the optimum for another l1 penalty.

    1. Leave out the columns that the sequential strong rule expects to stay at zero: those zero at
    x whose gradient is below twice the new l1 strength less the one before.  2. Minimise over the
    rest.  3. The rule can err: take back every column whose gradient at the end is above its
    strength, and minimise again, until there is none. The optimum is thus that of all columns.

    Parameters
    ----------
    problem : Problem
    x : ndarray of the shape of x
        The optimum of `before`, as nearly as it is known: a poor one costs time, never the answer.
    before : Problem or None
        The same with another penalty; None leaves out nothing.
    fit : callable
        Minimises a problem; its tolerance is that of all columns.
    max_iter : int, default 200
        Of all runs together.

    Notes
    -----
    Source: R. Tibshirani and others (2012), "Strong rules for discarding predictors in lasso-type
    problems", arXiv 1011.2234, sections 3 and 7.
    """
    kept = _kept(problem, x, before)  # 1.
    screened, recalled = problem.shape[0] - len(kept), 0
    made: list[Solution] = []
    while True:
        left = max_iter - sum(one.n_iter for one in made)
        design = problem.design.columns(kept) if len(kept) < WORTH * len(x) else None
        if design is None:
            last = _together([*made, fit(problem, x, left)])
            return Screened(last, screened, screened) if made else Screened(last, 0, 0)
        few = fit(_part(problem, kept, design), x[kept], left)  # 2.
        made.append(_widened(problem, few, kept))
        x = made[-1].x
        missed = np.setdiff1d(_violating(problem, x, few.tol), kept)  # 3.
        if not len(missed) or few.status in ENDED:
            return Screened(_together(made), screened, recalled)
        kept, recalled = np.union1d(kept, missed), recalled + len(missed)


def _kept(problem: Problem, x: Array, before: Problem | None) -> Index:
    """Return the rows of x that the strong rule keeps."""
    d, lasso = len(x), problem.lasso
    if lasso is None or before is None or before.lasso is None:
        return np.arange(d)
    # Where x is zero the ridge has no part in the gradient: that of the problem before will do,
    # which costs nothing if it was the last one asked for.
    least = 2 * lasso.strength - before.lasso.strength
    kept = (lasso.sizes(x) > 0) | (lasso.sizes(before.evaluate(x).gradient) >= least)
    return np.flatnonzero(kept.reshape(d, -1).any(axis=1))


def _part(problem: Problem, kept: Index, design: Design) -> Problem:
    """Return the problem in few columns, with what is known of the whole."""
    part = restricted(problem, kept, design)
    for name in ("gradient_scale", "stores_scores"):
        vars(part)[name] = getattr(problem, name)
    if "gram" in vars(problem):
        vars(part)["gram"] = problem.gram[np.ix_(kept, kept)]
    return part


def _widened(problem: Problem, few: Solution, kept: Index) -> Solution:
    """Return a solution in few columns as one in all of them."""
    x = np.zeros(problem.shape)
    x[kept] = few.x
    point = problem.evaluate(x)
    norm = np.abs(problem.least_subgradient(point)).max() / problem.gradient_scale
    cost = Cost()
    cost.add(few.cost, len(kept) / len(x))
    return replace(few, x=x, value=point.value, gradient_norm=float(norm), cost=cost)


def _violating(problem: Problem, x: Array, tol: float) -> Index:
    """Return the rows of x in which the subgradient of least norm is above the tolerance."""
    pulled = np.abs(problem.least_subgradient(problem.evaluate(x))) / problem.gradient_scale
    return np.flatnonzero(pulled.reshape(len(x), -1).max(axis=1) > tol)


def _together(made: list[Solution]) -> Solution:
    """Return the last of several runs with the history and the costs of all."""
    total = made[0]
    for one in made[1:]:
        later = tuple(
            replace(
                record,
                iteration=record.iteration + total.n_iter,
                seconds=record.seconds + total.seconds,
                products=record.products + total.cost.products,
            )
            for record in one.history[1:]
        )
        total = replace(
            one,
            n_iter=total.n_iter + one.n_iter,
            history=total.history + later,
            seconds=total.seconds + one.seconds,
            cost=total.cost + one.cost,
        )
    return total

"""A path of elastic nets: warm starts, and columns left out while they would stay at zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from softunit._checks import check_vector
from softunit._typing import Array
from softunit.errors import InputError
from softunit.penalties import Lasso, Penalty
from softunit.point import Point
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Solution
from softunit.solvers.blocks import Index, restricted
from softunit.solvers.proximal_metric import columns_of

__all__ = ["PathPoint", "elastic_net_path"]


@dataclass(frozen=True)
class PathPoint:
    """The optimum for one strength.

    Attributes
    ----------
    strength : float
    problem : Problem
        With the penalty of this strength.
    solution : Solution
    screened : int
        Columns that the strong rule left out.
    recalled : int
        How many of these had to be taken back, because their gradient was too large in the end.
    """

    strength: float
    problem: Problem
    solution: Solution
    screened: int
    recalled: int


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

    1. Leave out the columns that the sequential strong rule expects to stay at zero: those zero now
    whose gradient is below twice the new l1 strength less the old one.  2. Minimise over the rest.
    3. The rule can err: take back every column whose gradient at the end is above its strength, and
    minimise again, until there is none. The optimum is thus that of all columns.

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

    Notes
    -----
    Source: R. Tibshirani and others (2012), "Strong rules for discarding predictors in lasso-type
    problems", arXiv 1011.2234, section 3.
    """
    values = check_vector("`strengths`", strengths, np.size(strengths))
    if (values < 0).any():
        raise InputError(f"`strengths` must be >= 0; the least is {values.min():g}.")
    x = np.zeros(problem.shape) if x0 is None else x0
    before: Lasso | None = None
    for value in values:
        twin = problem.derived(penalty=penalty(float(value)))
        point = twin.evaluate(x)
        kept = _kept(twin.lasso, before, point)
        solution, recalled = _screened(twin, x, kept, tol, max_iter)
        x, before = solution.x, twin.lasso
        screened = problem.shape[0] - len(kept)
        yield PathPoint(float(value), twin, solution, screened, recalled)


def _kept(lasso: Lasso | None, before: Lasso | None, point: Point) -> Index:
    """Return the rows of x that the strong rule keeps (1.)."""
    d = len(point.x)
    if lasso is None or before is None:
        return np.arange(d)
    least = 2 * lasso.strength - before.strength
    kept = (lasso.sizes(point.x) > 0) | (lasso.sizes(point.gradient) >= least)
    return np.flatnonzero(kept.reshape(d, -1).any(axis=1))


def _screened(
    problem: Problem, x: Array, kept: Index, tol: float, max_iter: int
) -> tuple[Solution, int]:
    """Return the solution over all columns, found over few (2.), and how many came back (3.)."""
    first = len(kept)
    while True:
        design = columns_of(problem.design, kept) if len(kept) else None
        if design is None:
            return minimize(problem, x, tol=tol, max_iter=max_iter), len(kept) - first
        part = restricted(problem, kept, design)
        few = minimize(part, x[kept], tol=tol, max_iter=max_iter)
        x = np.zeros_like(x)
        x[kept] = few.x
        point = problem.evaluate(x)
        pulled = np.abs(problem.least_subgradient(point)) / problem.gradient_scale
        missed = np.flatnonzero(pulled.reshape(len(x), -1).max(axis=1) > tol)
        missed = np.setdiff1d(missed, kept)
        if not len(missed) or not few.converged:
            norm = float(pulled.max())
            return replace(few, x=x, value=point.value, gradient_norm=norm), len(kept) - first
        kept = np.union1d(kept, missed)

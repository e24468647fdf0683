"""A lower bound on a convex objective with kinks, from a point of its dual problem."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lstsq

from softunit._numeric import EPS, dot
from softunit._typing import Array
from softunit.designs.base import Design
from softunit.free_rows import minimised_over
from softunit.penalties import Lasso
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.proximal_newton import ProximalNewton

FREE_LIMIT = 300  # unpenalised parameters up to which a dual point is made feasible for them
STEPS = 6  # of a solver after which dual points are taken
CHEAP = 1e6  # n p^2 up to which these steps are nothing beside a fit
CORRECTIONS = 2  # of it: the second takes out what rounding of the first has left
ENOUGH = 1e-12  # of one plus the value: a smaller gap is as good as none


@dataclass(frozen=True)
class DualPoint:
    """A feasible point of the dual problem.

    Attributes
    ----------
    value : float
        No primal value is smaller, rounding apart; -inf where the point is not feasible.
    left : float
        What rounding leaves of the constraints that belong to free parameters, and may add.
    """

    value: float
    left: float


def dual_gap(problem: Problem, point: Point, *, reach: float, quick: bool = False) -> float:
    """Return a bound on value - infimum from duality; inf where none is known.

    ::

        F(x) = f(A x + o) + sum ridge/2 |x|^2 + sum strength |x|
        F(x) >= <u, o> - f*(u) - sum (|A'u| - strength)_+^2 / (2 ridge)     for every x and u

    where an entry without ridge asks for |A'u| <= strength, and a free one for A'u = 0. u is the
    derivative of the loss at a nearby point, corrected for the free ones to first order, which is
    exact here, and scaled by the largest factor up to one that the others allow. It is taken at the
    point itself and, while the bound is not at rounding level, after steps of `ProximalNewton`.

    Parameters
    ----------
    problem : Problem
        Convex, with a `lasso`.
    point : Point
    reach : float
        Largest sum of the absolute terms of a score: what rounding scales with.
    quick : bool, default False
        Whether to leave out these steps where they would take time.

    Notes
    -----
    Source: E. Ndiaye, O. Fercoq, A. Gramfort, J. Salmon (2017), "Gap safe screening rules for
    sparsity enforcing penalties", for dual points by scaling; docs/maths/elastic-net.
    """
    given, lasso = point, problem.lasso
    free = _free(problem)
    if lasso is None or problem.score_ridge.any() or free.sum() > FREE_LIMIT:
        return math.inf
    cheap = problem.design.shape[0] * problem.size**2 <= CHEAP
    steps = STEPS if cheap or not quick else 0
    if steps:
        rows = np.flatnonzero(free.reshape(len(free), -1).all(axis=1))
        point = minimised_over(problem, given, rows)
    solver = ProximalNewton()
    state, best = solver.init(problem, point), math.inf
    for taken in range(steps + 1):
        found = dual_point(problem, state.point, lasso, free, reach)
        if math.isnan(found.value):
            return math.inf  # no conjugate is known of this loss
        best = min(best, max(0.0, given.value - found.value) + found.left)
        if best <= ENOUGH * (1 + abs(given.value)) or taken == steps:
            break
        state, status = solver.step(problem, state)
        if status is not Status.RUNNING:
            break
    return best


def dual_point(
    problem: Problem, point: Point, lasso: Lasso, free: Array, reach: float
) -> DualPoint:
    """Return the dual point that belongs to a point of the problem.

    1. Correct the derivative u of the loss for the free entries.  2. Scale it so that the others
    allow it, rounding of A'u included.  3. Evaluate.

    Parameters
    ----------
    problem : Problem
    point : Point
    lasso : Lasso
    free : ndarray of bool of the shape of x
    reach : float
    """
    ridge = problem.ridge.reshape(-1, *(1 for _ in problem.shape[1:]))
    step, slope = np.zeros_like(point.x), point.gradient - ridge * point.x
    mean, variance = problem.design.column_moments(problem.weights)
    off = 4 * EPS * (1 + reach) * np.sqrt(mean**2 + variance)
    off = off.reshape(ridge.shape) + 4 * EPS * ridge * lasso.sizes(point.x)
    if free.any():  # 1.
        rows = np.flatnonzero(free.reshape(len(free), -1).any(axis=1))
        own = free[rows].ravel()
        hessian = problem.hessian(point, coordinates=rows)[np.ix_(own, own)]
        for _ in range(CORRECTIONS):
            step[free] -= lstsq(hessian, slope[free])[0]
            slope = _loss_gradient(problem, point, step)
            if not (np.abs(slope) > np.broadcast_to(off, slope.shape))[free].any():
                break
    sizes = lasso.sizes(slope) + off
    strength = np.broadcast_to(lasso.strength, sizes.shape)
    bound = np.broadcast_to(ridge == 0, sizes.shape) & (strength > 0)
    over = bound & (sizes > strength)
    scale = float(np.min(strength[over] / sizes[over], initial=1.0))  # 2.
    excess = np.maximum(scale * sizes - strength, 0.0)
    held = 0.5 * float((excess**2 / np.where(ridge > 0, ridge, np.inf)).sum())
    left = float(np.abs(slope[free]).sum()) * (1 + float(np.abs(point.x[free]).max(initial=0.0)))
    return DualPoint(_minus_conjugate(problem, point, step, scale) - held, left)  # 3.


def _free(problem: Problem) -> Array:
    """Return which entries of x carry no penalty."""
    lasso, shape = problem.lasso, problem.shape
    ridge = problem.ridge.reshape(-1, *(1 for _ in shape[1:]))
    strength = 0.0 if lasso is None else lasso.strength
    return np.broadcast_to((ridge == 0) & (strength == 0), shape)


def _derivatives(
    problem: Problem, point: Point, step: Array
) -> Iterator[tuple[slice, Design, Array]]:
    """Yield (rows, their design, u): u = f'(z) + f''(z) A step, block by block."""
    by_rows = problem.by_rows
    for rows, block, z in by_rows.scores(point.x, point.scores):
        u = by_rows.value_gradient(rows, z)[1]
        if step.any():
            u = u + by_rows.curvature(rows, z, "exact").matvec(block.matvec(step))
        yield rows, block, u


def _loss_gradient(problem: Problem, point: Point, step: Array) -> Array:
    """Return A'u."""
    return np.asarray(sum(block.rmatvec(u) for _, block, u in _derivatives(problem, point, step)))


def _minus_conjugate(problem: Problem, point: Point, step: Array, scale: float) -> float:
    """Return <v, o> - f*(v) for v = scale * u."""
    total = 0.0
    for rows, _, u in _derivatives(problem, point, step):
        v = scale * u
        total -= problem.by_rows.conjugate(rows, v)
        if problem.offset is not None:
            total += dot(v, problem.offset[rows])
    return total

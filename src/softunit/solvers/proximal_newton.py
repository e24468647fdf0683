"""Proximal Newton: a quadratic model plus a penalty with kinks, minimised again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._checks import check_count
from softunit._typing import Array
from softunit.errors import NeedsError
from softunit.line import Line
from softunit.penalties import Lasso
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.ends import why_no_step
from softunit.solvers.packing import Packed
from softunit.solvers.proximal_model import Model
from softunit.solvers.proximal_rows import smooth_or

HALVINGS, ARMIJO = 60, 1e-4
HIDDEN = 1e3  # times rounding of the value: a promise below it cannot be seen to be kept
LOOSE, TIGHT = 0.5, 0.03  # by which a model's subgradient falls, first and later on
FIRST = 0.2  # of the strength that holds all at zero: where a run starts
FALL, LAST = 5.0, 1.2  # by which the strength falls, and from what it falls to one at once
CHEAP = 10  # products that take as long as forming a Hessian: it is formed at once
ROUGH = 100  # products in a model on the way
SETTLED = 1.0  # of the strength: a subgradient that is short enough for that


@dataclass(frozen=True)
class ProximalState:
    """What one step hands to the next.

    Attributes
    ----------
    point : Point
    first : float
        Largest entry of the subgradient of least norm at the start.
    factor : float
        What the strength is multiplied by.
    decrement : float
        What the last step promised to gain at first order.
    formed : bool
        Whether the last model was worth a formed Hessian.
    """

    point: Point
    first: float
    factor: float = 1.0
    decrement: float = math.nan
    formed: bool = False


@dataclass(frozen=True)
class ProximalNewton(Solver[ProximalState]):
    """Newton's method for a convex loss with an `ElasticNet`, on entries or rows of x.

    1. Take the rows of x that are not zero, or that the gradient pulls off zero or nearly so, and
    leave the others out.  2. Minimise the quadratic model with the exact Hessian plus the penalty
    on them, roughly at first: steps that know kinks, in the metric of one Gram weighted for each
    class, find the signs, and preconditioned conjugate gradients the minimum on the face of these
    signs, in turn.  3. Search along the line to it, by halving.  4. Far from the optimum the
    penalty is made stronger, so that few rows of x are at work, and let go by and by.

    The Hessian is formed on up to 2,000 entries of x, where products with it would take longer. One
    pass over all columns is made in an iteration. Without an l1 part it is Newton's method.

    Parameters
    ----------
    max_products : int, default 500
        Most products with the Hessian in one iteration.

    Raises
    ------
    InputError
        If `max_products` is not a whole number of at least 1.
    NeedsError
        If the loss is not convex.

    Notes
    -----
    Source: J. Lee, Y. Sun, M. Saunders, arXiv 1206.1623, for the outer method, with the forcing
    term of Eisenstat and Walker; R. Byrd, G. Chin, J. Nocedal, F. Oztoprak (2016), "A family of
    second-order methods for convex l1-regularized optimization", for models minimised by turns of
    proximal steps and conjugate gradients. The Gram as the metric of the former is ours
    (docs/maths/elastic-net).
    """

    max_products: int = 500
    composite: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "curvature"})

    def __post_init__(self) -> None:
        check_count("max_products", self.max_products, least=1)

    def check(self, problem: Problem) -> None:
        """Raise `NeedsError` unless the loss is convex."""
        super().check(problem)
        if not problem.unit.bounds(problem.target, problem.weights).convex:
            raise NeedsError(
                f"ProximalNewton needs a convex loss, and that of {type(problem.unit).__name__} is"
                " not. BlockCoordinate(l1=...) would do, without an ElasticNet."
            )

    def init(self, problem: Problem, point: Point) -> ProximalState:
        """Return the state at the start."""
        lasso = smooth_or(problem.lasso, problem.shape)
        factor = max(1.0, FIRST * _relative(lasso, point))
        formed = bool(problem.prepared.get("formed", False))
        return ProximalState(point, _violation(lasso, point), factor, formed=formed)

    def unpack(self, problem: Problem, packed: Packed) -> ProximalState:
        """Return the state that was packed, and tell the problem whether Hessians are formed."""
        state = super().unpack(problem, packed)
        problem.prepared["formed"] = state.formed
        return state

    def step(self, problem: Problem, state: ProximalState) -> tuple[ProximalState, Status]:
        """Return the next state."""
        point, lasso = state.point, smooth_or(problem.lasso, problem.shape)
        stronger = lasso.scaled(state.factor * lasso.strength)
        model = Model.at(problem, point, stronger)  # 1.
        loose = math.sqrt(_violation(stronger, point) / state.first) if state.first > 0 else 0.0
        if state.formed or model.price <= CHEAP:
            model.use_formed()
        enough = min(LOOSE, max(TIGHT, loose))
        most = self.max_products if state.factor == 1 else min(self.max_products, ROUGH)
        y = model.minimised(enough, most)  # 2.
        direction = np.zeros_like(point.x)
        direction[model.rows] = y - model.x
        moved, slope = _along(Line(problem, point, direction), lasso, stronger)  # 3.
        if moved is not None:
            factor = state.factor
            if _relative(stronger, moved) <= SETTLED:  # 4.
                factor = factor / FALL if factor > LAST * FALL else 1.0
            formed = problem.prepared["formed"] = model.forms
            return ProximalState(moved, state.first, factor, -slope, formed), Status.RUNNING
        if state.factor > 1:
            return ProximalState(point, state.first, 1.0, formed=state.formed), Status.RUNNING
        return state, why_no_step(point, slope)


def _violation(lasso: Lasso, point: Point) -> float:
    """Return the largest entry of the subgradient of least norm."""
    least: Array = lasso.least_subgradient(point.x, point.gradient)
    return float(np.abs(least).max())


def _relative(lasso: Lasso, point: Point) -> float:
    """Return the largest entry, or row, of that subgradient over its strength."""
    sizes = lasso.sizes(lasso.least_subgradient(point.x, point.gradient))
    held = np.broadcast_to(lasso.strength > 0, sizes.shape)
    strength = np.broadcast_to(lasso.strength, sizes.shape)
    return float(np.max(sizes[held] / strength[held], initial=0.0))


def _along(line: Line, lasso: Lasso, stronger: Lasso) -> tuple[Point | None, float]:
    """Return the first point along the line, halved again and again, that is low enough.

    Where rounding hides what is promised, the whole step will do if it shortens the least
    subgradient. What is promised per length is returned with it.

    Parameters
    ----------
    line : Line
        Of the problem, whose penalty is `lasso`.
    lasso, stronger : Lasso
        The second takes the place of the first.
    """
    x, p, start = line.start.x, line.direction, line.start
    more = stronger.scaled(stronger.strength - lasso.strength)
    slope = line.slope + stronger.value(x + p) - stronger.value(x)

    def change(t: float) -> float:
        return line.at(t)[0] - start.value + more.value(x + t * p) - more.value(x)

    if abs(slope) <= HIDDEN * line.noise and change(1.0) <= line.noise:
        point = line.point(1.0)
        if _violation(stronger, point) < _violation(stronger, start):
            return point, slope
    t = 1.0
    for _ in range(HALVINGS if slope < 0 else 0):
        if change(t) <= ARMIJO * t * slope:
            return line.point(t), slope
        t *= 0.5
    return None, slope

"""Newton's method: shifted Cholesky where the Hessian can be formed, else preconditioned CG."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, get_args

import numpy as np

from softunit._checks import check_choice, check_count
from softunit._numeric import ShiftedCholesky, dot
from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Kind, Matrix
from softunit.line import Line
from softunit.point import Point
from softunit.problem import FORM_LIMIT, Problem
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.conjugate_gradients import conjugate_gradients
from softunit.solvers.ends import why_no_step
from softunit.solvers.preconditioner import KroneckerPreconditioner
from softunit.solvers.search import Search, check_search
from softunit.spectrum import column_squares, is_blind

FORM_WORK = 1e8  # n p^2 above which several columns of scores are cheaper by CG (measured)
SMALL = 150  # parameters below which forming always pays


SHORT, LONG = 0.05, 0.5  # steps that raise the damping, and that lower it
SILENT = 1e-24  # of the largest curvature of a column, sizes made equal: below, it is rounding
FIRST_DAMPING, LEAST_DAMPING = 1e-6, 1e-10


@dataclass(frozen=True)
class NewtonState:
    """The point, the first gradient's size, and what the steps so far have taught.

    Attributes
    ----------
    damping : float
        Multiple of the columns' second moments added to a formed Hessian; zero unless steps were
        short.
    preconditioner : KroneckerPreconditioner or None
        Made when conjugate gradients are first used.
    decrement : float
        g' H^-1 g before the last step.
    """

    point: Point
    first: float
    damping: float = 0.0
    preconditioner: KroneckerPreconditioner | None = None
    decrement: float = math.nan


@dataclass(frozen=True)
class Newton(Solver[NewtonState]):
    """Newton's method with a line search.

    1. Solve for the direction: by Cholesky of the formed Hessian, its diagonal shifted until the
    factorisation succeeds, or by conjugate gradients with a Kronecker preconditioner where the
    Hessian is too large to form.  2. Search along the line, step one first.  3. Where only a short
    step is found, or none, damp the next formed Hessian: scores that are saturated leave no
    curvature, and the plain step is then far too long.  4. Where no step is found, follow the
    gradient.

    Parameters
    ----------
    kind : {"gauss_newton", "exact"}, default "gauss_newton"
        Which curvature of the unit to use; for `Multinomial` both are the same.
    linear : {"auto", "cholesky", "cg"}, default "auto"
        How to solve for the direction; "auto" goes by the size of the Hessian and the work to
        form it.
    max_cg : int, default 250
        Most products with the Hessian in one direction.
    search : Search, default Search()
        The line search.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """

    kind: Kind = "gauss_newton"
    linear: str = "auto"
    max_cg: int = 250
    search: Search = Search()
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "curvature"})
    remade: ClassVar[frozenset[str]] = frozenset({"preconditioner"})

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))
        check_choice("linear", self.linear, ("auto", "cholesky", "cg"))
        check_count("max_cg", self.max_cg, least=1)
        check_search(self.search)

    def init(self, problem: Problem, point: Point) -> NewtonState:
        """Return the state at the start."""
        return NewtonState(point, problem.gradient_norm(point.gradient))

    def step(self, problem: Problem, state: NewtonState) -> tuple[NewtonState, Status]:
        """Return the next state."""
        if not self.forms(problem) and state.preconditioner is None:
            state = replace(state, preconditioner=KroneckerPreconditioner(problem))
        direction = self._direction(problem, state)  # 1.
        line = Line(problem, state.point, direction)
        t = self.search.step(line)  # 2.
        if t is not None:
            damping = _next_damping(state.damping, t)
            moved = replace(state, point=line.point(t), damping=damping, decrement=-line.slope)
            return moved, Status.RUNNING
        steepest = Line(problem, state.point, -state.point.gradient)  # 4.
        t = self.search.step(steepest)
        if t is None:
            return state, why_no_step(state.point, line.slope)
        damping = _next_damping(state.damping, 0.0)
        moved = replace(state, point=steepest.point(t), damping=damping, decrement=math.nan)
        return moved, Status.RUNNING

    def _direction(self, problem: Problem, state: NewtonState) -> Array:
        if not self.forms(problem):
            return self._by_cg(problem, state)
        hessian = problem.hessian(state.point, kind=self.kind)
        fix_gauge(problem, hessian)
        with linear_algebra_on_threads():
            return _solved(problem, state.point, hessian, state.damping)

    def forms(self, problem: Problem) -> bool:
        """Return whether the Hessian is formed for this problem."""
        if self.linear != "auto":
            return self.linear == "cholesky"
        p, n = problem.size, problem.design.shape[0]
        if p > FORM_LIMIT:
            return False
        return len(problem.shape) == 1 or p <= SMALL or n * p * p <= FORM_WORK

    def _by_cg(self, problem: Problem, state: NewtonState) -> Array:
        point = state.point
        product, diagonal = problem.hessian_product(point, kind=self.kind)
        assert state.preconditioner is not None
        norm = problem.gradient_norm(point.gradient)
        # The forcing term of Eisenstat and Walker: loose far away, superlinear near the end.
        rtol = min(0.1, (norm / state.first) ** 0.5) if state.first > 0 else 0.1
        return conjugate_gradients(
            product,
            state.preconditioner.at(diagonal),
            -point.gradient,
            rtol=max(rtol, 1e-6),
            max_iter=self.max_cg,
        )


def _solved(problem: Problem, point: Point, hessian: Matrix, damping: float) -> Array:
    """Return -(H + damping * moments)^-1 g by shifted Cholesky, a descent direction."""
    if damping > 0:  # 3.
        moments = np.repeat(np.diagonal(problem.gram), problem.columns)
        hessian[np.diag_indices_from(hessian)] += damping * moments
    direction = ShiftedCholesky(hessian).solve(-point.gradient.ravel()).reshape(point.x.shape)
    return direction if dot(direction, point.gradient) < 0 else -point.gradient


def _next_damping(damping: float, t: float) -> float:
    if t < SHORT:  # 3.
        return max(10 * damping, FIRST_DAMPING)
    if t >= LONG:
        return damping / 10 if damping > LEAST_DAMPING else 0.0
    return damping


def fix_gauge(problem: Problem, hessian: Matrix) -> None:
    """Add curvature, in place, along constants across the columns of a free row of x.

    Nothing depends on them, and the gradient has no part along them, so the direction does not
    change; only the factorisation becomes possible without a shift. Likewise along columns that
    are constant, where one softmax sees no constant: what their diagonal holds is rounding.
    """
    if is_blind(problem):
        size = column_squares(problem)
        curved = np.abs(np.diagonal(hessian)) / np.where(size > 0, size, 1.0)
        silent = (problem.ridge == 0) & (curved <= SILENT * curved.max(initial=0.0))
        hessian[silent, silent] = curved.max(initial=0.0) * size[silent] + (size[silent] == 0)
    constant = problem.unit.rowwise and problem.unit.shift_invariant and len(problem.shape) == 2
    if not constant or problem.score_ridge.any():
        return
    d, k = problem.shape
    four = hessian.reshape(d, k, d, k)
    for j in np.flatnonzero(problem.ridge == 0):
        four[j, :, j, :] += max(np.trace(four[j, :, j, :]) / k, 1e-300) / k

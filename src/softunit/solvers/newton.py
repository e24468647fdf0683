"""Newton's method: shifted Cholesky where the Hessian can be formed, else preconditioned CG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from softunit._numeric import ShiftedCholesky, dot
from softunit._typing import Array, Kind, Matrix
from softunit.line import Line
from softunit.problem import FORM_LIMIT, Point, Problem
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.conjugate_gradients import conjugate_gradients
from softunit.solvers.ends import why_no_step
from softunit.solvers.preconditioner import KroneckerPreconditioner
from softunit.solvers.search import Search

FORM_WORK = 1e8  # n p^2 above which several columns of scores are cheaper by CG (measured)
SMALL = 150  # parameters below which forming always pays


@dataclass(frozen=True)
class NewtonState:
    """The point, the first gradient's size, and the preconditioner once it is made."""

    point: Point
    first: float
    preconditioner: KroneckerPreconditioner | None = None


@dataclass(frozen=True)
class Newton(Solver[NewtonState]):
    """Newton's method with a line search.

    1. Solve for the direction: by Cholesky of the formed Hessian, its diagonal shifted until the
    factorisation succeeds, or by conjugate gradients with a Kronecker preconditioner where the
    Hessian is too large to form.  2. Search along the line, step one first.  3. Where that finds
    nothing, search along the gradient.

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
    """

    kind: Kind = "gauss_newton"
    linear: str = "auto"
    max_cg: int = 250
    search: Search = Search()
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "curvature"})

    def init(self, problem: Problem, point: Point) -> NewtonState:
        """Return the state at the start."""
        return NewtonState(point, problem.gradient_norm(point.gradient))

    def step(self, problem: Problem, state: NewtonState) -> tuple[NewtonState, Status]:
        """Return the next state."""
        if self.forms(problem):  # 1.
            direction = newton_direction(problem, state.point, self.kind)
        else:
            if state.preconditioner is None:
                state = replace(state, preconditioner=KroneckerPreconditioner(problem))
            direction = self._by_cg(problem, state)
        for tried in (direction, -state.point.gradient):  # 2.
            line = Line(problem, state.point, tried)
            t = self.search.step(line)
            if t is not None:
                return replace(state, point=line.point(t)), Status.RUNNING
            # Saturated scores leave no curvature to speak of: 3. the gradient still knows the way.
        return state, why_no_step(state.point, line.slope)

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


def newton_direction(problem: Problem, point: Point, kind: Kind) -> Array:
    """Return -H^-1 g by shifted Cholesky, of the shape of x; a descent direction."""
    hessian = problem.hessian(point, kind=kind)
    fix_gauge(problem, hessian)
    direction = ShiftedCholesky(hessian).solve(-point.gradient.ravel())
    direction = direction.reshape(point.x.shape)
    return direction if dot(direction, point.gradient) < 0 else -point.gradient


def fix_gauge(problem: Problem, hessian: Matrix) -> None:
    """Add curvature, in place, along constants across the columns of a free row of x.

    Nothing depends on them, and the gradient has no part along them, so the direction does not
    change; only the factorisation becomes possible without a shift.
    """
    if not problem.gauge.any():
        return
    d, k = problem.shape
    four = hessian.reshape(d, k, d, k)
    for j in np.flatnonzero(problem.gauge):
        four[j, :, j, :] += max(np.trace(four[j, :, j, :]) / k, 1e-300) / k

"""Newton's method regularised by the norm of the gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from softunit._checks import check_choice, check_positive
from softunit._numeric import EPS
from softunit._typing import Kind, Matrix, Vector
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.newton import fix_gauge
from softunit.spectrum import column_squares, seen_gram

MAX_TRIALS = 80
MAX_RADIUS = 1e12


@dataclass(frozen=True)
class RegularizedState:
    """The point, the radius of trust gamma, and the Cholesky factor of the metric."""

    point: Point
    gamma: float
    factor: Matrix


@dataclass(frozen=True)
class GradientRegularizedNewton(Solver[RegularizedState]):
    """Newton's method with the shift |g|_* / gamma in the metric B = A'A + penalty.

    With |h| = sqrt(h'Bh) and |g|_* = sqrt(g'B^-1 g):

    1. Where H itself is positive definite try its plain step, and take it if it quarters |g|_*:
    plateaus where the regularised steps are short are left in a few such steps.  2. Else lambda =
    |g|_* / gamma; solve (H + lambda B) h = -g. A failed Cholesky is a rejected trial.  3. Accept
    x + h if -<g+, h> >= |g+|_*^2 / (4 lambda) and the value has not grown, or, near rounding, if
    |g+|_* <= |g|_* / 4.  4. Double gamma on acceptance, halve it on rejection.

    Works where the Hessian is indefinite, without a learning rate or a trust region to tune.

    Parameters
    ----------
    kind : {"exact", "gauss_newton"}, default "exact"
        Which curvature of the unit to use.
    gamma : float, default 1.0
        First radius.

    Raises
    ------
    InputError
        If a parameter is out of range.

    Notes
    -----
    Source: Semenov, Jaggi, Doikov, arXiv 2506.13710; the test by gradients instead of values, the
    rule near rounding and the plain step are ours (docs/maths/softmax-squares).
    """

    kind: Kind = "exact"
    gamma: float = 1.0
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "curvature", "formed_hessian"})
    remade: ClassVar[frozenset[str]] = frozenset({"factor"})

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))
        check_positive("gamma", self.gamma)

    def init(self, problem: Problem, point: Point) -> RegularizedState:
        """Return the state at the start; forms and factors the metric once."""
        return RegularizedState(point, self.gamma, _metric_factor(problem))

    def step(self, problem: Problem, state: RegularizedState) -> tuple[RegularizedState, Status]:
        """Return the next state."""
        point, gamma, factor = state.point, state.gamma, state.factor
        g = point.gradient.ravel()
        norm = _dual_norm(factor, g)
        if norm == 0.0:
            return state, Status.ROUNDING
        hessian = problem.hessian(point, kind=self.kind)
        fix_gauge(problem, hessian)
        metric = factor @ factor.T
        trial = self._plain(problem, point, hessian, factor)  # 1.
        if trial is not None:
            return RegularizedState(trial, gamma, factor), Status.RUNNING
        for _ in range(MAX_TRIALS):
            shift = norm / gamma  # 2.
            h = _solve(hessian + shift * metric, -g)
            if h is not None:
                trial = problem.evaluate(point.x + h.reshape(point.x.shape))
                if _accepts(point, trial, factor, h, (norm, shift)):  # 3.
                    gamma = min(2 * gamma, MAX_RADIUS)  # 4.
                    return RegularizedState(trial, gamma, factor), Status.RUNNING
                if _no_progress_left(point, h, g):
                    return state, Status.ROUNDING
            gamma /= 2
        return state, Status.NO_DESCENT

    @staticmethod
    def _plain(problem: Problem, point: Point, hessian: Matrix, factor: Matrix) -> Point | None:
        """Return where the unregularised step leads if it quarters |g|_*, else None."""
        g = point.gradient.ravel()
        h = _solve(hessian.copy(), -g)
        if h is None:
            return None
        trial = problem.evaluate(point.x + h.reshape(point.x.shape))
        if not math.isfinite(trial.value) or not np.isfinite(trial.gradient).all():
            return None
        shorter = _dual_norm(factor, trial.gradient.ravel()) <= _dual_norm(factor, g) / 4
        return trial if shorter and trial.value <= _ceiling(point) else None


def _accepts(
    point: Point, trial: Point, factor: Matrix, h: Vector, sizes: tuple[float, float]
) -> bool:
    norm, shift = sizes
    if not math.isfinite(trial.value) or not np.isfinite(trial.gradient).all():
        return False
    new = trial.gradient.ravel()
    after = _dual_norm(factor, new)
    enough = -float(new @ h) >= after * after / (4 * shift)
    return trial.value <= _ceiling(point) and (enough or after <= norm / 4)


def _ceiling(point: Point) -> float:
    """Return the value that a trial must not exceed: the point's own, up to rounding."""
    return point.value + 1e-12 * abs(point.value) + EPS * EPS


def _no_progress_left(point: Point, h: Vector, g: Vector) -> bool:
    """Return whether the step is lost in rounding of x and of the value."""
    tiny = float(np.abs(h).max()) <= 4 * EPS * max(float(np.abs(point.x).max()), EPS)
    return tiny and abs(float(h @ g)) <= EPS * abs(point.value)


def _solve(matrix: Matrix, right: Vector) -> Vector | None:
    try:
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    solution = cho_solve(factor, right, check_finite=False)
    return solution if np.isfinite(solution).all() else None


def _metric_factor(problem: Problem) -> Matrix:
    """Return L with L L' = Gram + penalty, lifted where the columns are collinear."""
    d = problem.design.shape[1]
    if problem.unit.shift_invariant and not problem.unit.rowwise:
        # The unit is blind to a constant: measure the columns without their means.
        # Relative to the uncentred ones, so that rounding along a constant column stays rounding.
        gram, lift = seen_gram(problem), 1e-10 * column_squares(problem)
    else:
        gram = problem.gram.copy()
        lift = 1e-10 * np.diagonal(gram)
    gram[np.diag_indices(d)] += problem.ridge + np.where(lift > 0, lift, 1.0)
    factor = np.linalg.cholesky(gram)
    return np.asarray(
        factor if len(problem.shape) == 1 else np.kron(factor, np.eye(problem.shape[1]))
    )


def _dual_norm(factor: Matrix, g: Vector) -> float:
    return float(np.linalg.norm(solve_triangular(factor, g, lower=True, check_finite=False)))

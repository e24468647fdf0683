"""What the phases of the regressors share: descents, their polish, and least squares for starts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from softunit._numeric import ShiftedCholesky
from softunit._progress import Tick
from softunit._typing import Array, Vector
from softunit.curvature import Diagonal
from softunit.estimators._continued import joined
from softunit.estimators._objective import Settings
from softunit.problem import FORM_LIMIT, Problem
from softunit.run import minimize
from softunit.saddles import lower_point
from softunit.solution import Solution, Status
from softunit.solvers import GradientRegularizedNewton, Newton, Solver
from softunit.solvers.auto import is_large
from softunit.solvers.conjugate_gradients import conjugate_gradients

REGULARISED_ITER = 80
ESCAPES = 4  # times that a descent goes on from a saddle
POLISH_ITER = 30
POLISH = 1e-4  # of tol: Newton's last steps are nearly free and settle flat directions
REFINED = 4  # rounds of refinement: a Gram squares the condition number
EXACT = 1e-9  # largest misfit of scores that are met, over the largest of them
CG_ITER = 250
HALVINGS = 30


@dataclass(frozen=True)
class Descents:
    """A problem and the settings of the runs that minimise it.

    Attributes
    ----------
    problem : Problem
    settings : Settings
        With "auto", gradient-regularised Newton and a polish by Newton's method, where A is not so
        large that few passes over it count.
    tick : callable
        Shown each record.
    """

    problem: Problem
    settings: Settings
    tick: Tick

    @cached_property
    def large(self) -> bool:
        """Whether a fit should take few passes over A: no polish, and no second opinion."""
        return self.settings.solver == "auto" and is_large(self.problem)

    def descend(self, x0: Array | None, *, cut: bool = False) -> Solution:
        """Return the minimum from x0; x0 itself where the run before it was interrupted.

        Where the infimum lies at infinity the regularised steps grow ever shorter: after a while
        Newton's method with a line search takes over, which goes there at a steady rate.
        """
        limit = 0 if cut else self.settings.max_iter
        end = self._descended(x0, limit)
        for _ in range(ESCAPES if self.settings.solver == "auto" else 0):
            if end.status is not Status.SADDLE:
                break
            lower = lower_point(self.problem, self.problem.evaluate(end.x))
            if lower is None:
                break
            end = joined(end, self._descended(lower, limit))
        if cut and not end.converged:
            return dataclasses.replace(end, status=Status.INTERRUPTED)
        return end

    def _descended(self, x0: Array | None, limit: int) -> Solution:
        if self.settings.solver != "auto" or self.large or self.problem.size > FORM_LIMIT:
            end = self._run(x0, self.settings.solver, limit)
        else:
            end = self._run(x0, GradientRegularizedNewton(), min(limit, REGULARISED_ITER))
            if end.status is Status.MAX_ITER and limit > REGULARISED_ITER:
                end = joined(end, self._run(end.x, Newton(kind="exact"), limit - REGULARISED_ITER))
        return end

    def _run(self, x0: Array | None, solver: str | Solver[Any], limit: int) -> Solution:
        return minimize(
            self.problem,
            x0,
            solver=solver,
            tol=self.settings.tol,
            max_iter=limit,
            callback=lambda record, point: self.tick(record),
            keyboard_interrupt=self.settings.keyboard_interrupt,
        )

    def polished(self, best: Solution) -> Solution:
        """Return a converged end after some plain Newton steps, if they make it better."""
        too_large = self.large or self.problem.size > FORM_LIMIT
        if self.settings.solver != "auto" or not best.converged or too_large:
            return best
        last = minimize(
            self.problem,
            best.x,
            solver=Newton(kind="exact"),
            tol=POLISH * self.settings.tol,
            max_iter=POLISH_ITER,
            keyboard_interrupt=self.settings.keyboard_interrupt,
        )
        if last.value > best.value or last.gradient_norm > self.settings.tol:
            return best
        return joined(best, last)

    def representable(self, x: Vector) -> Vector:
        """Return x, shortened until its value is finite."""
        while not np.isfinite(self.problem.value(x)):
            x = x / 2
        return x

    def downhill(self, x: Vector) -> tuple[Vector, bool]:
        """Return x, shortened until its value is below that of zero, and whether it overflowed."""
        ceiling = self.problem.value(np.zeros_like(x))
        value = self.problem.value(x)
        overflowed = not np.isfinite(value)
        for halving in range(1, HALVINGS):
            if value <= ceiling:
                return x, overflowed
            x = x / 2 if halving < HALVINGS - 1 else np.zeros_like(x)
            value = self.problem.value(x)
        return x, overflowed


@dataclass(frozen=True)
class LeastSquares:
    """Scores closest to given ones: x minimising sum_i v_i (a_i'x - z_i)^2 + x' P x.

    Attributes
    ----------
    problem : Problem
        Whose design and offset are used.
    weights : ndarray of shape (n,)
        v.
    penalty : float
        P is so many times the problem's own.
    """

    problem: Problem
    weights: Vector
    penalty: float = 1.0

    def solve(self, z: Vector, rounds: int = REFINED) -> Vector:
        """Return x, (d,), refined so many times."""
        design, v = self.problem.design, self.weights
        q, p = self.penalty * self.problem.score_ridge, self.penalty * self.problem.ridge
        x = np.zeros(design.shape[1])
        for _ in range(rounds):
            scores = design.matvec(x)
            right = design.rmatvec(v * (z - scores) - q * scores) - p * x
            x = x + self._inverse(right)
        return x

    def _inverse(self, right: Vector) -> Vector:
        if self.problem.shape[0] <= FORM_LIMIT:
            return self._factor.solve(right)
        design, ridge = self.problem.design, self.penalty * self.problem.ridge
        return conjugate_gradients(
            lambda x: design.rmatvec(self._held * design.matvec(x)) + ridge * x,
            lambda r: r,
            right,
            rtol=1e-12,
            max_iter=CG_ITER,
        )

    @property
    def _held(self) -> Vector:
        return self.weights + self.penalty * self.problem.score_ridge

    @cached_property
    def _factor(self) -> ShiftedCholesky:
        gram = self.problem.design.gram(Diagonal(self._held))
        gram[np.diag_indices_from(gram)] += self.penalty * self.problem.ridge
        return ShiftedCholesky(gram)


def meets(problem: Problem, x: Vector, z: Vector) -> bool:
    """Return whether A x is z to nearly all digits, in rows that have weight."""
    miss = np.abs(problem.design.matvec(x) - z)
    if problem.weights is not None:
        miss = miss[problem.weights > 0]
    return float(miss.max()) <= EXACT * max(1.0, float(np.abs(z).max()))


def unpenalised(problem: Problem) -> bool:
    """Return whether neither x nor its scores carry a penalty."""
    return not (problem.ridge.any() or problem.score_ridge.any())


def interrupted(run: Solution) -> bool:
    """Return whether Ctrl-C ended a run."""
    return run.status is Status.INTERRUPTED

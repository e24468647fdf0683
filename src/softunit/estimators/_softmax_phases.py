"""The phases of softmax regression: from zero to the optimum through easier problems."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from softunit._numeric import EPS, ShiftedCholesky, softmax
from softunit._progress import Tick
from softunit._typing import Array, Vector
from softunit.estimators._continued import joined
from softunit.estimators._objective import Settings
from softunit.problem import FORM_LIMIT, Problem
from softunit.run import minimize
from softunit.solution import Solution, Status
from softunit.solvers import Newton
from softunit.units import SoftmaxCrossEntropy

CONVEX_ITER = 50  # the convex phase runs to rounding, or so far: it only finds the basin
POLISH_ITER = 30
POLISH = 1e-4  # of tol: Newton's last steps are nearly free and settle flat directions
EXACT = 1e-9  # largest |log softmax(Ax) - log b| of a target that is met


@dataclass(frozen=True)
class Phases:
    """Settings of a softmax regression and the runs they lead to.

    Attributes
    ----------
    problem : Problem
        With unit `SoftmaxSquares`.
    settings : Settings
        For the descents; a polish by Newton's method follows where the solver is "auto".
    tick : callable
        Shown each record.
    """

    problem: Problem
    settings: Settings
    tick: Tick

    def run(self) -> tuple[Solution, ...]:
        """Return the solutions of all phases, the answer last.

        1. Where log b is a combination of the columns plus a constant, one linear solve meets the
        target.  2. Else the convex cross-entropy from zero, then the objective from its end.
        3. Where the target is not met, the objective from zero as well.  4. The better of both is
        polished by Newton's method.  An interrupt ends it at the best point so far.
        """
        exact = self._linear_solve()
        if exact is not None:
            return (self._descend(exact),)
        runs, ends = [], []
        convex = self._convex()
        if convex is not None:
            runs.append(convex)
            ends.append(self._descend(convex.x, after=convex))
        if not ends or not (_cut(ends[-1]) or self._met(ends[-1])):
            ends.append(self._descend(None))
        best = min(ends, key=lambda end: (end.value, not end.converged))
        last = best if _cut(ends[-1]) else self._polished(best)
        return (*runs, *(end for end in ends if end is not best), last)

    def _linear_solve(self) -> Vector | None:
        """Return x with softmax(A x) = b to all digits, or None where the target has none."""
        problem, b = self.problem, self.problem.target
        penalised = problem.ridge.any() or problem.score_ridge.any()
        if penalised or problem.shape[0] > FORM_LIMIT or b.min() <= 0:
            return None
        if abs(float(b.sum()) - 1.0) > EXACT:
            return None
        logs = np.log(b)
        factor = ShiftedCholesky(problem.gram.copy())
        x = np.zeros(problem.shape)
        residual = logs - logs.mean()
        for _ in range(4):  # iterative refinement: the Gram squares the condition number
            x = x + factor.solve(problem.design.rmatvec(residual))
            misfit = logs - problem.scores(x)
            residual = misfit - misfit.mean()
        return x if float(np.abs(residual).max()) <= EXACT else None

    def _convex(self) -> Solution | None:
        b = np.maximum(self.problem.target, 0.0)
        if not b.any():
            return None
        convex = Problem(
            self.problem.design, SoftmaxCrossEntropy(), b / b.sum(), self.problem.penalties
        )
        return minimize(
            convex,
            solver=Newton(kind="exact"),
            tol=0.0,
            max_iter=CONVEX_ITER,
            keyboard_interrupt=self.settings.keyboard_interrupt,
        )

    def _descend(self, x0: Array | None, after: Solution | None = None) -> Solution:
        """Return the minimum from x0; x0 itself where the run before it was interrupted."""
        cut = after is not None and _cut(after)
        end = minimize(
            self.problem,
            x0,
            solver=self.settings.solver,
            tol=self.settings.tol,
            max_iter=0 if cut else self.settings.max_iter,
            callback=lambda record, point: self.tick(record),
            keyboard_interrupt=self.settings.keyboard_interrupt,
        )
        if cut and not end.converged:
            return dataclasses.replace(end, status=Status.INTERRUPTED)
        return end

    def _met(self, end: Solution) -> bool:
        f = softmax(self.problem.scores(end.x))
        return end.converged and float(np.abs(f - self.problem.target).max()) <= 64 * EPS

    def _polished(self, best: Solution) -> Solution:
        if self.settings.solver != "auto" or not best.converged:
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


def _cut(run: Solution) -> bool:
    return run.status is Status.INTERRUPTED

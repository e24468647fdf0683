"""The phases of softmax regression: from zero to the optimum through easier problems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from softunit._numeric import EPS, ShiftedCholesky, softmax
from softunit._progress import Tick
from softunit._typing import Vector
from softunit.estimators._descents import Descents, interrupted
from softunit.estimators._objective import Settings
from softunit.penalties import Ridge
from softunit.problem import FORM_LIMIT, Problem
from softunit.run import minimize
from softunit.solution import Solution
from softunit.solvers import Newton
from softunit.solvers.memory import Inverse
from softunit.spectrum import seen_gram
from softunit.units import SoftmaxCrossEntropy

CONVEX_ITER = 50  # the convex phase runs to rounding, or so far: it only finds the basin
NEAR = 1e-3  # largest entry of its gradient, relative, where a digit costs passes over A
CONVEX_ROWS, CONVEX_SHARE = 40, 0.06  # per column and of all rows: what it is then taken over
TALL, FEW = 50, 10  # rows for each column from which few do for a first solve, and how many
INDEPENDENT = 1e-6  # least pivot of these rows, of the largest, that makes their solve one
REFINED = 4  # rounds of refinement: a Gram squares the condition number
LOOSE = 1e-3  # of the range of the logarithms: what a first solve may leave
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

    @cached_property
    def _descents(self) -> Descents:
        return Descents(self.problem, self.settings, self.tick)

    def run(self) -> tuple[Solution, ...]:
        """Return the solutions of all phases, the answer last.

        1. Where log b is a combination of the columns plus a constant, one linear solve meets the
        target.  2. Else the convex cross-entropy from zero, then the objective from its end.
        3. Where the target is not met, the objective from zero as well.  4. The better of both is
        polished by Newton's method.  Where A is large and the solver "auto", the cross-entropy is
        that of some rows, minimised to a few digits, and 3. and 4. are left out.  An interrupt
        ends it at the best point so far.
        """
        descents = self._descents
        exact = self._linear_solve()
        if exact is not None:
            return (descents.descend(exact),)
        runs, ends = [], []
        convex = self._convex()
        if convex is not None:
            runs.append(convex)
            ends.append(descents.descend(convex.x, cut=interrupted(convex)))
        if not ends or not (descents.large or interrupted(ends[-1]) or self._met(ends[-1])):
            ends.append(descents.descend(None))
        best = min(ends, key=lambda end: (end.value, not end.converged))
        last = best if interrupted(ends[-1]) else descents.polished(best)
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
        x, inverse = self._first_solve(logs)
        for _ in range(REFINED):
            misfit = logs - problem.scores(x)
            residual = misfit - misfit.mean()
            worst = float(np.abs(residual).max())
            if worst <= 8 * EPS * float(np.abs(logs).max()) or not worst < LOOSE * np.ptp(logs):
                break
            x = x + inverse(problem.design.rmatvec(residual))
        return x if worst <= EXACT else None

    def _first_solve(self, logs: Vector) -> tuple[Vector, Inverse]:
        """Return x with A x close to the logarithms but for a constant, and how to refine it.

        Of a tall design a few rows do: either they lie in the span and tell x, or x is far off.
        """
        problem = self.problem
        n, d = problem.design.shape
        if n > TALL * d:
            rows = np.random.default_rng(0).choice(n, FEW * d, replace=False)
            few = problem.design.rows(rows).toarray()
            q, r = np.linalg.qr(np.column_stack([np.ones(len(few)), few]))
            pivots = np.abs(np.diagonal(r))
            if pivots.min() > INDEPENDENT * pivots.max():
                own, share = r[1:, 1:], FEW * d / n
                x = solve_triangular(r, q.T @ logs[rows])[1:]
                return (
                    x,
                    lambda g: share * solve_triangular(own, solve_triangular(own, g, trans="T")),
                )
        factor = ShiftedCholesky(seen_gram(problem))
        return factor.solve(problem.design.rmatvec(logs - logs.mean())), factor.solve

    def _convex(self) -> Solution | None:
        b = np.maximum(self.problem.target, 0.0)
        if not b.any():
            return None
        large = self._descents.large
        # An offset would be penalised with the scores: there all rows must do.
        few = large and not self.problem.score_ridge.any()
        return minimize(
            self._sampled(b / b.sum()) if few else self._cross_entropy(b / b.sum()),
            solver="auto" if large and not few else Newton(kind="exact"),
            tol=NEAR if large else 0.0,
            max_iter=CONVEX_ITER,
            keyboard_interrupt=self.settings.keyboard_interrupt,
        )

    def _cross_entropy(self, b: Vector) -> Problem:
        return Problem(self.problem.design, SoftmaxCrossEntropy(), b, self.problem.penalties)

    def _sampled(self, b: Vector) -> Problem:
        """Return the cross-entropy of some rows, which stands for that of all.

        A row is drawn with a chance that goes by its target and at random, and counts as one over
        that chance: log(1 / chance) is added to its score, and its target is divided by it.
        """
        whole = self.problem
        n, d = whole.design.shape
        rows = max(CONVEX_ROWS * d, int(CONVEX_SHARE * n))
        if 2 * rows >= n:
            return self._cross_entropy(b)
        chance = np.minimum(1.0, rows * (b + 1.0 / n) / 2)
        index = np.flatnonzero(np.random.default_rng(0).random(n) < chance)
        kept = chance[index]
        return Problem(
            whole.design.rows(index),
            SoftmaxCrossEntropy(),
            b[index] / kept / float((b[index] / kept).sum()),
            Ridge(whole.ridge),
            offset=-np.log(kept),
        )

    def _met(self, end: Solution) -> bool:
        f = softmax(self.problem.scores(end.x))
        return end.converged and float(np.abs(f - self.problem.target).max()) <= 64 * EPS

"""The phases of two-layer regression: a convex start, the objective, restarts, a polish."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from softunit._typing import Array, Matrix, Vector
from softunit.estimators._descents import Descents, interrupted, unpenalised
from softunit.estimators._simplex import nearest_in_hull
from softunit.problem import FORM_LIMIT, Problem
from softunit.run import minimize
from softunit.solution import Solution
from softunit.solvers import Newton
from softunit.spectrum import Metric
from softunit.units import SoftmaxCrossEntropy, TwoLayerSquares

CONVEX_ITER = 50
HULL_ITER = 100  # steps towards the target in the hull: they only find a basin
MET = 1e-10  # largest residual, of one plus the largest target, of a target that is met
AGREE = 6  # equal best ends after which further restarts are spared,
AGREE_LARGE, LARGE = 3, 1e6  # and where A and C have so many entries that each takes long
SAME = 1e-6  # relative difference of values that count as equal
SPREADS = (1.0, 2.0, 0.5)  # standard deviation of the scores at random starts
NULL = 1e-10  # singular values of the outputs' Jacobian, of the largest: smaller ones are none
SHRINK_ITER, RESTORE_ITER = 300, 4
SHRUNK = 1e-7  # of |x|: what is left of x along open directions at its least norm


@dataclass(frozen=True)
class TwoLayerPhases:
    """A two-layer regression and the runs it leads to.

    Attributes
    ----------
    descents : Descents
        On the problem, whose unit is `TwoLayerSquares`.
    restarts : int
        Random starts tried at most.
    rng : Generator
        Where they come from.
    """

    descents: Descents
    restarts: int
    rng: np.random.Generator

    @property
    def problem(self) -> Problem:
        """The objective."""
        return self.descents.problem

    @property
    def unit(self) -> TwoLayerSquares:
        """The problem's unit."""
        return two_layers(self.problem)

    def run(self) -> tuple[Solution, ...]:
        """Return the solutions of all phases, the answer last.

        1. The point of the hull of C's columns nearest to phi^-1(b) as shares f; softmax(A x) = f
        as nearly as the convex cross-entropy gets; for relu, from there, the identity on the
        outputs that must be positive.  2. The objective from there.  3. Where the target is not
        met, from zero and from random points, until it is, the best end has been found several
        times, or `restarts` are used up.  4. The best end is polished by Newton's method; where
        the target leaves directions open, x shrinks along them.  An interrupt ends it at the best
        point so far.
        """
        runs: list[Solution] = []
        ends: list[Solution] = []
        for x0 in self._starts(runs):
            cut = not ends and interrupted(runs[-1])
            ends.append(self.descents.descend(x0, cut=cut))
            if interrupted(ends[-1]) or self._met(ends[-1]) or self._agree(ends):
                break
        best = min(ends, key=lambda end: (end.value, not end.converged))
        last = best if interrupted(ends[-1]) else self._shrunk(self.descents.polished(best))
        return (*runs, *(end for end in ends if end is not best), last)

    def _starts(self, runs: list[Solution]) -> Iterator[Array | None]:
        """Yield the points to start from; runs that lead to one are added to a list."""
        runs.append(self._convex())
        if not self.unit.function.smooth:
            bent = self._straightened(runs[-1])
            runs.extend([] if bent is None else [bent])
        yield runs[-1].x
        yield None
        moments = np.diagonal(self.problem.gram) / self.problem.design.shape[0]
        size = np.sqrt(np.maximum(moments, 1e-300) * len(moments))
        for number in range(self.restarts):
            spread = SPREADS[number % len(SPREADS)]
            yield np.where(moments > 0, spread / size, 0.0) * self.rng.standard_normal(len(size))

    def _convex(self) -> Solution:
        """Return the run to softmax(A x) = f, f the shares whose C f is nearest to phi^-1(b)."""
        unit, problem = self.unit, self.problem
        goal = preimage(unit, problem.target)
        near = nearest_in_hull(unit.matrix, goal, unit.norm, max_iter=HULL_ITER)
        convex = Problem(problem.design, SoftmaxCrossEntropy(), near.shares, problem.penalties)
        return minimize(
            convex,
            solver=Newton(kind="exact"),
            tol=1e-6,
            max_iter=CONVEX_ITER,
            keyboard_interrupt=self.descents.settings.keyboard_interrupt,
        )

    def _straightened(self, after: Solution) -> Solution | None:
        """Return the fit of C f itself to the outputs that must be positive: no dead zone there."""
        b = self.problem.target
        seen = b > 0
        if interrupted(after) or not seen.any():
            return None
        unit = TwoLayerSquares("identity", self.unit.matrix[seen])
        straight = Problem(self.problem.design, unit, b[seen], self.problem.penalties)
        return dataclasses.replace(self.descents, problem=straight).descend(after.x)

    def _agree(self, ends: list[Solution]) -> bool:
        """Return whether several descents have ended at the same best value."""
        best = min(end.value for end in ends)
        entries = np.prod(self.problem.design.shape) + np.prod(self.unit.matrix.shape)
        same = sum(end.converged and end.value <= best * (1 + SAME) for end in ends)
        return bool(same >= (AGREE_LARGE if entries > LARGE else AGREE))

    def _met(self, end: Solution) -> bool:
        return end.converged and is_met(self.problem, end.x)

    def _shrunk(self, best: Solution) -> Solution:
        """Return the end with x of least norm, as far as steps find it, if a target is met by many.

        Each step goes along the part of -x that leaves the outputs unchanged to first order, then
        back to the target by Gauss-Newton steps of least norm; its size adapts.
        """
        problem = self.problem
        if not best.converged or not open_directions(problem, best.x):
            return best
        x, size = problem.design.to_input(best.x), 1.0
        for _ in range(SHRINK_ITER):
            _, jacobian = self._linearised(x)
            along = x - np.linalg.lstsq(jacobian, jacobian @ x, rcond=NULL)[0]
            gain = float(along @ along)
            if gain <= SHRUNK**2 * float(x @ x) or size < SHRUNK:
                break
            trial = self._restored(x - size * along)
            if trial is not None and trial @ trial <= x @ x - 1e-2 * size * gain:
                x, size = trial, 2 * size
            else:
                size /= 2
        inner = problem.evaluate(problem.design.from_input(x))
        norm = problem.gradient_norm(inner.gradient)
        if norm > self.descents.settings.tol:
            return best
        return dataclasses.replace(best, x=inner.x, value=inner.value, gradient_norm=norm)

    def _restored(self, x: Vector) -> Vector | None:
        """Return x moved by Gauss-Newton steps until the target is met again, or None."""
        for _ in range(RESTORE_ITER):
            r, jacobian = self._linearised(x)
            x = x - np.linalg.lstsq(jacobian, r, rcond=NULL)[0]
        return x if is_met(self.problem, self.problem.design.from_input(x)) else None

    def _linearised(self, x: Vector) -> tuple[Vector, Matrix]:
        """Return the residual (m,) and its derivative by the input's coefficients, (m, d)."""
        problem, inner = self.problem, self.problem.design.from_input(x)
        r = self.unit.output(problem.scores(inner)) - problem.target
        return r, problem.design.gradient_to_input(_jacobian(problem, inner).T).T


def two_layers(problem: Problem) -> TwoLayerSquares:
    """Return the unit of a problem."""
    assert isinstance(problem.unit, TwoLayerSquares)
    return problem.unit


def preimage(unit: TwoLayerSquares, b: Vector) -> Vector:
    """Return phi^-1(b), b moved to where the unit can get within C's entries, (m,)."""
    low, high = unit.interval
    least, most = unit.function.between(low, high)
    with np.errstate(divide="ignore"):  # the ends of phi's image have infinite preimages
        y = unit.function.inverse(np.clip(b, least, most))
    return np.clip(y, low, high)


def is_met(problem: Problem, x: Vector) -> bool:
    """Return whether the outputs at x are the target up to rounding."""
    b = problem.target
    miss = two_layers(problem).output(problem.scores(x)) - b
    return bool(np.abs(miss).max() <= MET * (1 + np.abs(b).max()))


def open_directions(problem: Problem, x: Vector) -> int:
    """Return how many directions of x move scores and yet no output, where the target is met.

    None where a penalty holds them.
    """
    if not unpenalised(problem) or problem.shape[0] > FORM_LIMIT or not is_met(problem, x):
        return 0
    seen = Metric.of(problem).whitener  # (d, r): directions that move a score
    sizes = np.linalg.svd(_jacobian(problem, x) @ seen, compute_uv=False)
    return int(seen.shape[1] - (sizes > NULL * sizes.max(initial=0.0)).sum())


def _jacobian(problem: Problem, x: Vector) -> Matrix:
    """Return the derivative of the outputs by x, (m, d)."""
    unit, z = two_layers(problem), problem.scores(x)
    curvature = unit.curvature(z, problem.target, kind="gauss_newton")
    slope = np.sqrt(np.diagonal(curvature.core))
    return slope[:, None] * problem.design.rmatvec(curvature.factors).T

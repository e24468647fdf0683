"""The phases of exp, cosh and sinh regression: where to start, and the descents from there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from softunit._typing import Vector
from softunit.curvature import Diagonal
from softunit.errors import SoftunitWarning, warn
from softunit.estimators._descents import (
    Descents,
    LeastSquares,
    interrupted,
    meets,
    unpenalised,
)
from softunit.problem import FORM_LIMIT, Problem
from softunit.solution import Solution

SIGN_ROUNDS = 60
LAST_ROUNDS = 3  # of these on all rows, where they are many
FEW, FEW_EACH = 5000, 50  # rows, or rows for each column, that tell signs well
SAME_SIGNS = 0.98  # of the squares of all scores: the rest lies where signs are hard to tell

Index: TypeAlias = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Linearised:
    """Scores z with u(z) = b where there are such, and how much each row says about them.

    Attributes
    ----------
    scores : ndarray of shape (n,)
    slopes : ndarray of shape (n,)
        u'(z), zero where b is out of reach: u(a'x) - b is about u'(z) (a'x - z).
    reached : bool
        Whether u(z) = b in all rows of some weight.
    """

    scores: Vector
    slopes: Vector
    reached: bool

    @classmethod
    def of(cls, unit: str, b: Vector, heard: Vector) -> Linearised:
        """Invert u on a target; the scores of cosh are those of positive sign."""
        if unit == "exp":
            good = b > 0
            return cls(
                np.log(np.where(good, b, 1.0)), np.where(good, b, 0.0), bool(good[heard > 0].all())
            )
        if unit == "sinh":
            return cls(np.arcsinh(b), np.hypot(1.0, b), True)
        high = np.maximum(b, 1.0)
        slopes = np.sqrt((high - 1) * (high + 1))
        return cls(np.arccosh(high), slopes, bool((b >= 1)[heard > 0].all()))


@dataclass(frozen=True)
class HyperbolicPhases:
    """Settings of an exp, cosh or sinh regression and the runs they lead to.

    Attributes
    ----------
    descents : Descents
    unit : {"exp", "cosh", "sinh"}
    restarts : int
        Random starts for cosh.
    rng : numpy.random.Generator
        That draws them.
    """

    descents: Descents
    unit: str
    restarts: int
    rng: np.random.Generator

    def run(self) -> tuple[Solution, ...]:
        """Return the solutions of all phases, the answer last."""
        return self._from_signs() if self.unit == "cosh" else self._from_linearisation()

    def _from_linearisation(self) -> tuple[Solution, ...]:
        """Start where the linearised problem has its minimum.

        1. Where the scores that b asks for are A x, that x is the answer.  2. Else weight their
        misfit by the slopes, which makes it that of u to first order.  3. Descend, and polish.
        """
        descents, linear = self.descents, self.linear
        if unpenalised(self.problem) and linear.reached:
            x = self.plain.solve(linear.scores)
            if meets(self.problem, x, linear.scores):
                return (descents.descend(x),)
        start, overflowed = descents.downhill(self._weighted_start())
        if overflowed:
            warn_moved(self.unit)
        end = descents.descend(start)
        return (end if interrupted(end) else descents.polished(end),)

    def _from_signs(self) -> tuple[Solution, ...]:
        """Start from several guesses of the signs that cosh does not see, and keep the best end.

        1. Guess: the top eigenvector of A' diag(z^2) A in the metric A'A, then random directions.
        2. Alternate: signs of A x, then least squares for scores of these signs.  3. Where they
        are met that x is the answer; else descend from it, unless the signs are nearly those of a
        guess before.  4. Polish the best end.
        """
        ends: list[Solution] = []
        seen: list[Vector] = []
        if not self.linear.scores.any():  # all b <= 1: convex, and zero is its minimum
            return (self.descents.descend(None),)
        reachable = unpenalised(self.problem) and self.linear.reached
        index = few_rows(self.problem, self.rng)
        few = LeastSquares(sample_of(self.problem, index), self.weights[index], 0.0), index
        squares = self.weights * self.linear.scores**2
        for guess in sign_guesses(self.problem, squares, self.restarts, self.rng):
            x, signs = self._with_settled_signs(guess, few)
            if reachable and meets(self.problem, x, signs * self.linear.scores):
                return (*ends, self.descents.descend(x))
            if known_signs(signs, seen, squares):
                continue
            seen.append(signs)
            start, _ = self.descents.downhill(x)
            ends.append(self.descents.descend(start))
            if interrupted(ends[-1]):
                break
        best = min(ends, key=lambda end: (end.value, not end.converged))
        last = best if interrupted(ends[-1]) else self.descents.polished(best)
        return (*(end for end in ends if end is not best), last)

    def _with_settled_signs(
        self, x: Vector, few: tuple[LeastSquares, Index]
    ) -> tuple[Vector, Vector]:
        """Return x and the signs of A x, settled on a few rows and then for a while on all."""
        x, _ = settled_signs(few[0], self.linear.scores[few[1]], x, SIGN_ROUNDS)
        whole = len(few[1]) == len(self.weights)
        return settled_signs(self.plain, self.linear.scores, x, 1 if whole else LAST_ROUNDS)

    def _weighted_start(self) -> Vector:
        weights = self.weights * self.linear.slopes**2
        largest = float(weights.max())
        if largest == 0:  # no row has a score that would do
            return np.zeros(self.problem.shape)
        return LeastSquares(self.problem, weights / largest, 1 / largest).solve(self.linear.scores)

    @property
    def problem(self) -> Problem:
        """What is minimised."""
        return self.descents.problem

    @cached_property
    def weights(self) -> Vector:
        """Row weights, (n,)."""
        s = self.problem.weights
        return np.ones(self.problem.design.shape[0]) if s is None else s

    @cached_property
    def linear(self) -> Linearised:
        """The scores that the target asks for."""
        return Linearised.of(self.unit, self.problem.target, self.weights)

    @cached_property
    def plain(self) -> LeastSquares:
        """Least squares for scores, all rows alike but for their weights."""
        return LeastSquares(self.problem, self.weights, 0.0)


def sign_guesses(
    problem: Problem, squares: Vector, restarts: int, rng: np.random.Generator
) -> list[Vector]:
    """Return points whose scores have signs worth trying, the best guess first.

    The first is the top eigenvector of A' diag(squares) A in the metric A'A: the direction in
    which rows with large scores lie. The others are random in that metric.

    Parameters
    ----------
    problem : Problem
    squares : ndarray of shape (n,)
        Weighted squares of the scores, or what grows with them.
    restarts : int
        Random points.
    rng : numpy.random.Generator
    """
    d = problem.shape[0]
    if d > FORM_LIMIT:
        return list(rng.standard_normal((restarts + 1, d)))
    metric = problem.gram.copy()
    size = np.diagonal(metric).copy()
    metric[np.diag_indices_from(metric)] += np.where(size > 0, 1e-10 * size, 1.0)
    _, vectors = eigh(problem.design.gram(Diagonal(squares)), metric)
    root = np.linalg.cholesky(metric)
    return [vectors[:, -1], *np.linalg.solve(root.T, rng.standard_normal((d, restarts))).T]


def settled_signs(
    least_squares: LeastSquares, scores: Vector, x: Vector, rounds: int
) -> tuple[Vector, Vector]:
    """Alternate between signs of A x and least squares until the signs stay; return x and them.

    Parameters
    ----------
    least_squares : LeastSquares
    scores : ndarray of shape (n,)
        Without their signs.
    x : ndarray of shape (d,)
    rounds : int
        At most so many.
    """
    design = least_squares.problem.design
    signs = np.sign(design.matvec(x))
    for _ in range(rounds):
        x = least_squares.solve(signs * scores)
        before, signs = signs, np.sign(design.matvec(x))
        if (before == signs).all():
            break
    return x, signs


def few_rows(problem: Problem, rng: np.random.Generator) -> Index:
    """Return rows enough to tell signs by, sorted; all of them where they are not many."""
    n, d = problem.design.shape
    most = max(FEW, FEW_EACH * d)
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def sample_of(problem: Problem, index: Index) -> Problem:
    """Return the problem of some rows; the problem itself if these are all."""
    n = problem.design.shape[0]
    weights = None if problem.weights is None else problem.weights[index]
    return problem if len(index) == n else problem.sampled(index, weights=weights)


def known_signs(signs: Vector, seen: list[Vector], squares: Vector) -> bool:
    """Return whether signs are nearly, or nearly opposite to, some that were seen.

    Parameters
    ----------
    signs : ndarray of shape (n,)
    seen : list of ndarray of shape (n,)
    squares : ndarray of shape (n,)
        How much each row counts.
    """
    total = SAME_SIGNS * float(squares.sum())
    return any(abs(float(squares @ (signs * other))) >= total for other in seen)


def warn_moved(unit: str) -> None:
    """Warn that the start was moved because its scores would overflow."""
    warn(
        f"at the linearised start some scores are so large that the squared error of {unit}(A x)"
        " overflows: the start was moved towards zero. Look for rows of A that are far larger than"
        " the rest, or for b <= 0 in them.",
        SoftunitWarning,
    )

"""The phases of rescaled cosh and sinh regression: the scale is guessed, then descended from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import linprog, minimize_scalar

from softunit._typing import Vector
from softunit.estimators._descents import Descents, LeastSquares, interrupted
from softunit.estimators._hyperbolic_phases import Index, few_rows, known_signs, sign_guesses
from softunit.problem import Problem
from softunit.solution import Solution

LOG_SCALES = np.arange(-2.0, 32.0)  # logarithms of scale * max |b| that are tried
SPREAD = math.e**3  # of the heights of b, when the signs of its scores are first guessed
SIGN_ROUNDS = 20
LP_LIMIT = 2_000_000  # entries of A up to which a direction with A v < 0 is looked for


@dataclass(frozen=True)
class RescaledPhases:
    """Settings of a rescaled cosh or sinh regression and the runs they lead to.

    Attributes
    ----------
    descents : Descents
        Of the gauged problem.
    unit : {"cosh", "sinh"}
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
        """Return the solutions of all phases, the answer last.

        1. If b is met, u(A x) = t b for some scale t: take the t for which the scores that t b asks
        for are closest to the range of A.  For cosh guess their signs, by eigenvectors and at
        random, and alternate.  2. Descend from each of these, on a sample where rows are many; the
        best end counts.  3. Descend on all rows, and polish.
        """
        index = few_rows(self.problem, self.rng)
        few = self._sample(index)
        whole = few is self.problem
        tried = self.descents if whole else replace(self.descents, problem=few)
        ends: list[Solution] = []
        for start in self._starts(few):
            ends.append(tried.descend(start))
            if interrupted(ends[-1]) or _met(few, ends[-1]):
                break
        best = min(ends, key=lambda end: (end.value, not end.converged))
        cut = interrupted(ends[-1])
        rest = tuple(end for end in ends if end is not best)
        if not whole:
            rest, best = (*rest, best), self.descents.descend(best.x, cut=cut)
        return (*rest, best if cut else self.descents.polished(best))

    def _sample(self, index: Index) -> Problem:
        """Return the problem of some rows without penalties, its shares those among them."""
        problem = self.problem
        if len(index) == problem.design.shape[0] or self.unit == "sinh":
            return problem
        b = problem.target[index]
        weights = None if problem.weights is None else problem.weights[index]
        total = float(b.sum()) or 1.0
        return Problem(problem.design.rows(index), problem.unit, b / total, weights=weights)

    def _starts(self, problem: Problem) -> Iterator[Vector]:
        """Yield points to start from, no two of them with nearly the same signs."""
        scale = Scale(problem, self.unit)
        if self.unit == "sinh":
            yield scale.best(np.ones(problem.design.shape[0]), None)[0]
            return
        seen: list[Vector] = []
        squares = weights_of(problem) * heights(problem.target) ** 2
        log: float | None = None
        for x in sign_guesses(problem, squares, self.restarts, self.rng):
            signs = np.sign(problem.design.matvec(x))
            for _ in range(SIGN_ROUNDS):
                x, log = scale.best(signs, log)
                before, signs = signs, np.sign(problem.design.matvec(x))
                if (before == signs).all():
                    break
            if not known_signs(signs, seen, squares):
                seen.append(signs)
                yield x

    @property
    def problem(self) -> Problem:
        """What is minimised."""
        return self.descents.problem


@dataclass(frozen=True)
class Scale:
    """The search for t such that some x has u(A x) = t b, or nearly.

    Attributes
    ----------
    problem : Problem
    unit : {"cosh", "sinh"}
    """

    problem: Problem
    unit: str

    def best(self, signs: Vector, near: float | None) -> tuple[Vector, float]:
        """Return x for the scale whose scores A meets best, relative to their length, and its log.

        Parameters
        ----------
        signs : ndarray of shape (n,)
            Of the scores.
        near : float or None
            Where to look; None looks everywhere.
        """
        if near is None:
            near = float(LOG_SCALES[np.argmin([self._misfit(log, signs) for log in LOG_SCALES])])
        found = minimize_scalar(
            self._misfit,
            bounds=(near - 1, near + 1),
            args=(signs,),
            method="bounded",
            options={"xatol": 1e-3},
        )
        return self.plain.solve(self._scores(float(found.x), signs)), float(found.x)

    def _misfit(self, log_scale: float, signs: Vector) -> float:
        z = self._scores(log_scale, signs)
        r = self.problem.design.matvec(self.plain.solve(z, rounds=1)) - z
        length = float(z @ (self.plain.weights * z))
        return float(r @ (self.plain.weights * r)) / length if length > 0 else np.inf

    def _scores(self, log_scale: float, signs: Vector) -> Vector:
        b = self.problem.target
        u = b * (np.exp(log_scale) / max(float(np.abs(b).max()), 1e-300))
        if self.unit == "sinh":
            return np.asarray(np.arcsinh(u))
        return np.asarray(signs * np.arccosh(np.maximum(u, 1.0)))

    @cached_property
    def plain(self) -> LeastSquares:
        """Least squares for scores, all rows alike but for their weights."""
        return LeastSquares(self.problem, weights_of(self.problem), 0.0)


def _met(problem: Problem, end: Solution) -> bool:
    b = problem.target
    return end.converged and end.value <= 1e-24 * float(b @ (weights_of(problem) * b))


def weights_of(problem: Problem) -> Vector:
    """Return the weights of a problem's rows, (n,)."""
    s = problem.weights
    return np.ones(problem.design.shape[0]) if s is None else s


def heights(b: Vector) -> Vector:
    """Return what grows with |z| where cosh(z) is a multiple of b, (n,)."""
    return np.log1p(np.maximum(b, 0.0) / max(float(np.abs(b).max()), 1e-300) * SPREAD)


def falls_everywhere(problem: Problem) -> bool | None:
    """Return whether some v has A v < 0 in every row; None where A is too large to tell.

    A linear programme: the largest t with A v + t <= 0 and |v_j| <= 1, t <= 1.
    """
    n, d = problem.design.shape
    if n * d > LP_LIMIT:
        return None
    a = np.column_stack([problem.design.toarray(), np.ones(n)])
    found = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=a,
        b_ub=np.zeros(n),
        bounds=[*[(-1.0, 1.0)] * d, (0.0, 1.0)],
        method="highs",
    )
    return bool(found.status == 0 and found.x[-1] > 1e-9)

"""From leverage scores to a start for the polish: sizes of s, then signs and scale, by parts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from softunit._progress import Tick
from softunit._typing import Vector
from softunit.estimators._leverage_parts import Part, attainable_sum, weighed
from softunit.estimators._leverage_remarks import Remarks
from softunit.estimators._leverage_signs import MET, Closed, Retrieval, few_rows, in_range
from softunit.estimators._leverage_stages import convex_sizes
from softunit.units._projection import Projection

POOR = 1e-4  # misfit from which signs do not fit the scores, or no signs do


@dataclass(frozen=True)
class Options:
    """How the signs are to be found, and how long the convex stage may take.

    Attributes
    ----------
    signs : ndarray of shape (n,) or None
        Given signs of s; None leaves them to be found.
    prior : ndarray of shape (n,) or None
        A x0 for a prior x0.
    restarts : int
    max_iter : int
    rng : Generator
    tick : callable
    """

    signs: Vector | None
    prior: Vector | None
    restarts: int
    max_iter: int
    rng: np.random.Generator
    tick: Tick


@dataclass(frozen=True)
class Answer:
    """Signs that were taken, others that were found, and words for how."""

    closed: Closed
    others: list[Closed]
    how: str


@dataclass
class Inversion:
    """The stages before the polish.

    Attributes
    ----------
    remarks : Remarks
        Of data that have been looked at; what is found on the way is added.
    options : Options
    n_iter : int
        Newton steps of the convex stage, of all parts.
    misfit : float
        The largest of the parts; see `Closed`.
    """

    remarks: Remarks
    options: Options
    n_iter: int = 0
    misfit: float = 0.0

    def run(self) -> Vector:
        """Return scores z = A x from which to polish, (n,); zero in zero rows of A."""
        z = np.zeros(len(self.remarks.sigma))
        for part in self.remarks.parts:
            z[part.rows] = self._silent(part) if part.silent else self._part(part)
        if self.misfit > POOR and self.remarks.unique:
            self.remarks.unique = None  # what was taken as known does not fit
        return z

    def _silent(self, part: Part) -> Vector:
        """Return the prior's scores, or zeros, moved off b where they meet it."""
        b = self.remarks.unit.shift[part.rows]
        prior = self.options.prior
        z = np.zeros(len(b)) if prior is None else prior[part.rows]
        return np.where(z == b, b + 1.0, z)

    def _part(self, part: Part) -> Vector:
        """Return the scores of one part, (m,).

        1. The convex stage gives sizes rho.  2. Signs and scale: errors of sizes grow with them, so
        rows count by 1 / (1 + (rho / usual)^2). With the median as the usual size nearly all rows
        count, which finds signs where rows are few; where that does not meet the data, which are
        noisy then, small sizes are trusted more.  3. What leaves least of the scores unmet is
        kept, the prior itself included.
        """
        options, rows = self.options, part.rows
        sigma = attainable_sum(self.remarks.sigma[rows], part.rank)
        sizes = convex_sizes(part, sigma, max_iter=options.max_iter, tick=options.tick)  # 1.
        self.n_iter += sizes.n_iter
        if not sizes.converged:
            self.remarks.unattainable(part, sigma, sizes)
        b = self.remarks.unit.shift[rows]
        prior = None if options.prior is None else options.prior[rows]
        ray, best = in_range(part, b), None
        for usual in (float(np.median(sizes.rho)), _usual(sizes.rho, sigma)):  # 2.
            weights = 1.0 / (1.0 + (sizes.rho / usual) ** 2)
            rho = weights * sizes.rho / np.linalg.norm(weights * sizes.rho)
            retrieval = Retrieval(weighed(part, weights), weights * b, rho, ray)
            answer = self._signed(retrieval, None if prior is None else weights * prior)
            z = answer.closed.z / weights
            left = _left(part, z - b, self.remarks.sigma[rows])
            if best is None or left < best[0]:  # 3.
                best = (left, answer, z)
            if answer.closed.misfit <= MET:
                break
        assert best is not None
        left, answer, z = best
        self._tell(part, answer, part.rank + (not ray))
        if prior is not None and _left(part, prior - b, self.remarks.sigma[rows]) < left:
            self.remarks.note(
                "the prior x0 meets the scores better than what the stages lead to: the polish"
                f" starts there{self.remarks.where(part)}."
            )
            return np.asarray(prior)
        return _on_ray(b, z, prior) if ray else z

    def _signed(self, retrieval: Retrieval, prior: Vector | None) -> Answer:
        """Return signs that were given, that a prior or equal signs lead to, or the best found."""
        if self.options.signs is not None:
            return Answer(retrieval.close(self.options.signs[retrieval.part.rows]), [], "")
        m, width = retrieval.subspace().shape
        guesses = {"all alike": retrieval.close(np.ones(m))}
        if prior is not None:
            signs = np.where(prior < retrieval.b, -1.0, 1.0)
            guesses = {"those that a prior x0 leads to": retrieval.alternated(signs), **guesses}
        how = next((name for name, closed in guesses.items() if closed.misfit <= MET), None)
        found: list[Closed] = []
        if how is None or few_rows(m, width):
            found = retrieval.search(self.options.restarts, self.options.rng)
        if how is None:
            how = "the best that a search found"
            guesses[how] = min([*found, *guesses.values()], key=lambda closed: closed.misfit)
        return Answer(guesses[how], found, how)

    def _tell(self, part: Part, answer: Answer, width: int) -> None:
        """Say what stands behind the signs that were taken."""
        remarks, closed = self.remarks, answer.closed
        self.misfit = max(self.misfit, closed.misfit)
        if self.options.signs is not None:
            if closed.misfit > POOR:
                remarks.wrong_signs(part, closed)
            return
        remarks.unique = None if remarks.unique else remarks.unique
        if few_rows(len(part.rows), width):
            remarks.few_rows(part, width)
        remarks.signs(part, closed, answer.others, answer.how)


def _left(part: Part, s: Vector, sigma: Vector) -> float:
    """Return the sum of squared residuals of the scores at s, (m,)."""
    if not s.all():
        return math.inf
    residual = Projection.scaled(part.basis, s).scores - sigma
    return float(residual @ residual)


def _usual(rho: Vector, sigma: Vector) -> float:
    """Return the size that half of the leverage lies below: rows without any do not count."""
    order = np.argsort(rho)
    below = np.cumsum(sigma[order])
    return float(rho[order[np.searchsorted(below, below[-1] / 2)]])


def _on_ray(b: Vector, z: Vector, prior: Vector | None) -> Vector:
    """Return scores with the same leverage scores, at the scale that the remark on rays names."""
    s = z - b
    square = float(s @ s)
    k = 0.0 if prior is None else float((prior - b) @ s) / square
    if k == 0.0:
        size = float(np.linalg.norm(b)) or float(np.sqrt(len(s)))
        k = size / float(np.sqrt(square))
    return np.asarray(b + k * s)

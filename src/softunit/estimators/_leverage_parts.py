"""The parts of a design that leverage scores see by themselves, and scores made fit for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import lu_factor, solve
from scipy.optimize import brentq
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, logit

from softunit._numeric import EPS
from softunit._typing import Matrix, Vector
from softunit.errors import InputError
from softunit.units._projection import Projection, Span

ZERO = 1e-10  # of the largest entry: what is left of an exact zero after a change of columns
NEAR_SUM = 1e-6  # |sum sigma - rank| up to which a first-order shift will do
LEAST, MOST = 1e-100, 1e100  # sizes whose squares, and theirs divided, stay in float64
HEAVIEST = 1e50  # w whose square has a square
RESCALE = "Give x and b, and with them A x - b, in another unit."
CLIP = 4 * EPS  # scores are kept so far from 0 and 1 before their logits are taken


@dataclass(frozen=True)
class Part:
    """Rows that share no column with the others, after a change of columns.

    A design that splits, A M = diag(A_1, A_2, ...) for some invertible M, is several problems:
    leverage scores of a part depend on its own s only, and not on the scale of that.

    Attributes
    ----------
    rows : ndarray of int, shape (m,)
    basis : ndarray of shape (m, r)
        Orthonormal basis of the range of these rows.
    """

    rows: npt.NDArray[np.integer]
    basis: Matrix

    @property
    def rank(self) -> int:
        """The rank r of these rows."""
        return int(self.basis.shape[1])

    @property
    def silent(self) -> bool:
        """Whether every s has the same scores: as many rows as the rank, all of them 1."""
        return len(self.rows) <= self.rank

    def apart(self, v: Vector) -> Vector:
        """Return v (m,) less its part in the range: twice, so that rounding of v goes too."""
        for _ in range(2):
            v = v - self.basis @ (self.basis.T @ v)
        return v

    def within(self, v: Vector) -> Vector:
        """Return the part of v (m,) in the range."""
        return np.asarray(self.basis @ (self.basis.T @ v))


def parts_of(span: Span) -> tuple[Part, ...]:
    """Return the parts of a design; zero rows belong to none.

    1. Take r independent rows by pivoting, and the columns in which they are unit vectors.  2. Two
    columns belong together where a row has both; that no other choice of columns splits further is
    a theorem on matroids.  3. Rows follow their columns.
    """
    basis, n = span.basis, len(span.basis)
    heard = np.flatnonzero(basis.any(axis=1))
    order = np.arange(n)
    for i, other in enumerate(lu_factor(basis)[1]):  # 1.
        order[[i, other]] = order[[other, i]]
    plain = solve(basis[order[: span.rank]].T, basis.T).T
    present = (np.abs(plain) > ZERO * np.abs(plain).max()).astype(np.float32)
    count, column_part = connected_components(present.T @ present, directed=False)  # 2.
    if count == 1:
        whole = len(heard) == n
        return (Part(heard, basis if whole else basis[heard]),)
    row_part = column_part[present.argmax(axis=1)]  # 3.
    found = []
    for k in range(count):
        rows = heard[row_part[heard] == k]
        found.append(Part(rows, np.linalg.qr(plain[np.ix_(rows, column_part == k)])[0]))
    return tuple(found)


def weighed(part: Part, weights: Vector) -> Part:
    """Return the part of the rows of A times weights > 0, (m,)."""
    return Part(part.rows, Projection.scaled(part.basis, 1.0 / weights).q)


def attainable_sum(sigma: Vector, rank: int) -> Vector:
    """Return scores in (0, 1) whose sum is the rank, shape (m,), m > rank.

    Without that the convex stage has no minimum: it falls for ever along a constant. All logits are
    moved by one constant, found by bisection; where the sum is off by little, by one Newton step.
    """
    # Scores outside [0, 1] tell how noisy they are: closer to that end nothing is known.
    mean = rank / len(sigma)
    low = min(max(CLIP, -2 * float(sigma.min())), mean / 2)
    high = min(max(CLIP, 2 * float(sigma.max() - 1)), (1 - mean) / 2)
    inside = np.clip(sigma, low, 1 - high)
    off = rank - float(inside.sum())
    if abs(off) <= NEAR_SUM * rank:
        slope = inside * (1 - inside)
        return np.asarray(np.clip(inside + off * slope / slope.sum(), CLIP, 1 - CLIP))
    logits = logit(inside)
    reach = 1.0 + float(np.abs(logits).max()) + abs(float(logit(mean)))
    shift = brentq(lambda c: float(expit(logits + c).sum()) - rank, -reach, reach, xtol=1e-15)
    return np.asarray(expit(logits + shift))


def check_size(
    name: str, values: Vector, advice: str = RESCALE, *, least: float = 0.0, most: float = MOST
) -> None:
    """Raise `InputError` where the largest entry, unless zero, is too small or too large.

    Parameters
    ----------
    name : str
    values : ndarray of shape (n,)
    advice : str
        What to do.
    least, most : float
        Bounds on the largest |entry|.
    """
    sizes = np.abs(values)
    # What has overflowed on the way here is as large as can be.
    row = int(np.argmax(np.where(np.isnan(sizes), np.inf, sizes)))
    size = float(sizes[row])
    if not size <= most or 0 < size < least:
        wrong = f"above {most:g}" if not size <= most else f"below {least:g}"
        raise InputError(
            f"{name} is {values[row]:.3g} in row {row}, the largest entry, {wrong}: its squares"
            f" leave float64. {advice}"
        )


def check_sizes(w: Vector, shift: Vector, sigma: Vector) -> None:
    """Raise `InputError` where weights or scores are too large for float64 to square."""
    check_size("`w`", w, "Take smaller weights, or 0.", most=HEAVIEST)
    check_size("the pull w^2 b of the weights", w**2 * shift, "Take smaller weights, or 0.")
    check_size("the target score sigma", sigma, "Leverage scores lie in [0, 1].")

"""The linear stage of leverage-score inversion, and the search for the signs that it needs.

With |s| = k rho known up to k, s = A x - b has signs eps such that b + k eps*rho lies in the range
of A. Once they are known that is one linear equation for k; finding them is real phase retrieval in
the subspace spanned by A and b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from softunit._typing import Matrix, Vector
from softunit.estimators._leverage_parts import Part

IN_RANGE = 1e-10  # of |b|: what is outside the range of A below it is rounding
MET = 1e-7  # misfit of signs at which the data are met, rounding of the convex stage included
ALL_SIGNS, LIKELY = 14, 64  # rows up to which all signs are tried, and how many are looked at
ALTERNATIONS = 200
RELAXED = 600  # steps of the relaxed search, looked at every LOOK
LOOK = 10
BETA = 0.5
ENTRIES = 1 << 22  # of all starts together
AGREE = 3  # starts that must end at one best misfit before the relaxed search is spared,
PLENTY = 10  # where there are so many rows for each unknown: with fewer, wrong ends attract many
ROUNDS = 3  # of the relaxed search, each from new starts


def in_range(part: Part, b: Vector) -> bool:
    """Return whether b (m,) lies in the range of a part, up to rounding."""
    outside = float(np.linalg.norm(part.apart(b)))
    return outside <= IN_RANGE * max(float(np.linalg.norm(b)), 1e-300)


def few_rows(m: int, width: int) -> bool:
    """Return whether m sizes are too few to settle signs in a subspace of some width."""
    return m < 2 * width - 1


@dataclass(frozen=True)
class Closed:
    """Signs with the scale and scores that they lead to.

    Attributes
    ----------
    signs : ndarray of shape (m,)
        Of s; where the scale k came out negative, all of them are turned.
    z : ndarray of shape (m,)
        In the range of A: b + s, up to the misfit.
    misfit : float
        Sine of the angle between N b and N (eps*rho), N the projection off the range of A: zero
        where signs and sizes are right. For b in the range: |N (eps*rho)| / |rho|.
    """

    signs: Vector
    z: Vector
    misfit: float


@dataclass(frozen=True)
class Retrieval:
    """The signs of one part: what is known, and how the rest is found.

    Attributes
    ----------
    part : Part
    b : ndarray of shape (m,)
    rho : ndarray of shape (m,)
        |s| up to a factor, of norm one.
    ray : bool
        Whether b lies in the range of A: then the scale of s is free.
    """

    part: Part
    b: Vector
    rho: Vector
    ray: bool

    def subspace(self) -> Matrix:
        """Return an orthonormal basis of the space in which eps*rho lies, (m, r + 1) or (m, r)."""
        if self.ray:
            return self.part.basis
        outside = self.part.apart(self.b)
        return np.column_stack([self.part.basis, outside / np.linalg.norm(outside)])

    def close(self, signs: Vector) -> Closed:
        """Return scale and scores for signs.

        k = -<N b, N (eps*rho)> / |N (eps*rho)|^2; on a ray k = 1 / max(rho), to be scaled later.
        """
        turned = signs * self.rho
        left = self.part.apart(turned)
        size = float(np.linalg.norm(left))
        if self.ray:
            k = 1.0 / float(self.rho.max())
            return Closed(signs, self.part.within(self.b + k * turned), size)
        outside = self.part.apart(self.b)
        if size == 0.0:  # the signs fit an s in the range of A, and b asks for one outside it
            return Closed(signs, self.part.within(self.b), 1.0)
        k = -float(outside @ left) / size**2
        misfit = float(np.linalg.norm(outside + k * left) / np.linalg.norm(outside))
        kept = -signs if k < 0 else signs
        return Closed(kept, self.part.within(self.b + k * turned), misfit)

    def search(self, starts: int, rng: np.random.Generator) -> list[Closed]:
        """Return the best distinct signs found, the best first.

        1. Where rows are few, try all signs.  2. Else start at the eigenvectors of the sizes'
        second moment, and at random.  3. Alternate: the nearest point of the subspace, then sizes
        rho with its signs.  4. Unless the data are met, or several starts agree where rows are
        plenty: reflect at both sets and go half the way, which does not stop at points where
        alternating does, and alternate from there now and then.

        Parameters
        ----------
        starts : int
        rng : Generator
        """
        space, found = self.subspace(), _Found(self)
        m, width = space.shape
        if m <= ALL_SIGNS:  # 1.
            found.add(self._likely(space))
            return found.best()
        count = max(4, min(starts, ENTRIES // m))
        points = space @ self._starts(space, count, rng)  # 2.
        found.add(self._alternated(space, points))  # 3.
        enough = found.agreed and m >= PLENTY * width
        for _ in range(0 if enough else ROUNDS):
            if found.met:
                break
            self._relaxed(space, points, found)  # 4.
            points = space @ rng.standard_normal((width, count))
        return found.best()

    def _likely(self, space: Matrix) -> Matrix:
        """Return the best of all signs, the first positive, in columns."""
        m = len(space)
        signs = np.ones((m, 2 ** (m - 1)))
        signs[1:] -= 2.0 * (np.arange(2 ** (m - 1)) >> np.arange(m - 1)[:, None] & 1)
        held = self.rho[:, None] * signs
        left = np.linalg.norm(held - space @ (space.T @ held), axis=0)
        return signs[:, np.argsort(left, kind="stable")[:LIKELY]]

    def _relaxed(self, space: Matrix, points: Matrix, found: _Found) -> None:
        """Search by relaxed reflections from some points, which are overwritten."""
        points /= np.maximum(np.linalg.norm(points, axis=0), 1e-300)
        for step in range(1, RELAXED + 1):
            held = _with_signs(points, self.rho)
            near = space @ (space.T @ (2 * held - points))
            points += BETA * (near - held)
            if step % LOOK == 0:
                found.add(self._alternated(space, near))
                if found.met:
                    break

    def _starts(self, space: Matrix, count: int, rng: np.random.Generator) -> Matrix:
        """Return starts in the coordinates of the subspace, (width, count)."""
        width = space.shape[1]
        starts = rng.standard_normal((width, count))
        own = np.einsum("ij,ij->i", space, space)
        square = self.rho**2
        # Rows weigh less than their square at the large end: a few would else decide alone.
        weight = square / (square + own / width)
        vectors = np.linalg.eigh(space.T @ (weight[:, None] * space))[1]
        kept = min(2, width, count)
        starts[:, :kept] = vectors[:, -kept:][:, ::-1]
        return starts

    def alternated(self, signs: Vector) -> Closed:
        """Return the end of the alternation from given signs."""
        return self.close(self._alternated(self.subspace(), signs[:, None])[:, 0])

    def _alternated(self, space: Matrix, points: Matrix) -> Matrix:
        """Return the signs, (m, count), at which alternation stands still."""
        held = _with_signs(points, self.rho)
        for _ in range(ALTERNATIONS):
            moved = _with_signs(space @ (space.T @ held), self.rho)
            if np.array_equal(moved, held):
                break
            held = moved
        return np.where(held < 0, -1.0, 1.0)


class _Found:
    """Distinct signs, up to turning all of them, and their misfits."""

    def __init__(self, retrieval: Retrieval) -> None:
        self.retrieval = retrieval
        self.closed: dict[bytes, Closed] = {}
        self.misfits: list[float] = []

    def add(self, signs: Matrix) -> None:
        """Keep the columns that are new."""
        for column in signs.T:
            canonical = column * column[0]
            key = np.packbits(canonical > 0).tobytes()
            if key not in self.closed:
                self.closed[key] = self.retrieval.close(canonical)
            self.misfits.append(self.closed[key].misfit)

    @property
    def lowest(self) -> float:
        return min(self.misfits, default=math.inf)

    @property
    def met(self) -> bool:
        """Whether some signs meet the data."""
        return self.lowest <= MET

    @property
    def agreed(self) -> bool:
        """Whether several starts have ended at the best."""
        return sum(misfit <= 1.01 * self.lowest for misfit in self.misfits) >= AGREE

    def best(self, count: int = 8) -> list[Closed]:
        """Return the best, the first of them first."""
        return sorted(self.closed.values(), key=lambda closed: closed.misfit)[:count]


def _with_signs(points: Matrix, rho: Vector) -> Matrix:
    """Return rho with the signs of each column of points."""
    return np.copysign(rho[:, None], points)

"""Rows of levels less the score of a row of another design: proportional odds in long form."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix, Vector
from softunit.curvature import BlockRows, WeightedRows, recentred
from softunit.designs.base import Design
from softunit.designs.scaled import ScaledDesign
from softunit.errors import InputError

Index: TypeAlias = npt.NDArray[np.integer]


class ProportionalDesign(Design):
    """The design whose row l is level[up_l] - level[down_l] - a_m' w, with m = member_l.

    Its x holds the coefficients w of an inner design's columns and, after them, q levels, as the
    thresholds of a proportional odds model. One inner row may serve several rows; its product is
    made once. Nothing of n times q is stored, and a weighted Gram costs one of the inner design.

    Parameters
    ----------
    inner : Design
        A, (m, d).
    member : array_like of int, shape (n,)
        The inner row of each row; -1 for none.
    up, down : array_like of int, shape (n,)
        The level that is added, and the one that is taken off; -1 for none.
    levels : int
        q.

    Raises
    ------
    InputError
        If the three do not have one entry each for every row, or one is out of range.
    """

    def __init__(
        self,
        inner: Design,
        member: npt.ArrayLike,
        up: npt.ArrayLike,
        down: npt.ArrayLike,
        levels: int,
    ) -> None:
        self.inner, self.levels = inner, int(levels)
        self.member = _checked("member", member, None, inner.shape[0])
        self.up = _checked("up", up, len(self.member), self.levels)
        self.down = _checked("down", down, len(self.member), self.levels)
        self.shape: tuple[int, int] = (len(self.member), inner.shape[1] + self.levels)
        self.dtype = inner.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the inner design and of the indices."""
        return self.inner.nbytes + self.member.nbytes + self.up.nbytes + self.down.nbytes

    @property
    def row_entries(self) -> float:
        """Stored entries in a row: those of the inner design, shared among its rows, and two."""
        return self.inner.row_entries * min(1.0, self.inner.shape[0] / self.shape[0]) + 2.0

    def matvec(self, x: Array) -> Array:
        """Return A x, (n,) or (n, K)."""
        w, levels = self._split(np.asarray(x, dtype=np.float64))
        out = _padded(levels)[self.up]
        out -= _padded(levels)[self.down]
        out -= _padded(self.inner.matvec(w))[self.member]
        return out

    def rmatvec(self, g: Array) -> Array:
        """Return A' g, (d + q,) or (d + q, K)."""
        levels = _gathered(g, self.up, self.levels) - _gathered(g, self.down, self.levels)
        own = self.inner.rmatvec(_gathered(g, self.member, self.inner.shape[0]))
        return np.concatenate([-own, levels])

    def _weighted_rows(self, curvature: WeightedRows) -> Matrix:
        return curvature.expanded_gram(self.weighted_gram, self.rmatvec)

    def _block_rows(self, curvature: BlockRows) -> Matrix:
        return curvature.expanded_gram(self.weighted_gram, self.rmatvec)

    def weighted_gram(self, weights: Vector, centre: Vector | None = None) -> Matrix:
        """Return (A - 1 c')' diag(p) (A - 1 c'), from one Gram of the inner design."""
        (m, d), q = self.inner.shape, self.levels
        out = np.empty((d + q, d + q))
        out[:d, :d] = self.inner.weighted_gram(_gathered(weights, self.member, m))
        # The weight of each level in each inner row: (m, q), and none for rows without one.
        at = (self.member.astype(np.int64) + 1) * q
        met = self._counted(at, self.up, weights, (m + 1) * q)
        met -= self._counted(at, self.down, weights, (m + 1) * q)
        out[:d, d:] = -self.inner.rmatvec(met.reshape(m + 1, q)[1:])
        out[d:, :d] = out[:d, d:].T
        out[d:, d:] = self._level_gram(weights)
        if centre is None:
            return out
        return recentred(out, self.rmatvec(weights), float(weights.sum()), centre)

    def _counted(self, at: Index, level: Index, weights: Vector, size: int) -> Vector:
        kept = level >= 0
        counts = np.bincount((at + level)[kept], weights=weights[kept], minlength=size)
        return np.asarray(counts, dtype=np.float64)

    def _level_gram(self, weights: Vector) -> Matrix:
        q = self.levels
        both = (self.up >= 0) & (self.down >= 0)
        pairs = (self.up * q + self.down)[both]
        cross = np.bincount(pairs, weights=weights[both], minlength=q * q).reshape(q, q)
        own = _gathered(weights, self.up, q) + _gathered(weights, self.down, q)
        return np.asarray(np.diag(own) - cross - cross.T)

    def rows(self, index: slice | Index) -> ProportionalDesign:
        """Return the design of some rows, with the inner rows that they need."""
        member = self.member[index]
        heard = member[member >= 0]
        part = object.__new__(ProportionalDesign)
        if not len(heard):
            part.inner, part.member = self.inner.rows(slice(0, 1)), member
        elif isinstance(index, slice):
            low, high = int(heard.min()), int(heard.max())
            part.inner = self.inner.rows(slice(low, high + 1))
            part.member = np.where(member >= 0, member - low, -1)
        else:
            wanted, place = np.unique(heard, return_inverse=True)
            part.inner, part.member = self.inner.rows(wanted), np.full(len(member), -1)
            part.member[member >= 0] = place
        part.up, part.down, part.levels = self.up[index], self.down[index], self.levels
        part.shape, part.dtype = (len(member), self.shape[1]), self.dtype
        return part

    def toarray(self) -> Matrix:
        """Return A as a dense float64 array."""
        d = self.inner.shape[1]
        out = np.empty(self.shape)
        out[:, :d] = -_padded(self.inner.toarray())[self.member]
        eye = _padded(np.eye(self.levels))
        out[:, d:] = eye[self.up] - eye[self.down]
        return out

    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column."""
        n = self.shape[0]
        share = np.full(n, 1 / n) if weights is None else weights / weights.sum()
        each = _gathered(share, self.member, self.inner.shape[0])
        heard = float(each.sum())
        if heard > 0:
            first, spread = self.inner.column_moments(each)
            # Zero in the rows without an inner one.
            mean = -heard * first
            variance = heard * spread + heard * (1 - heard) * first**2
        else:
            mean = variance = np.zeros(self.inner.shape[1])
        add, take = _gathered(share, self.up, self.levels), _gathered(share, self.down, self.levels)
        same = (self.up >= 0) & (self.up == self.down)
        twice = _gathered(np.where(same, share, 0.0), self.up, self.levels)
        moved = add - take
        squares = np.maximum(add + take - 2 * twice - moved**2, 0.0)
        return np.concatenate([mean, moved]), np.concatenate([variance, squares])

    def abs_matvec(self, x: Array) -> Array:
        """Return the size of the terms of A x for x >= 0."""
        w, levels = self._split(x)
        out = _padded(levels)[self.up] + _padded(levels)[self.down]
        out[self.up == self.down] = 0.0
        return np.asarray(out + _padded(self.inner.abs_matvec(w))[self.member])

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return |A|' g for g >= 0."""
        own = self.inner.abs_rmatvec(_gathered(g, self.member, self.inner.shape[0]))
        apart = np.where(self.up == self.down, 0.0, g)
        add, take = (_gathered(apart, side, self.levels) for side in (self.up, self.down))
        return np.concatenate([own, add + take])

    # A scaled inner design without an intercept leaves its centre to the levels.

    def to_input(self, x: Array) -> Array:
        """Return the coefficients of the unscaled columns, and the levels that go with them."""
        w, levels = self._split(np.asarray(x, dtype=np.float64))
        return np.concatenate([self.inner.to_input(w), levels + self._centre() @ self._plain(w)])

    def from_input(self, x: Array) -> Array:
        """Return the x that `to_input` maps to these coefficients and levels."""
        w, levels = self._split(np.asarray(x, dtype=np.float64))
        inner = self.inner.from_input(w)
        return np.concatenate([inner, levels - self._centre() @ self._plain(inner)])

    def gradient_to_input(self, g: Array) -> Array:
        """Return the gradient by unscaled coefficients and their levels."""
        own, levels = self._split(np.asarray(g, dtype=np.float64))
        moved = np.multiply.outer(self._centre(), levels.sum(axis=0))
        return np.concatenate([self.inner.gradient_to_input(own) - moved, levels])

    def _centre(self) -> Vector:
        inner = self.inner
        if isinstance(inner, ScaledDesign) and not inner.intercept and inner.centre is not None:
            return inner.centre
        return np.zeros(inner.shape[1])

    def _plain(self, w: Array) -> Array:
        """Return w in the coordinates that the centre belongs to."""
        return self.inner.to_input(w) if isinstance(self.inner, ScaledDesign) else w

    def _split(self, x: Array) -> tuple[Array, Array]:
        d = self.inner.shape[1]
        return x[:d], x[d:]


def _checked(name: str, index: npt.ArrayLike, n: int | None, size: int) -> Index:
    array = np.asarray(index)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (n is not None and len(array) != n):
        wish = "whole numbers, one for each row" + ("" if n is None else f" ({n} rows)")
        raise InputError(f"`{name}` must be {wish}; got {array.dtype} of shape {array.shape}.")
    bad = np.flatnonzero((array < -1) | (array >= size))
    if len(bad):
        raise InputError(
            f"`{name}` must lie in -1 to {size - 1}; got {array[bad[0]]} in row {bad[0]}."
        )
    return array.astype(np.int32, copy=False)


def _padded(v: Array) -> Array:
    """Return v with a zero behind it, which index -1 finds."""
    return np.concatenate([v, np.zeros((1, *v.shape[1:]))])


def _gathered(g: Array, index: Index, size: int) -> Array:
    """Return the sums of g over the rows of each index, (size,) or (size, K); -1 is left out."""
    if g.ndim == 1:
        return np.bincount(index + 1, weights=g, minlength=size + 1)[1:]
    return np.stack([_gathered(column, index, size) for column in g.T], axis=1)

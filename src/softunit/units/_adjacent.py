"""The curvature of losses that see two neighbouring columns of scores in every row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix, Vector
from softunit.curvature import BlockRows, Transpose, WeightedGram

Index: TypeAlias = npt.NDArray[np.integer]


@dataclass(frozen=True)
class AdjacentLogits(BlockRows):
    """C = one block of rank three for each row.

    In K - 1 cumulative logits z, for row i::

        C_i = upper_i e_y e_y' + lower_i e_{y-1} e_{y-1}' + gap_i (e_y - e_{y-1})(e_y - e_{y-1})'

    with y the class of row i; unit vectors beyond the ends are zero. Where scores are differences
    t of adjacent logits, z = t cumulated, C_i is seen through that map.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        y, 0 to K - 1.
    upper, lower, gap : ndarray of shape (n,)
    columns : int
        K - 1.
    differences : bool, default False
    """

    codes: Index
    upper: Vector
    lower: Vector
    gap: Vector
    columns: int
    differences: bool = False

    def matvec(self, v: Array) -> Array:
        """Return C v, shape (n, K - 1)."""
        q = np.cumsum(v, axis=1) if self.differences else v
        above, below = neighbours(q, self.codes)
        # In differences the gap is a score itself: no cancellation.
        step = own(v, self.codes) if self.differences else above - below
        pull = self.gap * step
        if self.differences:
            out = spread(self.upper * above, self.lower * below, self.codes, self.columns)
            out = from_right(out)
            add_own(out, pull, self.codes)
            return out
        up, down = self.upper * above + pull, self.lower * below - pull
        return spread(up, down, self.codes, self.columns)

    def diagonal(self) -> Matrix:
        """Return the diagonal of C, shape (n, K - 1)."""
        up, down = self.upper, self.lower
        if not self.differences:
            return spread(up + self.gap, down + self.gap, self.codes, self.columns)
        out = from_right(spread(up, down, self.codes, self.columns))
        add_own(out, self.gap, self.codes)
        return out

    def block_gram(self, block: Matrix) -> Matrix:
        """Return A' C A, (d(K-1), d(K-1)), for a dense A: three Grams of the rows of each class."""

        def gram(w: Vector, rows: Index) -> Matrix:
            part = block[rows]
            return np.asarray(part.T @ (w[rows, None] * part))

        return self._assembled(gram)

    def expanded_gram(self, gram: WeightedGram, transpose: Transpose) -> Matrix:
        """Return A' C A from weighted Grams over all rows, three for each class."""

        def masked(w: Vector, rows: Index) -> Matrix:
            kept = np.zeros(len(w))
            kept[rows] = w[rows]
            return gram(kept)

        return self._assembled(masked)

    def _assembled(self, gram: Callable[[Vector, Index], Matrix]) -> Matrix:
        """Return the Gram from those of the rows of each class, weighted by each of the terms."""
        m = self.columns
        total: Array | None = None
        for y in range(m + 1):
            rows = np.flatnonzero(self.codes == y)
            terms = [(self.upper, y, y), (self.lower, y - 1, y - 1), (self.gap, y, y - 1)]
            for weights, first, second in terms:
                sides = {first, second} & set(range(m))
                inside = len(sides) == len({first, second})
                if not inside or not len(rows):
                    continue
                part = gram(weights, rows)
                d = len(part)
                total = np.zeros((d, m, d, m)) if total is None else total
                self._place(total, part, first, second)
        assert total is not None
        d = total.shape[0]
        return np.asarray(total.reshape(d * m, d * m))

    def _place(self, total: Array, part: Matrix, first: int, second: int) -> None:
        """Add one Gram to the columns of scores that its term sees."""
        if first != second:
            if self.differences:
                total[:, first, :, first] += part
                return
            for a, b, sign in ((first, first, 1), (second, second, 1), (first, second, -1)):
                total[:, a, :, b] += sign * part
                if a != b:
                    total[:, b, :, a] += sign * part
            return
        seen = range(first + 1) if self.differences else (first,)
        for a in seen:
            for b in seen:
                total[:, a, :, b] += part

    def __getitem__(self, rows: slice) -> AdjacentLogits:
        return AdjacentLogits(
            self.codes[rows],
            self.upper[rows],
            self.lower[rows],
            self.gap[rows],
            self.columns,
            self.differences,
        )


def neighbours(z: Matrix, codes: Index) -> tuple[Vector, Vector]:
    """Return z_y and z_{y-1} of each row, zero beyond the ends."""
    n, m = z.shape
    rows = np.arange(n)
    above = np.where(codes < m, z[rows, np.minimum(codes, m - 1)], 0.0)
    return above, np.where(codes > 0, z[rows, np.maximum(codes - 1, 0)], 0.0)


def own(t: Matrix, codes: Index) -> Vector:
    """Return t_y of each row of a middle class, zero in others."""
    n, m = t.shape
    middle = (codes > 0) & (codes < m)
    return np.where(middle, t[np.arange(n), np.minimum(codes, m - 1)], 0.0)


def spread(up: Vector, down: Vector, codes: Index, m: int) -> Matrix:
    """Return (n, m) with `up` at column y and `down` at y - 1, what is beyond the ends left out."""
    out = np.zeros((len(codes), m))
    high, low = np.flatnonzero(codes < m), np.flatnonzero(codes > 0)
    out[high, codes[high]] = up[high]
    out[low, codes[low] - 1] = down[low]
    return out


def add_own(out: Matrix, v: Vector, codes: Index) -> None:
    """Add v at column y of the rows of middle classes."""
    middle = np.flatnonzero((codes > 0) & (codes < out.shape[1]))
    out[middle, codes[middle]] += v[middle]


def from_right(g: Matrix) -> Matrix:
    """Return sums from each column to the last: derivatives by differences from those by logits."""
    return np.ascontiguousarray(np.cumsum(g[:, ::-1], axis=1)[:, ::-1])

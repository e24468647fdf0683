"""The curvature of shares that are known of bags of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softunit._groups import Groups
from softunit._typing import Array, Matrix
from softunit.curvature import Curvature, Products

PIECE = 1 << 20  # entries of what a piece of a design becomes


@dataclass(frozen=True)
class BagCurvature(Curvature):
    """C = one block for each row, and for each bag and class a term that sees the whole bag.

    ::

        row i        diag(u_i) - s_i p_i' - p_i s_i'
        bag B, k     D_Bk m_Bk m_Bk',   m_Bk = (w_ik (e_k - p_i)) for the rows i of B

    All arrays are group by group (`Groups.sorted`).

    Parameters
    ----------
    groups : Groups
        The bags.
    p, u, s, w : ndarray of shape (n, K)
    strength : ndarray of shape (count, K)
        D >= 0.
    single : bool
        Whether scores are (n,): those of the second of two classes, the first held at zero.
    """

    groups: Groups
    p: Matrix
    u: Matrix
    s: Matrix
    w: Matrix
    strength: Matrix
    single: bool

    def matvec(self, v: Array) -> Array:
        """Return C v, of the shape of v."""
        if not self.single:
            return self._product(v)
        if v.ndim == 2:
            return np.stack([self.matvec(column) for column in v.T], axis=1)
        return np.asarray(self._product(np.column_stack([np.zeros(len(v)), v]))[:, 1])

    def _product(self, v: Matrix) -> Matrix:
        groups, p, w = self.groups, self.p, self.w
        v = groups.sorted(v)
        mean = (p * v).sum(axis=1, keepdims=True)
        out = self.u * v - self.s * mean - p * (self.s * v).sum(axis=1, keepdims=True)
        seen = self.strength * groups.block_sums(np.ones(len(v)), w * (v - mean))
        back = w * groups.spread_rows(seen)
        out += back - p * back.sum(axis=1, keepdims=True)
        return _unsorted(groups, out)

    def diagonal(self) -> Matrix:
        """Return the diagonal of C, (n, 1) for scores (n,), else (n, K)."""
        p = self.p
        each = self.groups.spread_rows(self.strength) * self.w**2
        total = self.u - 2 * self.s * p + each * (1 - 2 * p)
        total += p**2 * each.sum(axis=1, keepdims=True)
        return (
            _unsorted(self.groups, total)[:, 1:] if self.single else _unsorted(self.groups, total)
        )

    def gram_in(self, design: Products) -> Matrix:
        """Return A' C A, (d, d) or (dK, dK), from whole bags at a time."""
        d, k = design.shape[1], self.p.shape[1]
        classes = range(1, k) if self.single else range(k)
        total = np.zeros((d, len(classes), d, len(classes)))
        starts = self.groups.starts
        for which, index in self.groups.pieces(max(1, PIECE // (d * k))):
            rows = slice(int(starts[which.start]), int(starts[which.stop]))
            block = design.rows(index).toarray()
            for i, a in enumerate(classes):
                for j, b in enumerate(classes[: i + 1]):
                    each = -self.s[rows, a] * self.p[rows, b] - self.p[rows, a] * self.s[rows, b]
                    each = each + self.u[rows, a] if a == b else each
                    part = block.T @ (each[:, None] * block)
                    total[:, i, :, j] += part
                    if i != j:
                        total[:, j, :, i] += part.T
            self._add_bags(total, which, rows, block)
        return total.reshape(d * len(classes), -1)

    def _add_bags(self, total: Array, which: slice, rows: slice, block: Matrix) -> None:
        """Add the terms of some whole bags, in place."""
        d, width = total.shape[:2]
        flat = total.reshape(d * width, d * width)
        first, k = int(self.single), self.p.shape[1]
        part = self.groups.part(which)
        for c in range(k):
            apart = -self.p[rows, first:]
            if c >= first:
                apart[:, c - first] += 1
            apart *= self.w[rows, c, None]
            wide = (block[:, :, None] * apart[:, None, :]).reshape(len(block), -1)
            seen = part.block_sums(np.ones(len(block)), wide)
            flat += seen.T @ (self.strength[which, c, None] * seen)


def _unsorted(groups: Groups, rows: Matrix) -> Matrix:
    """Return rows that stand group by group in the order of the input."""
    if groups.order is None:
        return rows
    out = np.empty_like(rows)
    out[groups.order] = rows
    return out

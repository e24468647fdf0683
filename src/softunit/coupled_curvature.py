"""Second derivatives that couple rows in other ways than one softmax does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from softunit._groups import Groups
from softunit._typing import Array, Matrix, Vector
from softunit.curvature import Curvature, Products, RowForm, WeightedRows

PIECE = 1 << 20  # entries of a dense piece of a design


@dataclass(frozen=True)
class Updated(Curvature):
    """C = base + U S U': a sum over rows and a few terms that see them all.

    Parameters
    ----------
    base : WeightedRows
        For scores (n,).
    factors : ndarray of shape (n, r)
        U.
    core : ndarray of shape (r, r)
        S, symmetric.
    """

    base: WeightedRows
    factors: Matrix
    core: Matrix

    def matvec(self, v: Array) -> Array:
        """Return C v, shape (n,) or (n, K)."""
        return np.asarray(self.base.matvec(v) + self.factors @ (self.core @ (self.factors.T @ v)))

    def gram_in(self, design: Products) -> Matrix:
        """Return A' base A + (A' U) S (A' U)', (d, d)."""
        return np.asarray(design.gram(self.base) + self.row_form().beside(design.rmatvec))

    def diagonal(self) -> Matrix:
        """Return the diagonal of C, shape (n, 1)."""
        more = np.einsum("ij,jk,ik->i", self.factors, self.core, self.factors, optimize=True)
        return np.asarray(self.base.diagonal() + more[:, None])

    def row_form(self) -> RowForm:
        """Return the rows of the base, and U and S."""
        rows = self.base.row_form()
        return RowForm(rows.weights, rows.centre, self.factors, self.core)


@dataclass(frozen=True)
class GroupedDiagonal(Curvature):
    """C = one block (I - 1 f')' diag(p) (I - 1 f') for each group of rows.

    Parameters
    ----------
    weights : ndarray of shape (n,)
        p; may have negative entries.
    centre : ndarray of shape (n,)
        f, nonnegative with sum one in every group.
    groups : Groups
    """

    weights: Vector
    centre: Vector
    groups: Groups

    def matvec(self, v: Array) -> Array:
        """Return C v, shape (n,) or (n, K)."""
        if v.ndim == 2:
            return np.stack([self.matvec(column) for column in v.T], axis=1)
        groups = self.groups
        q = self.weights * (v - groups.spread(groups.sums(self.centre * v)))
        return np.asarray(q - self.centre * groups.spread(groups.sums(q)))

    def gram_in(self, design: Products) -> Matrix:
        """Return A' C A, (d, d), from whole groups at a time."""
        d = design.shape[1]
        total = np.zeros((d, d))
        starts, sizes = self.groups.starts, self.groups.sizes
        for which, index in self.groups.pieces(max(1, PIECE // d)):
            block = design.rows(index).toarray()
            here = starts[which] - starts[which.start]
            means = np.add.reduceat(self.centre[index, None] * block, here, axis=0)
            centred = block - np.repeat(means, sizes[which], axis=0)
            total += centred.T @ (self.weights[index, None] * centred)
        return total

    def diagonal(self) -> Matrix:
        """Return the diagonal of C, shape (n, 1)."""
        p, f = self.weights, self.centre
        each = self.groups.spread(self.groups.sums(p))
        return np.asarray(p - 2 * p * f + each * f * f)[:, None]


@dataclass(frozen=True)
class MatrixFree(Curvature):
    """C known by its products alone.

    Parameters
    ----------
    product : callable
        v (n,) -> C v (n,); C must be symmetric.
    size : int
        n.
    """

    product: Callable[[Vector], Vector]
    size: int

    def matvec(self, v: Array) -> Array:
        """Return C v, shape (n,) or (n, K), column by column."""
        if v.ndim == 1:
            return np.asarray(self.product(v))
        return np.stack([self.product(column) for column in v.T], axis=1)

    def gram_in(self, design: Products) -> Matrix:
        """Return A' C A, (d, d), from one product for each column of A."""
        d = design.shape[1]
        total = np.empty((d, d))
        for j, unit in enumerate(np.eye(d)):
            total[:, j] = design.rmatvec(self.product(design.matvec(unit)))
        return np.asarray((total + total.T) / 2)

    def diagonal(self) -> Matrix:
        """Return the diagonal of C, shape (n, 1), from n products: for checks, not for large n."""
        return np.array([self.product(unit)[i] for i, unit in enumerate(np.eye(self.size))])[
            :, None
        ]

"""Second derivatives that couple rows in other ways than one softmax does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._groups import Groups
from softunit._threads import add_up
from softunit._typing import Array, Matrix, Vector
from softunit.curvature import Curvature, Products, RowForm, WeightedRows

PIECE = 1 << 17
"""Entries of a dense piece of a design: it is centred and multiplied without leaving the cache."""

DIGITS = 1e4
"""By which the means of groups may outweigh what is left, in squares: four of sixteen digits."""

Index = slice | npt.NDArray[np.integer]
"""Rows of some groups, group by group."""

Piece = tuple[slice, Index]
"""Some groups, and their rows."""


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
        """Return A' C A, (d, d), in one pass over whole groups at a time."""
        d = design.shape[1]
        pieces = self.groups.pieces(max(d, PIECE // d))

        def block(index: Index) -> Matrix:
            return np.ascontiguousarray(design.rows(index).toarray())

        def plain(piece: Piece) -> tuple[Matrix, Vector]:
            which, index = piece
            return self._plain_gram(block(index), which, index)

        def centred(piece: Piece) -> tuple[Matrix]:
            which, index = piece
            rows, p = self._centred(block(index), which, index), self.weights[index, None]
            return (rows.T @ (p * rows),)

        if self.weights.min(initial=0.0) >= 0:
            total, whole = add_up(plain, pieces)
            if (whole <= DIGITS * np.abs(np.diagonal(total))).all():
                return np.asarray(total)
        return np.asarray(add_up(centred, pieces)[0])

    def _plain_gram(self, block: Matrix, which: slice, index: Index) -> tuple[Matrix, Vector]:
        """Return A' C A of whole groups without centring their rows, and the diagonal of A' P A.

        It is A' P A - R' M - M' R + M' diag(P 1) M, with the means M by f and the sums R by p.
        """
        groups, p = self.groups.part(which), self.weights[index]
        rows = np.sqrt(p)[:, None] * block
        gram = rows.T @ rows  # BLAS sees one array twice: half the work
        whole = np.diagonal(gram).copy()
        means = groups.block_sums(self.centre[index], block)
        if self.weights is self.centre:
            gram -= means.T @ means
            return gram, whole
        cross = groups.block_sums(p, block)
        cross -= 0.5 * groups.sums(p)[:, None] * means
        cross = cross.T @ means
        return np.asarray(gram - cross - cross.T), whole

    def _centred(self, block: Matrix, which: slice, index: Index) -> Matrix:
        """Return rows of whole groups less the mean of their group, weighted by f."""
        groups, d = self.groups.part(which), block.shape[1]
        means = groups.block_sums(self.centre[index], block)
        if groups.size:
            table = block.reshape(groups.count, groups.size, d) - means[:, None]
            return np.asarray(table.reshape(block.shape))
        return np.asarray(block - groups.spread_rows(means))

    def sparse_gram(self, matrix: sparse.csr_matrix) -> Matrix:
        """Return A' C A, (d, d), for a sparse A (n, d), from sparse products alone.

        ::

            A' P A - R' M - M' R + M' diag(P 1) M,   M = means by f, R = sums by p, in each group
        """
        groups = self.groups
        rows = sparse.csr_array(matrix if groups.order is None else matrix[groups.order])
        p = groups.sorted(self.weights)
        means = self._group_sums(groups.sorted(self.centre)) @ rows
        if self.weights is self.centre:
            cross = means.T @ means / 2
        else:
            left = self._group_sums(p) @ rows
            cross = (left - _rows_times(means, groups.sums(self.weights) / 2)).T @ means
        whole = (rows.T @ _rows_times(rows, p)).toarray()
        less = cross.toarray()
        return np.asarray(whole - less - less.T)

    def _group_sums(self, weights: Vector) -> sparse.csr_array:
        """Return the matrix that sums weighted rows, group by group, over each group."""
        shape = (self.groups.count, len(weights))
        return sparse.csr_array((weights, np.arange(len(weights)), self.groups.starts), shape=shape)

    def diagonal(self) -> Matrix:
        """Return the diagonal of C, shape (n, 1)."""
        p, f = self.weights, self.centre
        each = self.groups.spread(self.groups.sums(p))
        return np.asarray(p - 2 * p * f + each * f * f)[:, None]


def _rows_times(matrix: sparse.csr_array, weights: Vector) -> sparse.csr_array:
    """Return diag(weights) A for a sparse A; its places are shared."""
    data = matrix.data * np.repeat(weights, np.diff(matrix.indptr))
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


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

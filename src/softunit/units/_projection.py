"""Projections on the range of a tall matrix: their diagonal, and products with P.P.

P is n by n and never formed: an orthonormal basis Q of the range has P = Q Q', and the elementwise
square P.P acts as (P.P) v = rowsum((Q M) * Q) with M = Q' diag(v) Q, in O(n r^2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lapack, qr

from softunit._typing import Matrix, Vector
from softunit.curvature import Products

BLOCK = 1 << 17  # entries of the temporaries of one block of rows: they stay in the cache
RANK = 1e-12  # of the largest singular value, columns scaled to one size: smaller ones are rounding
SKEWED = 0.1  # largest |Q'Q - I| after one Cholesky pass from which a second one orthonormalises


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Yield slices over n rows so that `width` numbers a row make a block that fits the cache."""
    size = max(64, BLOCK // max(1, width))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


@dataclass(frozen=True)
class Span:
    """The range of a matrix A (n, d) of rank r: an orthonormal basis and the way back.

    Attributes
    ----------
    basis : ndarray of shape (n, r)
        Orthonormal columns; zero rows of A are zero here too.
    back : ndarray of shape (d, r)
        A @ back = basis, with least-norm columns.
    null : ndarray of shape (d, d - r)
        Orthonormal combinations of the columns that are zero.
    """

    basis: Matrix
    back: Matrix
    null: Matrix

    @classmethod
    def of(cls, a: Matrix) -> Span:
        """Decompose A by a thin QR and the singular values of its factor.

        Columns are scaled to one size first, so that units of length do not decide the rank.
        """
        size = np.sqrt(np.einsum("ij,ij->j", a, a))
        scale = np.where(size > 0, size, 1.0)
        q, r = np.linalg.qr(a / scale)
        if len(q) < a.shape[1]:  # fewer rows than columns: the factor is not square
            r = np.vstack([r, np.zeros((a.shape[1] - len(r), a.shape[1]))])
            q = np.hstack([q, np.zeros((len(q), a.shape[1] - q.shape[1]))])
        left, values, right = np.linalg.svd(r)
        kept = values > RANK * max(float(values.max(initial=0.0)), 1e-300)
        basis = q @ left[:, kept]
        basis[~a.any(axis=1)] = 0.0
        back = (right[kept].T / values[kept]) / scale[:, None]
        null = np.linalg.qr(right[~kept].T / scale[:, None])[0]
        return cls(basis, back - null @ (null.T @ back), null)

    @property
    def rank(self) -> int:
        """The rank r of A."""
        return int(self.basis.shape[1])

    def solve(self, z: Vector) -> Vector:
        """Return the x of least norm with A x closest to z, shape (d,)."""
        return np.asarray(self.back @ (self.basis.T @ z))


@dataclass(frozen=True)
class Projection:
    """P = Q Q' on the range of diag(1/s) A, through Q.

    Attributes
    ----------
    q : ndarray of shape (n, r)
        Q, orthonormal columns.
    """

    q: Matrix

    @classmethod
    def scaled(cls, basis: Matrix, s: Vector) -> Projection:
        """Project on the range of diag(1/|s|) basis; signs of s turn rows of Q, which no P.P sees.

        1. Cholesky of the Gram, twice: as accurate as Householder's QR while rows are of one size,
        and made of matrix products only.  2. Where rows differ by many orders, QR with pivoted
        columns on rows sorted by size, which keeps the digits of small rows.

        Parameters
        ----------
        basis : ndarray of shape (n, r)
            A, or any basis of its range.
        s : ndarray of shape (n,)
            Without zeros.
        """
        size = np.abs(s)
        rows = basis * (size.min() / size)[:, None]
        first = _orthonormalised(rows)  # 1.
        if first is not None:
            gram = first.T @ first
            if np.abs(gram - np.eye(len(gram))).max(initial=0.0) <= SKEWED:
                second = _orthonormalised(first, gram)
                if second is not None:
                    return cls(second)
        order = np.argsort(size)  # 2.
        q = np.empty_like(rows)
        q[order] = qr(rows[order], mode="economic", pivoting=True)[0]
        return cls(q)

    @cached_property
    def scores(self) -> Vector:
        """The leverage scores sigma = diag(P), shape (n,)."""
        return np.asarray(np.einsum("ij,ij->i", self.q, self.q))

    def moment(self, v: Vector) -> Matrix:
        """Return Q' diag(v) Q, shape (r, r)."""
        n, r = self.q.shape
        total = np.zeros((r, r))
        for rows in row_blocks(n, r):
            block = self.q[rows]
            total += block.T @ (v[rows, None] * block)
        return total

    def forms(self, matrix: Matrix) -> Vector:
        """Return q_i' M q_i for every row q_i of Q, shape (n,)."""
        n, r = self.q.shape
        out = np.empty(n)
        for rows in row_blocks(n, r):
            block = self.q[rows]
            np.einsum("ij,ij->i", block @ matrix, block, out=out[rows])
        return out

    def squared(self, v: Vector) -> Vector:
        """Return (P.P) v, shape (n,)."""
        return self.forms(self.moment(v))

    def laplacian(self, v: Vector) -> Vector:
        """Return (diag(sigma) - P.P) v, shape (n,): zero for constants, positive semidefinite."""
        return np.asarray(self.scores * v - self.squared(v))


def _orthonormalised(rows: Matrix, gram: Matrix | None = None) -> Matrix | None:
    """Return rows R^-1 with R from Cholesky of their Gram; None where it is not definite."""
    factor, fault = lapack.dpotrf(rows.T @ rows if gram is None else gram)
    if fault:
        return None
    inverse, fault = lapack.dtrtri(factor)
    return None if fault else np.asarray(rows @ np.triu(inverse))


@dataclass(frozen=True)
class Pairs:
    """P.P = K K' with one column of K for each pair of columns of Q: r (r + 1) / 2 of them.

    Products with many vectors share K; it is made block by block and never kept whole.

    Attributes
    ----------
    projection : Projection
    """

    projection: Projection

    @property
    def count(self) -> int:
        """Number of pairs."""
        r = int(self.projection.q.shape[1])
        return r * (r + 1) // 2

    def rows(self, part: slice) -> Matrix:
        """Return some rows of K, (m, count): products of two entries, mixed ones times sqrt(2)."""
        q = np.ascontiguousarray(self.projection.q[part].T)
        r, m = q.shape
        double = math.sqrt(2.0) * q
        out = np.empty((self.count, m))  # down contiguous columns of K
        start = 0
        for j in range(r):
            np.multiply(q[j], q[j], out=out[start])
            np.multiply(q[j], double[j + 1 :], out=out[start + 1 : start + r - j])
            start += r - j
        return out.T

    def blocks(self, design: Products) -> Iterator[tuple[slice, Matrix, Matrix]]:
        """Yield (rows, rows of K, the same rows of a design as an array), block by block."""
        for part in row_blocks(design.shape[0], self.count):
            yield part, self.rows(part), design.rows(part).toarray()

    def unpacked(self, sums: Matrix) -> Matrix:
        """Return K'V (count, k) as the matrices Q' diag(v_j) Q, (k, r, r)."""
        r, k = self.projection.q.shape[1], sums.shape[1]
        i, j = np.triu_indices(r)
        out = np.empty((k, r, r))
        out[:, i, j] = (sums / np.where(i == j, 1.0, math.sqrt(2.0))[:, None]).T
        out[:, j, i] = out[:, i, j]
        return out

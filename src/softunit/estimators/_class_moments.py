"""Weights, means and squares about the means of each class, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from softunit._typing import Array, Matrix, Vector

BLOCK = 1 << 20  # entries of X that are centred at a time


@dataclass(frozen=True)
class ClassMoments:
    """What some rows say of each class and column; that of other rows is merged in.

    Attributes
    ----------
    weight : ndarray of shape (K,)
        Sum of the row weights.
    mean : ndarray of shape (K, d)
        Zero for a class without weight.
    squares : ndarray of shape (K, d)
        Weighted sum of (x - mean)^2.
    """

    weight: Vector
    mean: Matrix
    squares: Matrix

    @classmethod
    def none(cls, classes: int, columns: int) -> ClassMoments:
        """Return the moments of no row."""
        empty = np.zeros((classes, columns))
        return cls(np.zeros(classes), empty, empty)

    @classmethod
    def of(cls, x: Any, codes: Array, weights: Vector | None, classes: int) -> ClassMoments:
        """Return the moments of all rows.

        Parameters
        ----------
        x : ndarray or CSR matrix of shape (n, d)
        codes : ndarray of int, shape (n,)
            Class of each row.
        weights : ndarray of shape (n,) or None
        classes : int
            K.
        """
        n, d = x.shape
        each = np.ones(n) if weights is None else weights
        size = max(1, BLOCK // max(1, d))
        total = cls.none(classes, d)
        for first in range(0, n, size):
            rows = slice(first, first + size)
            part = _sparse_part if sparse.issparse(x) else _dense_part
            total = total.merged(part(x[rows], _indicator(codes[rows], each[rows], classes)))
        return total

    def merged(self, other: ClassMoments) -> ClassMoments:
        """Return the moments of both sets of rows (Chan, Golub, LeVeque 1979)."""
        weight = self.weight + other.weight
        share = np.divide(other.weight, weight, out=np.zeros_like(weight), where=weight > 0)
        apart = other.mean - self.mean
        between = (self.weight * share)[:, None] * apart**2
        squares = self.squares + other.squares + between
        return ClassMoments(weight, self.mean + share[:, None] * apart, squares)

    def together(self) -> tuple[Vector, Vector]:
        """Return mean and variance (d,) of all rows, whatever their class."""
        share = self.weight / self.weight.sum()
        mean = share @ self.mean
        within = self.squares.sum(axis=0) / self.weight.sum()
        return mean, within + share @ (self.mean - mean) ** 2


def _indicator(codes: Array, weights: Vector, classes: int) -> Any:
    """Return the weights of the rows in the row of their class, sparse (K, n)."""
    return sparse.csr_matrix((weights, (codes, np.arange(len(codes)))), shape=(classes, len(codes)))


def _mean(sums: Matrix, weight: Vector) -> Matrix:
    return np.divide(sums, weight[:, None], out=np.zeros_like(sums), where=weight[:, None] > 0)


def _dense_part(block: Matrix, indicator: Any) -> ClassMoments:
    weight = np.asarray(indicator.sum(axis=1)).ravel()
    mean = _mean(np.asarray(indicator @ block, dtype=np.float64), weight)
    codes = indicator.tocsc().indices
    return ClassMoments(weight, mean, np.asarray(indicator @ (block - mean[codes]) ** 2))


def _sparse_part(block: Any, indicator: Any) -> ClassMoments:
    """Return the same of a sparse block: entries that are not stored count by their weight."""
    weight = np.asarray(indicator.sum(axis=1)).ravel()
    mean = _mean(np.asarray((indicator @ block).toarray(), dtype=np.float64), weight)
    if not block.has_canonical_format:  # squares of the parts of an entry are not its square
        block = block.copy()
        block.sum_duplicates()
    entries = block.tocoo()
    codes = indicator.tocsc().indices[entries.row]
    apart = entries.data - mean[codes, entries.col]
    twin = sparse.csr_matrix((apart**2, block.indices, block.indptr), shape=block.shape)
    stored = sparse.csr_matrix(
        (np.ones(len(apart)), block.indices, block.indptr), shape=block.shape
    )
    unstored = np.maximum(weight[:, None] - np.asarray((indicator @ stored).toarray()), 0.0)
    squares = np.asarray((indicator @ twin).toarray()) + unstored * mean**2
    return ClassMoments(weight, mean, squares)

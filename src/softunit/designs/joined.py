"""Two designs side by side, and columns of ones that tell alternatives apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix, Vector
from softunit.designs.base import Design
from softunit.errors import InputError


class OneHotDesign(Design):
    """A column of ones and zeros for each label but some: n numbers hold them all.

    Parameters
    ----------
    codes : array_like of int, shape (n,)
        Row i has its one in column codes[i]; -1 means that it has none.
    columns : int
        d, above all codes.

    Raises
    ------
    InputError
        If there is no row or no column, or a code is out of range.
    """

    def __init__(self, codes: npt.ArrayLike, columns: int) -> None:
        c = np.asarray(codes, dtype=np.int32)
        if c.ndim != 1 or len(c) == 0 or columns < 1:
            raise InputError(
                "a one-hot design needs codes of shape (n,) and at least one column; got shape"
                f" {c.shape} and {columns} columns."
            )
        bad = np.flatnonzero((c < -1) | (c >= columns))
        if len(bad):
            raise InputError(
                f"codes must lie in -1 to {columns - 1}; the first that does not is {c[bad[0]]} in"
                f" row {bad[0]}."
            )
        self.codes = c
        self.shape: tuple[int, int] = (len(c), int(columns))
        self.dtype = np.dtype(np.float64)

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return int(self.codes.nbytes)

    @property
    def row_entries(self) -> float:
        """One entry in a row."""
        return 1.0

    def matvec(self, x: Array) -> Array:
        """Return A x: the entry of x of each row's code, (n,) or (n, K)."""
        # One zero more, where the code -1 looks.
        return np.asarray(np.concatenate([x, np.zeros((1, *x.shape[1:]))])[self.codes])

    def rmatvec(self, g: Array) -> Array:
        """Return A' g: the sum over the rows of each code, (d,) or (d, K)."""
        if g.ndim == 2:
            return np.stack([self.rmatvec(column) for column in g.T], axis=1)
        return np.bincount(self.codes + 1, weights=g, minlength=self.shape[1] + 1)[1:]

    def rows(self, index: slice | npt.NDArray[np.integer]) -> OneHotDesign:
        """Return the design of some rows; a slice is a view."""
        part = object.__new__(OneHotDesign)
        part.codes, part.dtype = self.codes[index], self.dtype
        part.shape = (len(part.codes), self.shape[1])
        return part

    def toarray(self) -> Matrix:
        """Return the ones and zeros, (n, d)."""
        out = np.zeros(self.shape)
        rows = np.flatnonzero(self.codes >= 0)
        out[rows, self.codes[rows]] = 1.0
        return out

    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column: shares m, and m (1 - m)."""
        share = np.full(self.shape[0], 1.0) if weights is None else weights
        mean = self.rmatvec(share) / share.sum()
        return mean, mean * (1 - mean)


class JoinedDesign(Design):
    """The design [A, B] without a copy of either.

    Parameters
    ----------
    first, second : Design
        Of the same number of rows.

    Raises
    ------
    InputError
        If the numbers of rows differ.
    """

    def __init__(self, first: Design, second: Design) -> None:
        if first.shape[0] != second.shape[0]:
            raise InputError(
                f"designs side by side need the same rows; got {first.shape[0]} and"
                f" {second.shape[0]}."
            )
        self.first, self.second = first, second
        self.shape: tuple[int, int] = (first.shape[0], first.shape[1] + second.shape[1])
        self.dtype = np.result_type(first.dtype, second.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of both."""
        return self.first.nbytes + self.second.nbytes

    @property
    def row_entries(self) -> float:
        """Stored entries in a row of both, on average."""
        return self.first.row_entries + self.second.row_entries

    def matvec(self, x: Array) -> Array:
        """Return A x_1 + B x_2, (n,) or (n, K)."""
        d = self.first.shape[1]
        out = self.first.matvec(x[:d])
        out += self.second.matvec(x[d:])
        return out

    def rmatvec(self, g: Array) -> Array:
        """Return [A' g, B' g], (d,) or (d, K)."""
        return np.concatenate([self.first.rmatvec(g), self.second.rmatvec(g)])

    def rows(self, index: slice | npt.NDArray[np.integer]) -> JoinedDesign:
        """Return the same of some rows; a slice shares memory."""
        return JoinedDesign(self.first.rows(index), self.second.rows(index))

    def toarray(self) -> Matrix:
        """Return [A, B] as a dense float64 array."""
        return np.concatenate([self.first.toarray(), self.second.toarray()], axis=1)

    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column."""
        parts = self.first.column_moments(weights), self.second.column_moments(weights)
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def abs_matvec(self, x: Array) -> Array:
        """Return |A| x_1 + |B| x_2 for x >= 0."""
        d = self.first.shape[1]
        return self.first.abs_matvec(x[:d]) + self.second.abs_matvec(x[d:])

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return [|A|' g, |B|' g] for g >= 0."""
        return np.concatenate([self.first.abs_rmatvec(g), self.second.abs_rmatvec(g)])

"""What every design offers: products, Grams and blocks of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix, Vector
from softunit.curvature import Curvature, RowCurvature

BLOCK_ENTRIES = 1 << 19
"""Entries of a block of rows, 4 MiB of float64. Half of it suits one core best; on several, blocks
that are too short spend their time on taking turns in the interpreter (measured)."""

GRAM_ENTRIES = 1 << 20
"""Entries of a block whose Gram is taken: there linear algebra has work for threads of its own."""


class Design(ABC):
    """A linear map A of n rows and d columns.

    Products are float64 whatever the storage; a float32 design is widened block by block, so it
    is never copied whole.
    """

    shape: tuple[int, int]
    dtype: np.dtype[np.floating]

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that the stored entries take."""

    @property
    def row_entries(self) -> float:
        """Stored entries in a row, on average."""
        return float(self.shape[1])

    @property
    def narrowable(self) -> bool:
        """Whether products in float32 lose nothing but digits: see `narrow`."""
        return False

    def narrow(self) -> Design:
        """Return the same design in float32; meant for blocks.

        Its products with float32 arrays are float32; elsewhere products are float64.
        """
        raise NotImplementedError(f"{type(self).__name__} has no float32 form")

    @abstractmethod
    def matvec(self, x: Array) -> Array:
        """Return A x: (n,) or (n, K) for x of shape (d,) or (d, K)."""

    @abstractmethod
    def rmatvec(self, g: Array) -> Array:
        """Return A' g: (d,) or (d, K) for g of shape (n,) or (n, K)."""

    @abstractmethod
    def rows(self, index: slice | npt.NDArray[np.integer]) -> Design:
        """Return the design of some rows; a slice shares memory with this one."""

    def gathered(self, index: npt.NDArray[np.integer]) -> Design:
        """Return a copy of some rows for repeated use, in float32 where `narrowable` allows it."""
        return self.rows(index)

    @abstractmethod
    def toarray(self) -> Matrix:
        """Return A as a dense float64 (n, d) array; meant for blocks."""

    @abstractmethod
    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column, (d,) and (d,), in two stable passes."""

    def abs_matvec(self, x: Array) -> Array:
        """Return at least |A| x for x >= 0, (n,) or (n, K): what rounding of A x scales with."""
        return np.concatenate([np.abs(block.toarray()) @ x for _, block in self.blocks()])

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return |A|' g for g >= 0 of shape (n,), with entrywise absolute values."""
        out = np.zeros(self.shape[1])
        for rows, block in self.blocks():
            out += g[rows] @ np.abs(block.toarray())
        return out

    def gram(self, curvature: Curvature) -> Matrix:
        """Return A' C A, symmetric, (d, d) or (dK, dK)."""
        if isinstance(curvature, RowCurvature):
            return self._row_gram(curvature)
        return curvature.gram_in(self)

    def _row_gram(self, curvature: RowCurvature) -> Matrix:
        """Return A' C A through dense blocks of rows."""
        centre = None if curvature.centre is None else self.rmatvec(curvature.centre)
        parts = list(self._slices(GRAM_ENTRIES // max(1, self.shape[1])))
        total: Matrix | None = None
        for rows in parts:
            block = self.rows(rows).toarray()
            if centre is not None:
                block = block - centre
            part = (curvature if len(parts) == 1 else curvature[rows]).block_gram(block)
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        return total

    def blocks(self, rows: int | None = None) -> Iterator[tuple[slice, Design]]:
        """Yield (slice, design of these rows) over all rows in order.

        Parameters
        ----------
        rows : int or None, default None
            Rows of a block; None takes as many as fit the cache.
        """
        size = BLOCK_ENTRIES // max(1, self.shape[1]) if rows is None else rows
        for part in self._slices(size):
            yield part, self.rows(part)

    def _slices(self, size: int) -> Iterator[slice]:
        n, size = self.shape[0], max(64, size)
        for start in range(0, n, size):
            yield slice(start, min(start + size, n))

    # A wrapper that changes variables overrides these: what a pass over many blocks does once
    # for all of them, and what the user's own columns see of its x.

    @property
    def core(self) -> Design:
        """The stored entries: A x = core w + constant for (w, constant) = into_core(x)."""
        return self

    def into_core(self, x: Array) -> tuple[Array, Array | None]:
        """Return w, (d,) or (d, K), and the constant of each column of scores, or None."""
        return x, None

    def from_core(self, g: Array, total: Array) -> Array:
        """Return A' v from g = core' v and total = sum(v) over the rows."""
        return g

    def to_input(self, x: Array) -> Array:
        """Return the point x in the coordinates of the input's columns."""
        return x

    def from_input(self, x: Array) -> Array:
        """Return the point of this design that `to_input` maps to x."""
        return x

    def gradient_to_input(self, g: Array) -> Array:
        """Return the gradient by the input's coordinates from the gradient g by x."""
        return g

"""What every design offers: products, Grams and blocks of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._threads import add_up, linear_algebra_on_threads
from softunit._typing import Array, Matrix, Vector
from softunit.curvature import BlockRows, Curvature, WeightedRows, recentred

BLOCK_ENTRIES = 1 << 19
"""Entries of a block of rows, 4 MiB of float64. Half of it suits one core best; on several, blocks
that are too short spend their time on taking turns in the interpreter (measured)."""

GRAM_ENTRIES = 1 << 20
"""Entries of a block whose Gram is taken: there linear algebra has work for threads of its own."""

WIDE = 400
"""Columns above which linear algebra has work for threads of its own in the Gram of one block."""

DIGITS = 1e4  # by which a centre may outweigh what is left, in squares: four of sixteen digits


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

    def columns(self, index: npt.NDArray[np.integer]) -> Design | None:
        """Return a copy of some columns, in rising order; None where it would save no work."""
        return None

    @abstractmethod
    def toarray(self) -> Matrix:
        """Return A as a dense float64 (n, d) array; meant for blocks."""

    @abstractmethod
    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column, (d,) and (d,), in two stable passes."""

    def abs_matvec(self, x: Array) -> Array:
        """Return at least |A| x for x >= 0, (n,) or (n, K): what rounding of A x scales with."""
        out = np.empty((self.shape[0], *x.shape[1:]))

        def part(block: tuple[slice, Design]) -> tuple[float]:
            out[block[0]] = np.abs(block[1].toarray()) @ x
            return (0.0,)

        add_up(part, list(self.blocks()))
        return out

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return |A|' g for g >= 0 of shape (n,), with entrywise absolute values."""

        def part(block: tuple[slice, Design]) -> tuple[Vector]:
            return (g[block[0]] @ np.abs(block[1].toarray()),)

        return np.asarray(add_up(part, list(self.blocks()))[0])

    def gram(self, curvature: Curvature) -> Matrix:
        """Return A' C A, symmetric, (d, d) or (dK, dK)."""
        if isinstance(curvature, WeightedRows):
            return self._weighted_rows(curvature)
        if isinstance(curvature, BlockRows):
            with linear_algebra_on_threads():
                return self._block_rows(curvature)
        return curvature.gram_in(self)

    def _weighted_rows(self, curvature: WeightedRows) -> Matrix:
        centre = None if curvature.centre is None else self.rmatvec(curvature.centre)
        return self.weighted_gram(curvature.weights, centre)

    def _block_rows(self, curvature: BlockRows) -> Matrix:
        total: Matrix | None = None
        for rows in self._slices(GRAM_ENTRIES // max(1, self.shape[1])):
            part = curvature[rows].block_gram(self.rows(rows).toarray())
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        return total

    def weighted_gram(self, weights: Vector, centre: Vector | None = None) -> Matrix:
        """Return (A - 1 c')' diag(p) (A - 1 c'), (d, d), from dense blocks.

        The centre is taken out of the Gram of the rows themselves where that costs no more than a
        few digits, and else of the rows.

        Parameters
        ----------
        weights : ndarray of shape (n,)
            p; may have negative entries.
        centre : ndarray of shape (d,) or None, default None
            c.
        """
        blocks = list(self.blocks())
        signed = bool((weights < 0).any())

        def part(block: tuple[slice, Design], shift: Vector | None = None) -> tuple[Any, ...]:
            a, p = block[1].toarray(), weights[block[0]]
            if shift is not None:
                a = a - shift
            rows = (p if signed else np.sqrt(p))[:, None] * a
            # BLAS sees one array twice: half the work.
            return a.T @ rows if signed else rows.T @ rows, p @ a

        with linear_algebra_on_threads() if self.shape[1] > WIDE else nullcontext():
            total = _summed(part, blocks, self.shape[1])
            if centre is None:
                return np.asarray(total[0])
            moved = recentred(total[0], total[1], float(weights.sum()), centre)
            lost = float(np.abs(weights).sum()) * centre**2
            if (lost <= DIGITS * np.abs(np.diagonal(moved))).all():
                return moved
            return np.asarray(_summed(lambda b: part(b, centre), blocks, self.shape[1])[0])

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


def _summed(
    part: Callable[[tuple[slice, Design]], tuple[Any, ...]],
    blocks: Sequence[tuple[slice, Design]],
    d: int,
) -> tuple[Any, ...]:
    """Return the sum over blocks, on threads where the Grams of blocks are small."""
    if d <= WIDE:
        return add_up(part, blocks)
    totals = list(part(blocks[0]))
    for block in blocks[1:]:
        totals = [np.add(t, more, out=t) for t, more in zip(totals, part(block), strict=True)]
    return tuple(totals)

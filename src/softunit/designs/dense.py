"""A design held as a dense array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._threads import add_up
from softunit._typing import Array, Matrix, Vector
from softunit.designs.base import BLOCK_ENTRIES, Design
from softunit.designs.held import HeldDesign
from softunit.errors import InputError


class DenseDesign(HeldDesign):
    """A dense array as a design; never copied when it is C- or F-contiguous floating point.

    Parameters
    ----------
    array : array_like of shape (n, d)
        float32 stays float32; other kinds of number become float64.

    Raises
    ------
    InputError
        If the array does not have two axes with at least one row and one column.
    """

    def __init__(self, array: npt.ArrayLike) -> None:
        a = np.asarray(array)
        if a.ndim != 2 or 0 in a.shape:
            raise InputError(f"A must have shape (n, d) with n, d >= 1; got {a.shape}.")
        if a.dtype not in (np.float32, np.float64):
            a = a.astype(np.float64)
        # A slice of rows of a contiguous array has one unit stride, which BLAS takes as it is.
        if a.itemsize not in a.strides:
            a = np.ascontiguousarray(a)
        self.array: npt.NDArray[Any] = a
        self.shape: tuple[int, int] = (a.shape[0], a.shape[1])
        self.dtype = a.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self.array.nbytes

    @property
    def narrowable(self) -> bool:
        """Always: entries beyond the range of float32 make a value that no step accepts."""
        return True

    def narrow(self) -> DenseDesign:
        """Return the array in float32."""
        if self.dtype == np.float32:
            return self
        with np.errstate(over="ignore"):
            return DenseDesign(self.array.astype(np.float32))

    def matvec(self, x: Array) -> Array:
        """Return A x, (n,) or (n, K), one class after the other in memory."""
        if self.dtype == np.float64 or x.dtype == np.float32:
            return np.asarray((x.T @ self.array.T).T)
        out = np.empty((*x.shape[1:], self.shape[0])).T
        for rows, block in self.blocks():
            out[rows] = (x.T @ block.toarray().T).T
        return out

    def rmatvec(self, g: Array) -> Array:
        """Return A' g, (d,) or (d, K)."""
        if self.dtype == np.float64 or g.dtype == np.float32:
            # The same sums as array.T @ g, but BLAS runs down contiguous rows: up to twice as fast.
            return np.asarray((g.T @ self.array).T)
        out = np.zeros((self.shape[1], *g.shape[1:]))
        for rows, block in self.blocks():
            out += (g[rows].T @ block.toarray()).T
        return out

    def rows(self, index: slice | npt.NDArray[np.integer]) -> DenseDesign:
        """Return the design of some rows; a slice is a view."""
        return DenseDesign(self.array[index])

    def gathered(self, index: npt.NDArray[np.integer]) -> DenseDesign:
        """Return a copy of some rows in float32."""
        return DenseDesign(gather(self, index))

    def less(self, centre: Vector) -> DenseDesign:
        """Return a copy with a centre taken off each row, of the same dtype."""
        out = np.empty_like(self.array)
        return DenseDesign(np.subtract(self.array, centre, out=out, casting="same_kind"))

    def columns(self, index: npt.NDArray[np.integer]) -> DenseDesign:
        """Return a copy of some columns."""
        return DenseDesign(np.take(self.array, index, axis=1))

    def toarray(self) -> Matrix:
        """Return the array itself in float64."""
        return np.asarray(self.array, dtype=np.float64)

    def _measured(self, share: Vector) -> tuple[Vector, Vector]:
        blocks = list(self.blocks())

        def sums(block: tuple[slice, Design]) -> tuple[Vector]:
            return (share[block[0]] @ block[1].toarray(),)

        (mean,) = add_up(sums, blocks)

        def squares(block: tuple[slice, Design]) -> tuple[Vector]:
            centred = block[1].toarray() - mean
            return (share[block[0]] @ np.square(centred, out=centred),)

        (variance,) = add_up(squares, blocks)
        return mean, variance


def gather(design: Design, index: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return some rows as a float32 array (m, d), filled block by block."""
    out = np.empty((len(index), design.shape[1]), dtype=np.float32)
    size = max(64, BLOCK_ENTRIES // design.shape[1])
    with np.errstate(over="ignore"):  # an infinite value is refused by every step
        for start in range(0, len(index), size):
            part = slice(start, start + size)
            out[part] = design.rows(index[part]).toarray()
    return out

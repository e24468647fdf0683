"""Some rows, taken out of blocks as these come by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._typing import Array
from softunit.designs._memory import shown
from softunit.designs.base import Design
from softunit.designs.dense import DenseDesign
from softunit.designs.sources import Block
from softunit.designs.sparse import SparseDesign
from softunit.errors import InputError

MANY = 1 << 24  # rows whose list is not made at once


class Gathering:
    """A copy of some rows, in the order of an index, filled from blocks in the order of the rows.

    Parameters
    ----------
    index : ndarray of int, shape (m,)
        May hold a row more than once.
    dtype : dtype
        Of the copy.
    """

    def __init__(self, index: npt.NDArray[np.integer], dtype: npt.DTypeLike) -> None:
        self.index, self.dtype = index, np.dtype(dtype)
        self._order = np.argsort(index, kind="stable")
        self.rising = index[self._order]
        self._found = 0
        self._dense: Array | None = None
        self._sparse: list[Any] = []

    @property
    def complete(self) -> bool:
        """Whether all rows have come by."""
        return self._found == len(self.index)

    def add(self, start: int, block: Block) -> None:
        """Take what a block holds of the rows."""
        low, high = np.searchsorted(self.rising, [start, start + block.shape[0]])
        if low == high:
            return
        rows = self.rising[low:high].astype(np.int64) - start
        if sparse.issparse(block):
            self._sparse.append(block[rows].astype(self.dtype))
        else:
            if self._dense is None:
                self._dense = self._room(block.shape[1])
            with np.errstate(over="ignore"):  # an infinite value is refused by every step
                # Out of columns that lie one after the other, column by column is fastest.
                by_columns = block.flags.f_contiguous
                some = np.take(block.T, rows, axis=1).T if by_columns else block[rows]
                self._dense[self._order[low:high]] = some
        self._found += int(high - low)

    def _room(self, width: int) -> Array:
        shape = len(self.index), width
        try:
            return np.empty(shape, dtype=self.dtype)
        except MemoryError as error:
            raise InputError(
                f"there was not enough memory to hold {shape[0]:,} rows"
                f" ({shown(shape[0] * width * self.dtype.itemsize)}): give a smaller `memory`, or"
                " allow the process more."
            ) from error

    def design(self) -> Design:
        """Return the rows, once all have come by."""
        assert self.complete
        if self._dense is not None:
            return DenseDesign(self._dense)
        back = np.empty_like(self._order)
        back[self._order] = np.arange(len(back))
        return SparseDesign(sparse.vstack(self._sparse, format="csr")[back])


def drawn(n: int, size: int, seed: int = 0) -> npt.NDArray[np.integer]:
    """Return some rows of n in random order, without a list of all n where these are very many.

    Parameters
    ----------
    n : int
    size : int
        How many, fewer than n.
    seed : int, default 0
    """
    rng = np.random.default_rng(seed)
    if n <= MANY:
        return rng.permutation(n)[:size].copy()  # a view would keep all n
    dtype = np.uint32 if n < 1 << 32 else np.int64  # half the memory, and half the sorting
    found = np.zeros(0, dtype=dtype)
    while len(found) < size:
        # So many draws leave a few more different ones than are wanted.
        draws = int(-1.002 * n * np.log1p(-size / n)) + 64
        rising = np.sort(rng.integers(n, size=draws, dtype=dtype))
        found = rising[np.append(True, rising[1:] != rising[:-1])]  # unique, which hashes, is slow
    return rng.permutation(found)[:size].copy()

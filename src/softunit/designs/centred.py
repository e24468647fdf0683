"""Rows that live elsewhere, less a centre that is taken off chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._typing import Vector
from softunit.designs.base import Design, Home, Terms
from softunit.designs.chunkwise import ChunkwiseDesign
from softunit.designs.dense import DenseDesign


class CentredDesign(ChunkwiseDesign):
    """The design A - 1 m' of rows on disk or on a cluster.

    Where columns are far from zero, A w - m'w would be mostly rounding; the differences a - m are
    exact. They take a copy of each chunk in float64.

    Parameters
    ----------
    inner : Design
        A, shape (n, d).
    centre : ndarray of shape (d,)
        m.
    """

    def __init__(self, inner: Design, centre: Vector) -> None:
        self.inner, self.centre = inner, centre
        self.shape: tuple[int, int] = inner.shape
        self.dtype = np.dtype(np.float64)

    @property
    def home(self) -> Home:
        """Where the rows of A live."""
        return self.inner.home

    @property
    def sample_limit(self) -> int | None:
        """Half of what A allows: a sample is taken in float64 first."""
        limit = self.inner.sample_limit
        return None if limit is None else max(1, limit // 2)

    @property
    def nbytes(self) -> int:
        """Bytes of A."""
        return self.inner.nbytes

    def chunks(self) -> Iterator[tuple[slice, Design]]:
        """Yield (slice, centred rows) over all rows in order."""
        for rows, chunk in self.inner.chunks():
            yield rows, less(chunk, self.centre)

    def reduce(
        self,
        function: Callable[[Design, tuple[Any, ...]], Terms],
        arrays: tuple[Any, ...] = (),
        folds: Sequence[np.ufunc] | None = None,
    ) -> Terms:
        """Return the terms of function(centred chunk, its arrays), folded over all chunks."""
        return self.inner.reduce(partial(_of_centred, function, self.centre), arrays, folds)

    def taken(self, index: npt.NDArray[np.integer], dtype: npt.DTypeLike) -> Design:
        """Return a copy of some rows in memory, centred before they are narrowed."""
        few = less(self.inner.rows(index), self.centre)
        return DenseDesign(few.array.astype(dtype, copy=False))

    def beside(self, array: Any, name: str = "the array") -> Any:
        """Return an array of the rows where A keeps it."""
        return self.inner.beside(array, name)


def less(design: Design, centre: Vector) -> DenseDesign:
    """Return rows in memory as a dense float64 design, a centre taken off each."""
    return DenseDesign(design.toarray() - centre)


def _of_centred(
    function: Callable[[Design, tuple[Any, ...]], Terms],
    centre: Vector,
    chunk: Design,
    arrays: tuple[Any, ...],
) -> Terms:
    return function(less(chunk, centre), arrays)

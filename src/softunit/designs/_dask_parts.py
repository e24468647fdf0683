"""Partitions: what is kept for so many rows each, and rows and sums taken of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._typing import Array
from softunit.designs._dask_places import Place
from softunit.designs._dask_tasks import Fold, Same
from softunit.designs.base import Terms
from softunit.errors import InputError


@dataclass(frozen=True)
class Parts:
    """Results that a place keeps, each with some of the rows, in order.

    Attributes
    ----------
    place : Place
    kept : list
        The place's handle of each.
    lengths : tuple of int
        Rows of each, none of them zero.
    """

    place: Place
    kept: list[Any]
    lengths: tuple[int, ...]

    @cached_property
    def rows(self) -> int:
        """Rows in all."""
        return sum(self.lengths)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """First row of each, and the number of all rows."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    @property
    def slices(self) -> list[slice]:
        """Rows of each."""
        starts = self.starts.tolist()
        return [slice(a, b) for a, b in pairwise(starts)]

    def here(self) -> Iterator[Any]:
        """Yield what is kept, brought here, the next on its way."""
        return self.place.ahead(self.kept)

    def items(self, arrays: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return for each what is kept and what belongs to its rows.

        Parameters
        ----------
        arrays : sequence of (Parts, ndarray or None)
            With as many rows.

        Raises
        ------
        InputError
            If the rows differ.
        """
        return list(zip(self.kept, *map(self.cut, arrays), strict=True))

    def reduce(
        self,
        function: Callable[..., Terms],
        arrays: Sequence[Any],
        folds: Sequence[Fold] | None,
    ) -> Terms:
        """Return function(kept, what belongs to its rows) folded over all."""
        return self.place.reduce(function, self.items(arrays), folds)

    def cut(self, array: Any) -> Sequence[Any]:
        """Return for each what belongs to its rows: parts that are kept, slices, or None."""
        if array is None:
            return [None] * len(self.kept)
        if isinstance(array, Parts):
            if array.lengths != self.lengths:
                raise InputError(
                    f"an array lies in {len(array.lengths)} partitions of {array.rows} rows in"
                    f" all, but A in {len(self.lengths)} of {self.rows}, or of other lengths:"
                    " spread it over this design (`design.beside`)."
                )
            return array.kept
        if len(array) != self.rows:
            raise InputError(f"an array has {len(array)} rows, but A has {self.rows}.")
        if array.strides[0] == 0:  # one row seen as many
            return [Same(array[0], rows) for rows in self.lengths]
        return [array[rows] for rows in self.slices]

    def gathered(
        self, index: npt.NDArray[np.integer], task: Callable[..., Any], *settings: Any
    ) -> Any:
        """Return rows here, in the order of the index: an array, or CSR.

        Parameters
        ----------
        index : ndarray of int, shape (m,)
        task : callable
            Returns some rows, by an index within it, of what is kept.
        *settings : object
            For the task, besides.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        from dask.delayed import delayed

        if len(index) and (index.min() < 0 or index.max() >= self.rows):
            raise IndexError(f"rows {index.min()} to {index.max()} of {self.rows} do not exist.")
        owner = np.searchsorted(self.starts, index, side="right") - 1
        order = np.argsort(owner, kind="stable")
        cuts = np.searchsorted(owner[order], np.arange(len(self.kept) + 1))
        asked = [i for i in range(len(self.kept)) if cuts[i] < cuts[i + 1]] or [0]
        places = [order[cuts[i] : cuts[i + 1]] for i in asked]
        pieces = self.place.fetch(
            [
                delayed(task, pure=False)(self.kept[i], index[at] - self.starts[i], *settings)
                for i, at in zip(asked, places, strict=True)
            ]
        )
        if sparse.issparse(pieces[0]):
            return sparse.vstack(pieces, format="csr")[np.argsort(order)]
        out: Array = np.empty((len(index), *pieces[0].shape[1:]), dtype=pieces[0].dtype)
        for at in reversed(places):
            out[at] = pieces.pop()
        return out

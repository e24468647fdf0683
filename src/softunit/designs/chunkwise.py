"""Designs whose rows are not all here: every product is a sum, or a row, of chunks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._row_array import RowArray
from softunit._typing import Array, Matrix, Vector
from softunit.designs.base import Design, Terms, folded
from softunit.errors import InputError

PILOT_ROWS = 1000  # rows at the beginning from which squares are counted
LOST = 1e6  # squares between pilot and mean over variance: six of sixteen digits
ARRAY_BYTES = 1 << 30  # of a dense copy of all rows, at most


class ChunkwiseDesign(Design):
    """A design that is read, or asked, chunk by chunk.

    Subclasses give `chunks`, `taken` and, where functions can run beside the rows, `reduce`.
    A product with A' is one sum over chunks; moments of the columns, their largest entries and
    sums are taken in one pass and kept.
    """

    @abstractmethod
    def chunks(self) -> Iterator[tuple[slice, Design]]:
        """Yield (slice, design of these rows in memory) over all rows in order."""

    @abstractmethod
    def taken(self, index: npt.NDArray[np.integer], dtype: npt.DTypeLike) -> Design:
        """Return a copy of some rows in memory, in the order of the index and in some dtype."""

    def gathered(self, index: npt.NDArray[np.integer]) -> Design:
        """Return a copy of some rows in memory, in float32."""
        return self.taken(index, np.float32)

    def reduce(
        self,
        function: Callable[[Design, tuple[Any, ...]], Terms],
        arrays: tuple[Any, ...] = (),
        folds: Sequence[np.ufunc] | None = None,
    ) -> Terms:
        """Return the terms of function(chunk, its part of the arrays), folded over all chunks."""
        total: Terms | None = None
        for rows, chunk in self.chunks():
            parts = tuple(None if array is None else array[rows] for array in arrays)
            total = folded(total, function(chunk, parts), folds)
        assert total is not None
        return total

    def matvec(self, x: Array) -> Array:
        """Return A x, (n,) or (n, K): a row of it for every row of A."""
        out = np.empty((*x.shape[1:], self.shape[0])).T
        for rows, chunk in self.chunks():
            out[rows] = chunk.matvec(x)
        return out

    def rmatvec(self, g: Array) -> Array:
        """Return A' g, (d,) or (d, K)."""
        return np.asarray(self.reduce(_rmatvec, (g,))[0])

    def rows(self, index: slice | npt.NDArray[np.integer]) -> Design:
        """Return the design of some rows, in memory."""
        if isinstance(index, slice):
            index = np.arange(*index.indices(self.shape[0]))
        return self.taken(index, self.dtype)

    def toarray(self) -> Matrix:
        """Return A as a dense float64 array (n, d).

        Raises
        ------
        InputError
            If it would take more than 1 GB.
        """
        size = 8 * self.shape[0] * self.shape[1]
        if size > ARRAY_BYTES:
            raise InputError(
                f"a dense copy of this design of shape {self.shape} would take {size / 1e9:.3g} GB;"
                " its rows stay where they are. Take some of them with `rows`."
            )
        return np.concatenate([chunk.toarray() for _, chunk in self.chunks()])

    def column_moments(self, weights: Vector | RowArray | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column; they are kept for the last weights."""
        facts = self._facts(weights)
        return facts[0].copy(), facts[1].copy()

    def largest_terms(self, x: Array) -> float:
        """Return max_j over columns of scores of sum_j max_i |a_ij| |x_j|: no pass over the rows.

        At least max_i sum_j |a_ij| |x_j|, and rarely much more.
        """
        return float((self._facts(None, any_weights=True)[2] @ np.abs(x)).max())

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return |A|' g for g >= 0 of shape (n,)."""
        return np.asarray(self.reduce(_abs_rmatvec, (g,))[0])

    def abs_matvec(self, x: Array) -> Array:
        """Return at least |A| x for x >= 0, (n,) or (n, K)."""
        out = np.empty((*x.shape[1:], self.shape[0])).T
        for rows, chunk in self.chunks():
            out[rows] = chunk.abs_matvec(x)
        return out

    def weighted_gram(self, weights: Vector | RowArray, centre: Vector | None = None) -> Matrix:
        """Return (A - 1 c')' diag(p) (A - 1 c'), (d, d)."""
        return np.asarray(self.reduce(partial(_weighted_gram, centre=centre), (weights,))[0])

    def _facts(
        self, weights: Vector | RowArray | None, *, any_weights: bool = False
    ) -> tuple[Vector, Vector, Vector]:
        """Return weighted mean, variance, and largest absolute entry of each column, kept."""
        kept = self.__dict__.setdefault("_kept_facts", [])
        for known, facts in kept:
            if known is weights or any_weights:
                return facts  # type: ignore[no-any-return]
        pilot = self.rows(slice(0, min(PILOT_ROWS, self.shape[0]))).toarray().mean(axis=0)
        facts = self._measured(weights, pilot)
        shift = np.square(facts[0] - pilot)
        if ((shift > LOST * facts[1]) & (shift > 1e-18 * np.square(pilot))).any():
            # The beginning was not typical, as where its rows have no weight: count from the mean.
            mean, variance, largest = self._measured(weights, facts[0])
            facts = facts[0] + (mean - facts[0]), variance, largest
        kept[:] = [*kept[-1:], (weights, facts)]
        return facts

    def _measured(
        self, weights: Vector | RowArray | None, pilot: Vector
    ) -> tuple[Vector, Vector, Vector]:
        function, folds = partial(_moments, pilot=pilot), (np.add, np.add, np.add, np.maximum)
        total, first, second, largest = self.reduce(function, (weights,), folds)
        off = first / total
        return pilot + off, np.maximum(second / total - off**2, 0.0), np.asarray(largest)


def _rmatvec(chunk: Design, arrays: tuple[Any, ...]) -> Terms:
    return (chunk.rmatvec(arrays[0]),)


def _abs_rmatvec(chunk: Design, arrays: tuple[Any, ...]) -> Terms:
    return (chunk.abs_rmatvec(arrays[0]),)


def _weighted_gram(chunk: Design, arrays: tuple[Any, ...], *, centre: Vector | None) -> Terms:
    return (chunk.weighted_gram(arrays[0], centre),)


def _moments(chunk: Design, arrays: tuple[Any, ...], *, pilot: Vector) -> Terms:
    """Return the weight of a chunk, sums of its columns less a pilot, squares, largest entries."""
    (weights,) = arrays
    found: list[Vector] = []

    def part(block: tuple[slice, Design]) -> Terms:
        a = block[1].toarray()
        found.append(np.maximum(a.max(axis=0), -a.min(axis=0)))
        moved = a - pilot
        share = np.ones(len(a)) if weights is None else weights[block[0]]
        first = share @ moved
        return float(share.sum()), first, share @ np.square(moved, out=moved)

    total, first, second = chunk.over_blocks(part)
    return total, first, second, np.max(found, axis=0)

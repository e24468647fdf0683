"""What every design offers: products, Grams and blocks of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from softunit._array_api import is_elsewhere, to_numpy
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

Home: TypeAlias = Literal["memory", "disk", "device", "cluster"]
"""Where rows live: here as NumPy arrays; in files, read chunk by chunk; in arrays of a device;
on other machines."""

Terms = tuple[Any, ...]
"""Floats and arrays that are folded over chunks of rows."""

Block: TypeAlias = "tuple[slice, Design]"
"""Some rows, and the design of these rows."""

DIGITS = 1e4  # by which a centre may outweigh what is left, in squares: four of sixteen digits


def folded(total: Terms | None, more: Terms, folds: Sequence[np.ufunc] | None = None) -> Terms:
    """Return two tuples of terms folded into one; nothing folded with terms is these terms."""
    if total is None:
        return tuple(more)
    each = folds or (np.add,) * len(more)
    return tuple(fold(a, b) for fold, a, b in zip(each, total, more, strict=True))


class Design(ABC):
    """A linear map A of n rows and d columns.

    Products are float64 whatever the storage; a float32 design is widened block by block, so it
    is never copied whole.
    """

    shape: tuple[int, int]
    dtype: np.dtype[np.floating]

    @property
    def home(self) -> Home:
        """Where the rows live; where that is not "memory", passes over them are what costs."""
        return "memory"

    @property
    def sample_limit(self) -> int | None:
        """Most rows that should be gathered at once; None where there is no limit."""
        return None

    @property
    def block_entries(self) -> int:
        """Entries of a block of rows that suits the place where it is worked on."""
        return BLOCK_ENTRIES

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

        def part(block: Block) -> tuple[float]:
            out[block[0]] = np.abs(block[1].toarray()) @ x
            return (0.0,)

        self.over_blocks(part)
        return out

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return |A|' g for g >= 0 of shape (n,), with entrywise absolute values."""

        def part(block: Block) -> tuple[Vector]:
            return (g[block[0]] @ np.abs(block[1].toarray()),)

        return np.asarray(self.over_blocks(part)[0])

    def largest_terms(self, x: Array) -> float:
        """Return at least max_i sum_j |a_ij| |x_j|: what rounding of a score scales with."""
        return float(max(block.abs_matvec(np.abs(x)).max() for _, block in self.blocks()))

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
        for rows, block in self.blocks(GRAM_ENTRIES // max(1, self.shape[1])):
            part = curvature[rows].block_gram(block.toarray())
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

        def part(block: Block, shift: Vector | None = None) -> tuple[Any, ...]:
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
        size = max(64, self.block_entries // max(1, self.shape[1]) if rows is None else rows)
        for chunk, design in self.chunks():
            n = design.shape[0]
            for start in range(0, n, size):
                part = slice(start, min(start + size, n))
                where = slice(chunk.start + part.start, chunk.start + part.stop)
                yield where, design.rows(part)

    def over_blocks(self, part: Callable[[Block], Terms], rows: int | None = None) -> Terms:
        """Return the sum of part((slice, block)) over all blocks, on threads, chunk by chunk.

        Parameters
        ----------
        part : callable
        rows : int or None, default None
            As in `blocks`.
        """
        total: Terms | None = None
        for chunk, design in self.chunks():
            moved = [
                (slice(chunk.start + at.start, chunk.start + at.stop), block)
                for at, block in design.blocks(rows)
            ]
            total = folded(total, add_up(part, moved))
        assert total is not None
        return total

    # Where rows do not live in memory, these are overridden -------------------------------------

    def chunks(self) -> Iterator[tuple[slice, Design]]:
        """Yield (slice, design of these rows that can be worked on here) over all rows in order."""
        yield slice(0, self.shape[0]), self

    def reduce(
        self,
        function: Callable[[Design, tuple[Any, ...]], Terms],
        arrays: tuple[Any, ...] = (),
        folds: Sequence[np.ufunc] | None = None,
    ) -> Terms:
        """Return the terms of function(chunk, its part of the arrays), folded over all chunks.

        Parameters
        ----------
        function : callable
            Takes a design and arrays of its rows, and returns floats and NumPy arrays. It can be
            sent away: a function of a module, or a partial of one.
        arrays : tuple of (ndarray, RowArray or None), default ()
            With a row for each row of the design.
        folds : sequence of numpy.ufunc or None, default None
            For each term; None adds them all up.
        """
        return function(self, arrays)

    def at_hand(self, size: int) -> tuple[npt.NDArray[np.integer], Design] | None:
        """Return rows in random order that another pass has gathered on its way, if it has.

        Parameters
        ----------
        size : int
            How many.

        Returns
        -------
        tuple of (index, Design), or None
            Which rows they are, drawn without weights, and their design in memory.
        """
        return None

    def beside(self, array: Any, name: str = "the array") -> Any:
        """Return an array of the rows where it is kept beside them: here, but for a cluster.

        Parameters
        ----------
        array : array_like or None
        name : str, default "the array"
            How messages call it.
        """
        return to_numpy(array) if is_elsewhere(array) else array

    def placed(self, array: Any) -> Any:
        """Return an array where the products of this design are made."""
        return array

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
    part: Callable[[Block], tuple[Any, ...]],
    blocks: Sequence[Block],
    d: int,
) -> tuple[Any, ...]:
    """Return the sum over blocks, on threads where the Grams of blocks are small."""
    if d <= WIDE:
        return add_up(part, blocks)
    totals = list(part(blocks[0]))
    for block in blocks[1:]:
        totals = [np.add(t, more, out=t) for t, more in zip(totals, part(block), strict=True)]
    return tuple(totals)

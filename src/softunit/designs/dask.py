"""Designs whose rows lie in the partitions of a Dask collection, most often on other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit.designs._dask_blocks import columns_of, delayed_blocks, is_dask, read, wanted_dask
from softunit.designs._dask_clients import connect, local_client
from softunit.designs._dask_places import Place, place_of
from softunit.designs._dask_spread import Spread, spread_over
from softunit.designs._dask_tasks import Fold, block_from, on_chunk, taken
from softunit.designs.base import Design, Home, Terms
from softunit.designs.chunkwise import ChunkwiseDesign
from softunit.designs.dense import DenseDesign
from softunit.designs.sparse import SparseDesign
from softunit.errors import InputError

__all__ = ["DaskDesign", "Spread", "connect", "is_dask", "local_client"]

SAMPLE_BYTES = 64e6  # of rows gathered at once: work on them is done by one machine


class DaskDesign(ChunkwiseDesign):
    """A Dask array or frame as a design; its partitions are read once and kept on the workers.

    A product is a task on every worker that holds partitions: coefficients go out, sums over the
    worker's rows come together in a tree, and one sum arrives here. Partitions are added up in an
    order that depends on their number only, so that an answer is the same to the last bit on any
    number of workers.

    Parameters
    ----------
    source : dask array of shape (n, d), or dask frame
        Of numbers; blocks may be NumPy, SciPy sparse or frames. Chunks of columns are joined, and
        unknown sizes of chunks are found. A few partitions for each thread serve best, of some ten
        to some hundred megabytes each.
    client : distributed.Client or None, default None
        Whose workers keep the partitions. None takes Dask's default client and, where there is
        none, Dask's threads in this process.

    Attributes
    ----------
    names : tuple of str or None
        Of the columns, where the source has names.
    lengths : tuple of int
        Rows of each partition.

    Raises
    ------
    InputError
        If an entry is not a finite number, or partitions disagree in width, kind or dtype: the
        partition is named.
    MissingExtraError
        If dask is not installed.

    Notes
    -----
    Dask knows how each partition was made, and makes it again where its worker is lost. So a
    partition should be read from files, or made by a task, rather than sent from here.
    """

    def __init__(self, source: Any, *, client: Any = None) -> None:
        wanted_dask()
        if not is_dask(source):
            raise InputError(
                "DaskDesign needs a dask array or a dask frame (dask.array.from_array makes one);"
                f" got {type(source).__name__}."
            )
        self._read(delayed_blocks(source, "A"), columns_of(source), place_of(client))

    @classmethod
    def from_blocks(
        cls,
        loaders: Sequence[Callable[[], Any]],
        *,
        names: Sequence[str] | None = None,
        client: Any = None,
    ) -> DaskDesign:
        """Return the design of blocks that workers read.

        Parameters
        ----------
        loaders : sequence of callable
            Each can be sent away and returns the rows of one partition: an array (m, d), SciPy
            sparse or a frame. It may be called again, where its worker is lost.
        names : sequence of str or None, default None
            Of the columns.
        client : distributed.Client or None, default None
            As for the class.

        Raises
        ------
        InputError
            As for the class; or if a loader is no function, or raises another error: the block is
            named.
        """
        wanted_dask()
        from dask.delayed import delayed

        if not loaders:
            raise InputError("`loaders` is empty: a design needs at least one block of rows.")
        for number, load in enumerate(loaders):
            if not callable(load):
                raise InputError(
                    f"loader {number} is {type(load)}: it must be a function without arguments that"
                    " returns the rows of one block."
                )
        design = cls.__new__(cls)
        blocks = [
            [delayed(block_from, pure=False)(load, number)] for number, load in enumerate(loaders)
        ]
        design._read(blocks, None if names is None else tuple(names), place_of(client))
        return design

    def _read(self, blocks: list[list[Any]], names: tuple[str, ...] | None, place: Place) -> None:
        self.names = names
        self._parts, facts = read(blocks, names, place)
        self._sparse = facts[0].sparse
        self._entries = sum(f.entries for f in facts)
        self._bytes = sum(f.nbytes for f in facts)
        self.shape: tuple[int, int] = (self._parts.rows, facts[0].columns)
        self.dtype = np.dtype(facts[0].dtype)

    @property
    def home(self) -> Home:
        """Always "cluster": also Dask's threads keep the rows in partitions."""
        return "cluster"

    @property
    def lengths(self) -> tuple[int, ...]:
        """Rows of each partition."""
        return self._parts.lengths

    @property
    def nbytes(self) -> int:
        """Bytes of entries and indices on all workers."""
        return self._bytes

    @property
    def row_entries(self) -> float:
        """Stored entries in a row, on average; at least one."""
        return max(1.0, self._entries / self.shape[0])

    @property
    def sample_limit(self) -> int:
        """Rows of which a copy in float32 takes 64 MB."""
        each = 4.0 * self.shape[1] if not self._sparse else 12.0 * self.row_entries
        return max(1, int(SAMPLE_BYTES / each))

    @property
    def narrowable(self) -> bool:
        """Always: partitions are dense or sparse designs, which are."""
        return True

    def chunks(self) -> Iterator[tuple[slice, Design]]:
        """Yield (slice, design of these rows here) partition by partition, the next on its way."""
        for rows, part in zip(self._parts.slices, self._parts.here(), strict=True):
            yield rows, part.design

    def reduce(
        self,
        function: Callable[[Design, tuple[Any, ...]], Terms],
        arrays: tuple[Any, ...] = (),
        folds: Sequence[Fold] | None = None,
    ) -> Terms:
        """Return the terms of function(partition, its part of the arrays), folded on the workers.

        Parameters
        ----------
        function : callable
            A function of a module, or a partial of one.
        arrays : tuple of (ndarray, Spread or None), default ()
            With a row for each row of the design. A `Spread` lies beside the rows already; a NumPy
            array is sent there each time.
        folds : sequence of callable or None, default None
            For each term; None adds them up.
        """
        bare = [array.over if isinstance(array, Spread) else array for array in arrays]
        return self._parts.reduce(partial(on_chunk, function), bare, folds)

    def beside(self, array: Any, name: str = "the array") -> Any:
        """Return an array of the rows as a `Spread`, each part on the worker of its rows.

        None comes back as it is, and so does an array that is not Dask's and has another number
        of rows: who asked for it will say what is wrong.

        Parameters
        ----------
        array : array_like, dask array, series or frame, Spread, or None
            Dask's are cut anew where their chunks are not the design's.
        name : str, default "the array"
            How messages call it.

        Raises
        ------
        InputError
            If it is Dask's, or a `Spread` of another design, and has another number of rows.
        """
        return spread_over(self._parts, array, name)

    def taken(self, index: npt.NDArray[np.integer], dtype: npt.DTypeLike) -> Design:
        """Return a copy of some rows here, in the order of the index: dense, or CSR for CSR."""
        rows = self._parts.gathered(np.asarray(index), taken, np.dtype(dtype))
        return SparseDesign(rows) if sparse.issparse(rows) else DenseDesign(rows)

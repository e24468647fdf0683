"""A design whose rows stay on disk, or wherever blocks of them come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._free_memory import take_workspaces
from softunit._row_array import RowArray
from softunit._typing import Array, Vector
from softunit.designs._memory import Budget, parse_memory, shown
from softunit.designs.base import Design, Home
from softunit.designs.checked_reads import CheckedReads, Tally
from softunit.designs.chunkwise import ChunkwiseDesign
from softunit.designs.dense import DenseDesign
from softunit.designs.gathering import Gathering, drawn
from softunit.designs.sources import Block, BlockSource
from softunit.designs.sources_blocks import IterableSource
from softunit.designs.sources_open import open_source
from softunit.designs.sparse import SparseDesign
from softunit.errors import InputError

SMALL = 1000  # rows for each column below which a sample of half of them is gathered,
SHARE, LEAST = 8, 10_000  # and above which one row in eight is, or so many


class ChunkedDesign(ChunkwiseDesign):
    """A design that is read chunk by chunk, in one sequential pass for each product.

    While one chunk is worked on, the next is read, decoded and checked in a thread. The first
    reading of a chunk looks for NaN and infinity and notes a check sum; every later one compares
    it, so rows that change between passes end in an error and never in a wrong answer.

    Parameters
    ----------
    source : BlockSource or iterable
        Files come through `from_dataset`. An iterable gives blocks of rows in order, the same ones
        each time that it is iterated over: arrays (m, d), frames, Arrow record batches or SciPy
        sparse matrices. A list does; a generator does not, for it can be read only once.
    memory : str or int, default "2GB"
        What the design may hold at once: chunks read ahead, and rows that solvers gather (at most
        a quarter of it); 8 MB at least, and more where rows are very wide. Rows given as float32
        are kept so.

    Attributes
    ----------
    names : tuple of str, or None
        Of the columns, where the source has names.
    source : BlockSource

    Raises
    ------
    InputError
        If blocks disagree in width, dtype or names (the block is named), there are none, or they
        can be read only once; later, if a row holds NaN or infinity.
    FileError
        Later, if files vanish or change between passes.

    Notes
    -----
    A user needs four things of it: `from_dataset`, `names`, `read_column` and `passes`. All else
    is for solvers.

    Examples
    --------
    >>> import numpy as np
    >>> from softunit import SoftmaxClassifier
    >>> from softunit.designs import ChunkedDesign
    >>> rng = np.random.default_rng(0)
    >>> blocks = [rng.standard_normal((500, 3)) for _ in range(4)]
    >>> target = np.concatenate([block[:, 0] + block[:, 1] > 0 for block in blocks])
    >>> design = ChunkedDesign(blocks, memory="8MB")
    >>> design
    ChunkedDesign(2,000 x 3 float64 from blocks, memory='8 MB')
    >>> SoftmaxClassifier().fit(design, target).score(design, target) > 0.9
    True

    Files are read in the same way; the target is a column of them:

    >>> design = ChunkedDesign.from_dataset("rows/", columns=["a", "b"])  # doctest: +SKIP
    >>> SoftmaxClassifier().fit(design, design.read_column("y"))  # doctest: +SKIP
    """

    def __init__(self, source: Any, *, memory: str | int = "2GB") -> None:
        take_workspaces()
        budget = Budget(parse_memory(memory))
        if not isinstance(source, BlockSource):
            source = IterableSource(source, budget)
        self._set(CheckedReads(source, budget, Tally(source.stored_bytes)))
        if isinstance(source, IterableSource):
            self._reads.tally.rows += source.reads * source.shape[0]

    def _set(self, reads: CheckedReads) -> None:
        source = reads.source
        self._reads, self.source, self.budget = reads, source, reads.budget
        self.shape: tuple[int, int] = source.shape
        self.dtype = source.dtype
        self.names = source.names
        self._sample: tuple[npt.NDArray[np.integer], Design] | None = None
        self._gathering: Gathering | None = None

    @classmethod
    def from_dataset(
        cls, path: Any, columns: Sequence[str] | None = None, memory: str | int = "2GB"
    ) -> ChunkedDesign:
        """Return the design of a dataset on disk; nothing but its description is read.

        Parameters
        ----------
        path : str, path-like or list of them
            A Parquet, Arrow, Feather or NPY file; a folder of such files, in the order of their
            names, where folders called key=value add a column; a pattern with * and **; a URL that
            pyarrow understands; or the folder of a Zarr array, all of whose chunks must be there
            (Zarr leaves out those of nothing but zeros, unless it is told
            `zarr.config.set({"array.write_empty_chunks": True})`).
        columns : list of str or None, default None
            Those that are read, in this order; None takes all. Columns of NPY and Zarr arrays are
            called x0, x1, ...
        memory : str or int, default "2GB"
            As in the class.

        Returns
        -------
        ChunkedDesign

        Raises
        ------
        FileError
            If nothing is there, or a file is damaged, empty, or unlike the others.
        InputError
            If a column is unknown or holds no numbers; the first is named.
        MissingExtraError
            If pyarrow or zarr is needed and not installed.
        """
        return cls(open_source(path, columns, Budget(parse_memory(memory))), memory=memory)

    def __repr__(self) -> str:
        n, d = self.shape
        where = f"{self.source}" if type(self.source).__str__ is not object.__str__ else "blocks"
        size = shown(self.budget.total)
        return f"ChunkedDesign({n:,} x {d} {self.dtype} from {where}, memory={size!r})"

    @property
    def home(self) -> Home:
        """On disk."""
        return "disk"

    @property
    def nbytes(self) -> int:
        """Bytes that the entries would take in memory."""
        return int(self.shape[0] * self.row_entries * self.dtype.itemsize)

    @property
    def row_entries(self) -> float:
        """Stored entries in a row, on average."""
        return self.source.row_entries

    @property
    def sample_limit(self) -> int:
        """Rows whose float32 copies take a quarter of the memory."""
        sparse_index = 0 if self.source.row_entries == self.shape[1] else 4
        return max(1, int(self.budget.sample / (self.row_entries * (4 + sparse_index))))

    @property
    def passes(self) -> float:
        """Full sequential reads made so far; parts of one count as the share that they read.

        Reads of some columns count as the share of the bytes that these take. What `read_column`
        reads is not counted: it belongs to no pass.
        """
        return self._reads.tally.rows / self.shape[0]

    @property
    def bytes_read(self) -> int:
        """Bytes that the reads so far took from the source."""
        return int(self.passes * self._reads.tally.stored)

    def chunks(self) -> Iterator[tuple[slice, Design]]:
        """Yield (slice, design of these rows in memory) over all rows in order."""
        with closing(self._reads.ahead(range(len(self.source.stretches)))) as blocks:
            for start, block in blocks:
                if self._gathering is not None:
                    self._gathering.add(start, block)
                yield slice(start, start + block.shape[0]), _design(block)

    def taken(self, index: npt.NDArray[np.integer], dtype: npt.DTypeLike) -> Design:
        """Return a copy of some rows, in the order of the index; only stretches with them are read.

        Raises
        ------
        InputError
            If the copy would take more than the memory of the design, or a row is not there.
        """
        gathering = Gathering(self._checked_index(index, np.dtype(dtype)), dtype)
        starts = np.array([start for start, _ in self.source.stretches])
        numbers = np.unique(np.searchsorted(starts, gathering.rising, side="right") - 1)
        with closing(self._reads.ahead(numbers.tolist())) as blocks:
            for start, block in blocks:
                gathering.add(start, block)
                if gathering.complete:
                    break
        return gathering.design()

    def at_hand(self, size: int) -> tuple[npt.NDArray[np.integer], Design] | None:
        """Return rows in random order that the pass of the moments has gathered on its way.

        Parameters
        ----------
        size : int

        Returns
        -------
        tuple of (index, Design), or None
            None where so many are not there.
        """
        if self._sample is None or size > len(self._sample[0]):
            return None
        index, design = self._sample
        return index[:size], design if size == len(index) else design.rows(slice(0, size))

    def _measured(
        self, weights: Vector | RowArray | None, pilot: Vector
    ) -> tuple[Vector, Vector, Vector]:
        """Measure the columns, and gather a sample in the same pass."""
        n, d = self.shape
        if self._sample is not None:
            return super()._measured(weights, pilot)
        few = n // 2 if n < SMALL * d else n // SHARE
        size = min(self.sample_limit, max(few, min(n // 2, LEAST)))
        if not size:
            return super()._measured(weights, pilot)
        view = copy(self)  # what was read, and its check sums, are shared
        view._gathering = gathering = Gathering(drawn(n, size), np.float32)
        facts = ChunkwiseDesign._measured(view, weights, pilot)
        self._sample = gathering.index, gathering.design()
        return facts

    def _checked_index(self, index: npt.ArrayLike, dtype: np.dtype[Any]) -> Array:
        n, array = self.shape[0], np.asarray(index)
        array = np.flatnonzero(array) if array.dtype == bool else array
        array = np.where(array < 0, array + n, array)
        if not len(array) or array.min() < 0 or array.max() >= n:
            raise InputError(f"rows must be some of 0 to {n - 1}; got {index!r}.")
        size = len(array) * self.row_entries * dtype.itemsize
        if size > self.budget.total:
            raise InputError(
                f"{len(array):,} rows were asked for at once, which take {shown(size)}, but"
                f" `memory` is {shown(self.budget.total)}: take fewer, or allow more."
            )
        return array

    def columns(self, index: npt.NDArray[np.integer]) -> ChunkedDesign:
        """Return the design of some columns; where files allow it only these are read.

        Parameters
        ----------
        index : ndarray of int, shape (m,), or of bool, shape (d,)

        Raises
        ------
        InputError
            If a column is not there, or none is left.
        """
        d, asked = self.shape[1], np.asarray(index)
        if asked.dtype == bool and asked.shape == (d,):
            asked = np.flatnonzero(asked)
        whole = asked.ndim == 1 and len(asked) and asked.dtype.kind in "iu"
        if not whole or asked.min() < -d or asked.max() >= d:
            raise InputError(f"columns must be some of 0 to {d - 1}; got {index!r}.")
        index = np.where(asked < 0, asked + d, asked)
        part = object.__new__(ChunkedDesign)
        reads = self._reads
        part._set(CheckedReads(self.source.columns(index), reads.budget, reads.tally))
        return part

    def read_column(self, name: str) -> Array:
        """Return one column of the dataset, used in the design or not, in the order of the rows.

        Parameters
        ----------
        name : str

        Returns
        -------
        ndarray of shape (n,)
            Numbers keep their dtype; texts come as objects.

        Raises
        ------
        InputError
            If there is no such column, or a value in it is missing.
        """
        if not isinstance(name, str):
            raise InputError(f"a column is read by its name, a text; got {name!r}.")
        return self.source.read_column(name)


def _design(block: Block) -> Design:
    return SparseDesign(block) if sparse.issparse(block) else DenseDesign(block)

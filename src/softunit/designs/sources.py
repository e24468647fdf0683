"""Where the rows of a design on disk come from: blocks, in order, as often as asked."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from softunit._checks import near_names
from softunit._typing import Array
from softunit.errors import FileError, InputError

Block: TypeAlias = Any
"""Some rows: an ndarray (m, d), contiguous by rows or by columns, or a SciPy CSR matrix (m, d)."""

Blocks: TypeAlias = Generator[tuple[int, Block], None, None]
"""(first row, block) for each block."""

WORDS = 512  # of eight bytes that one sum of a fingerprint covers


class BlockSource(ABC):
    """Rows that can be read in order, block by block, again and again.

    Subclasses set the attributes and give `read`. What they yield is checked by the design that
    reads them: widths, numbers of rows, finite entries, and that a second reading gives the same.

    Attributes
    ----------
    shape : tuple of int
        (n, d).
    dtype : numpy.dtype
        float32 or float64: of every block.
    names : tuple of str, or None
        Of the columns, where they have names.
    error : type of InputError
        What is raised when the rows are not what they were.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    names: tuple[str, ...] | None = None
    error: ClassVar[type[InputError]] = FileError

    @property
    def stretches(self) -> Sequence[tuple[int, int]]:
        """(first row, row after the last) of what can be read on its own; all rows in order."""
        return ((0, self.shape[0]),)

    @abstractmethod
    def read(self, numbers: Sequence[int]) -> Blocks:
        """Yield (first row, block) for all rows of some stretches.

        A stretch is cut in the same way every time. Blocks are new memory: others are read while
        one is in use.

        Parameters
        ----------
        numbers : sequence of int
            Of stretches, rising.
        """

    @property
    def stored_bytes(self) -> int:
        """Bytes that a reading of all rows takes from the disk."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    @property
    def row_entries(self) -> float:
        """Stored entries in a row, on average."""
        return float(self.shape[1])

    def describe(self, row: int) -> str:
        """Return where a row is, as a user finds it: "row 17 of part-3.parquet"."""
        return f"row {row}"

    def described(self, start: int, stop: int) -> str:
        """Return where rows [start, stop) are: all files or blocks that they came from."""
        first, last = self.describe(start), self.describe(stop - 1)
        if first.partition(" of ")[2] == last.partition(" of ")[2]:
            return f"the rows from {first} on"
        return f"the rows from {first} to {last}"

    def check_unchanged(self) -> None:  # noqa: B027 (what has no files has nothing to look at)
        """Raise an error if what is read is no longer what it was; called before each pass."""

    def columns(self, index: npt.NDArray[np.integer]) -> BlockSource:
        """Return the source of some columns, in the order of the index."""
        return SomeColumns(self, index)

    def read_column(self, name: str) -> Array:
        """Return one column, used or not, in the order of the rows, (n,).

        Raises
        ------
        InputError
            If there is no such column.
        """
        raise InputError(f"the columns of {self} have no names to be read by; asked for {name!r}.")


class SomeColumns(BlockSource):
    """Some columns of a source that can only be read whole.

    Parameters
    ----------
    source : BlockSource
    index : ndarray of int
    """

    def __init__(self, source: BlockSource, index: npt.NDArray[np.integer]) -> None:
        self.source, self.index = source, np.asarray(index)
        self.shape = (source.shape[0], len(self.index))
        self.dtype = source.dtype
        if source.names is not None:
            self.names = tuple(source.names[j] for j in self.index)

    @property
    def stretches(self) -> Sequence[tuple[int, int]]:
        """Those of the whole source."""
        return self.source.stretches

    @property
    def stored_bytes(self) -> int:
        """Those of the whole source: all of it is read."""
        return self.source.stored_bytes

    @property
    def row_entries(self) -> float:
        """As many of a row's stored entries as its columns are of all."""
        return max(1.0, self.source.row_entries * self.shape[1] / self.source.shape[1])

    def read(self, numbers: Sequence[int]) -> Blocks:
        """Yield the columns of each block."""
        for start, block in self.source.read(numbers):
            dense = isinstance(block, np.ndarray)
            yield start, np.take(block, self.index, axis=1) if dense else block[:, self.index]

    def describe(self, row: int) -> str:
        """Return where a row is."""
        return self.source.describe(row)

    def check_unchanged(self) -> None:
        """Ask the whole source."""
        self.source.check_unchanged()

    def read_column(self, name: str) -> Array:
        """Return a column of the whole source."""
        return self.source.read_column(name)


def chosen(
    wanted: Sequence[str] | None, names: Sequence[str], what: str
) -> npt.NDArray[np.integer]:
    """Return the positions of the wanted columns among all names; None means all of them.

    Raises
    ------
    InputError
        If a name is unknown, stands there twice, or is no text, or none is given.
    """
    wanted = names if wanted is None else wanted
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise InputError(f"`columns` must be a list of names; got {wanted!r}.")
    wanted = list(wanted)
    if not all(isinstance(name, str) for name in wanted):
        raise InputError(f"`columns` must be a list of names; got {wanted!r}.")
    if not len(wanted):
        raise InputError(f"`columns` is empty, or {what} has no column: name at least one.")
    asked, there = Counter(wanted), Counter(names)
    for name in wanted:
        if name not in there:
            raise InputError(f"{what} has no column {name!r}.{near_names(name, names)}")
        if asked[name] > 1 or there[name] > 1:
            place = "`columns` names" if asked[name] > 1 and there[name] == 1 else f"{what} has"
            raise InputError(f"{place} {name!r} more than once: give each column its own name.")
    where = {name: j for j, name in enumerate(names)}
    return np.asarray([where[name] for name in wanted])


def storage_dtype(dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """Return float32 if it holds every number of these dtypes, else float64."""
    narrow = all(np.can_cast(dtype, np.float32) for dtype in dtypes)
    return np.dtype(np.float32 if narrow else np.float64)


def fingerprint(block: Block) -> tuple[int, int]:
    """Return the number of rows of a block, and a check sum of its bytes.

    The check sum is the CRC of the sums of every 512 words of eight bytes: any changed bit alters
    it, and so do rows that moved. It costs a fraction of what reading costs.
    """
    if isinstance(block, np.ndarray):
        return len(block), _check_sum(block, 0)
    mark = _check_sum(block.data, 0)
    return block.shape[0], _check_sum(block.indptr, _check_sum(block.indices, mark))


def _check_sum(array: Array, mark: int) -> int:
    flat = array.ravel(order="A").view(np.uint8)
    whole = len(flat) // (8 * WORDS) * 8 * WORDS
    sums = flat[:whole].view(np.uint64).reshape(-1, WORDS).sum(axis=1)
    return zlib.crc32(flat[whole:].data, zlib.crc32(sums.data, mark))

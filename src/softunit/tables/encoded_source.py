"""The encoded rows of a dataset as blocks, for designs on disk and on a cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.designs.sources import BlockSource
from softunit.errors import FileError, InputError
from softunit.tables.column_encodings import Unknown
from softunit.tables.encoding import Encoding
from softunit.tables.names import cut
from softunit.tables.places import Places
from softunit.tables.scanning import Scan
from softunit.tables.streams import Dataset

_INDEX = 12  # bytes of a stored entry of a sparse row


def row_bytes(encoding: Encoding) -> int:
    """Return about how many bytes a row takes, encoded and as it was read.

    Parameters
    ----------
    encoding : Encoding
    """
    columns = len(encoding.columns)
    encoded = _INDEX * columns if encoding.is_sparse else 8 * len(encoding.feature_names)
    return encoded + 16 * columns


@dataclass(frozen=True)
class Stretch:
    """Rows that can be read on their own: a row group of a Parquet file, or a file.

    Attributes
    ----------
    file : int
    group : int or None
        Row group; None for the whole file.
    start, stop : int
        First row of the dataset and the one after the last.
    """

    file: int
    group: int | None
    start: int
    stop: int


class EncodedSource(BlockSource):
    """Rows of a dataset, read and encoded anew at each pass.

    Parameters
    ----------
    found : Scan
        What the first pass found; every later one must find the same.
    rows : int
        Of a block, at most.
    seen : bool, default True
        Whether a pass has seen the features too: what is wrong with them later means that a file
        was changed.

    Attributes
    ----------
    shape : tuple of int
        (n, d).
    dtype : numpy.dtype
        float64.
    names : tuple of str
        Of the columns of the design.
    """

    names: tuple[str, ...]

    def __init__(self, found: Scan, rows: int, *, seen: bool = True) -> None:
        self.shape = (found.n_rows, len(found.encoding.feature_names))
        self.dtype = np.dtype(np.float64)
        self.names = found.encoding.feature_names
        self._found = found
        self._rows = rows
        self._seen = seen
        # A pass that saw every level bears no other one.
        rule: Unknown = "error" if seen else found.encoding.unknown
        self._encoding = dataclasses.replace(found.encoding, unknown=rule)

    @cached_property
    def parts(self) -> tuple[Stretch, ...]:
        """What can be read on its own, all rows in order."""
        return stretches_of(self._found.dataset, self._found.lengths)

    @property
    def stretches(self) -> Sequence[tuple[int, int]]:
        """(first row, row after the last) of each row group, or file."""
        return tuple((part.start, part.stop) for part in self.parts)

    def read(self, numbers: Sequence[int]) -> Generator[tuple[int, Any], None, None]:
        """Yield (first row, encoded block) for all rows of some stretches.

        Parameters
        ----------
        numbers : sequence of int
            Of stretches, rising.

        Raises
        ------
        FileError
            If a file is not what it was: damaged, with other rows, or levels never seen before.
        """
        for number in numbers:
            part = self.parts[number]
            row = part.start
            for table in self._found.dataset.stretch(
                part.file, part.group, self._columns, rows=self._rows
            ):
                with self._found.places.told(row):
                    block = self._encoded(table, row)
                yield row, block
                row += table.n_rows
            if row != part.stop:
                raise FileError(
                    f"{self._found.dataset.files[part.file].path} has {row - part.start:,} rows"
                    f" where it had {part.stop - part.start:,}: it was changed while it was being"
                    " read."
                )

    @property
    def _columns(self) -> frozenset[str]:
        return frozenset(column.name for column in self._encoding.columns)

    def _encoded(self, table: Any, row: int) -> Any:
        try:
            return self._encoding.apply(table)
        except InputError as error:
            if not self._seen:
                raise
            raise FileError(
                f"{table.source} was changed while it was being read: the block that begins with"
                f" {self.describe(row)} is not what it was in the first pass. {cut(error)}. Begin"
                " again when nobody writes to it."
            ) from error

    @property
    def stored_bytes(self) -> int:
        """Bytes of all files."""
        return sum(size for size, _ in self._found.dataset.states)

    @property
    def row_entries(self) -> float:
        """Stored entries of a row."""
        sparse = self._encoding.is_sparse
        return float(len(self._encoding.columns) if sparse else self.shape[1])

    def describe(self, row: int) -> str:
        """Return where a row is: "data row 17 of part-3.parquet"."""
        return self._found.places.words(row)

    def check_unchanged(self) -> None:
        """Refuse files that are not what they were; called before each pass."""
        self._found.dataset.check_unchanged()

    def loaders(self, rows: int) -> list[Loader]:
        """Return what reads the partitions of a cluster, each on its own worker.

        Parameters
        ----------
        rows : int
            Of a partition, about.
        """
        groups: list[list[Stretch]] = []
        for part in self.parts:
            last = groups[-1] if groups else []
            if last and part.stop - last[0].start <= rows:
                last.append(part)
            else:
                groups.append([part])
        dataset = self._found.dataset
        return [Loader(dataset, self._encoding, tuple(group), self._rows) for group in groups]


def stretches_of(dataset: Dataset, lengths: Sequence[int]) -> tuple[Stretch, ...]:
    """Return what can be read on its own of a dataset, given how many rows each file has.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int
    """
    found, start = [], 0
    for file, length in enumerate(lengths):
        groups = dataset.groups[file]
        known = groups is not None and sum(groups) == length
        sizes = enumerate(groups) if known and groups is not None else [(None, length)]
        for group, size in sizes:
            if size:
                found.append(Stretch(file, group, start, start + size))
                start += size
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Loader:
    """Reads and encodes one partition; it can be sent to a worker.

    Attributes
    ----------
    dataset : Dataset
    encoding : Encoding
    parts : tuple of Stretch
    rows : int
        Of a block.
    """

    dataset: Dataset
    encoding: Encoding
    parts: tuple[Stretch, ...]
    rows: int

    def __call__(self) -> Array | Any:
        """Return the rows: an array (m, d), or a CSR matrix.

        Raises
        ------
        FileError
            If a file cannot be read from where the call runs.
        """
        from scipy import sparse

        names = frozenset(column.name for column in self.encoding.columns)
        blocks: list[Any] = []
        for part in self.parts:
            row = part.start
            for table in self.dataset.stretch(part.file, part.group, names, rows=self.rows):
                with Places.within(table.source, several=True).told(row - part.start):
                    blocks.append(self.encoding.apply(table))
                row += table.n_rows
            if row != part.stop:
                raise FileError(
                    f"{self.dataset.files[part.file].path} has other rows than at the first pass:"
                    " all workers must see the same files as this machine."
                )
        if sparse.issparse(blocks[0]):
            return sparse.vstack(blocks, format="csr")
        return np.concatenate(blocks)

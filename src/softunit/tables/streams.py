"""Datasets of one file or many, read in blocks of rows that fit the memory."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from softunit._files import load_pyarrow
from softunit.errors import FileError
from softunit.tables.array_files import check_fits
from softunit.tables.arrow_files import claimed_bytes, is_text
from softunit.tables.column_types import ColumnTypeError, common_types, key_columns
from softunit.tables.columns import decoded
from softunit.tables.data_files import DataFile, find_files, titled
from softunit.tables.file_readers import LAZY, read_batches, read_head
from softunit.tables.names import listed, show
from softunit.tables.places import Places
from softunit.tables.reading import reading
from softunit.tables.table import Table

ROWS = 1 << 16
"""Rows of a block, at most, where nothing else is asked for."""

_BLOCK = 1 << 21  # bytes of such a block, about: larger ones save little time
_LEAST = 1 << 10  # rows


@dataclass(frozen=True, eq=False)
class Piece:
    """A block of rows of a dataset.

    Attributes
    ----------
    table : Table
    start : int
        The row of the dataset, from 0, that it begins with.
    file : int
        Number of the file that it stands in.
    places : Places
        Where its rows stand in their file.
    inside : int
        The row of the file, from 0, that it begins with.
    """

    table: Table
    start: int
    file: int
    places: Places = field(repr=False)
    inside: int

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Let sentences that are raised in the block count rows in the file that they stand in."""
        with self.places.told(self.inside):
            yield


@dataclass(frozen=True, eq=False)
class Dataset:
    """Files with the same columns, one after the other.

    Attributes
    ----------
    files : tuple of DataFile
    source : str
        What sentences call it.
    types : mapping of str to pyarrow.DataType
        Of the columns, in the order of the first file; those that folders name come last.
    states : tuple of (int, int)
        What tells whether a file is still what it was.
    groups : tuple of (tuple of int, or None)
        Rows of each row group, of the files that have some.
    """

    files: tuple[DataFile, ...]
    source: str
    types: Mapping[str, Any] = field(repr=False)
    states: tuple[tuple[int, int], ...] = field(repr=False)
    groups: tuple[tuple[int, ...] | None, ...] = field(repr=False)

    @classmethod
    def open(
        cls, paths: Sequence[str], *, format: str | None = None, text: Collection[str] = ()
    ) -> Self:
        """Return the dataset of some paths, its columns known and no row read.

        The columns of CSV files are what their first block says; reading on may widen them.

        Parameters
        ----------
        paths : sequence of str
            Files, folders, globs in quotes, and URLs of them that pyarrow understands.
        format : str, default=None
            As in `read_table`.
        text : collection of str, default=()
            Columns that CSV and TSV files shall keep as text.

        Raises
        ------
        FileError
            If a file is not there, cannot be read in blocks, or its columns are not those of the
            first one; the message names file and column.
        """
        files = find_files(paths, format=format)
        _check_lazy(files[0])
        states = tuple(file.state() for file in files)
        schemas, groups = [], []
        for file in files:
            _check_bytes(file)
            with _reading(file):
                schema, of_groups = read_head(file, text)
            schemas.append(schema)
            groups.append(of_groups)
        types = dict(common_types([file.path for file in files], schemas, lenient=_lenient(files)))
        keys = key_columns([file.keys for file in files], text)
        for name in keys:
            if name in types:
                raise FileError(
                    f"column {show(name)} is both in {files[0].path} and the name of the folders"
                    " that the files lie in: rename one."
                )
        return cls(files, titled(paths), types | keys, states, tuple(groups))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.types)

    @property
    def kind(self) -> str:
        """The format of the files."""
        return self.files[0].kind

    def places(self, lengths: Sequence[int]) -> Places:
        """Return where rows stand, given how many each file has.

        Parameters
        ----------
        lengths : sequence of int
        """
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        return Places(tuple(file.path for file in self.files), starts)

    def head(self) -> Table:
        """Return a table of all columns and no rows, which finds columns by name."""
        pyarrow = load_pyarrow()
        empty = pyarrow.schema(list(self.types.items())).empty_table()
        return Table(self.names, 0, source=self.source, arrow=empty)

    def widened(self, found: ColumnTypeError) -> Dataset:
        """Return the dataset with a column of the type that a cell of it needs.

        Parameters
        ----------
        found : ColumnTypeError
        """
        return replace(self, types={**self.types, found.name: found.wider})

    def check_unchanged(self) -> None:
        """Refuse files that are not what they were when the dataset was opened.

        Raises
        ------
        FileError
            Naming the file.
        """
        for index in range(len(self.files)):
            self._check_state(index)

    def _check_state(self, index: int) -> None:
        file = self.files[index]
        if file.state() != self.states[index]:
            raise FileError(
                f"{file.path} was changed while it was being read: nothing can be told of what is"
                " half old and half new. Begin again when nobody writes to it."
            )

    def pieces(
        self, columns: Collection[str] | None = None, *, rows: int | None = None
    ) -> Iterator[Piece]:
        """Yield all rows in order, in blocks of at most `rows` rows.

        Parameters
        ----------
        columns : collection of str, default=None
            Those that are read; None reads all.
        rows : int, default=None
            None: `ROWS`, or fewer of many columns.

        Raises
        ------
        FileError
            If a file is damaged or was changed since the dataset was opened, or holds no rows
            with all others.
        ColumnTypeError
            If a cell of a CSV file is of another type than those before it.
        """
        wanted = [name for name in self.types if columns is None or name in columns]
        rows = rows or max(_LEAST, min(ROWS, _BLOCK // (8 * max(1, len(wanted)))))
        start = 0
        for index, file in enumerate(self.files):
            inside, places = 0, Places.within(file.path, several=len(self.files) > 1)
            for table in self._tables(index, None, wanted, rows):
                yield Piece(table, start, index, places, inside)
                start += table.n_rows
                inside += table.n_rows
        if start == 0:
            raise FileError(f"{self.source} has no rows: only the names of its columns.")

    def stretch(
        self, index: int, group: int | None, columns: Collection[str], *, rows: int = ROWS
    ) -> Iterator[Table]:
        """Yield the rows of one file, or of one of its row groups, in blocks.

        Parameters
        ----------
        index : int
            Of the file.
        group : int or None
            Of the row group; None reads the whole file.
        columns : collection of str
            Those that are read.
        rows : int, default ROWS
        """
        wanted = [name for name in self.types if name in columns]
        yield from self._tables(index, group, wanted, rows)

    def _tables(
        self, index: int, group: int | None, wanted: Sequence[str], rows: int
    ) -> Iterator[Table]:
        """Yield blocks of a file that is seen to be the same before and after."""
        file = self.files[index]
        self._check_state(index)
        keys = dict(file.keys)
        types = {name: self.types[name] for name in wanted}
        own = {name: kind for name, kind in types.items() if name not in keys}
        groups = self.groups[index] if group is None else None
        numbers = [group] if groups is None else range(len(groups))
        batches = read_batches(file, own, rows, numbers)
        while True:
            with _reading(file):
                batch = next(batches, None)
                if batch is None:
                    break
                whole = _as_table(batch, own, types, keys)
            for at in range(0, whole.num_rows, rows):
                part = whole.slice(at, rows)
                yield Table(tuple(types), part.num_rows, source=file.path, arrow=part)
        self._check_state(index)

    def table(self) -> Table:
        """Return all rows as one table, its columns of the types that all files agree on."""
        pyarrow = load_pyarrow()
        claimed = sum(sum(groups) for groups in self.groups if groups is not None)
        check_fits(self.source, claimed_bytes(self.types.values(), claimed))
        dataset, parts, lengths = self, [], [0] * len(self.files)
        while True:
            try:
                for piece in dataset.pieces():
                    parts.append(_plain(piece.table.arrow, dataset.types))
                    lengths[piece.file] += piece.table.n_rows
                break
            except ColumnTypeError as found:
                dataset, parts, lengths = dataset.widened(found), [], [0] * len(self.files)
        whole = pyarrow.concat_tables(parts)
        return Table(
            self.names,
            whole.num_rows,
            source=self.source,
            arrow=whole,
            places=self.places(lengths),
        )


def _as_table(batch: Any, own: Mapping[str, Any], wanted: Mapping[str, Any], keys: Any) -> Any:
    """Return a batch as a table of the wanted columns, cast to their types."""
    pyarrow = load_pyarrow()
    columns = []
    for name, kind in wanted.items():
        if name in own:
            column = batch.column(name)
            if column.type != kind and not _packed(column.type, kind):
                column = column.cast(kind)
        else:
            value = None if keys[name] == "__HIVE_DEFAULT_PARTITION__" else keys[name]
            scalar = pyarrow.scalar(value, pyarrow.string()).cast(kind)
            column = pyarrow.repeat(scalar, batch.num_rows)
        columns.append(column)
    return pyarrow.Table.from_arrays(columns, names=list(wanted))


def _packed(found: Any, wanted: Any) -> bool:
    """Whether a column holds the texts that are wanted as a dictionary."""
    return bool(load_pyarrow().types.is_dictionary(found) and is_text(wanted))


def _plain(table: Any, types: Mapping[str, Any]) -> Any:
    """Return a table whose columns are of these types, dictionaries resolved where asked."""
    columns = [
        decoded(column).cast(kind) if _packed(column.type, kind) else column
        for column, kind in zip(table.columns, types.values(), strict=True)
    ]
    return load_pyarrow().Table.from_arrays(columns, names=list(types))


def _reading(file: DataFile) -> contextlib.AbstractContextManager[None]:
    return reading(file.path, file.kind, part="a block of ")


def _lenient(files: Sequence[DataFile]) -> bool:
    """Whether types come from cells, so that text in one file makes a column text in all."""
    return files[0].kind in ("csv", "tsv")


def _check_bytes(file: DataFile) -> None:
    if file.state()[0] == 0:
        raise FileError(f"{file.path} is empty (0 bytes): it holds no table.")


def _check_lazy(file: DataFile) -> None:
    """Refuse formats that only come whole."""
    if file.kind not in LAZY:
        raise FileError(
            f"{file.path} is {file.kind}, which cannot be read in blocks of rows: write it as"
            f" Parquet. Formats that can are {listed(LAZY)}."
        )

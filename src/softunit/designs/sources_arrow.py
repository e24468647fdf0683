"""Numbers out of Arrow columns, and files that give record batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.designs.sources_files import DataFile, load_arrow, reading
from softunit.errors import FileError

BUFFER = 1 << 16  # bytes read ahead of the pages of each column
TEXT = 16.0  # bytes that a text is taken for
PAGE = 1 << 20  # bytes of a page, as writers make them


class TableFile(ABC):
    """A file of columns that is read in record batches.

    Parameters
    ----------
    file : DataFile

    Attributes
    ----------
    file : DataFile
    schema : pyarrow.Schema
    names : list of str
        Of all its columns.
    groups : list of int
        Rows of each group, the least that can be read on its own.
    """

    def __init__(self, file: DataFile) -> None:
        self.file = file
        self.groups: list[int] = []
        with reading(file):
            self.schema: Any = self._look()
            self.names = list(self.schema.names)
        if min(self.groups, default=0) < 0:
            raise FileError(f"{file} promises {min(self.groups)} rows: it is damaged.")

    @abstractmethod
    def _look(self) -> Any:
        """Return the schema and set the groups, by what the file says of itself."""

    def stored_bytes(self, names: Sequence[str]) -> float:
        """Return about what some columns take of the file, by the widths of their types.

        What a Parquet file itself says of its columns is not asked for: where it is damaged,
        pyarrow ends the process.
        """
        widths = {field.name: _width(field.type) for field in self.schema}
        return self.file.size * sum(widths[name] for name in names) / max(1.0, sum(widths.values()))

    @abstractmethod
    def held_bytes(self, names: Sequence[str]) -> int:
        """Return bytes that a reader of some columns holds besides what it yields."""

    @abstractmethod
    def opened(self, *, verify: bool, texts: Sequence[str] = ()) -> Any:
        """Return an open reader: batches(groups, names, rows) and close().

        Parameters
        ----------
        verify : bool
            Whether check sums are looked at, where the file has any.
        texts : sequence of str, default ()
            Columns of text that need not be spelt out row by row.
        """


class ParquetTable(TableFile):
    """A Parquet file; its groups are row groups."""

    def _look(self) -> Any:
        load_arrow()
        from pyarrow import parquet

        with self.file.open() as stream, parquet.ParquetFile(stream) as opened:
            facts = opened.metadata
            self.groups = [facts.row_group(g).num_rows for g in range(facts.num_row_groups)]
            if sum(self.groups) != facts.num_rows:
                raise FileError(f"{self.file} counts its rows in two ways: it is damaged.")
            return opened.schema_arrow

    def held_bytes(self, names: Sequence[str]) -> int:
        """Return two pages, packed and unpacked, and a buffer for each column."""
        rows = max(self.groups, default=0)
        widths = (_width(self.schema.field(name).type) for name in names)
        return sum(int(2 * min(PAGE, rows * width)) + BUFFER for width in widths)

    def opened(self, *, verify: bool, texts: Sequence[str] = ()) -> ParquetReader:
        """Open the file."""
        return ParquetReader(self, verify, texts)


class ParquetReader:
    """An open Parquet file.

    Parameters
    ----------
    table : ParquetTable
    verify : bool
        Whether check sums of pages are looked at.
    texts : sequence of str
        Columns that come as codes into a dictionary.
    """

    def __init__(self, table: ParquetTable, verify: bool, texts: Sequence[str]) -> None:
        pyarrow = load_arrow()
        from pyarrow import parquet

        self.file, here = table.file, table.file.filesystem is None
        with reading(self.file):
            self._stream = pyarrow.OSFile(self.file.path) if here else self.file.open()
            # From afar a whole row group is fetched at once; here pages come one by one.
            self._reader = parquet.ParquetFile(
                self._stream,
                pre_buffer=not here,
                buffer_size=BUFFER,
                page_checksum_verification=verify,
                read_dictionary=list(texts),
            )
            there = self._reader.metadata
            groups = [there.row_group(g).num_rows for g in range(there.num_row_groups)]
        if groups != table.groups:
            raise FileError(f"{self.file} has other row groups than when it was first read.")

    def batches(self, groups: Sequence[int], names: Sequence[str], rows: int) -> Iterator[Any]:
        """Yield record batches of some columns of some row groups, of as many rows or fewer."""
        with reading(self.file):
            yield from self._reader.iter_batches(rows, row_groups=list(groups), columns=list(names))

    def close(self) -> None:
        """Close the file."""
        self._reader.close(force=True)
        self._stream.close()


class ArrowTable(TableFile):
    """An Arrow or Feather file, or an Arrow stream; it is one group."""

    def _look(self) -> Any:
        pyarrow = load_arrow()
        with self.file.open() as stream:
            head = bytes(stream.read(6))
        if head.startswith(b"FEA1"):
            raise FileError(
                f"{self.file} is Feather version 1, which is no longer read: write it as version"
                " 2, or as Parquet."
            )
        self._open = (
            pyarrow.ipc.open_file if head.startswith(b"ARROW1") else pyarrow.ipc.open_stream
        )
        with self._stream() as stream, self._open(stream) as reader:
            self.groups = [self._count(reader)]
            return reader.schema

    def _count(self, reader: Any) -> int:
        if self._open is not load_arrow().ipc.open_file:
            return sum(batch.num_rows for batch in reader)  # a stream tells only by being read
        from pyarrow import dataset, fs

        filesystem = self.file.filesystem or fs.LocalFileSystem()
        fragment = dataset.IpcFileFormat().make_fragment(self.file.path, filesystem)
        return int(fragment.count_rows())

    def _stream(self) -> Any:
        if self.file.filesystem is None:
            return load_arrow().OSFile(self.file.path)
        return self.file.open()

    def held_bytes(self, names: Sequence[str]) -> int:
        """Return nothing: what it holds is what it yields."""
        return 0

    def opened(self, *, verify: bool, texts: Sequence[str] = ()) -> ArrowReader:
        """Return a reader of the file."""
        return ArrowReader(self)

    def batches(self, names: Sequence[str]) -> Iterator[Any]:
        """Yield record batches of some columns; only their buffers are read."""
        fields = [self.names.index(name) for name in names]
        options = load_arrow().ipc.IpcReadOptions(included_fields=fields)
        with (
            reading(self.file),
            self._stream() as stream,
            self._open(stream, options=options) as reader,
        ):
            many = getattr(reader, "num_record_batches", None)
            for batch in reader if many is None else map(reader.get_batch, range(many)):
                # Lengths come from the file: wrong ones would be read past the end of a buffer.
                batch.validate(full=True)
                yield batch


class ArrowReader:
    """A reader of an Arrow file, which is opened for each reading.

    Parameters
    ----------
    table : ArrowTable
    """

    def __init__(self, table: ArrowTable) -> None:
        self._table = table

    def batches(self, groups: Sequence[int], names: Sequence[str], rows: int) -> Iterator[Any]:
        """Yield the record batches of the file, as it holds them."""
        return self._table.batches(names)

    def close(self) -> None:
        """Do nothing: a file is closed when its last batch has been read."""


def _width(kind: Any) -> float:
    """Return the bytes of an entry of an Arrow type; some, where it has no fixed width."""
    try:
        return float(kind.bit_width) / 8
    except ValueError:
        return TEXT


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is of real numbers or of booleans."""
    types = load_arrow().types
    checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(check(kind) for check in checks)


def number_dtype(kind: Any) -> np.dtype[Any]:
    """Return the NumPy dtype of an Arrow type of numbers."""
    if load_arrow().types.is_decimal(kind):
        return np.dtype(np.float64)
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype


def put_numbers(column: Any, out: Array) -> None:
    """Write an Arrow column of numbers into a vector of floats; missing ones become NaN."""
    pyarrow = load_arrow()
    kind = column.type
    if pyarrow.types.is_decimal(kind):
        column = column.cast(pyarrow.float64())
    elif column.null_count and pyarrow.types.is_boolean(kind):
        column = column.cast(pyarrow.uint8())
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is named later
        out[:] = column.to_numpy(zero_copy_only=False)

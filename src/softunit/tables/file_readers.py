"""Readers of one file in blocks of rows: Parquet, Arrow, CSV and TSV."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from softunit._files import load_pyarrow
from softunit.errors import FileError
from softunit.tables.arrow_files import (
    INDEX_COLUMN,
    check_delimiter,
    check_text,
    is_text,
)
from softunit.tables.column_types import ColumnTypeError, wider_type
from softunit.tables.data_files import DataFile
from softunit.tables.names import cut
from softunit.tables.places import Places
from softunit.tables.quotes import refuse_swallowed_rows
from softunit.tables.reading import check_names
from softunit.tables.table import Table

LAZY = ("arrow", "csv", "feather", "parquet", "tsv")
"""Formats that are read in blocks of rows."""

# A column chunk is read this many bytes at a time, a page at once if it is larger: row groups need
# not fit the memory, and of many columns each takes its own.
_BUFFER = 1 << 16
# CSV is parsed in blocks of so many bytes; a row is no longer than that.
_CSV_BLOCK = 1 << 22

_CONVERSION = re.compile(
    r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to .*?: invalid value '(.*)'",
    re.DOTALL,
)


def read_head(
    file: DataFile, text: Collection[str] = ()
) -> tuple[dict[str, Any], tuple[int, ...] | None]:
    """Return the columns of a file with their types, and the rows of each row group.

    Parameters
    ----------
    file : DataFile
    text : collection of str, default=()
        Columns that CSV and TSV files shall keep as text; types of others are what the first block
        says.

    Returns
    -------
    dict of str to pyarrow.DataType, and tuple of int or None
        None for files without row groups.
    """
    groups = None
    with opened(file, {name: load_pyarrow().string() for name in text}) as source:
        if file.kind == "parquet":
            schema, about = source.schema_arrow, source.metadata
            groups = tuple(about.row_group(i).num_rows for i in range(about.num_row_groups))
        else:
            schema = source.schema
        found = zip(schema.names, schema.types, strict=True)
        # What pandas wrote its row index as is no column.
        names = [(name, kind) for name, kind in found if not INDEX_COLUMN.fullmatch(name)]
    check_names(tuple(name for name, _ in names), file.path)
    return dict(names), groups


def read_batches(
    file: DataFile, types: Mapping[str, Any], rows: int, groups: Sequence[int | None] = (None,)
) -> Iterator[Any]:
    """Yield the rows of a file in order, as record batches or tables.

    Parameters
    ----------
    file : DataFile
    types : mapping of str to pyarrow.DataType
        The columns that are read; CSV files are read as these types.
    rows : int
        Of a Parquet batch, at most; batches of other formats are as the file has them.
    groups : sequence of int
        The row groups of a Parquet file that are read; one None for other files.

    Raises
    ------
    ColumnTypeError
        If a cell of a CSV file is not of the type of its column.
    """
    if file.kind == "parquet":
        with opened(file, types) as source:
            for group in groups:
                # One by one: a batch holds rows of one group, however many are read.
                yield from source.iter_batches(
                    batch_size=rows, row_groups=[group], columns=list(types) or None
                )
    elif file.kind in ("arrow", "feather"):
        yield from _arrow_batches(file)
    else:
        yield from _csv_batches(file, types)


def _arrow_batches(file: DataFile) -> Iterator[Any]:
    with opened(file) as reader:
        count = getattr(reader, "num_record_batches", None)
        batches = iter(reader) if count is None else map(reader.get_batch, range(count))
        for batch in batches:
            # Offsets and indices come from the file: wrong ones would be read past a buffer.
            batch.validate(full=True)
            yield batch


def _csv_batches(file: DataFile, types: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the blocks of a CSV file, each seen to hold as many rows as it has lines."""
    pyarrow = load_pyarrow()
    seen, delimiter = 0, _delimiter(file)
    with opened(file, types) as reader:
        names = tuple(reader.schema.names)
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except pyarrow.ArrowInvalid as error:
                raise _csv_error(file, error, names, types) from error
            block = pyarrow.Table.from_batches([batch])
            table = Table(names, batch.num_rows, source=file.path, arrow=block)
            try:
                refuse_swallowed_rows(table, delimiter)
            except FileError as error:
                here = Places.within(file.path, several=False)
                raise FileError(here.in_files(str(error), shift=seen)) from error
            seen += batch.num_rows
            yield batch


def _csv_error(
    file: DataFile, error: Exception, names: Sequence[str], types: Mapping[str, Any]
) -> Exception:
    """Return what is wrong with a CSV file: a cell of another type, or no table at all."""
    found = _CONVERSION.match(str(error))
    if found is not None:
        name = names[int(found[1])]
        kind = types.get(name, load_pyarrow().null())
        return ColumnTypeError(name, wider_type(kind, found[2]), found[2])
    if "straddl" in str(error):
        return FileError(
            f"{file.path} has a cell of more than {_CSV_BLOCK >> 20} million bytes: a quote may"
            f" not be closed. Look for one without its partner ({cut(error)})."
        )
    return FileError(
        f"{file.path} is not a table: {cut(error)} (row 1 is the line of names). Give each row as"
        " many cells as there are names, with quotes around cells that hold the delimiter."
    )


def _delimiter(file: DataFile) -> str:
    return "\t" if file.kind == "tsv" else ","


@contextlib.contextmanager
def opened(file: DataFile, types: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Give the reader of a file; what it opened is closed at the end."""
    pyarrow = load_pyarrow()
    with contextlib.ExitStack() as stack:
        if file.kind in ("csv", "tsv"):
            yield stack.enter_context(_csv_reader(file, types or {}))
            return
        if file.filesystem is None:
            # No memory map: a file that is cut short while it is read would end the process.
            source = stack.enter_context(pyarrow.OSFile(file.path, "rb"))
        else:
            source = stack.enter_context(file.filesystem.open_input_file(file.path))
        if file.kind == "parquet":
            from pyarrow import parquet

            yield stack.enter_context(
                parquet.ParquetFile(
                    source,
                    page_checksum_verification=True,
                    # A text that many rows share then takes memory once, not once for each.
                    read_dictionary=_texts(types),
                    pre_buffer=False,
                    buffer_size=_BUFFER,
                )
            )
            return
        magic = source.read(6)
        source.seek(0)
        if magic.startswith(b"FEA1"):
            raise FileError(
                f"{file.path} is Feather version 1, which is no longer read: write it as version"
                " 2, Parquet or CSV."
            )
        start = pyarrow.ipc.open_file if magic == b"ARROW1" else pyarrow.ipc.open_stream
        yield stack.enter_context(start(source))


def _texts(types: Mapping[str, Any] | None) -> list[str]:
    return [name for name, kind in (types or {}).items() if is_text(kind)]


def _csv_reader(file: DataFile, types: Mapping[str, Any]) -> Any:
    """Return a reader of a CSV file, unpacked on the way if its name ends in .gz."""
    pyarrow = load_pyarrow()
    from pyarrow import csv

    if file.filesystem is None:
        check_text(Path(file.path))
        source: Any = file.path
    else:
        source = file.filesystem.open_input_stream(file.path, compression="detect")
    try:
        reader = csv.open_csv(
            source,
            read_options=csv.ReadOptions(block_size=_CSV_BLOCK, use_threads=False),
            parse_options=csv.ParseOptions(delimiter=_delimiter(file), newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                strings_can_be_null=True,
                # As in `read_delimited`: what stands in quotes is text, never a missing value.
                quoted_strings_can_be_null=False,
                column_types=dict(types),
            ),
        )
    except pyarrow.ArrowInvalid as error:
        raise _csv_error(file, error, tuple(types), types) from error
    try:
        check_delimiter(tuple(reader.schema.names), file.path, _delimiter(file))
    except UnicodeDecodeError as error:
        raise FileError(
            f"{file.path} has column names that are not UTF-8: save the file as UTF-8."
        ) from error
    return reader

"""CSV, TSV, Parquet and Arrow files, read by pyarrow."""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from softunit._files import load_pyarrow
from softunit.errors import FileError
from softunit.tables.array_files import check_fits
from softunit.tables.names import cut, show
from softunit.tables.table import Table

INDEX_COLUMN = re.compile(r"__index_level_\d+__")
"""What pandas calls the row index when it writes one as a column."""


MOST_TEXT = 1 << 30
"""Bytes of a text column of a Parquet file above which it stays a dictionary."""

_CODE = 4  # bytes of a place in a dictionary


def read_delimited(path: Path, *, delimiter: str, text: Collection[str] = ()) -> Table:
    """Read a CSV or TSV file, unpacked on the way if its name ends in .gz."""
    pyarrow = load_pyarrow()
    check_text(path)
    from pyarrow import csv

    def read(use_threads: bool) -> Any:
        return csv.read_csv(
            str(path),
            read_options=csv.ReadOptions(use_threads=use_threads),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                strings_can_be_null=True,
                # "NA" in quotes is a text, as is "": so a level of that name can be written.
                quoted_strings_can_be_null=False,
                column_types={name: pyarrow.string() for name in text},
            ),
        )

    try:
        data = read(True)
    except (pyarrow.ArrowInvalid, OSError):
        # Threads do not know which row they are at; one alone names it in its error. And there may
        # be no memory for threads.
        data = _read_naming_row(read, path)
    try:
        table = _as_table(data, path)
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path} has column names that are not UTF-8: save the file as UTF-8."
        ) from error
    check_delimiter(table.names, path, delimiter)
    return table


def check_text(path: Path) -> None:
    """Refuse what is not UTF-8 by its first bytes: a byte order mark of UTF-16, or zero bytes."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    head = b""
    # What is no gzip file, or a damaged one, the reader says.
    with contextlib.suppress(OSError, EOFError, zlib.error), opened(path, "rb") as file:
        head = file.read(1024)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        kind = "UTF-16 text" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "no UTF-8 text"
        raise FileError(f"{path} is {kind}: save the file as UTF-8.")


def _read_naming_row(read: Any, path: Path) -> Any:
    """Read again with one thread and pass on the row that its error names."""
    try:
        return read(False)
    except ValueError as error:
        if "straddling" in str(error):
            raise FileError(
                f"{path} has a cell of more than a million bytes: a quote may not be closed. Look"
                f" for one without its partner ({cut(error)})."
            ) from error
        raise FileError(
            f"{path} is not a table: {cut(error)} (row 1 is the line of names). Give each row as"
            " many cells as there are names, with quotes around cells that hold the delimiter."
        ) from error


def check_delimiter(names: tuple[str, ...], path: object, delimiter: str) -> None:
    """Refuse a file of one column whose name shows that another delimiter was meant."""
    if len(names) != 1:
        return
    for other, word in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
        if other != delimiter and other in names[0]:
            raise FileError(
                f"{path} has one column, called {show(names[0])}: its cells seem to be"
                f" separated by {word}. Separate them by"
                f" {'commas' if delimiter == ',' else 'tabs'}, or give the file its true format."
            )


def read_parquet(path: Path) -> Table:
    """Read a Parquet file."""
    load_pyarrow()
    from pyarrow import parquet

    # Not parquet.read_table: that would add columns from folder names such as "year=2020".
    with parquet.ParquetFile(str(path), page_checksum_verification=True) as file:
        schema = file.schema_arrow
        # Few bytes may claim very many rows: a number that all share is stored once.
        check_fits(path, claimed_bytes(schema.types, file.metadata.num_rows))
    texts = [name for name, kind in zip(schema.names, schema.types, strict=True) if is_text(kind)]
    with parquet.ParquetFile(
        str(path), page_checksum_verification=True, read_dictionary=texts
    ) as file:
        return _as_table(_unpacked(file.read(), schema), path)


def is_text(kind: Any) -> bool:
    """Whether a pyarrow type is that of plain texts."""
    types = load_pyarrow().types
    return bool(types.is_string(kind) or types.is_large_string(kind))


def claimed_bytes(kinds: Iterable[Any], rows: int) -> int:
    """Return how many bytes rows of columns of some types take at the least.

    A text counts as its place in a dictionary: many rows may share it.

    Parameters
    ----------
    kinds : iterable of pyarrow.DataType
    rows : int
    """
    return rows * sum(map(_width, kinds))


def _width(kind: Any) -> int:
    types = load_pyarrow().types
    if types.is_struct(kind):
        return sum(_width(each.type) for each in kind)
    if types.is_fixed_size_list(kind):
        return _width(kind.value_type) * int(kind.list_size)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:  # of no fixed width
        return _CODE


def _unpacked(data: Any, schema: Any) -> Any:
    """Return a table whose texts are plain, but for those that would take much memory then.

    A text that many rows share stands in a Parquet file once: few bytes may claim very many.
    """
    for place, field in enumerate(schema):
        column = data.column(place)
        if is_text(field.type) and _text_bytes(column) <= MOST_TEXT:
            data = data.set_column(place, field, column.cast(field.type))
    return data


def _text_bytes(column: Any) -> int:
    """Return how many bytes the texts of a dictionary column take when they are plain."""
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary)
        total += pc.sum(pc.take(lengths, chunk.indices).cast("int64")).as_py() or 0
    return int(total)


def read_arrow(path: Path) -> Table:
    """Read an Arrow or Feather file, or an Arrow stream; the first bytes tell which."""
    pyarrow = load_pyarrow()
    with open(path, "rb") as head:
        magic = head.read(6)
    if magic.startswith(b"FEA1"):
        raise FileError(
            f"{path} is Feather version 1, which is no longer read: write it as version 2, Parquet"
            " or CSV."
        )
    with pyarrow.OSFile(str(path), "rb") as source:
        opened = pyarrow.ipc.open_file if magic == b"ARROW1" else pyarrow.ipc.open_stream
        with opened(source) as reader:
            data = reader.read_all()
    # Offsets and indices come from the file: wrong ones would be read past the end of a buffer.
    data.validate(full=True)
    return _as_table(data, path)


def _as_table(data: Any, path: Path) -> Table:
    """Wrap a pyarrow Table, without the row index that pandas may have written as a column."""
    kept = [
        index for index, name in enumerate(data.column_names) if not INDEX_COLUMN.fullmatch(name)
    ]
    data = data.select(kept)
    return Table(tuple(data.column_names), data.num_rows, source=str(path), arrow=data)

"""Writing columns to a file, all of it or nothing."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from softunit._files import check_writable, load_pyarrow, replace_file
from softunit._typing import Array
from softunit.errors import FileError, InputError, SoftunitError
from softunit.tables.names import cut, show
from softunit.tables.reading import table_format

WRITTEN = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".npz")
"""Extensions that a sentence about outputs lists."""

FORMATS = ("arrow", "csv", "feather", "npz", "parquet", "tsv")
"""Formats that are written."""


def check_table_path(path: str | os.PathLike[str], *, format: str | None = None) -> None:
    """Check, before any long work, that `write_table` can write to `path`.

    Parameters
    ----------
    path : str or path-like
        Where a table shall be written; nothing is written yet.
    format : str, default=None
        One of "arrow", "csv", "feather", "npz", "parquet", "tsv"; None goes by the extension.

    Raises
    ------
    FileError
        If the extension means no format that is written, or the path cannot be written.
    MissingExtraError
        If the format needs pyarrow and it is not installed.
    """
    kind = written_format(path, format)
    if kind != "npz":
        load_pyarrow("writing tables")
    check_writable(path)


def written_format(path: str | os.PathLike[str], format: str | None) -> str:
    """Return "arrow", "csv", "npz", "parquet" or "tsv"."""
    if format is not None:
        if format not in FORMATS:
            raise FileError(f"`format` must be one of {', '.join(FORMATS)}; got {show(format)}.")
        return "arrow" if format == "feather" else format
    try:
        kind = table_format(path)
    except FileError:
        kind = ""
    if kind in ("", "svmlight"):
        raise FileError(
            f"{path} cannot be written: its extension must be one of {', '.join(WRITTEN)} (.csv"
            ' and .tsv also with .gz). Rename it, or say the format: format="csv" (--out-format'
            " csv)."
        )
    return kind


def write_table(
    path: str | os.PathLike[str], columns: Mapping[str, Array], *, format: str | None = None
) -> None:
    """Write columns to a CSV, TSV, Parquet, Arrow, Feather or NPZ file, by its extension.

    The file appears under its name when it is whole; if writing fails, a file that was there
    before is left as it was.

    Parameters
    ----------
    path : str or path-like
        CSV and TSV may have .gz behind the extension.
    columns : mapping of str to ndarray of shape (n,)
        Numbers, booleans or text. An NPZ file holds one array for each.
    format : str, default=None
        One of "arrow", "csv", "feather", "npz", "parquet", "tsv"; None goes by the extension.

    Raises
    ------
    FileError
        If the extension means no format that is written, or the path cannot be written.
    InputError
        If the columns are none, of different lengths, or not one-dimensional.
    MissingExtraError
        If the format needs pyarrow and it is not installed.
    """
    check_table_path(path, format=format)
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    _check_columns(arrays)
    kind = written_format(path, format)
    with replace_file(path) as temporary, writing(path):
        if kind == "npz":
            _write_npz(temporary, arrays)
        else:
            _write_arrow(temporary, Path(path), kind, arrays)


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what writers raise about a file into a `FileError` that names it."""
    try:
        yield
    except SoftunitError:
        raise
    except (OSError, ValueError, TypeError, NotImplementedError) as error:
        raise FileError(f"{path} cannot be written: {cut(error)}.") from error


def _check_columns(arrays: Mapping[str, Array]) -> None:
    """Refuse columns that make no table."""
    if not arrays:
        raise InputError("A table needs at least one column; got none.")
    for name, array in arrays.items():
        if array.ndim != 1:
            raise InputError(f"Column {show(name)} must have shape (n,); got {array.shape}.")
        if array.dtype.kind not in "fiubUO":
            raise InputError(
                f"Column {show(name)} must hold numbers, booleans or text; got dtype {array.dtype}."
            )
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"All columns of a table must have the same length; got {lengths}.")


def _write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write one .npy member for each array."""
    # Not np.savez: a column called "file" would be taken for its first argument.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            plain = array.astype(np.str_) if array.dtype.kind == "O" else array
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain, allow_pickle=False)


def _write_arrow(temporary: Path, path: Path, kind: str, arrays: Mapping[str, Array]) -> None:
    """Write through pyarrow; `path` is the final name, whose extension decides."""
    pyarrow = load_pyarrow("writing tables")
    table = pyarrow.Table.from_arrays(
        [pyarrow.array(array) for array in arrays.values()], names=list(arrays)
    )
    compression = "gzip" if path.suffix.lower() == ".gz" else None
    with pyarrow.output_stream(str(temporary), compression=compression) as sink:
        if kind == "parquet":
            from pyarrow import parquet

            # With checksums a reader finds damaged pages; without them it reads other numbers.
            parquet.write_table(table, sink, write_page_checksum=True)
        elif kind == "arrow":
            _write_ipc(pyarrow, table, sink, streamed=path.suffix.lower() == ".arrows")
        else:
            from pyarrow import csv

            options = csv.WriteOptions(delimiter="\t" if kind == "tsv" else ",")
            csv.write_csv(table, sink, options)


def _write_ipc(pyarrow: Any, table: Any, sink: Any, *, streamed: bool) -> None:
    """Write the Arrow file format, or its stream format."""
    opened = pyarrow.ipc.new_stream if streamed else pyarrow.ipc.new_file
    with opened(sink, table.schema) as writer:
        writer.write_table(table)

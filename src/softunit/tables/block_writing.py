"""Writing a table block by block, all of it or nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from softunit._files import load_pyarrow, replace_file
from softunit._typing import Array
from softunit.errors import FileError
from softunit.tables.writing import check_table_path, writing, written_format


def check_block_path(path: str | os.PathLike[str], *, format: str | None = None) -> None:
    """Check, before any long work, that `write_blocks` can write to `path`.

    Parameters
    ----------
    path : str or path-like
    format : str, default=None
        As in `write_table`.

    Raises
    ------
    FileError
        If the format cannot be written block by block, or the path cannot be written.
    """
    check_table_path(path, format=format)
    if written_format(path, format) == "npz":
        raise FileError(
            f"{path} cannot be written block by block, as NPZ holds each column whole: write"
            " .parquet, .arrow or .csv."
        )


def write_blocks(
    path: str | os.PathLike[str],
    blocks: Iterable[Mapping[str, Array]],
    *,
    format: str | None = None,
) -> int:
    """Write blocks of columns one below the other; return how many rows were written.

    The file appears under its name when it is whole; if anything fails, a file that was there
    before is left as it was.

    Parameters
    ----------
    path : str or path-like
        As in `write_table`, but for .npz.
    blocks : iterable of mapping of str to ndarray of shape (m,)
        All with the same names and types; at least one.
    format : str, default=None
        As in `write_table`.

    Raises
    ------
    FileError
        If the path cannot be written.
    """
    check_block_path(path, format=format)
    pyarrow = load_pyarrow("writing tables")
    rows, writer = 0, None
    with replace_file(path) as temporary, contextlib.ExitStack() as stack:
        for block in blocks:  # what raises in here is not about this file
            with writing(path):
                table = pyarrow.table({name: pyarrow.array(a) for name, a in block.items()})
                if writer is None:
                    writer = stack.enter_context(_writer(temporary, Path(path), format, table))
                writer.write_table(table)
                rows += table.num_rows
        with writing(path):
            stack.close()  # what is written last may fail too
    return rows


@contextlib.contextmanager
def _writer(temporary: Path, path: Path, format: str | None, table: Any) -> Iterator[Any]:
    """Give the writer of a format; `path` is the final name, whose extension decides."""
    pyarrow = load_pyarrow("writing tables")
    kind, schema = written_format(path, format), table.schema
    compression = "gzip" if path.suffix.lower() == ".gz" else None
    with pyarrow.output_stream(str(temporary), compression=compression) as sink:
        if kind == "parquet":
            from pyarrow import parquet

            with parquet.ParquetWriter(sink, schema, write_page_checksum=True) as writer:
                yield writer
        elif kind == "arrow":
            streamed = path.suffix.lower() == ".arrows"
            opened = pyarrow.ipc.new_stream if streamed else pyarrow.ipc.new_file
            with opened(sink, schema) as writer:
                yield writer
        else:
            from pyarrow import csv

            options = csv.WriteOptions(delimiter="\t" if kind == "tsv" else ",")
            with csv.CSVWriter(sink, schema, write_options=options) as writer:
                yield writer

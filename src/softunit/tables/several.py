"""Several files of one format as one table, where they fit the memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from softunit.errors import FileError
from softunit.tables.data_files import DataFile, find_files, is_one_file, titled
from softunit.tables.file_readers import LAZY
from softunit.tables.names import listed, show
from softunit.tables.places import Places
from softunit.tables.reading import read_table
from softunit.tables.streams import Dataset
from softunit.tables.table import TARGET, Table


def read_tables(
    paths: Sequence[str],
    *,
    format: str | None = None,
    text: Collection[str] = (),
    n_features: int | None = None,
) -> Table:
    """Read one file, or several as one table: their rows one after the other, sorted by folder.

    Folders called "name=value" become columns. Columns are found by name; numbers of different
    types become the one that holds both.

    Parameters
    ----------
    paths : sequence of str
        Files, folders, globs in quotes, and URLs of them that pyarrow understands.
    format, text, n_features
        As in `read_table`.

    Returns
    -------
    Table
        Its `places` say which file a row stands in, where there are several.

    Raises
    ------
    FileError
        As `read_table`, and if formats or columns differ between files; the message names them.
    MissingExtraError
        If the format needs pyarrow and it is not installed.
    """
    if is_one_file(paths):
        return read_table(paths[0], format=format, text=text, n_features=n_features)
    files = find_files(paths, format=format)
    if files[0].kind in LAZY:
        return Dataset.open(paths, format=format, text=text).table()
    if files[0].filesystem is not None:
        raise FileError(
            f"{titled(paths)} is {files[0].kind}, which is read from this machine only: copy it"
            f" here, or write it as one of {listed(LAZY)}."
        )
    return _matrices(files, titled(paths), n_features)


def _matrices(files: Sequence[DataFile], source: str, n_features: int | None) -> Table:
    """Return the rows of NPZ or svmlight files below each other."""
    tables = [read_table(file.path, format=file.kind, n_features=n_features) for file in files]
    names = max((_features(table) for table in tables), key=len)
    for table in tables:
        _check_features(table, tables[0], names)
    parts: list[Any] = [
        _widened(table.matrix, len(names)) if table.is_sparse else table.matrix for table in tables
    ]
    whole = sparse.vstack(parts, format="csr") if tables[0].is_sparse else np.concatenate(parts)
    target = None
    if tables[0].target is not None:
        target = np.concatenate([table.target for table in tables if table.target is not None])
    starts = np.concatenate([[0], np.cumsum([table.n_rows for table in tables])[:-1]])
    return Table(
        names if target is None else (*names, TARGET),
        whole.shape[0],
        source=source,
        matrix=whole,
        target=target,
        places=Places(tuple(file.path for file in files), starts.astype(np.int64)),
    )


def _features(table: Table) -> tuple[str, ...]:
    return table.names if table.target is None else table.names[:-1]


def _check_features(table: Table, first: Table, names: tuple[str, ...]) -> None:
    """Refuse matrices whose columns are called otherwise, or of which some have no target."""
    own = _features(table)
    if own != names[: len(own)] or (len(own) < len(names) and not table.is_sparse):
        strange = next(
            (name for name in names if name not in own),
            next((name for name in own if name not in names), names[0]),
        )
        raise FileError(
            f"{table.source} has other columns than the files beside it: look at {show(strange)}."
            f" Its columns are {listed(own, 5)}, those of others {listed(names, 5)}."
        )
    if (table.target is None) != (first.target is None):
        without = table if table.target is None else first
        raise FileError(f"{without.source} has no target `y`, which other files have.")


def _widened(matrix: Any, width: int) -> Any:
    """Return a CSR matrix with columns of zeros behind its own: files do not write zeros."""
    parts = (matrix.data, matrix.indices, matrix.indptr)
    return sparse.csr_array(parts, shape=(matrix.shape[0], width))

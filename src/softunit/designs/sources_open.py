"""From a path to the source of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from softunit.designs._memory import Budget
from softunit.designs.sources import BlockSource
from softunit.designs.sources_arrow import ArrowTable, ParquetTable, TableFile
from softunit.designs.sources_files import found_files, is_zarr
from softunit.designs.sources_npy import NpyFile, NpySource
from softunit.designs.sources_table import TableSource
from softunit.designs.sources_zarr import ZarrSource
from softunit.errors import FileError

TABLES: dict[str, type[TableFile]] = {"arrow": ArrowTable, "parquet": ParquetTable}


def open_source(path: Any, columns: Sequence[str] | None, budget: Budget) -> BlockSource:
    """Return the rows of a file, a folder, a pattern, a URL, or a list of these.

    Nothing but descriptions is read: rows are counted from the metadata of the files.

    Parameters
    ----------
    path : str, path-like or sequence of them
    columns : sequence of str or None
        None: all.
    budget : Budget

    Raises
    ------
    FileError
        If nothing is there, or it is of several kinds, damaged, or holds no rows.
    InputError
        If a column is unknown or holds no numbers.
    """
    if is_zarr(path):
        return ZarrSource(path, columns, budget)
    files = found_files(path)
    kinds = [file.kind for file in files]
    other = next((i for i, kind in enumerate(kinds) if (kind == "npy") != (kinds[0] == "npy")), 0)
    if other:
        raise FileError(f"{files[0]} and {files[other]} are of two kinds: give files of one.")
    if kinds[0] == "npy":
        return NpySource([NpyFile(file) for file in files], columns, budget)
    tables = [TABLES[kind](file) for kind, file in zip(kinds, files, strict=True)]
    return TableSource(tables, columns, budget)

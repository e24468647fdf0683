"""How much memory a dataset would take, told before it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from softunit.tables.arrow_files import is_text
from softunit.tables.data_files import DataFile
from softunit.tables.file_readers import opened
from softunit.tables.reading import reading

_LOOKED_AT = 16  # files whose metadata are read; those beyond are taken to be like them
_UNPACKED = 4  # how much larger a packed text file is unpacked, about
_TABLE_AND_DESIGN = 2  # a table is encoded while it is still there
_NUMBER = 8


def decoded_bytes(files: Sequence[DataFile]) -> int:
    """Return about how many bytes the rows of files take in memory, as a table and encoded.

    Of Parquet files the metadata tell the rows and the size of texts; of others the size of the
    file is the measure.

    Parameters
    ----------
    files : sequence of DataFile

    Raises
    ------
    FileError
        If one cannot be read.
    """
    states = [file.state()[0] for file in files]
    looked = list(zip(files, states, strict=True))[:: max(1, len(files) // _LOOKED_AT)]
    found = sum(_of_file(file, size) for file, size in looked)
    share = sum(states) / max(1, sum(size for _, size in looked))
    return int(found * share)


def _of_file(file: DataFile, size: int) -> int:
    if file.kind == "parquet":
        with reading(file.path, file.kind), opened(file) as source:
            return _of_parquet(source.metadata, source.schema_arrow.types)
    packed = _UNPACKED if file.path.lower().endswith(".gz") or file.kind == "npz" else 1
    return _TABLE_AND_DESIGN * packed * size


def _of_parquet(about: Any, types: Sequence[Any]) -> int:
    """Return what the columns take: numbers eight bytes, texts what they take unpacked.

    Nothing is asked of single columns: damaged footers end the process there.
    """
    texts = sum(is_text(kind) for kind in types)
    total = 0
    for index in range(about.num_row_groups):
        group = about.row_group(index)
        total += group.num_rows * _NUMBER * (_TABLE_AND_DESIGN * len(types) - texts)
        if texts:
            total += max(group.num_rows * _NUMBER * texts, group.total_byte_size)
    return total

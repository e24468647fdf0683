"""What folders called key=value say of the rows in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from softunit._typing import Array
from softunit.designs.sources_files import DataFile
from softunit.errors import FileError, InputError

MISSING = "__HIVE_DEFAULT_PARTITION__"  # what writers call the folder of rows without a value

NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def folder_columns(files: Sequence[DataFile]) -> dict[str, Array]:
    """Return the columns that folders make, a value for each file.

    Values are numbers where every text is a number of its own: `01` beside `1` are texts. Where
    the folder is that of missing values, the value is NaN among numbers and None among texts.

    Parameters
    ----------
    files : sequence of DataFile

    Returns
    -------
    dict
        Name -> ndarray of int32, int64, float64 or object, shape (files,).

    Raises
    ------
    FileError
        If the folders of a file name other keys than those of the first.
    """
    names = list(files[0].keys)
    for file in files:
        if list(file.keys) != names:
            raise FileError(
                f"{file} lies in folders that name {list(file.keys) or 'nothing'}, but"
                f" those of {files[0]} name {names or 'nothing'}: name all alike (key=value)."
            )
    return {name: _typed([file.keys[name] for file in files]) for name in names}


def check_told(name: str, values: Array, files: Sequence[DataFile]) -> None:
    """Raise `InputError` if the folder of a file says that its rows have no value."""
    for value, file in zip(values, files, strict=True):
        if value is None or value != value:
            raise InputError(
                f"column {name!r} has no value in the rows of {file}, whose folder is"
                f" {name}={MISSING}: leave the file out, or name its folder after a value."
            )


def _typed(texts: Sequence[str]) -> Array:
    there = [text for text in texts if text != MISSING]
    if there and all(NUMBER.fullmatch(text) for text in there):
        kinds = (np.int32, np.int64, np.float64) if len(there) == len(texts) else (np.float64,)
        for dtype in kinds:
            try:
                values = np.array([text if text != MISSING else "nan" for text in texts])
                numbers = values.astype(dtype)
            except (ValueError, OverflowError):
                continue
            if len(np.unique(numbers)) == len(set(texts)) and not np.isinf(numbers).any():
                return np.asarray(numbers)
    return np.array([text if text != MISSING else None for text in texts], dtype=object)

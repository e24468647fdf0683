"""One column of a dataset, for targets and weights: in order, without a copy of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._free_memory import free_memory
from softunit._typing import Array
from softunit.designs._memory import shown
from softunit.designs.sources_arrow import TableFile, is_number, number_dtype
from softunit.designs.sources_files import load_arrow, reading
from softunit.errors import FileError, InputError


def gathered_column(
    pieces: Iterable[tuple[int, Any]],
    offsets: npt.NDArray[np.integer],
    name: str,
    files: Sequence[TableFile],
) -> Array:
    """Return the pieces of a column as one array (n,).

    Parameters
    ----------
    pieces : iterable of (int, pyarrow.Array or ndarray)
        Number of the file, and values, in order.
    offsets : ndarray of shape (files + 1,)
        The first row of each file, and how many rows there are.
    name : str
        Of the column.
    files : sequence of TableFile
        What `offsets` counts.

    Returns
    -------
    ndarray of shape (n,)
        Numbers keep their dtype; text comes as objects, each text once in memory.

    Raises
    ------
    InputError
        If a value is missing, or is neither a number nor a text.
    """
    out: Array | None = None
    texts: dict[str, int] = {}  # and their codes, of which the column is made until it is whole
    row = 0
    for number, piece in pieces:
        values = piece
        if isinstance(piece, np.ndarray):
            if piece.dtype == object:  # one text, many times
                code = texts.setdefault(str(piece[0]), len(texts)) if len(piece) else 0
                values = np.broadcast_to(np.int32(code), piece.shape)
        else:
            if piece.null_count:
                at = row + int(np.flatnonzero(piece.is_null().to_numpy(zero_copy_only=False))[0])
                raise InputError(
                    f"column {name!r} has no value in row {at - offsets[number]} of"
                    f" {files[number].file} (row {at} of all): fill or drop such rows."
                )
            with reading(files[number].file):
                # Codes come from the file: wrong ones would find another text, or none.
                piece.validate(full=True)
                values = _values(piece, name, texts)
        if out is None:
            out = _room(int(offsets[-1]), values.dtype, name)
        if row + len(values) > len(out):
            raise FileError(f"{files[number].file} holds more rows than it promises.")
        out[row : row + len(values)] = values
        row += len(values)
    if out is None or row != len(out):
        raise FileError(
            f"column {name!r} ends after {row} of {int(offsets[-1])} rows: a file is damaged, or"
            " was cut off."
        )
    return np.array(list(texts), dtype=object)[out] if texts else out


def _room(n: int, dtype: np.dtype[Any], name: str) -> Array:
    """Return an empty column, if there is memory for it: the file alone says how long it is."""
    free = free_memory()
    if free is not None and n * dtype.itemsize > free:
        raise InputError(
            f"column {name!r} takes {shown(n * dtype.itemsize)} for {n:,} rows, but only"
            f" {shown(free)} are free: give the process more memory, or read fewer files."
        )
    return np.empty(n, dtype=dtype)


def _values(piece: Any, name: str, texts: dict[str, int]) -> Array:
    """Return an Arrow array without missing values as numbers, or as codes of texts."""
    pyarrow = load_arrow()
    types, kind = pyarrow.types, piece.type
    if types.is_dictionary(kind):
        if piece.dictionary.null_count:
            raise InputError(f"column {name!r} has no value in some rows: fill or drop them.")
        values = _values(piece.dictionary, name, texts)
        return np.asarray(values[piece.indices.to_numpy(zero_copy_only=False)])
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        coded = piece.dictionary_encode()
        codes = [texts.setdefault(text, len(texts)) for text in coded.dictionary.to_pylist()]
        indices = coded.indices.to_numpy(zero_copy_only=False)
        return np.asarray(np.array(codes, dtype=np.int32)[indices])
    if not is_number(kind):
        raise InputError(f"column {name!r} holds {kind}: only numbers and texts can be read.")
    if types.is_decimal(kind):
        piece = piece.cast(pyarrow.float64())
    return np.asarray(piece.to_numpy(zero_copy_only=False), dtype=number_dtype(kind))

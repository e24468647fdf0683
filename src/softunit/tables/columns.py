"""What one column holds, and its values as numpy or pyarrow arrays."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import numpy as np

from softunit._files import load_pyarrow
from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.tables.names import rows, show

ColumnKind: TypeAlias = Literal["bool", "integer", "float", "text", "dictionary", "empty"]

NUMBER_PATTERN = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
"""What is a number, for RE2 and for Python."""

NUMBER = re.compile(NUMBER_PATTERN)


def column_kind(column: Any, name: str) -> ColumnKind:
    """Return what a column of a table holds.

    Parameters
    ----------
    column : pyarrow ChunkedArray or ndarray
        What `Table.column` returns.
    name : str

    Raises
    ------
    InputError
        If no number or label can be made of its type: dates, lists, bytes, ...
    """
    if isinstance(column, np.ndarray):
        kinds: dict[str, ColumnKind] = {"f": "float", "b": "bool", "U": "text"}
        return kinds.get(column.dtype.kind, "integer")
    types = load_pyarrow().types
    kind = column.type
    tests: tuple[tuple[Any, ColumnKind], ...] = (
        (types.is_boolean, "bool"),
        (types.is_integer, "integer"),
        (types.is_floating, "float"),
        (types.is_decimal, "float"),
        (types.is_dictionary, "dictionary"),
        (types.is_null, "empty"),
    )
    for test, word in tests:
        if test(kind):
            return word
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    raise InputError(_unusable(types, kind, name))


def _unusable(types: Any, kind: Any, name: str) -> str:
    """Return the sentence for a column of a type that no number can be made of."""
    if types.is_temporal(kind):
        wish = (
            f"convert it to a number, such as days since a date, or drop it (--drop {show(name)})"
        )
        return f"Column {show(name)} holds dates, times or durations ({kind}): {wish}."
    if types.is_nested(kind):
        return (
            f"Column {show(name)} holds lists or records ({kind}): unfold it into columns, or drop"
            f" it (--drop {show(name)})."
        )
    if types.is_binary(kind) or types.is_large_binary(kind):
        return (
            f"Column {show(name)} holds bytes that are not UTF-8 text: save the file as UTF-8, or"
            f" drop the column (--drop {show(name)})."
        )
    return (
        f"Column {show(name)} is of type {kind}, of which no number can be made: convert it, or"
        f" drop it (--drop {show(name)})."
    )


def decoded(column: Any) -> Any:
    """Return a ChunkedArray whose dictionary, if it has one, is resolved into plain values."""
    pyarrow = load_pyarrow()
    if not pyarrow.types.is_dictionary(column.type):
        return column
    if pyarrow.types.is_string_view(column.type.value_type):
        # pyarrow cannot gather views, which polars writes, so the dictionary is made plain first.
        column = _of_texts(column)
    return column.cast(column.type.value_type)


def _of_texts(column: Any) -> Any:
    """Return a dictionary column whose dictionary holds plain texts."""
    pyarrow = load_pyarrow()
    chunks = [
        pyarrow.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pyarrow.string()))
        for chunk in column.chunks
    ]
    plain = pyarrow.dictionary(column.type.index_type, pyarrow.string())
    return pyarrow.chunked_array(chunks, type=plain)


def text_codes(column: Any, name: str) -> tuple[Any, Array]:
    """Return the texts of a column and which of them each row holds.

    A dictionary is not resolved: a text that many rows share is in memory once.

    Parameters
    ----------
    column : pyarrow ChunkedArray or ndarray
    name : str

    Returns
    -------
    pyarrow.StringArray, and ndarray of int, shape (n,)
        The same text may occur twice; -1 stands for a missing value.

    Raises
    ------
    InputError
        If its type has no text form.
    """
    pyarrow = load_pyarrow()
    if not isinstance(column, np.ndarray) and pyarrow.types.is_dictionary(column.type):
        column_kind(column, name)
        column = _of_texts(column).unify_dictionaries()
    else:
        column = as_text(column, name).dictionary_encode()
    whole = column.combine_chunks()
    if isinstance(whole, pyarrow.ChunkedArray):  # as older versions do
        whole = whole.chunk(0)
    held = whole.indices.cast(pyarrow.int64()).fill_null(-1)  # the file's may be unsigned
    codes = np.array(held.to_numpy(zero_copy_only=False))
    missing = np.asarray(whole.dictionary.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    if missing.any():
        codes[(codes >= 0) & np.append(missing, False)[codes]] = -1
    return whole.dictionary, codes


def as_numbers(column: Any, name: str) -> Vector:
    """Return a column as float64, shape (n,), missing values as NaN.

    Raises
    ------
    InputError
        If it holds text; the message shows the first cell that is no number.
    """
    if isinstance(column, np.ndarray):
        if column.dtype.kind != "U":
            return column.astype(np.float64, copy=False)
        raise InputError(_text_sentence(show(str(column[0])), 0, name))
    pyarrow = load_pyarrow()
    if column_kind(column, name) == "dictionary":
        column = decoded(column)
    if column_kind(column, name) == "text":
        shown, row = _first_text(column)
        raise InputError(_text_sentence(shown, row, name))
    values = column.cast(pyarrow.float64(), safe=False).to_numpy()
    return np.asarray(values, dtype=np.float64)


def _first_text(column: Any) -> tuple[str, int]:
    """Return the first cell of a text column that is no number, quoted, and its row from 0."""
    import pyarrow.compute as pc

    pyarrow = load_pyarrow()
    numeric = pc.match_substring_regex(column.cast(pyarrow.string()), NUMBER_PATTERN)
    row = max(pc.index(numeric, False).as_py(), 0)
    return show(column[row].as_py()), row


def _text_sentence(shown: str, row: int, name: str) -> str:
    """Return the sentence for text where numbers are wanted."""
    return (
        f"Column {show(name)} must hold numbers; it holds text, for example {shown} in data row"
        f" {row + 1}."
    )


def as_text(column: Any, name: str) -> Any:
    """Return a column as a pyarrow ChunkedArray of strings; missing values stay null.

    Raises
    ------
    InputError
        If its type has no text form.
    """
    pyarrow = load_pyarrow()
    if isinstance(column, np.ndarray):
        column = pyarrow.chunked_array([pyarrow.array(column)])
    column_kind(column, name)
    return decoded(column).cast(pyarrow.string())


def missing_rows(values: Any) -> Array:
    """Return which rows, shape (n,), are missing in a float ndarray or a ChunkedArray."""
    if isinstance(values, np.ndarray):
        return np.isnan(values)
    return np.asarray(values.is_null().to_numpy(), dtype=bool)


def refuse_missing(missing: Array, name: str, wish: str) -> None:
    """Raise InputError with column, count and first row if any row is missing."""
    count = int(np.count_nonzero(missing))
    if count:
        found = rows(count, int(np.argmax(missing)), "missing value")
        raise InputError(f"Column {show(name)} has {found}: {wish}.")


def refuse_infinite(values: Vector, name: str, wish: str = "") -> None:
    """Raise InputError with column, count, first row and a wish if any value is infinite."""
    infinite = np.isinf(values)
    count = int(np.count_nonzero(infinite))
    if count:
        found = rows(count, int(np.argmax(infinite)), "infinite value")
        wish = wish or (
            "replace them by finite numbers, drop the rows, or drop the column (--drop"
            f" {show(name)})"
        )
        raise InputError(f"Column {show(name)} has {found}: {wish}.")

"""The columns of a table that are not features: target, weights, offset."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.tables.columns import (
    as_numbers,
    as_text,
    column_kind,
    decoded,
    missing_rows,
    refuse_infinite,
    refuse_missing,
)
from softunit.tables.names import rows, show
from softunit.tables.table import Table

# A float column with more different fractions than this is a quantity, not a label.
_FEW_VALUES = 50
_WISH = "drop those rows; what is not known cannot be fitted to"


def read_target(table: Table, name: str, *, kind: Literal["labels", "numeric"]) -> Array:
    """Return the target column, shape (n,).

    Parameters
    ----------
    table : Table
    name : str
    kind : {"labels", "numeric"}
        Labels come as an array of str, int, float or bool; numeric as finite float64.

    Raises
    ------
    InputError
        If the column is not there (with near names and the list of columns), has missing values,
        is of a type that cannot be a target, or is a float column with more than 50 different
        fractions where labels are wanted.
    """
    if kind == "numeric":
        return read_numeric(table, name, role="target")
    if kind != "labels":
        raise InputError(f"`kind` must be 'labels' or 'numeric'; got {show(kind)}.")
    column = table.column(name, role="target")
    values = column_kind(column, name)
    if not isinstance(column, np.ndarray):
        if values == "dictionary":
            column = decoded(column)
            values = column_kind(column, name)
        refuse_missing(missing_rows(column), name, _WISH)
    if values == "float":
        return _few_floats(as_numbers(column, name), name)
    if isinstance(column, np.ndarray):
        return column
    if values == "text":
        return _texts(as_text(column, name))
    labels = np.asarray(column.to_numpy())
    small = values == "integer" and np.can_cast(labels.dtype, np.int64)
    return labels.astype(np.int64) if small else labels


def read_numeric(table: Table, name: str, *, role: str = "column") -> Vector:
    """Return a column as finite float64, shape (n,): a target, weights or an offset.

    Parameters
    ----------
    table : Table
    name : str
    role : str, default="column"
        What the column is wanted for, as an error says it.

    Raises
    ------
    InputError
        If the column is not there, holds text, or has missing or infinite values.
    """
    values = as_numbers(table.column(name, role=role), name)
    refuse_missing(missing_rows(values), name, _WISH)
    refuse_infinite(values, name)
    return values


def read_weights(table: Table, name: str) -> Vector:
    """Return a column of row weights, shape (n,): finite, none negative, not all zero.

    Parameters
    ----------
    table : Table
    name : str

    Raises
    ------
    InputError
        If the column is not there or holds anything else; the message has the data row.
    """
    values = read_numeric(table, name, role="weights")
    negative = np.flatnonzero(values < 0)
    if len(negative):
        found = rows(len(negative), int(negative[0]), "negative value")
        raise InputError(
            f"Column {show(name)} (weights) has {found} ({values[negative[0]]:g}): weights must be"
            " >= 0."
        )
    if not values.any():
        raise InputError(
            f"Column {show(name)} (weights) is zero in all {len(values):,} rows: no row is left to"
            " fit."
        )
    return values


def _few_floats(values: Vector, name: str) -> Vector:
    """Return float labels, or refuse what is a quantity."""
    refuse_missing(missing_rows(values), name, _WISH)
    refuse_infinite(values, name)
    fractions = np.unique(values[values != np.rint(values)])
    if fractions.size > _FEW_VALUES:
        raise InputError(
            f"Target {show(name)} has {fractions.size:,} different values that are not whole"
            " numbers, so it looks continuous; for a regression use --problem softmax or exp, or"
            " group the values into classes first."
        )
    return values


def _texts(column: Any) -> Array:
    """Return a text column as a numpy array of str; levels are made once, not for each row."""
    encoded = column.combine_chunks().dictionary_encode()
    levels = np.array(encoded.dictionary.to_pylist(), dtype=np.str_)
    return np.asarray(levels[encoded.indices.to_numpy()])

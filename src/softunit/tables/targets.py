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
from softunit.tables.names import listed, near, rows, show
from softunit.tables.table import Table

# A float column with more different fractions than this is a quantity, not a label.
_FEW_VALUES = 50
_LABEL_WISH = "every row needs one; drop those rows, or fill them"
TARGET_WISH = "drop those rows; what is not known cannot be fitted to"
"""What to do about missing values of a target, weights or an offset."""


def read_target(
    table: Table, name: str, *, kind: Literal["labels", "numeric"], all_seen: bool = True
) -> Array:
    """Return the target column, shape (n,).

    Parameters
    ----------
    table : Table
    name : str
    kind : {"labels", "numeric"}
        Labels come as an array of str, int, float or bool; numeric as finite float64.
    all_seen : bool, default True
        Whether the table holds all rows, so that a sentence can say how many labels there are.

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
        refuse_missing(missing_rows(column), name, TARGET_WISH)
    if values == "float":
        return _few_floats(as_numbers(column, name), name, all_seen)
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
    return checked_numbers(as_numbers(table.column(name, role=role), name), name)


def checked_numbers(values: Vector, name: str) -> Vector:
    """Return the values of a column, shape (n,), if all are there and finite.

    Parameters
    ----------
    values : ndarray of shape (n,)
    name : str

    Raises
    ------
    InputError
        With column, count and first row.
    """
    refuse_missing(missing_rows(values), name, TARGET_WISH)
    refuse_infinite(values, name)
    return values


def read_labels(table: Table, name: str, *, role: str = "column") -> Array:
    """Return a column of labels, shape (n,): sets, alternatives, clusters.

    Parameters
    ----------
    table : Table
    name : str
    role : str, default="column"
        What the column is wanted for, as an error says it.

    Returns
    -------
    ndarray of shape (n,)
        Texts, or numbers; whole numbers as integers, however the file writes them.

    Raises
    ------
    InputError
        If the column is not there, has missing values, or is of a type that makes no labels.
    """
    column = table.column(name, role=role)
    kind = column_kind(column, name)
    if isinstance(column, np.ndarray):
        labels = column
    else:
        if kind == "dictionary":
            column = decoded(column)
            kind = column_kind(column, name)
        refuse_missing(missing_rows(column), name, _LABEL_WISH)
        if kind == "text":
            return _texts(as_text(column, name))
        labels = as_numbers(column, name) if kind == "float" else np.asarray(column.to_numpy())
    if labels.dtype.kind != "f":
        return labels
    refuse_missing(missing_rows(labels), name, _LABEL_WISH)
    whole = bool((labels == np.rint(labels)).all() and (np.abs(labels) <= 2**53).all())
    return labels.astype(np.int64) if whole else labels


def read_chosen(table: Table, name: str, alternatives: Array | None = None) -> Vector:
    """Return how often each row of a long table of choices was chosen, shape (n,).

    Parameters
    ----------
    table : Table
        One row for each alternative of each set.
    name : str
        A column of 0 and 1, of true and false, of counts or of shares; or one that names the
        chosen alternative, the same in all rows of a set.
    alternatives : ndarray of shape (n,), default=None
        Which alternative each row is; needed where the column holds names.

    Raises
    ------
    InputError
        If the column is not there, has missing or negative values, or holds text that names no
        alternative.
    """
    column = table.column(name, role="target")
    if column_kind(column, name) not in ("text", "dictionary"):
        values = read_numeric(table, name, role="target")
        wish = "it must say which alternative was chosen, with 1 and 0, or how often, or its share"
        _refuse_negative(values, f"Target {show(name)}", wish)
        return values
    named = read_labels(table, name, role="target")
    if alternatives is None:
        raise InputError(
            f"Target {show(name)} holds text, for example {show(named[0].item())}: a long table"
            " says in each row whether its alternative was chosen, with 1 and 0. Where it names the"
            " chosen alternative, name the column of alternatives too (--alternatives); where each"
            " row is a whole set, give --wide."
        )
    known = alternatives.astype(np.str_)
    strange = np.flatnonzero(~np.isin(named, known))
    if len(strange):
        value = named[strange[0]].item()
        found = rows(len(strange), int(strange[0]), "row")
        levels = np.unique(known).tolist()
        raise InputError(
            f"Target {show(name)} holds {show(value)} ({found}), which is no alternative: they are"
            f" {listed(levels)}.{near(value, levels)}"
        )
    return np.asarray(named == known, dtype=np.float64)


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
    return checked_weights(read_numeric(table, name, role="weights"), name)


def checked_weights(values: Vector, name: str) -> Vector:
    """Return the values of a column of weights, shape (n,), if none is negative and not all zero.

    Parameters
    ----------
    values : ndarray of shape (n,)
    name : str

    Raises
    ------
    InputError
        With column, count and first row.
    """
    _refuse_negative(values, f"Column {show(name)} (weights)", "weights must be >= 0")
    if not values.any():
        raise InputError(
            f"Column {show(name)} (weights) is zero in all {len(values):,} rows: no row is left to"
            " fit."
        )
    return values


def _refuse_negative(values: Vector, label: str, wish: str) -> None:
    negative = np.flatnonzero(values < 0)
    if len(negative):
        found = rows(len(negative), int(negative[0]), "negative value")
        raise InputError(f"{label} has {found} ({values[negative[0]]:g}): {wish}.")


def _few_floats(values: Vector, name: str, all_seen: bool) -> Vector:
    """Return float labels, or refuse what is a quantity."""
    refuse_missing(missing_rows(values), name, TARGET_WISH)
    refuse_infinite(values, name)
    refuse_fractions(np.unique(values[values != np.rint(values)]), name, all_seen=all_seen)
    return values


def refuse_fractions(fractions: Array, name: str, *, all_seen: bool = True) -> None:
    """Refuse labels that look like a quantity.

    Parameters
    ----------
    fractions : ndarray
        The different labels that are not whole numbers.
    name : str
    all_seen : bool, default True
        Whether there are no more of them in rows to come.

    Raises
    ------
    InputError
        If they are many.
    """
    if fractions.size > _FEW_VALUES:
        few = "" if all_seen else "at least "
        raise InputError(
            f"Target {show(name)} has {few}{fractions.size:,} different values that are not whole"
            " numbers, so it looks continuous; for a regression use --problem softmax or exp, or"
            " group the values into classes first."
        )


def _texts(column: Any) -> Array:
    """Return a text column as a numpy array of str; levels are made once, not for each row."""
    encoded = column.combine_chunks().dictionary_encode()
    levels = np.array(encoded.dictionary.to_pylist(), dtype=np.str_)
    return np.asarray(levels[encoded.indices.to_numpy()])

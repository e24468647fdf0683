"""Learning an encoding from the table that a model is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from softunit.errors import InputError
from softunit.tables.column_encodings import CategoricalColumn, Column, NumericColumn, Unknown
from softunit.tables.columns import (
    as_numbers,
    as_text,
    column_kind,
    missing_rows,
    refuse_infinite,
    refuse_missing,
)
from softunit.tables.dirty_numbers import dirty_numbers
from softunit.tables.encoding import Encoding
from softunit.tables.matrices import (
    fill_matrix,
    matrix_fills,
    refuse_infinite_entries,
    select_columns,
)
from softunit.tables.names import listed, show
from softunit.tables.table import Table

Impute: TypeAlias = Literal["mean", "median", "most-frequent"]

MAX_LEVELS = 1000
"""A text column with more levels is refused."""

MISSING_WISH = (
    "drop those rows or the column, or fill them with --impute mean, median or most-frequent"
    ' (impute="mean" and so on in Python)'
)
"""What to do about missing values at the fit."""

# Below so many levels a column with few repeats is a small table, not yet an identifier.
_FEW_LEVELS = 50


def fit_encoding(
    table: Table,
    *,
    target: str | None,
    drop: Collection[str] = (),
    roles: Mapping[str, str] | None = None,
    impute: Impute | None = None,
    unknown: Unknown = "error",
) -> Encoding:
    """Return the encoding of all columns of a table but those that have another role.

    Numbers and booleans are taken as they are; text and dictionary columns become one column of
    zeros and ones for each level.

    Parameters
    ----------
    table : Table
    target : str or None
        The column to predict.
    drop : collection of str, default=()
        Columns to leave out.
    roles : mapping of str to str, default=None
        Columns with another part to play, as {"weights": "w", "offset": "o"}.
    impute : {"mean", "median", "most-frequent"}, default=None
        What stands in for missing values, now and at prediction; in text columns it is always the
        most frequent level. None refuses them.
    unknown : {"error", "other"}, default="error"
        Whether `apply` refuses a level never seen, or counts it as none of the levels.

    Returns
    -------
    Encoding

    Raises
    ------
    InputError
        If a named column is not there, no column is left, or a column cannot be used: it has
        missing or infinite values, no values, dates, nested values, or looks like an identifier.
    """
    names = feature_columns(
        table, target=target, drop=drop, roles=roles, impute=impute, unknown=unknown
    )
    if table.matrix is not None:
        return Encoding(_fit_matrix(table, names, impute), unknown)
    columns = tuple(_fit_column(table, name, impute) for name in names)
    return Encoding(columns, unknown)


def feature_columns(
    table: Table,
    *,
    target: str | None,
    drop: Collection[str] = (),
    roles: Mapping[str, str] | None = None,
    impute: Impute | None = None,
    unknown: Unknown = "error",
) -> list[str]:
    """Return the names of the columns that `fit_encoding` encodes, its settings checked.

    Parameters
    ----------
    table, target, drop, roles, impute, unknown
        As in `fit_encoding`; the table may be without rows.

    Raises
    ------
    InputError
        If a named column is not there, no column is left, or a setting is not known.
    """
    _check_option("impute", impute, (None, *get_args(Impute)))
    _check_option("unknown", unknown, get_args(Unknown))
    taken = {name: role for role, name in (roles or {}).items()}
    if target is not None:
        taken[target] = "target"
    for name, role in [*taken.items(), *((name, "to drop") for name in drop)]:
        table.column(name, role=role)
    left_out = {*taken, *drop} if table.target is None else {*taken, *drop, table.names[-1]}
    names = [name for name in table.names if name not in left_out]
    if not names:
        raise InputError(
            f"No column of {table.source} is left to fit with: all of {listed(table.names)} are"
            " the target, weights, offset or dropped."
        )
    return names


def _check_option(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Refuse a value that is not among those allowed."""
    if value not in allowed:
        raise InputError(f"`{name}` must be one of {listed(allowed)}; got {show(value)}.")


def _fit_matrix(table: Table, names: list[str], impute: Impute | None) -> tuple[Column, ...]:
    """Encode the columns of an NPZ or svmlight table, all of them numbers."""
    matrix = select_columns(table, names)
    refuse_infinite_entries(matrix, names)
    if impute is None:
        fill_matrix(matrix, names, dict.fromkeys(names), MISSING_WISH)
        return tuple(NumericColumn(name) for name in names)
    fills = matrix_fills(matrix, names, impute.replace("-", "_"))
    return tuple(
        NumericColumn(name, fill) for name, fill in zip(names, fills.tolist(), strict=True)
    )


def _fit_column(table: Table, name: str, impute: Impute | None) -> Column:
    """Encode one column of a CSV, Parquet or Arrow table."""
    column = table.column(name)
    kind = column_kind(column, name)
    if kind == "empty" or column.null_count == table.n_rows:
        raise InputError(
            f"Column {show(name)} has no values at all: drop it (--drop {show(name)})."
        )
    if kind in ("text", "dictionary"):
        return _fit_categorical(column, name, impute)
    values = as_numbers(column, name)
    refuse_infinite(values, name)
    missing = missing_rows(values)
    if impute is None:
        refuse_missing(missing, name, MISSING_WISH)
        return NumericColumn(name)
    fills = matrix_fills(values[:, None], [name], impute.replace("-", "_"))
    return NumericColumn(name, float(fills[0]))


def _fit_categorical(column: Any, name: str, impute: Impute | None) -> CategoricalColumn:
    """Encode a column of labels."""
    text = as_text(column, name)
    if impute is None:
        refuse_missing(missing_rows(text), name, MISSING_WISH)
    present = text.drop_null()
    counted = present.value_counts()
    _check_levels(len(counted), text, name)
    levels = counted.field("values").to_pylist()
    order = sorted(range(len(levels)), key=levels.__getitem__)
    fill = None
    if impute is not None:
        # The first of the largest counts in sorted order, so that ties do not depend on the rows.
        counts = counted.field("counts").to_numpy()[order]
        fill = levels[order[int(np.argmax(counts))]]
    return CategoricalColumn(name, tuple(levels[index] for index in order), fill)


def _check_levels(levels: int, text: Any, name: str) -> None:
    """Refuse a column whose levels are too many, or hardly ever repeat."""
    check_level_counts(levels, len(text) - text.null_count, name, lambda: dirty_numbers(text, name))


def check_level_counts(levels: int, n_rows: int, name: str, dirt: Callable[[], str]) -> None:
    """Refuse a column whose levels are too many, or hardly ever repeat.

    Parameters
    ----------
    levels, n_rows : int
        Different texts, and rows that hold one.
    name : str
    dirt : callable
        Returns what keeps the column from being numbers; "" if it is text.

    Raises
    ------
    InputError
        If they are too many.
    """
    if levels > _FEW_LEVELS and (sentence := dirt()):
        if levels > min(n_rows / 2, MAX_LEVELS):
            raise InputError(sentence)
        return
    if levels > _FEW_LEVELS and levels > n_rows / 2:
        raise InputError(
            f"Column {show(name)} has {levels:,} different texts in {n_rows:,} rows: it looks like"
            " an identifier or free text, of which nothing can be learned. Drop it (--drop"
            f" {show(name)})."
        )
    if levels > MAX_LEVELS:
        raise InputError(
            f"Column {show(name)} has {levels:,} different texts; at most {MAX_LEVELS:,} are"
            f" encoded. Merge rare ones, or drop the column (--drop {show(name)})."
        )

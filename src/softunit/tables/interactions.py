"""Encodings for models of choice: text against its first level, columns by alternative."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from softunit._groups import Groups
from softunit._typing import Array
from softunit.errors import InputError
from softunit.tables.column_encodings import (
    CategoricalColumn,
    Column,
    InteractedColumn,
    NumericColumn,
)
from softunit.tables.columns import as_numbers
from softunit.tables.encoding import Encoding
from softunit.tables.names import listed, near, show
from softunit.tables.table import Table
from softunit.tables.targets import read_labels


def with_contrasts(encoding: Encoding) -> Encoding:
    """Return an encoding whose text columns are told apart from their first level.

    Parameters
    ----------
    encoding : Encoding
    """
    columns = tuple(
        dataclasses.replace(column, contrast=True)
        if isinstance(column, CategoricalColumn)
        else column
        for column in encoding.columns
    )
    return dataclasses.replace(encoding, columns=columns)


def with_interactions(
    encoding: Encoding,
    table: Table,
    names: Collection[str],
    *,
    by: str,
    alternatives: Sequence[str],
    sets: Groups,
) -> Encoding:
    """Return an encoding in which some columns have coefficients for each alternative.

    A column that is the same for all alternatives of every set has none for the first alternative:
    a softmax sees differences only.

    Parameters
    ----------
    encoding : Encoding
    table : Table
        The long table of the fit.
    names : collection of str
        The columns.
    by : str
        The column that names the alternative of each row.
    alternatives : sequence of str
        All of them, the reference first.
    sets : Groups
        The choice set of each row.

    Raises
    ------
    InputError
        If the encoding has no such column.
    """
    known = [column.name for column in encoding.columns]
    for name in names:
        if name not in known:
            raise InputError(
                f"There is no column {show(name)} in {table.source} to have coefficients for each"
                f" alternative.{near(name, known)} Its columns are {listed(known)}."
            )

    def interacted(column: Column) -> Column:
        if column.name not in names or isinstance(column, InteractedColumn):
            return column
        whole = is_shared(_plain_values(column, table), sets)
        if isinstance(column, CategoricalColumn):
            column = dataclasses.replace(column, contrast=True)
        return InteractedColumn(column, by, tuple(alternatives[1:] if whole else alternatives))

    return dataclasses.replace(encoding, columns=tuple(map(interacted, encoding.columns)))


def shared_columns(encoding: Encoding, table: Table, sets: Groups) -> list[str]:
    """Return the columns, interactions left out, that are the same for all rows of every set.

    Parameters
    ----------
    encoding : Encoding
    table : Table
        The long table of the fit.
    sets : Groups
        The choice set of each row.
    """
    return [
        column.name
        for column in encoding.columns
        if not isinstance(column, InteractedColumn)
        and is_shared(_plain_values(column, table), sets)
    ]


def is_shared(values: Array, sets: Groups) -> bool:
    """Return whether values (n,) are the same in all rows of each set.

    Parameters
    ----------
    values : ndarray of shape (n,)
    sets : Groups
    """
    ordered = sets.sorted(values)
    same = ordered[1:] == ordered[:-1]
    if values.dtype.kind == "f":
        same |= np.isnan(ordered[1:]) & np.isnan(ordered[:-1])
    same[sets.starts[1:-1] - 1] = True  # a set may differ from the one before
    return bool(same.all())


def _plain_values(column: Any, table: Table) -> Array:
    if isinstance(column, NumericColumn):
        return as_numbers(table.column(column.name), column.name)
    if column.fill is not None:
        return np.asarray(column.codes(table, "other"))
    return read_labels(table, column.name)

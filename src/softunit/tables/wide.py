"""Choice data with one row for each set, unfolded into one row for each alternative."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from softunit._files import load_pyarrow
from softunit._typing import Array
from softunit.errors import InputError
from softunit.tables.columns import (
    as_numbers,
    as_text,
    column_kind,
    missing_rows,
    refuse_infinite,
    refuse_missing,
)
from softunit.tables.names import listed, rows, show
from softunit.tables.table import Table
from softunit.tables.wide_layout import WideLayout, check_alternatives, chosen_names

SET, ALTERNATIVE, CHOSEN = "set", "alternative", "chosen"
"""The columns that a long table made of a wide one begins with."""

_WISH = "fill them, or empty all cells of an alternative that is not available in that row"
_SHARED_WISH = "fill them, drop those rows, or fit the model with --impute"


def long_from_wide(
    table: Table, layout: WideLayout, *, target: str | None = None, keep_missing: bool = False
) -> Table:
    """Return a table with one row for each alternative that a set of a wide table offers.

    Its columns are "set" (the data row, from 1), "alternative", "chosen" (1 or 0, where a target
    is given), the attributes, and the columns of the set.

    Parameters
    ----------
    table : Table
        One row for each choice set, with the columns of `layout`.
    layout : WideLayout
        As `wide_layout` returns it.
    target : str, default=None
        The column that names the chosen alternative; None for sets whose choice is not known.
    keep_missing : bool, default=False
        Whether single missing values are left for `fit_encoding` to fill; else they are refused.

    Returns
    -------
    Table
        Set after set, the alternatives in the order of the layout.

    Raises
    ------
    InputError
        If a column is not there or holds missing or infinite values, an availability is neither 0
        nor 1, or an alternative was chosen that is not available or not known.
    """
    pyarrow = load_pyarrow("reading wide tables")
    if table.arrow is None:
        raise InputError(
            f"{table.source} holds one matrix of numbers: wide tables of choices are read from CSV,"
            " TSV, Parquet and Arrow files, whose columns have names."
        )
    available = _available(table, layout)
    at_rows, at_places = np.nonzero(available)
    columns: dict[str, Any] = {
        SET: at_rows + 1,
        ALTERNATIVE: pyarrow.array(layout.alternatives).take(pyarrow.array(at_places)),
    }
    if target is not None:
        columns[CHOSEN] = _chosen(table, layout, target, available)[at_rows, at_places]
    _check_reserved((*layout.attributes, *layout.shared), columns)
    flat = pyarrow.array(at_places * table.n_rows + at_rows)
    for name in layout.attributes:
        parts = [_cells(table, layout.column(name, each)) for each in layout.alternatives]
        if not keep_missing:
            _refuse_gaps(parts, name, layout, available)
        columns[name] = _joined(parts, name, layout).take(flat)
    for name in layout.shared:
        column = table.column(name, role="which belongs to the set")
        if not keep_missing:
            refuse_missing(missing_rows(_shared(column, name)), name, _SHARED_WISH)
        columns[name] = column.take(pyarrow.array(at_rows))
    long = pyarrow.table(columns)
    names = tuple(long.column_names)
    return Table(names, long.num_rows, source=table.source, arrow=long, origin=at_rows)


def _check_reserved(names: Sequence[str], taken: Collection[str]) -> None:
    for name in names:
        if name in taken:
            raise InputError(
                f"Column {show(name)} has the name of a column that unfolding a wide table makes"
                f" ({listed((SET, ALTERNATIVE, CHOSEN))}): rename it."
            )


def _cells(table: Table, name: str) -> Any:
    """Return a column of an alternative as numbers (missing as null) or as text."""
    pyarrow = load_pyarrow()
    column = table.column(name, role="which the wide layout needs")
    kind = column_kind(column, name)
    if kind in ("text", "dictionary"):
        return as_text(column, name)
    if kind == "empty":
        return pyarrow.chunked_array([pyarrow.nulls(table.n_rows, pyarrow.float64())])
    values = as_numbers(column, name)
    refuse_infinite(values, name)
    return pyarrow.chunked_array([pyarrow.array(values, from_pandas=True)])


def _shared(column: Any, name: str) -> Any:
    """Return a column of the set in the form in which missing values are told; none is infinite."""
    if column_kind(column, name) in ("text", "dictionary", "empty"):
        return column
    values = as_numbers(column, name)
    refuse_infinite(values, name)
    return values


def _joined(parts: Sequence[Any], name: str, layout: WideLayout) -> Any:
    """Return the columns of all alternatives one below the other."""
    pyarrow = load_pyarrow()
    text = [pyarrow.types.is_string(part.type) for part in parts]
    if any(text) and not all(text):
        one, other = (layout.alternatives[text.index(kind)] for kind in (True, False))
        raise InputError(
            f"Column {show(layout.column(name, one))} holds text and"
            f" {show(layout.column(name, other))} holds numbers: an attribute is one or the other"
            " for all alternatives."
        )
    return pyarrow.chunked_array([chunk for part in parts for chunk in part.chunks])


def _available(table: Table, layout: WideLayout) -> Array:
    """Return which alternatives each row offers, shape (n, J)."""
    shape = (table.n_rows, len(layout.alternatives))
    available = np.ones(shape, dtype=bool)
    for place, each in enumerate(layout.alternatives):
        if layout.availability is not None:
            available[:, place] = _switch(table, layout.column(layout.availability, each))
        elif layout.attributes:
            cells = [_cells(table, layout.column(name, each)) for name in layout.attributes]
            available[:, place] = ~np.all([missing_rows(part) for part in cells], axis=0)
    return available


def _switch(table: Table, name: str) -> Array:
    """Return a column of 0 and 1 as booleans."""
    values = as_numbers(table.column(name, role="availability"), name)
    strange = np.flatnonzero((values != 0) & (values != 1))
    if len(strange):
        found = rows(len(strange), int(strange[0]), "other value")
        raise InputError(
            f"Column {show(name)} says which rows offer an alternative, with 1 and 0; it holds"
            f" {found} ({values[strange[0]]:g})."
        )
    return np.asarray(values == 1)


def _refuse_gaps(parts: Sequence[Any], name: str, layout: WideLayout, available: Array) -> None:
    """Refuse missing values of alternatives that are available."""
    for place, (each, part) in enumerate(zip(layout.alternatives, parts, strict=True)):
        refuse_missing(missing_rows(part) & available[:, place], layout.column(name, each), _WISH)


def _chosen(table: Table, layout: WideLayout, target: str, available: Array) -> Array:
    """Return 1 where an alternative was chosen, else 0, shape (n, J)."""
    names = chosen_names(table, target)
    check_alternatives(layout.alternatives, names, target)
    places = {each: place for place, each in enumerate(layout.alternatives)}
    at = np.array([places[name] for name in names])
    row = np.arange(table.n_rows)
    gone = np.flatnonzero(~available[row, at])
    if len(gone):
        found = rows(len(gone), int(gone[0]), "row")
        raise InputError(
            f"Column {show(target)} chooses {show(names[gone[0]])} where it is not available"
            f" ({found}): correct the choice, or say that the alternative was there."
        )
    chosen = np.zeros(available.shape, dtype=np.int64)
    chosen[row, at] = 1
    return chosen

"""Columns of the one matrix that NPZ and svmlight tables hold: chosen, checked, filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.impute import SimpleImputer

from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.tables.names import rows, show, unknown_column
from softunit.tables.table import Table


def select_columns(table: Table, names: Sequence[str]) -> Any:
    """Return the columns `names` of the matrix of a table, shape (n, len(names)).

    Without a copy where they are all its columns in order. A sparse file does not write zeros, so
    a column that a sparse table lacks is zero.

    Raises
    ------
    InputError
        If a dense table lacks a column.
    """
    width = table.matrix.shape[1]
    if tuple(names) == table.names[:width]:
        return table.matrix
    positions = [table.positions.get(name, width) for name in names]
    here = np.array([position < width for position in positions], dtype=bool)
    kept = np.array(positions, dtype=np.intp)[here]
    if table.is_sparse:
        return _spread(table.matrix[:, kept], np.flatnonzero(here), len(names))
    if not here.all():
        name = names[int(np.argmin(here))]
        role = "which the model needs"
        raise InputError(unknown_column(name, table.names, role=role, source=table.source))
    return np.take(table.matrix, kept, axis=1)


def _spread(matrix: Any, places: Array, width: int) -> Any:
    """Return the CSR matrix of `width` columns whose columns `places` are those of `matrix`."""
    indices = places.astype(matrix.indices.dtype)[matrix.indices]
    parts = (matrix.data, indices, matrix.indptr)
    spread = sparse.csr_array(parts, shape=(matrix.shape[0], width))
    spread.sort_indices()
    return spread


def fill_matrix(
    matrix: Any, names: Sequence[str], fills: Mapping[str, float | None], wish: str
) -> Any:
    """Return `matrix` with NaN replaced by the fill of its column; the same object if it has none.

    Raises
    ------
    InputError
        If an entry is infinite, or missing in a column whose fill is None.
    """
    if is_finite(matrix):
        return matrix
    refuse_infinite_entries(matrix, names)
    values = _values(matrix)
    where = np.isnan(values)
    _, columns = _places(matrix, where)
    without = np.array([fills[name] is None for name in names], dtype=bool)
    if without[columns].any():
        refuse_entries(matrix, where, names, "missing value", wish, among=without)
    filled = matrix.copy()
    _values(filled)[where] = np.array([fills[name] for name in names], dtype=float)[columns]
    return filled


def is_finite(matrix: Any) -> bool:
    """Whether all entries are finite; the sum tells at once, and rarely needs a second look."""
    values = _values(matrix)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum(dtype=np.float64)):
            return True
    return bool(np.isfinite(values).all())


def refuse_infinite_entries(matrix: Any, names: Sequence[str]) -> None:
    """Raise InputError with column, count and first row if an entry is infinite."""
    if is_finite(matrix):
        return
    where = np.isinf(_values(matrix))
    if where.any():
        wish = "replace them by finite numbers, or drop the rows or the column"
        refuse_entries(matrix, where, names, "infinite value", wish)


def refuse_entries(
    matrix: Any,
    where: Array,
    names: Sequence[str],
    noun: str,
    wish: str,
    *,
    among: Array | None = None,
) -> None:
    """Raise InputError for the first column (of those `among`) with an entry marked in `where`."""
    at_rows, at_columns = _places(matrix, where)
    eligible = at_columns if among is None else at_columns[among[at_columns]]
    column = int(eligible.min())
    found = at_rows[at_columns == column]
    text = rows(found.size, int(found.min()), noun)
    raise InputError(f"Column {show(names[column])} has {text}: {wish}.")


def matrix_fills(matrix: Any, names: Sequence[str], strategy: str) -> Vector:
    """Return what stands in for a missing value in each column, shape (d,).

    Raises
    ------
    InputError
        If a column has no values at all, or values so large that their mean is not representable.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        fills = np.asarray(SimpleImputer(strategy=strategy).fit(matrix).statistics_, dtype=float)
    if not np.isfinite(fills).all():
        index = int(np.argmin(np.isfinite(fills)))
        column = matrix[:, [index]]
        name = show(names[index])
        if np.isnan(column.toarray() if sparse.issparse(column) else column).all():
            raise InputError(f"Column {name} has no values at all: drop it (--drop {name}).")
        raise InputError(
            f"Column {name} has values so large that no {strategy} can be taken of them: scale it,"
            " or impute most-frequent."
        )
    return fills


def _values(matrix: Any) -> Array:
    """Return the entries that are stored: all of an ndarray, the non-zeros of CSR."""
    return np.asarray(matrix.data if sparse.issparse(matrix) else matrix)


def _places(matrix: Any, where: Array) -> tuple[Array, Array]:
    """Return rows and columns of the stored entries that are marked."""
    if not sparse.issparse(matrix):
        at_rows, at_columns = np.nonzero(where)
        return at_rows, at_columns
    entries = np.flatnonzero(where)
    return np.searchsorted(matrix.indptr, entries, side="right") - 1, matrix.indices[entries]

"""What an estimator takes, read from the tables that a command names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from softunit._typing import Array, Vector
from softunit.cli.request import FitRequest
from softunit.errors import InputError
from softunit.tables import (
    Encoding,
    Table,
    fit_encoding,
    notes_on_numbers,
    read_numeric,
    read_table,
    read_target,
    read_weights,
)
from softunit.tables.matrices import select_columns
from softunit.tables.names import show


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table turned into what an estimator takes.

    Attributes
    ----------
    X : array of shape (n, d)
    y : array of shape (n,); (m,) for two layers
    encoding : Encoding
    target : str
    named : dict
        Row weights, offset or shift, by the names that `fit` has for them.
    settings : dict
        What the tables hold of the estimator's settings: w for each row, the outer matrix.
    notes : tuple of str
        What is odd about the table, as sentences.
    """

    X: Any
    y: Any
    encoding: Encoding
    target: str
    named: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def prepared(request: FitRequest) -> Prepared:
    """Read the table and encode it; the table itself is let go.

    Parameters
    ----------
    request : FitRequest

    Raises
    ------
    InputError
        If a file, a column or a value is not as the problem needs it.
    """
    table = read_table(request.data, format=request.format)
    settings: dict[str, Any] = {}
    if request.matrix is not None:
        target, y, matrix = read_outer(request.matrix, request.target_of, table)
        settings["matrix"] = matrix
    else:
        target = request.target_of(table)
        kind = "labels" if request.problem == "classifier" else "numeric"
        y = read_target(table, target, kind=kind)  # type: ignore[arg-type]
    if request.problem == "classifier":
        _check_labels(y, target)
    encoding = fit_encoding(
        table,
        target=None if request.matrix is not None else target,
        drop=request.drop,
        roles=request.roles(),
        impute=request.impute,
        unknown=request.unknown,
    )
    if request.weights_column is not None:
        settings["w"] = read_numeric(table, request.weights_column, role="w")
    named = named_columns(table, request)
    if "offset" in named:
        _check_two_classes(y, target)
    notes = notes_on_numbers(table, encoding)
    return Prepared(encoding.apply(table), y, encoding, target, named, settings, notes)


def named_columns(table: Table, named: Any) -> dict[str, Vector]:
    """Return the columns that `fit` takes beside X and y, by its names for them.

    Parameters
    ----------
    table : Table
    named : FitRequest or SavedModel
        Both name weights, offset and shift.
    """
    columns = {}
    if named.weights is not None:
        columns["sample_weight"] = read_weights(table, named.weights)
    if named.offset is not None:
        columns["offset"] = read_numeric(table, named.offset, role="offset")
    if named.shift is not None:
        columns["b"] = read_numeric(table, named.shift, role="shift")
    return columns


def read_outer(path: Path, target_of: Any, data: Table) -> tuple[str, Vector, Any]:
    """Return the target of two layers, by name, and the outer matrix beside it.

    Each row of the table is an output: its target, and one number for each row of the data.

    Parameters
    ----------
    path : Path
    target_of : callable
        Takes the table, returns the name of its target.
    data : Table
        The table of A.

    Returns
    -------
    tuple of str, ndarray of shape (m,), and ndarray or csr_array of shape (m, n)

    Raises
    ------
    InputError
        If a column does not hold finite numbers, or there is not one for each row of the data.
    """
    table = read_table(path)
    target = target_of(table)
    y = read_target(table, target, kind="numeric")
    carried = set() if table.target is None else {table.names[-1]}
    names = [name for name in table.names if name not in {target, *carried}]
    n = data.n_rows
    if len(names) != n and not (table.is_sparse and len(names) < n):
        raise InputError(
            f"{path} has {len(names):,} columns beside its target {show(target)}, but"
            f" {data.source} has {n:,} rows: the outer matrix has one column for each of them, in"
            " their order."
        )
    if table.matrix is None:
        matrix: Any = np.column_stack([read_numeric(table, name) for name in names])
    else:
        matrix = select_columns(table, names)
    if len(names) < n:  # a sparse file does not write zeros, so not the last columns of zeros
        matrix = sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), (len(y), n))
    return target, y, matrix


def _check_labels(y: Array, target: str) -> None:
    """Refuse fractions: scikit-learn's conventions take them for a quantity, never for classes."""
    if y.dtype.kind != "f":
        return
    strange = y[(y != np.rint(y)) | (np.abs(y) > 2**53)]
    if strange.size:
        raise InputError(
            f"Target {show(target)} holds {strange[0]:g}, and {strange.size:,} such rows in all:"
            " classes must be texts or whole numbers. For a regression give another --problem, such"
            " as softmax or exp, or write the classes as texts."
        )


def _check_two_classes(y: Array, target: str) -> None:
    classes = len(set(y.tolist()))
    if classes > 2:
        raise InputError(
            f"--offset is for two classes, but column {target!r} has {classes}: leave it out."
        )

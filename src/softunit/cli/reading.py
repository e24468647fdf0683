"""What an estimator takes, read from the tables that a command names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from softunit._typing import Array, Vector
from softunit.cli.choice_reading import prepared_choice
from softunit.cli.homes import Home
from softunit.cli.prepared import Prepared, named_columns
from softunit.cli.request import FitRequest, listed_names
from softunit.errors import InputError
from softunit.tables import (
    Table,
    fit_encoding,
    notes_on_numbers,
    read_labels,
    read_numeric,
    read_table,
    read_tables,
    read_target,
    with_contrasts,
)
from softunit.tables.matrices import select_columns
from softunit.tables.names import listed, near, rows, show


def prepared(request: FitRequest, home: Home) -> Prepared:
    """Read the table and encode it; the table itself is let go.

    Parameters
    ----------
    request : FitRequest
    home : Home
        Where the rows live.

    Raises
    ------
    InputError
        If a file, a column or a value is not as the problem needs it.
    """
    if not home.in_memory:
        from softunit.cli.streaming import prepared_rows

        return prepared_rows(request, home)
    if request.problem == "choice":
        return prepared_choice(request)
    return _of_table(request)


def _of_table(request: FitRequest) -> Prepared:
    """Return what is neither choices nor left on disk."""
    table = read_tables(request.data, format=request.format, text=_texts(request))
    with table.told():
        return _encoded(request, table)


def _encoded(request: FitRequest, table: Table) -> Prepared:
    """Return what an estimator takes of a table."""
    settings: dict[str, Any] = {}
    if request.matrix is not None:
        target, y, matrix = read_outer(request.matrix, request.target_of, table)
        settings["matrix"] = matrix
    else:
        target = request.target_of(table)
        y = _target(request, table, target, settings)
    encoding = fit_encoding(
        table,
        target=None if request.matrix is not None else target,
        drop=request.drop,
        roles=request.roles(),
        impute=request.impute,
        unknown=request.unknown,
    )
    if request.problem == "ordinal" or request.errors is not None:
        # Columns of all levels sum to one, as an intercept does: no error could be told.
        encoding = with_contrasts(encoding)
    if request.weights_column is not None:
        settings["w"] = read_numeric(table, request.weights_column, role="w")
    named = named_columns(table, request)
    if "offset" in named and request.problem == "classifier":
        _check_two_classes(y, target)
    notes = notes_on_numbers(table, encoding)
    if table.places is not None:
        notes = tuple(map(table.places.in_files, notes))
    clusters = None
    if request.clusters is not None:
        clusters = read_labels(table, request.clusters, role="clusters")
    return Prepared(encoding.apply(table), y, encoding, target, named, settings, notes, clusters)


def _texts(request: FitRequest) -> tuple[str, ...]:
    """Return the columns whose cells must not be read as numbers: ordered labels by name."""
    named = request.problem == "ordinal" and request.order is not None and request.target
    return (str(request.target),) if named else ()


def _target(request: FitRequest, table: Table, target: str, settings: dict[str, Any]) -> Any:
    """Return the target; the order of its classes goes to the settings."""
    if request.problem not in ("classifier", "ordinal"):
        return read_target(table, target, kind="numeric")
    order = listed_names(request.order)
    if request.problem == "ordinal":
        y = ordered_labels(table, target, texts=order is not None)
    else:
        y = read_target(table, target, kind="labels")
    _check_labels(y, target)
    if len(y) and (y == y[0]).all():
        raise InputError(one_class(y[0].item(), len(y), target))
    check_reference(request.reference, y)
    if order is not None:
        _check_order(y, order, target)
        settings["order"] = order
    return y


def one_class(label: Any, rows: int, target: str) -> str:
    """Return the sentence for a target of one class.

    Parameters
    ----------
    label : object
        The class.
    rows : int
        How many there are.
    target : str
    """
    return (
        f"Target {show(target)} holds one class only, {listed([label], 1)}, in all {rows:,} rows:"
        " a classifier needs rows of at least two. Name another target, or add rows of other"
        " classes."
    )


def check_reference(reference: str | None, labels: Array) -> None:
    """Refuse a reference that is no class.

    Parameters
    ----------
    reference : str or None
        What --reference was given.
    labels : ndarray
        All labels that occur.

    Raises
    ------
    InputError
        With near names.
    """
    names = [str(label) for label in np.unique(labels).tolist()] if reference else []
    if reference is not None and reference not in names:
        raise InputError(
            f"--reference names {show(reference)}, which is no class: they are"
            f" {listed(names, 10)}.{near(reference, names)}"
        )


def ordered_labels(table: Table, target: str, *, texts: bool) -> Array:
    """Return labels of ordered classes; whole numbers as integers, however the file writes them.

    Parameters
    ----------
    table : Table
    target : str
    texts : bool
        Whether they are told apart by how they are written.
    """
    y = read_target(table, target, kind="labels")
    if y.dtype.kind == "f" and (y == np.rint(y)).all() and (np.abs(y) <= 2**53).all():
        y = y.astype(np.int64)
    return y.astype(np.str_) if texts else y


def _check_order(texts: Array, order: tuple[str, ...], target: str) -> None:
    """Refuse labels that the order does not name, and names that are no label."""
    strange = np.flatnonzero(~np.isin(texts, order))
    if len(strange):
        found = rows(len(strange), int(strange[0]), "row")
        name = texts[strange[0]].item()
        raise InputError(
            f"Target {show(target)} holds {show(name)} ({found}), which --order does not name: it"
            f" names {listed(order)}.{near(name, order)}"
        )
    unseen = [name for name in order if name not in set(texts.tolist())]
    if unseen:
        raise InputError(
            f"--order names {listed(unseen, 5)}, which column {show(target)} holds in no row:"
            f" leave it out, as nothing can be learned of it.{near(unseen[0], np.unique(texts))}"
        )


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

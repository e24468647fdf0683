"""A table turned into what an estimator takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from softunit._typing import Array, Vector
from softunit.model_file.choices import ChoiceTable
from softunit.tables import Encoding, Table, read_numeric, read_weights


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
        Row weights, offset, shift, sets, by the names that `fit` has for them.
    settings : dict
        What the tables hold of the estimator's settings: w for each row, the outer matrix, the
        label of the reference.
    notes : tuple of str
        What is odd about the table, as sentences.
    clusters : array of shape (n,) or None
        Labels for clustered errors.
    choice : ChoiceTable or None
        How the table holds choices.
    rows : int or None
        Rows of the table, where X has others.
    """

    X: Any
    y: Any
    encoding: Encoding
    target: str
    named: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    clusters: Array | None = None
    choice: ChoiceTable | None = None
    rows: int | None = None


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

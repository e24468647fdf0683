"""Predictions of models of choice: a row for each alternative, or for each wide set."""

from __future__ import annotations

import numpy as np

from softunit._groups import Groups
from softunit._typing import Array, Vector
from softunit.cli.choice_reading import choice_columns, unfolded
from softunit.errors import InputError
from softunit.estimators import ConditionalLogit
from softunit.model_file import SavedModel
from softunit.tables import Table
from softunit.tables.wide import SET


def choice_predictions(model: SavedModel, table: Table) -> dict[str, Array]:
    """Return the columns of the table of predictions of a model of choice.

    Of a long table: the set, the alternative if it has a name, the probability of each row, and
    whether it is the most probable of its set. Of a wide table: the most probable alternative of
    each row, and the probability of each alternative, zero where it is not offered.

    Parameters
    ----------
    model : SavedModel
    table : Table

    Raises
    ------
    InputError
        If the table does not go with the model, or scores overflow.
    """
    estimator, choice = model.estimator, model.choice
    assert isinstance(estimator, ConditionalLogit)
    assert choice is not None
    long = unfolded(table, choice, None, model.encoding)
    named = choice_columns(model, long)
    groups = named.pop("groups")
    with np.errstate(over="ignore", invalid="ignore"):  # the next line says what overflowed
        chances = np.asarray(estimator.predict_proba(model.encoding.apply(long), groups, **named))
    check_probabilities(chances)
    best = most_probable(chances, Groups(groups))
    if choice.wide is None:
        columns = {"set": groups}
        if "alternatives" in named:
            columns["alternative"] = named["alternatives"]
        return columns | {"prediction": best, "probability": chances}
    at = np.asarray(long.column(SET).to_numpy()) - 1
    names = named["alternatives"].astype(np.str_)
    _check_offered(at, table)
    columns = {"prediction": names[best][np.argsort(at[best], kind="stable")]}
    for name in choice.wide.alternatives:
        mine = names == name
        column = np.zeros(table.n_rows)
        column[at[mine]] = chances[mine]
        columns[f"p({name})"] = column
    return columns


def most_probable(chances: Vector, sets: Groups) -> Array:
    """Return whether each row is the most probable of its set, the first of equals, (n,).

    Parameters
    ----------
    chances : ndarray of shape (n,)
    sets : Groups
    """
    rows = np.flatnonzero(chances == sets.spread(sets.largest(chances)))
    _, first = np.unique(sets.codes[rows], return_index=True)
    chosen = np.zeros(len(chances), dtype=bool)
    chosen[rows[first]] = True
    return chosen


def _check_offered(at: Array, table: Table) -> None:
    """Refuse a wide row that offers nothing: it has no row of its own."""
    empty = np.flatnonzero(np.bincount(at, minlength=table.n_rows) == 0)
    if len(empty):
        raise InputError(
            f"{len(empty):,} rows of {table.source} offer no alternative, first data row"
            f" {empty[0] + 1}: leave them out."
        )


def check_probabilities(values: Array) -> None:
    """Refuse what no probability came out of: scores beyond the largest float.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, K)

    Raises
    ------
    InputError
        If one is not finite; the first row is named.
    """
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(bad):
        raise InputError(
            f"The scores of {len(bad):,} rows overflow, first in data row {bad[0] + 1}: its values"
            " are far outside of what the model was fitted to."
        )

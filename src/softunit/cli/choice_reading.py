"""Tables of choices, long or wide, turned into what a conditional logit takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from softunit._groups import Groups
from softunit._typing import Array
from softunit.cli.noting import noted
from softunit.cli.prepared import Prepared, named_columns
from softunit.cli.request import FitRequest, listed_names
from softunit.errors import InputError
from softunit.estimators._formulas import Columns
from softunit.model_file import SavedModel
from softunit.model_file.choices import ChoiceTable
from softunit.tables import (
    Encoding,
    NumericColumn,
    Table,
    fit_encoding,
    long_from_wide,
    notes_on_numbers,
    read_chosen,
    read_labels,
    read_numeric,
    read_tables,
    read_weights,
    wide_layout,
    with_contrasts,
    with_interactions,
)
from softunit.tables.interactions import shared_columns
from softunit.tables.names import listed, near, show
from softunit.tables.wide import ALTERNATIVE, CHOSEN, SET
from softunit.tables.wide_layout import PATTERN


def prepared_choice(request: FitRequest) -> Prepared:
    """Read a table of choices and encode it; a wide one is unfolded first.

    Parameters
    ----------
    request : FitRequest

    Raises
    ------
    InputError
        If a file, a column or a value is not as a model of choice needs it.
    """
    table = read_tables(request.data, format=request.format)
    if request.formula is not None:
        return _of_formula(request, table)
    target = request.target_of(table)
    of_file = table.n_rows if request.wide else None
    table, layout, chosen = _long(request, table, target)
    rows = _Rows.of(request, table, layout, chosen)
    encoding = _encoding(request, table, layout, chosen, Groups(rows.named["groups"]))
    notes = notes_on_numbers(table, encoding)
    found = rows.prepared(encoding.apply(table), encoding, target, notes)
    return dataclasses.replace(found, rows=of_file)


@dataclasses.dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of a long table: what was chosen, and what `fit` takes beside the columns."""

    y: Array
    named: dict[str, Any]
    settings: dict[str, Any]
    clusters: Array | None
    layout: ChoiceTable

    @classmethod
    def of(cls, request: FitRequest, table: Table, layout: ChoiceTable, chosen: str) -> _Rows:
        named: dict[str, Any] = dict(named_columns(table, request))
        named["groups"] = read_labels(table, layout.groups, role="choice sets")
        settings: dict[str, Any] = {}
        if layout.alternatives is not None:
            alternatives = read_labels(table, layout.alternatives, role="alternatives")
            named["alternatives"] = alternatives
            settings = _reference(request, layout, alternatives)
        clusters = None
        if request.clusters is not None:
            clusters = read_labels(table, request.clusters, role="clusters")
        y = read_chosen(table, chosen, named.get("alternatives"))
        return cls(y, named, settings, clusters, layout)

    def prepared(self, X: Any, encoding: Encoding, target: str, notes: Iterable[str]) -> Prepared:
        return Prepared(
            X=X,
            y=self.y,
            encoding=encoding,
            target=target,
            named=self.named,
            settings=self.settings,
            notes=tuple(notes),
            clusters=self.clusters,
            choice=self.layout,
        )


def _of_formula(request: FitRequest, table: Table) -> Prepared:
    """Read what a formula makes of a long table; its left side is the target."""
    assert request.groups is not None  # the options were checked
    assert request.formula is not None
    if table.arrow is None:
        raise InputError(
            f"{table.source} holds one matrix of numbers: formulas read CSV, TSV, Parquet and"
            " Arrow files, whose columns have names."
        )
    layout = ChoiceTable(request.groups, request.alternatives)
    sets = read_labels(table, layout.groups, role="choice sets")
    frame = table.arrow.to_pandas()
    with noted() as notes:
        columns = Columns.learn(request.formula, frame, sets)
        X = np.ascontiguousarray(columns.of(frame), dtype=np.float64)
    target = request.target or columns.target
    if not target:
        raise InputError(
            "--target is missing: name the column that says what was chosen, or put it on the left"
            f" of the formula, as in 'chosen ~ {request.formula.strip('~ ')}'."
        )
    if columns.target and target != columns.target:
        raise InputError(
            f"--target names {show(target)}, and the formula {show(columns.target)}: leave one out."
        )
    encoding = Encoding(tuple(NumericColumn(name) for name in columns.names))
    return _Rows.of(request, table, layout, target).prepared(X, encoding, target, notes)


def _long(request: FitRequest, table: Table, target: str) -> tuple[Table, ChoiceTable, str]:
    """Return the long table, its columns, and the one that says what was chosen."""
    if not request.wide:
        assert request.groups is not None  # the options were checked
        return table, ChoiceTable(request.groups, request.alternatives), target
    wide = wide_layout(
        table,
        target=target,
        alternatives=listed_names(request.alternatives),
        pattern=request.pattern or PATTERN,
        availability=request.availability,
        drop=request.drop,
    )
    keep = request.impute is not None
    long = long_from_wide(table, wide, target=target, keep_missing=keep)
    return long, ChoiceTable(SET, ALTERNATIVE, wide), CHOSEN


def _encoding(
    request: FitRequest, table: Table, layout: ChoiceTable, chosen: str, sets: Groups
) -> Encoding:
    """Return how the columns of the long table become a design."""
    roles = request.roles() | {"choice sets": layout.groups}
    if layout.alternatives is not None:
        roles["alternatives"] = layout.alternatives
    plain = with_contrasts(
        fit_encoding(
            table,
            target=chosen,
            drop=() if request.wide else request.drop,
            roles=roles,
            impute=request.impute,
            unknown=request.unknown,
        )
    )
    here = {column.name for column in plain.columns}
    names = [*request.interact]
    if layout.wide is not None:
        names += [name for name in layout.wide.shared if name in here]
    if layout.alternatives is None:
        if names:
            raise InputError(
                "--interact needs --alternatives: name the column that says which alternative each"
                " row is."
            )
    elif names:
        known = _in_order(request, layout, read_labels(table, layout.alternatives))
        plain = with_interactions(
            plain, table, names, by=layout.alternatives, alternatives=known, sets=sets
        )
    _refuse_shared(plain, table, sets)
    return plain


def _refuse_shared(encoding: Encoding, table: Table, sets: Groups) -> None:
    """Refuse columns that are the same for all alternatives: they cannot explain a choice."""
    same = shared_columns(encoding, table, sets)
    if same:
        raise InputError(
            f"What column {listed(same, 5)} holds is the same for all alternatives of every choice"
            f" set, so no choice can depend on it alone: give --interact {show(same[0])} (with"
            " --alternatives) for a coefficient for each alternative, or leave it out with --drop."
        )


def _in_order(request: FitRequest, layout: ChoiceTable, alternatives: Array) -> Sequence[str]:
    """Return the names of the alternatives, the reference first."""
    if layout.wide is not None:
        known = list(layout.wide.alternatives)
    else:
        known = [str(name) for name in np.unique(alternatives).tolist()]
    first = known[0] if request.reference is None else request.reference
    if first not in known:
        raise InputError(
            f"--reference names {show(first)}, which is no alternative: they are"
            f" {listed(known)}.{near(first, known)}"
        )
    return [first, *(name for name in known if name != first)]


def _reference(request: FitRequest, layout: ChoiceTable, alternatives: Array) -> dict[str, Any]:
    """Return the setting of the reference, as the label that the table has for it."""
    if request.no_intercept:
        return {}
    name = _in_order(request, layout, alternatives)[0]
    return {"reference": next(v for v in np.unique(alternatives).tolist() if str(v) == name)}


def chosen_rows(model: SavedModel, table: Table) -> tuple[Table, Array, dict[str, Any]]:
    """Return the long table of a table with choices, what was chosen, and what `certify` takes.

    Parameters
    ----------
    model : SavedModel
        Of choice.
    table : Table
    """
    choice = model.choice
    assert choice is not None
    long = unfolded(table, choice, model.target, model.encoding)
    named = choice_columns(model, long)
    if model.weights is not None:
        named["sample_weight"] = read_weights(long, model.weights)
    chosen = model.target if choice.wide is None else CHOSEN
    return long, read_chosen(long, chosen, named.get("alternatives")), named


def choice_columns(model: SavedModel, long: Table) -> dict[str, Any]:
    """Return sets, alternatives and offset, by the names that a conditional logit has for them.

    Parameters
    ----------
    model : SavedModel
        Of choice.
    long : Table
        One row for each alternative.
    """
    choice = model.choice
    assert choice is not None
    named: dict[str, Any] = {"groups": read_labels(long, choice.groups, role="choice sets")}
    if choice.alternatives is not None:
        named["alternatives"] = read_labels(long, choice.alternatives, role="alternatives")
    if model.offset is not None:
        named["offset"] = read_numeric(long, model.offset, role="offset")
    return named


def unfolded(table: Table, choice: ChoiceTable, target: str | None, encoding: Encoding) -> Table:
    """Return the long table of new sets, as at the fit.

    Parameters
    ----------
    table : Table
    choice : ChoiceTable
        As the model keeps it.
    target : str or None
        None where the choices are not known.
    encoding : Encoding
        With fills, single values may be missing.
    """
    if choice.wide is None:
        return table
    wide = choice.wide
    if target is None:
        shared = tuple(name for name in wide.shared if name in table.positions)
        needed = {column.name for column in encoding.columns}
        missing = [name for name in wide.shared if name not in shared and name in needed]
        if missing:
            table.column(missing[0], role="which the model needs")
        wide = dataclasses.replace(wide, shared=shared)
    filled = any(fill_of(column) is not None for column in encoding.columns)
    return long_from_wide(table, wide, target=target, keep_missing=filled)


def fill_of(column: Any) -> object:
    """Return what stands in for a missing value of a column; None refuses them."""
    return getattr(column, "column", column).fill

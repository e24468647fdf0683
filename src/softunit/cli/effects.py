"""What the coefficients of a model of choice are worth: --price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit.cli.errors import coefficient_names, estimator_separated, renamed
from softunit.cli.prepared import Prepared
from softunit.cli.request import FitRequest
from softunit.errors import InputError, NotConvergedError, SoftunitWarning, warn
from softunit.estimators import ConditionalLogit
from softunit.report import ElasticityTable, Estimates, Willingness, elasticity_table, worths
from softunit.report.estimates import kind_in_words
from softunit.tables import InteractedColumn
from softunit.tables.names import listed, near, show

MOST_ALTERNATIVES = 100
"""Alternatives up to which there is a table of elasticities, which has a row for each of them."""

CLEAR = 2.0
"""Standard errors that the coefficient of a price must be away from zero to pass without a note."""


@dataclass(frozen=True, eq=False)
class Effects:
    """What --price asks for.

    Attributes
    ----------
    willingness : Willingness or None
        None where it was not asked for, or cannot be known.
    elasticities : ElasticityTable or None
        The same; None too where alternatives have no names.
    """

    willingness: Willingness | None = None
    elasticities: ElasticityTable | None = None


def check_price(request: FitRequest, data: Prepared) -> None:
    """Refuse a price that is no column of the model, before the work is done.

    Parameters
    ----------
    request : FitRequest
    data : Prepared

    Raises
    ------
    InputError
        If there is none of that name.
    """
    price, names = request.price, data.encoding.feature_names
    if price is None or price in names:
        return
    here = [column for column in data.encoding.columns if column.name == price]
    if here and isinstance(here[0], InteractedColumn):
        raise InputError(
            f"--price names {show(price)}, which has a coefficient for each alternative: leave it"
            f" out of --interact, or give one of {listed(here[0].feature_names, 5)}."
        )
    raise InputError(
        f"--price names {show(price)}, which is no column of the model: they are"
        f" {listed(names)}.{near(price, names)}"
    )


def effects_of(
    request: FitRequest, estimator: Any, data: Prepared, table: Estimates | None
) -> Effects:
    """Return what --price asks for; where there is none of it, a warning says why.

    Parameters
    ----------
    request : FitRequest
        Its price has been checked.
    estimator : the fitted estimator
    data : Prepared
    table : Estimates or None
        The coefficients with their errors, where there are any.
    """
    if request.price is None:
        return Effects()
    assert isinstance(estimator, ConditionalLogit)
    if estimator_separated(estimator):
        said = "There is no willingness to pay and are no elasticities, as there is no optimum."
        warn(said, SoftunitWarning)
        return Effects()
    at = data.encoding.feature_names.index(request.price)
    elasticities = _elasticities(request.price, estimator, data, at)
    if table is None:
        warn("There is no willingness to pay, as there are no standard errors.", SoftunitWarning)
        return Effects(None, elasticities)
    try:
        return Effects(_willingness(request.price, estimator, data, at, table), elasticities)
    except (InputError, NotConvergedError) as error:
        said = renamed(str(error), estimator, data)
        warn(f"There is no willingness to pay: {said}", SoftunitWarning)
        return Effects(None, elasticities)


def _willingness(
    price: str, estimator: ConditionalLogit, data: Prepared, at: int, table: Estimates
) -> Willingness:
    """Return the rates of exchange, with errors of the kind of the table."""
    clusters = data.clusters if table.name == "clustered" else None
    kind: Any = table.name
    found = estimator.willingness_to_pay(at, kind, clusters)
    names = [name for j, name in enumerate(coefficient_names(estimator, data)) if j != at]
    notes: tuple[str, ...] = ()
    z = table.rows[at].z
    if not abs(z) >= CLEAR:
        notes = (
            f"The coefficient of {price} is {abs(z):.2g} standard errors away from zero, and a"
            " ratio to what may be zero may be anything: do not trust these intervals.",
        )
    values, errors = np.asarray(found.values), np.asarray(found.standard_errors)
    ends = np.asarray(found.confidence_intervals(table.level))
    rows = worths(names, values, errors, ends if table.believed else np.full_like(ends, np.nan))
    return Willingness(
        price=price,
        kind=kind_in_words(table.name),
        rows=rows,
        name=table.name,
        level=table.level,
        believed=table.believed,
        notes=notes,
    )


def _elasticities(
    price: str, estimator: ConditionalLogit, data: Prepared, at: int
) -> ElasticityTable | None:
    """Return the table of elasticities by the price; None where alternatives have no names."""
    if "alternatives" not in data.named:
        return None
    names = [str(name) for name in np.asarray(estimator.alternatives_).tolist()]
    if len(names) > MOST_ALTERNATIVES:
        warn(
            f"There is no table of elasticities, which would have {len(names):,} rows and columns:"
            f" it has at most {MOST_ALTERNATIVES}. In Python `ConditionalLogit.elasticities` gives"
            " those of each row.",
            SoftunitWarning,
        )
        return None
    given = {name: data.named[name] for name in ("alternatives", "offset") if name in data.named}
    found = estimator.elasticities(data.X, data.named["groups"], at, **given)
    assert found.table is not None
    return elasticity_table(price, names, found.table, believed=estimator.solution_.converged)

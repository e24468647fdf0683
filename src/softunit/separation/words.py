"""A separation in sentences: who is told from whom, in which columns, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softunit.separation.diagnosis import Separation

NAMED = 10  # names in a sentence

CONSEQUENCE = (
    ", so without ridge the coefficients grow without bound and no optimum exists. The coefficients"
    " returned are where the run stopped."
)

PLURALS = {"class": "classes", "alternative": "alternatives", "level": "levels"}


def separated(found: Separation, outcome: str) -> str:
    """Return the sentences of a separation.

    Parameters
    ----------
    found : Separation
    outcome : str
        What outcomes are called: "class", "alternative" or "level".
    """
    rows = "choice sets" if outcome == "alternative" else "rows"
    said = _who(found, outcome, rows)
    if not found.certain:
        said += ", up to the rounding of these columns"
    return f"{said}{CONSEQUENCE} {_advice(found, outcome, rows)}"


def _who(found: Separation, outcome: str, rows: str) -> str:
    """Return who is told from whom, up to the consequence."""
    columns = f" of {_columns(found.columns)}" if found.columns else ""
    who = listed(found.outcomes)
    if found.complete:
        return f"perfectly separable: linear scores{columns} {_all_right(found, outcome, who)}"
    in_rows = f"in {found.rows} of {found.n_rows} {rows}, and rises in none"
    if outcome == "class" and found.outcomes:
        one = "a linear score" if len(found.outcomes) == 1 else "linear scores"
        verb = "separates" if len(found.outcomes) == 1 else "separate"
        each = "" if len(found.outcomes) == 1 else "each of "
        return (
            f"perfectly separable: {one}{columns} {verb} {each}{who} from the other classes;"
            f" along it the loss falls for ever {in_rows}"
        )
    grows = f"the coefficients of {_columns(found.columns)}" if found.columns else "coefficients"
    if len(found.columns) == 1 and len(found.moved) < 2:
        grows = f"the coefficient of {_columns(found.columns)}"
    said = (
        f"quasi-separable: as {grows}{_classes(found)} moves off to infinity, the loss falls for"
        f" ever {in_rows}"
    )
    said = said if "the coefficient of" in said else said.replace(" moves off", " move off")
    if not found.outcomes:
        return said
    if outcome == "alternative":
        return f"{said}; no choice for or against {who} is ever wrong"
    return f"{said}; no row is on the wrong side of the thresholds {who}"


def _all_right(found: Separation, outcome: str, who: str) -> str:
    if outcome == "alternative":
        return f"put what was chosen first in all {found.n_rows} choice sets"
    if outcome == "level":
        return f"put all {found.n_rows} rows at their levels"
    return f"tell the classes {who} apart without error"


def _columns(columns: Sequence[str]) -> str:
    word = "column" if len(columns) == 1 else "columns"
    return f"{word} {listed([*map(shown, columns)])}"


def _classes(found: Separation) -> str:
    if not found.moved:
        return ""
    return f" for {listed(found.moved)}"


def _advice(found: Separation, outcome: str, rows: str) -> str:
    drop = ""
    if 0 < len(found.columns) <= NAMED:
        drop = f" drop {'this column' if len(found.columns) == 1 else 'one of these columns'},"
    merge = "" if outcome == "alternative" else f" merge {PLURALS[outcome]},"
    return f"Use a finite C (ridge),{drop}{merge} or gather more {rows}."


def unchecked(reason: str) -> str:
    """Return the sentence of a search that left it open."""
    return (
        f"it is not known whether an optimum exists without ridge: separation was not settled, as"
        f" {reason}. If the coefficients are large, use a finite C."
    )


def shown(name: str) -> str:
    """Return a name in quotes; the number of a column that has no name without."""
    return name if name.isdigit() else repr(name)


def listed(names: Sequence[str]) -> str:
    """Return names with commas; the first ten, and how many more."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more

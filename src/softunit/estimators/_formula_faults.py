"""What is wrong with a formula, or with a table for it, in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from softunit._checks import counted, near_names
from softunit._groups import missing_rows
from softunit.errors import InputError
from softunit.estimators._choice_labels import shown

FENCE = re.compile("\N{RIGHT DOUBLE WIGGLY FENCE}(.*)\N{LEFT DOUBLE WIGGLY FENCE}", re.DOTALL)
"""Between these formulaic shows where it has stopped,"""

COLOUR = re.compile("\x1b\\[[0-9;]*m")
"""in colours of a terminal."""

MOST = 12  # levels that a sentence lists


def unreadable(formula: str, said: str) -> str:
    """Return a sentence on a formula that formulaic cannot read, from what it says."""
    plain = COLOUR.sub("", said)
    place = FENCE.search(plain)
    where = f" (at {place.group(1)!r})" if place else ""
    return f"the formula {formula!r} cannot be read: {_first_line(plain)}{where}."


def check_names(needed: Iterable[Any], data: Any, formula: str) -> None:
    """Raise `InputError` where a formula names a column or function that is not there.

    Parameters
    ----------
    needed : iterable of formulaic's Variable
    data : frame
    formula : str
    """
    known = [str(name) for name in data.columns]
    missing = sorted((name for name in needed if str(name) not in known), key=str)
    if not missing:
        return
    first = str(missing[0])
    if "callable" in {role.value for role in getattr(missing[0], "roles", ())}:
        raise InputError(
            f"the formula {formula!r} calls {first!r}, which is no function that formulas know:"
            " they have log, exp, C, bs, poly, scale, center and those of NumPy, as np.sqrt. Add"
            " what it returns to the data as a column."
        )
    raise InputError(
        f"the formula {formula!r} names {first!r}, but the data have no such"
        f" column.{near_names(first, known)} They have {', '.join(known)}."
    )


def blame(spec: Any, data: Any, error: BaseException) -> str:
    """Return a sentence on a table whose columns cannot be made.

    Parameters
    ----------
    spec : formulaic.ModelSpec
        With the levels it has seen, where it has.
    data : frame
    error : Exception
        What formulaic raised.
    """
    causes = list(_chain(error))
    unseen = [each for each in causes if type(each).__name__ == "DataMismatchWarning"]
    if unseen:
        told = _unseen_level(spec, data)
        found = str(unseen[0]).partition(": {")[2].partition("}")[0]
        return told or (
            f"a category of the formula holds {found}, which {'are' if ',' in found else 'is'} not"
            " among its levels: correct the data, or drop these rows."
        )
    if any("null values" in str(each) for each in causes):
        for name in sorted(map(str, spec.required_variables)):
            values = np.asarray(data[name] if name in data.columns else [])
            rows = missing_rows(values)
            if len(rows):
                return (
                    f"column {name!r} of the formula holds nothing in {len(rows)} of"
                    f" {counted(len(data), 'row')}, first in row {rows[0]}. Fill or drop these"
                    " rows."
                )
    return f"the columns of the formula cannot be made: {_first_line(COLOUR.sub('', str(error)))}."


def _unseen_level(spec: Any, data: Any) -> str:
    """Return a sentence on the first value that is no level of its category, or nothing."""
    for expression, (_, state) in spec.encoder_state.items():
        levels = list(getattr(state.get("contrasts"), "levels", None) or ())
        for name in map(str, spec.required_variables):
            if not levels or not _is_category_of(str(expression), name):
                continue
            values = np.asarray(data[name])
            told = values.tolist()
            row = next((i for i, value in enumerate(told) if value not in levels), None)
            if row is not None:
                hint = near_names(str(told[row]), map(str, levels))
                more = f" and {len(levels) - MOST} more" if len(levels) > MOST else ""
                return (
                    f"column {name!r} holds {shown(values, row)} in row {row}, which is not among"
                    f" the levels of the fit.{hint} They are"
                    f" {', '.join(map(repr, levels[:MOST]))}{more}."
                )
    return ""


def _is_category_of(expression: str, name: str) -> bool:
    """Return whether an expression is a column, or its values as categories."""
    plain = expression.replace("`", "").replace(" ", "")
    return plain == name or plain.startswith((f"C({name},", f"C({name})"))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip().rstrip(".")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__

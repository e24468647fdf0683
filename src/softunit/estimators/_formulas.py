"""Columns of a choice model from a formula; the only place that knows formulaic."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._checks import near_names
from softunit._groups import Groups
from softunit._typing import Array
from softunit.errors import InputError, MissingExtraError, SoftunitWarning, warn
from softunit.estimators._choice_labels import set_labels
from softunit.estimators._formula_faults import blame, check_names, unreadable


@dataclass(frozen=True)
class Columns:
    """How the columns of a matrix are made from a table, learned once and kept.

    Attributes
    ----------
    formula : str
        As it was written.
    target : str
        Its left-hand side, the column of choices; empty without one.
    spec : formulaic.ModelSpec
    kept : tuple of int
        Columns of its matrix that are no constant within every choice set.
    names : tuple of str
    """

    formula: str
    target: str
    spec: Any
    kept: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def learn(cls, formula: str, data: Any, groups: Any) -> Columns:
        """Learn the columns that a formula makes from a table.

        1. Constants within every set cancel: the intercept, and whatever describes the set, as
        income.  2. So that interactions with them leave out a reference level, they are part of
        the formula while its columns are coded,  3. and are left out of the matrix afterwards.

        Parameters
        ----------
        formula : str
            As "chosen ~ cost + time + C(mode):income".
        data : frame of n rows
        groups : str or array_like of shape (n,)
            Choice set of each row, or the name of its column.

        Raises
        ------
        MissingExtraError
            If formulaic is not installed.
        InputError
            If the formula cannot be read, names an absent column (near names are given), a column
            holds nothing in some row, or no column is left.
        """
        parsed = _parsed(formula, data)
        labels = named(groups, data)
        sets = Groups(set_labels(labels, len(data)))
        wanted = list(getattr(parsed, "rhs", parsed))
        terms, own = _with_constants(wanted, data, sets)  # 2.
        matrix = _matrix(_spec_of(terms), data)
        spec, names = matrix.model_spec, matrix.model_spec.column_names
        values = np.asarray(matrix, dtype=np.float64)
        varies = [_varies(values[:, j], sets) for j in range(values.shape[1])]
        kept = tuple(j for j, yes in enumerate(varies) if yes)  # 3.
        if not kept:
            raise InputError(
                f"the formula {formula!r} leaves no column: all are constant within every choice"
                " set, which no choice depends on."
            )
        _warn_of_constants(own)
        told = tuple(names[j] for j in kept)
        return cls(formula, _left(parsed), spec, kept, told)

    def of(self, data: Any) -> Any:
        """Return the matrix of a table, an array (n, d); an array of d columns passes as it is.

        Raises
        ------
        InputError
            If a column is missing (near names are given), holds nothing in some row, or a level
            that was not in the data of the fit.
        """
        if not hasattr(data, "columns") or list(map(str, data.columns)) == list(self.names):
            return data
        check_names(self.spec.required_variables, data, self.formula)
        return _matrix(self.spec, data).iloc[:, list(self.kept)]

    def named(self, value: Any, data: Any) -> Any:
        """Return a column of the table for its name, and anything else as it is."""
        return named(value, data) if hasattr(data, "columns") else value


def named(value: Any, data: Any) -> Any:
    """Return a column of a table for its name, and anything else as it is.

    Raises
    ------
    InputError
        If the table has no such column (near names are given).
    """
    if not isinstance(value, str):
        return value
    known = [str(name) for name in data.columns]
    if value not in known:
        raise InputError(
            f"the data have no column {value!r}.{near_names(value, known)} They have"
            f" {', '.join(known)}."
        )
    return np.asarray(data[value])


def _formulaic() -> Any:
    try:
        import formulaic
    except ImportError as error:
        raise MissingExtraError("a formula", "formula") from error
    return formulaic


def _parsed(formula: str, data: Any) -> Any:
    formulaic = _formulaic()
    if not isinstance(formula, str):
        raise InputError(
            f"`formula` must be text, as 'chosen ~ cost + time'; got {type(formula).__name__}."
        )
    if not hasattr(data, "columns"):
        raise InputError(f"a formula needs a frame with named columns; got {type(data).__name__}.")
    try:
        parsed = formulaic.Formula(formula)
    except Exception as error:  # a parser of its own, with errors of many types
        raise InputError(unreadable(formula, str(error))) from error
    if isinstance(parsed, formulaic.formula.StructuredFormula) and not hasattr(parsed, "rhs"):
        raise InputError(f"the formula {formula!r} has several parts; one right-hand side is read.")
    check_names(parsed.required_variables, data, formula)
    return parsed


def _left(parsed: Any) -> str:
    """Return the one column on the left of a formula, or an empty string."""
    left = list(getattr(parsed, "lhs", ()))
    if not left:
        return ""
    if len(left) > 1 or len(left[0].factors) > 1:
        raise InputError(
            f"the left of the formula must name one column of choices; got {len(left)} terms."
        )
    return str(left[0])


def _spec_of(terms: list[Any]) -> Any:
    formulaic = _formulaic()
    return formulaic.ModelSpec(formula=formulaic.Formula(terms), na_action="raise", output="pandas")


def _matrix(spec: Any, data: Any) -> Any:
    """Return the columns of a table.

    1. A level that the coding does not have would become zeros, that is the reference: refused.
    2. Logarithms of zero and the like are refused afterwards, with column and row.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # 2.
            warnings.simplefilter("error", _formulaic().errors.DataMismatchWarning)  # 1.
            return spec.get_model_matrix(data)
    except Exception as error:  # user expressions raise what they like
        raise InputError(blame(spec, data, error)) from error


def _with_constants(terms: list[Any], data: Any, sets: Groups) -> tuple[list[Any], list[str]]:
    """Return the terms with all that cancels added, and those that cancel by themselves.

    The product of the factors of an interaction that are constant in every set is added as a term.
    """
    term_type = type(_formulaic().Formula("1")[0])
    constant: dict[str, bool] = {}
    out = [_formulaic().Formula("1")[0], *(t for t in terms if str(t) not in ("0", "1"))]
    own: list[Any] = []
    for term in terms:
        if str(term) in ("0", "1"):
            continue
        for factor in term.factors:
            if factor.expr not in constant:
                one = _matrix(_spec_of([term_type([factor])]), data)
                values = np.asarray(one, dtype=np.float64)
                constant[factor.expr] = not any(_varies(column, sets) for column in values.T)
        held = [f for f in term.factors if constant[f.expr]]
        if held and len(held) == len(term.factors):
            own.append(term)
        elif held:
            out.append(term_type(held))
    return list({str(t): t for t in out}.values()), _alone(own, terms)


def _alone(own: list[Any], terms: list[Any]) -> list[str]:
    """Return the terms that cancel and stand in no interaction that does not."""
    used = {f.expr for t in terms if t not in own for f in t.factors}
    return [str(t) for t in own if not all(f.expr in used for f in t.factors)]


def _varies(column: Array, sets: Groups) -> bool:
    """Return whether a column takes two values within some set."""
    return bool((sets.largest(column) != -sets.largest(-column)).any())


def _warn_of_constants(own: list[str]) -> None:
    if own:
        said, one = ", ".join(map(repr, own)), len(own) == 1
        warn(
            f"{said} of the formula {'is' if one else 'are'} the same for all alternatives of every"
            f" choice set, so no choice depends on {'it' if one else 'them'}: left out. An"
            " interaction with the alternative, as C(alternative):income, has effects.",
            SoftunitWarning,
        )

"""Which columns of a wide table of choices belong to which alternative."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from softunit.errors import InputError
from softunit.tables.names import listed, near, rows, show
from softunit.tables.table import Table
from softunit.tables.targets import read_target

PATTERN = "{name}_{alternative}"
"""How the columns of an alternative are called unless something else is said."""

_HOLES = re.compile(r"(\{name\}|\{alternative\})")


@dataclass(frozen=True)
class WideLayout:
    """Which columns of a wide table belong to which alternative.

    Attributes
    ----------
    alternatives : tuple of str
        In the order in which the rows of a set are unfolded.
    attributes : tuple of str
        What varies by alternative: "time" where the columns are time_car and time_train.
    shared : tuple of str
        Columns that belong to the set: they are the same for all its alternatives.
    pattern : str
        How the columns of the attributes are called, with {name} and {alternative} in it.
    availability : str or None
        The attribute that says with 0 and 1 which alternatives can be chosen; None goes by cells:
        an alternative all of whose cells are empty cannot.
    """

    alternatives: tuple[str, ...]
    attributes: tuple[str, ...]
    shared: tuple[str, ...] = ()
    pattern: str = PATTERN
    availability: str | None = None

    def __post_init__(self) -> None:
        _check_pattern(self.pattern)

    def column(self, attribute: str, alternative: str) -> str:
        """Return the name of the column with an attribute of an alternative.

        Parameters
        ----------
        attribute, alternative : str
        """
        return filled(self.pattern, attribute, alternative)


def wide_layout(
    table: Table,
    *,
    target: str,
    alternatives: Sequence[str] | None = None,
    pattern: str = PATTERN,
    availability: str | None = None,
    drop: Collection[str] = (),
) -> WideLayout:
    """Return which columns of a wide table belong to which alternative, read off their names.

    A column varies by alternative if `pattern` makes its name of something and of the name of an
    alternative; all others belong to the set.

    Parameters
    ----------
    table : Table
        One row for each choice set.
    target : str
        The column that names the chosen alternative.
    alternatives : sequence of str, default=None
        All alternatives; None takes those that are chosen somewhere.
    pattern : str, default="{name}_{alternative}"
        How the columns of an alternative are called.
    availability : str, default=None
        The attribute with 0 and 1: "avail" where the columns are avail_car and avail_train.
    drop : collection of str, default=()
        Columns to leave out.

    Returns
    -------
    WideLayout

    Raises
    ------
    InputError
        If there are fewer than two alternatives, the target names one that is not listed, an
        attribute lacks the column of an alternative, or a column seems to belong to an alternative
        that was never named.
    """
    _check_pattern(pattern)
    chosen = chosen_names(table, target)
    known = tuple(dict.fromkeys(alternatives)) if alternatives else tuple(sorted(set(chosen)))
    check_alternatives(known, chosen, target)
    names = [name for name in table.names if name != target and name not in drop]
    parts = {name: part for name in names if (part := _part_of(name, known, pattern))}
    attributes = tuple(dict.fromkeys(part[0] for part in parts.values()))
    if availability is not None and availability not in attributes:
        wanted = filled(pattern, availability, known[0])
        raise InputError(
            f"There is no column {show(wanted)} in {table.source} (availability)."
            f"{near(wanted, table.names)}"
        )
    for attribute in attributes:
        _check_complete(table, attribute, known, pattern)
    shared = tuple(name for name in names if name not in parts)
    _check_strays(shared, attributes, pattern, target)
    varying = tuple(name for name in attributes if name != availability)
    return WideLayout(known, varying, shared, pattern, availability)


def filled(pattern: str, name: str, alternative: str) -> str:
    """Return the name of a column; not by `str.format`, as patterns come from files too.

    Parameters
    ----------
    pattern : str
        Checked.
    name, alternative : str
    """
    parts = {"{name}": name, "{alternative}": alternative}
    return "".join(parts.get(part, part) for part in _HOLES.split(pattern))


def _around(pattern: str, hole: str, other: str) -> tuple[str, str]:
    """Return what stands before and behind a hole of a pattern whose other hole is filled."""
    parts = _HOLES.split(pattern)
    at = parts.index(hole)
    whole = [other if part in ("{name}", "{alternative}") else part for part in parts]
    return "".join(whole[:at]), "".join(whole[at + 1 :])


def _check_pattern(pattern: str) -> None:
    """Refuse a pattern that does not make one name of two."""
    found = _HOLES.findall(pattern)
    rest = _HOLES.sub("", pattern)
    if sorted(found) != ["{alternative}", "{name}"] or "{" in rest or "}" in rest:
        raise InputError(
            f"The pattern {show(pattern)} must hold {{name}} and {{alternative}}, once each and no"
            f" other braces, as in {PATTERN}."
        )


def _part_of(name: str, alternatives: Sequence[str], pattern: str) -> tuple[str, str] | None:
    """Return the attribute and the alternative that a name is made of; None if it is not.

    Of two alternatives that both fit, as train and night_train, the longer one is meant.
    """
    found = []
    for each in alternatives:
        before, after = _around(pattern, "{name}", each)
        middle = name[len(before) : len(name) - len(after)]
        if middle and name == f"{before}{middle}{after}":
            found.append((middle, each))
    return max(found, key=lambda part: len(part[1]), default=None)


def chosen_names(table: Table, target: str) -> list[str]:
    """Return the names in the target column, row by row."""
    labels = read_target(table, target, kind="labels")
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    return [str(label) for label in labels.tolist()]


def check_alternatives(known: Sequence[str], chosen: Sequence[str], target: str) -> None:
    """Refuse fewer than two alternatives, and choices that are none of them."""
    if len(known) < 2:
        raise InputError(
            f"A choice needs at least two alternatives, but column {show(target)} names only"
            f" {listed(known)}: name all of them with --alternatives, with commas between."
        )
    strange = sorted(set(chosen) - set(known))
    if strange:
        found = rows(sum(each in strange for each in chosen), chosen.index(strange[0]), "row")
        raise InputError(
            f"Column {show(target)} holds {listed(strange, 5)} ({found}), which is no alternative:"
            f" they are {listed(known)}.{near(strange[0], known)}"
        )


def _check_complete(table: Table, attribute: str, known: Sequence[str], pattern: str) -> None:
    """Refuse an attribute that only some alternatives have."""
    wanted = {each: filled(pattern, attribute, each) for each in known}
    missing = [each for each in known if wanted[each] not in table.positions]
    if missing:
        there = next(each for each in known if each not in missing)
        raise InputError(
            f"{table.source} has a column {show(wanted[there])}, but none called"
            f" {show(wanted[missing[0]])}.{near(wanted[missing[0]], table.names)} Add it (of zeros"
            f" where {show(attribute)} does not apply to {show(missing[0])}), or leave the others"
            " out with --drop."
        )


def _check_strays(
    shared: Sequence[str], attributes: Sequence[str], pattern: str, target: str
) -> None:
    """Refuse a column that names an attribute together with an alternative nobody knows."""
    for name in shared:
        for attribute in attributes:
            before, after = _around(pattern, "{alternative}", attribute)
            form = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", name, re.DOTALL)
            if form:
                raise InputError(
                    f"Column {show(name)} looks like {show(attribute)} of an alternative"
                    f" {show(form[1])}, which column {show(target)} never names: list all"
                    f" alternatives with --alternatives, or leave the column out (--drop"
                    f" {show(name)})."
                )

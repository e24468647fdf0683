"""Choice sets as users hold them, checked: who chose what among which rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import check_vector, check_weights, near_names
from softunit._groups import Groups
from softunit._typing import Array, Vector
from softunit.errors import InputError, SoftunitWarning, warn

SUM_TOL = 1e-6  # by which shares may miss one

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Available:
    """Which rows can be chosen at all, and what is added to their scores.

    Attributes
    ----------
    rows : ndarray of bool, shape (n,), or None
        None means all.
    offset : ndarray of shape (n,) or None
        Finite everywhere.
    """

    rows: Mask | None
    offset: Vector | None

    @classmethod
    def of(cls, available: Any, offset: Any, n: int) -> Available:
        """Read a mask, and an offset in which -inf says the same.

        Raises
        ------
        InputError
            If a length differs, the mask is not of true and false, or the offset holds NaN or
            +inf.
        """
        rows = None if available is None else _mask(available, n)
        if offset is None:
            return cls(rows, None)
        added = np.asarray(offset, dtype=np.float64)
        out = np.zeros(n, dtype=bool) if added.shape != (n,) else np.isneginf(added)
        if not out.any():
            return cls(rows, check_vector("the offset", added, n, rows="X"))
        added = check_vector("the offset", np.where(out, 0.0, added), n, rows="X")
        return cls(~out if rows is None else rows & ~out, added)


@dataclass(frozen=True)
class ChoiceSets:
    """Choice sets fit for a `GroupedSoftmax`: each with a choice and an alternative to it.

    Attributes
    ----------
    kept : ndarray of int or None
        Rows of the input that are left; None means all.
    labels : ndarray of shape (n,)
        Set of each row that is left.
    groups : Groups
    target : ndarray of shape (n,)
        Choices or shares.
    weights : ndarray of shape (n,) or None
        Of the set of each row.
    offset : ndarray of shape (n,) or None
    n_dropped : int
        Sets that are left out.
    """

    kept: npt.NDArray[np.integer] | None
    labels: Array
    groups: Groups
    target: Vector
    weights: Vector | None
    offset: Vector | None
    n_dropped: int = 0

    def of_rows(self, v: Any) -> Any:
        """Return what is left of something with a row for each of the input's."""
        return v if self.kept is None or v is None else v[self.kept]

    @property
    def totals(self) -> Vector:
        """Weighted choices of each set, (count,)."""
        return self.groups.sums(self.target if self.weights is None else self.weights * self.target)

    @property
    def n_sets(self) -> int:
        """Sets of positive weight."""
        return int((self.totals > 0).sum())


def choice_sets(
    y: Any,
    groups: Any,
    n: int,
    *,
    sample_weight: Any = None,
    offset: Any = None,
    available: Any = None,
    strict: bool = False,
) -> ChoiceSets:
    """Return the choice sets of n rows, those that teach nothing left out with a warning.

    1. Rows that are not available are left out.  2. Sets without a choice, and with one
    alternative, are left out, or refused where `strict`.  3. Where an entry is no whole number, the
    target holds shares, which must sum to one in each set.

    Raises
    ------
    InputError
        If a length differs, a value is missing or negative, an alternative is chosen that is not
        available, shares do not sum to one, weights differ within a set, or no set is left.
    """
    labels = set_labels(groups, n)
    sets = Groups(labels)
    target = _target(y, n)
    usable = Available.of(available, offset, n)
    _check_chosen(target, usable.rows, labels)
    weights = None if sample_weight is None else _set_weights(sample_weight, sets, labels)
    target = _shares(target, sets, labels)  # 3.
    good, n_dropped = _teaching(target, sets, usable.rows, labels, strict=strict)
    whole = ChoiceSets(None, labels, sets, target, weights, usable.offset, n_dropped)
    keep = None if good is None else np.asarray(sets.spread(good))
    if usable.rows is not None and not usable.rows.all():
        keep = usable.rows if keep is None else keep & usable.rows
    return whole if keep is None else _subset(whole, np.flatnonzero(keep))


def set_labels(groups: Any, n: int) -> Array:
    """Return the set of each row, (n,).

    Raises
    ------
    InputError
        If there is not one for each row.
    """
    if groups is None:
        raise InputError("`groups` must say which choice set each row belongs to; got None.")
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise InputError(
            f"`groups` has shape {labels.shape}, but X has {n} rows: each row needs the label of"
            f" its choice set, shape ({n},)."
        )
    return labels


def alternative_codes(alternatives: Any, n: int) -> tuple[Array, npt.NDArray[np.int32]]:
    """Return the names of the alternatives in sorted order, and the number of each row's.

    Raises
    ------
    InputError
        If there is not one name for each row, one is missing, or names cannot be compared.
    """
    names = np.asarray(alternatives)
    if names.shape != (n,):
        raise InputError(
            f"`alternatives` has shape {names.shape}, but X has {n} rows: each row needs the name"
            f" of its alternative, shape ({n},)."
        )
    missing = (
        [i for i, name in enumerate(names.tolist()) if name is None or name != name]
        if (names.dtype.kind in "fO")
        else []
    )
    if missing:
        raise InputError(
            f"`alternatives` holds no name in {len(missing)} of {n} rows, first in row"
            f" {missing[0]}."
        )
    try:
        known, codes = np.unique(names, return_inverse=True)
    except TypeError as error:
        raise InputError(f"`alternatives` must hold names of one type; {error}.") from error
    return known, codes.ravel().astype(np.int32)


def known_codes(alternatives: Any, known: Array, n: int) -> npt.NDArray[np.int32]:
    """Return the number of each row's alternative among those of a fitted model.

    Raises
    ------
    InputError
        As `alternative_codes`, and if a name is unknown (near names are given).
    """
    names, codes = alternative_codes(alternatives, n)
    place = {name: i for i, name in enumerate(known.tolist())}
    for i, name in enumerate(names.tolist()):
        if name not in place:
            row = int(np.flatnonzero(codes == i)[0])
            hint = near_names(str(name), map(str, place))
            raise InputError(
                f"alternative {name!r} in row {row} is not among those of the fit.{hint} They are"
                f" {', '.join(map(repr, place))}."
            )
    return np.array([place[name] for name in names.tolist()], dtype=np.int32)[codes]


def shown(labels: Array, row: Any) -> str:
    """Return one label as its user would write it."""
    return repr(labels[row : row + 1].tolist()[0])


def _mask(available: Any, n: int) -> Mask:
    mask = np.asarray(available)
    if mask.shape != (n,):
        raise InputError(
            f"`available` has shape {mask.shape}, but X has {n} rows: it must be ({n},)."
        )
    if mask.dtype.kind != "b":
        with np.errstate(invalid="ignore"):
            bad = np.flatnonzero(~((mask == 0) | (mask == 1)))
        if len(bad):
            raise InputError(
                f"`available` must hold true and false; row {bad[0]} holds {shown(mask, bad[0])}."
            )
    return np.asarray(mask, dtype=bool)


def _target(y: Any, n: int) -> Vector:
    if y is None:
        raise InputError("requires y to be passed, but the target y is None")
    target = check_vector("the target y", np.asarray(y), n, rows="X")
    low = np.flatnonzero(target < 0)
    if len(low):
        raise InputError(
            f"the target y holds {len(low)} negative entries; the first is {target[low[0]]:g} in"
            f" row {low[0]}. Choices, counts and shares are >= 0."
        )
    return target


def _check_chosen(target: Vector, available: Mask | None, labels: Array) -> None:
    bad = np.zeros(0) if available is None else np.flatnonzero((target > 0) & ~available)
    if len(bad):
        row = int(bad[0])
        raise InputError(
            f"{len(bad)} chosen alternatives are not available; the first is row {row}, chosen"
            f" {target[row]:g} times in set {shown(labels, row)}. Correct `available`,"
            " the offset or y."
        )


def _set_weights(sample_weight: Any, sets: Groups, labels: Array) -> Vector:
    n = len(labels)
    given = np.asarray(sample_weight)
    if given.shape == (sets.count,) and sets.count != n:
        raise InputError(
            f"the weights have shape ({sets.count},), one for each set: repeat the weight of a set"
            f" on each of its rows, shape ({n},), so that their order cannot be mistaken."
        )
    weights = check_weights(given, n)
    differ = np.flatnonzero(sets.largest(weights) != -sets.largest(-weights))
    if len(differ):
        row = int(sets.first_rows[differ].min())
        raise InputError(
            f"the weights differ within {len(differ)} sets; the first is set"
            f" {shown(labels, row)}, which begins in row {row}. A set has one weight, the same"
            " on each of its rows."
        )
    return weights


def _shares(target: Vector, sets: Groups, labels: Array) -> Vector:
    """Return shares divided by their sums, and choices and counts as they are."""
    if (target == np.floor(target)).all():
        return target
    sums = sets.sums(target)
    off = np.flatnonzero((np.abs(sums - 1) > SUM_TOL) & (sums != 0))
    if len(off):
        first = sets.first_rows[off]
        row = int(first.min())
        total = sums[off[int(first.argmin())]]
        raise InputError(
            f"y holds shares, which must sum to one in each set; {len(off)} of {sets.count} sets do"
            f" not, the first is set {shown(labels, row)}, which begins in row {row}, with sum"
            f" {total:.6g}. Divide them by their sum; `sample_weight` says how much a set counts."
        )
    return np.asarray(target / sets.spread(np.where(sums > 0, sums, 1.0)))


def _teaching(
    target: Vector, sets: Groups, available: Mask | None, labels: Array, *, strict: bool
) -> tuple[Mask | None, int]:
    """Return the sets to keep, None for all, and how many are left out."""
    single = sets.sizes < 2
    if available is not None:
        single = sets.sums(available.astype(np.float64)) < 2
    empty = sets.sums(target) == 0
    bad = np.flatnonzero(single | empty)
    if not len(bad):
        return None, 0
    if strict or len(bad) == sets.count:
        raise InputError(_left_out(empty, single, sets, labels, refused=True))
    warn(_left_out(empty, single, sets, labels, refused=False), SoftunitWarning)
    return ~(single | empty), len(bad)


def _left_out(empty: Mask, single: Mask, sets: Groups, labels: Array, *, refused: bool) -> str:
    """Return a sentence on sets that teach nothing."""
    parts = []
    for mask, what in ((empty, "without a choice"), (single & ~empty, "with one alternative")):
        found = np.flatnonzero(mask)
        if len(found):
            row = int(sets.first_rows[found].min())
            parts.append(f"{len(found)} {what} (the first is set {shown(labels, row)}, row {row})")
    number = int((empty | single).sum())
    said = f"{number} of {sets.count} choice sets teach nothing: {', '.join(parts)}"
    if number == sets.count:
        return f"{said}. No set is left to fit."
    return f"{said}. {'Drop them, or pass strict=False.' if refused else 'They are left out.'}"


def _subset(sets: ChoiceSets, rows: npt.NDArray[np.integer]) -> ChoiceSets:
    labels = sets.labels[rows]
    return ChoiceSets(
        rows,
        labels,
        Groups(labels),
        sets.target[rows],
        None if sets.weights is None else sets.weights[rows],
        None if sets.offset is None else sets.offset[rows],
        sets.n_dropped,
    )

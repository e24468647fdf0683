"""Choice sets as users hold them, checked: who chose what among which rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import check_vector, check_weights, counted
from softunit._groups import Groups
from softunit._typing import Array, Vector
from softunit.errors import InputError, SoftunitWarning, warn
from softunit.estimators._choice_labels import set_labels, shown

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
        try:
            added = np.asarray(offset, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"the offset must hold numbers; {error}.") from error
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


def choices_made(
    y: Any, labels: Array, sets: Groups, available: Mask | None, sample_weight: Any
) -> Vector:
    """Return the weighted choices of each row, (n,), checked as for a fit; sets may be of any kind.

    Raises
    ------
    InputError
        As `choice_sets`, and if there is no choice at all.
    """
    target = _target(y, len(labels))
    _check_chosen(target, available, labels)
    target = _shares(target, sets, labels)
    if sample_weight is not None:
        target = target * _set_weights(sample_weight, sets, labels)
    if not target.any():
        raise InputError("y holds no choice: all entries are zero, or of weight zero.")
    return target


def _mask(available: Any, n: int) -> Mask:
    mask = np.asarray(available)
    if mask.shape != (n,):
        raise InputError(
            f"`available` has shape {mask.shape}, but X has {counted(n, 'row')}: it must be ({n},)."
        )
    if mask.dtype.kind != "b":
        numbers = mask.dtype.kind in "iuf"
        good = (mask == 0) | (mask == 1) if numbers else [_is_flag(v) for v in mask.tolist()]
        bad = np.flatnonzero(~np.asarray(good, dtype=bool))
        if len(bad):
            raise InputError(
                f"`available` must hold true and false; row {bad[0]} holds {shown(mask, bad[0])}."
            )
    return np.asarray(mask, dtype=bool)


def _is_flag(value: Any) -> bool:
    """Return whether an entry is true or false; pandas.NA is neither."""
    return isinstance(value, (bool, int, float)) and value in (0, 1)


def _target(y: Any, n: int) -> Vector:
    if y is None:
        raise InputError("requires y to be passed, but the target y is None")
    target = check_vector("the target y", np.asarray(y), n, rows="X")
    low = np.flatnonzero(target < 0)
    if len(low):
        raise InputError(
            f"the target y holds {counted(len(low), 'negative entry', 'negative entries')}; the"
            f" first is {target[low[0]]:g} in row {low[0]}. Choices, counts and shares are >= 0."
        )
    return target


def _check_chosen(target: Vector, available: Mask | None, labels: Array) -> None:
    bad = np.zeros(0) if available is None else np.flatnonzero((target > 0) & ~available)
    if len(bad):
        row = int(bad[0])
        raise InputError(
            f"{counted(len(bad), 'chosen alternative')} {'is' if len(bad) == 1 else 'are'} not"
            f" available; the first is row {row}, chosen {target[row]:g}"
            f" {'time' if target[row] == 1 else 'times'} in set {shown(labels, row)}. Correct"
            " `available`, the offset or y."
        )


def _set_weights(sample_weight: Any, sets: Groups, labels: Array) -> Vector:
    n = len(labels)
    given = np.asarray(sample_weight)
    if given.shape == (sets.count,) and sets.count != n:
        raise InputError(
            f"the weights have shape ({sets.count},), one for each set: repeat the weight of a set"
            f" on each of its rows, shape ({n},), so that their order cannot be mistaken."
        )
    weights = check_weights(given, n, rows="X")
    differ = np.flatnonzero(sets.largest(weights) != -sets.largest(-weights))
    if len(differ):
        row = int(sets.first_rows[differ].min())
        raise InputError(
            f"the weights differ within {counted(len(differ), 'set')}; the first is set"
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
            f"y holds shares, which must sum to one in each set; {len(off)} of"
            f" {counted(sets.count, 'set')} {'does' if len(off) == 1 else 'do'} not, the first is"
            f" set {shown(labels, row)}, which begins in row {row}, with sum"
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
    verb = "teaches" if number == 1 else "teach"
    of = counted(sets.count, "choice set")
    said = f"{number} of {of} {verb} nothing: {', '.join(parts)}"
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

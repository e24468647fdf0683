"""Labels as codes, block by block: nothing is made as long as the data but the codes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from softunit._row_array import RowArray, Terms
from softunit._typing import Array, Vector
from softunit.errors import InputError, warn

BLOCK = 1 << 20
"""Labels looked at in one go."""

SPAN = 1 << 16  # of whole numbers up to which a table tells their codes
FEW = 20  # labels from which scikit-learn tells what kind they are, and warns of nothing


def unique_labels(labels: Array | RowArray) -> Array:
    """Return the labels that occur, in sorted order.

    Parameters
    ----------
    labels : ndarray or RowArray of shape (n,)

    Raises
    ------
    InputError
        If labels of several types stand side by side, or one is NaN or infinite.
    ValueError
        From scikit-learn, if they look continuous.
    """
    _check(labels)
    if isinstance(labels, RowArray):
        found = np.asarray(labels.fold(_occurring, union)[0])
    else:
        found = np.asarray(_occurring(labels)[0])
    _check_classes(found, labels)
    return found


def codes_of(labels: Array | RowArray, classes: Array, *, narrow: bool = False) -> Any:
    """Return the number of each label among the classes, (n,); -1 where it is none of them.

    Parameters
    ----------
    labels : ndarray or RowArray of shape (n,)
    classes : ndarray of shape (K,)
        Sorted.
    narrow : bool, default False
        Whether codes take as few bytes as they can; else they are int64.

    Returns
    -------
    ndarray or RowArray of shape (n,)
        Where the labels are.
    """
    dtype = np.min_scalar_type(-len(classes)) if narrow else np.dtype(np.int64)
    coded = partial(_coded, classes=classes, dtype=dtype)
    return labels.map(coded) if isinstance(labels, RowArray) else coded(labels)


def one_axis(labels: Any) -> Any:
    """Return labels of shape (n,); those of (n, 1) with scikit-learn's warning, where they lie.

    Parameters
    ----------
    labels : array_like or RowArray
    """
    if not isinstance(labels, RowArray):
        return column_or_1d(labels, warn=True)
    if labels.ndim == 1:
        return labels
    warn(f"y has shape {labels.shape}; labels have shape ({len(labels)},).", DataConversionWarning)
    return labels.map(np.ravel)


def totals_of(codes: Any, k: int, weights: Any) -> Vector:
    """Return the weight of each of k codes, or of each column of shares, shape (k,).

    Parameters
    ----------
    codes : ndarray or RowArray of shape (n,) or (n, k)
    k : int
    weights : ndarray or RowArray of shape (n,), or None
    """
    total = partial(_totals, k=k)
    if isinstance(codes, RowArray):
        return np.asarray(codes.fold(total, np.add, others=(weights,))[0])
    return np.asarray(total(codes, weights)[0])


def taken(each: Vector, codes: Any, weights: Any) -> Any:
    """Return each[codes], times the weights where there are some, (n,) of float64."""
    if isinstance(codes, RowArray):
        return codes.map(partial(_taken, each=each), weights)
    return _taken(codes, weights, each=each)


def blocks_of(n: int) -> Iterator[slice]:
    """Yield slices over n rows that are short enough to be looked at in one go."""
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))


def union(a: Array, b: Array) -> Array:
    """Return what occurs in either of two arrays, sorted."""
    if object in (a.dtype, b.dtype):
        return _sorted_objects({*a.tolist(), *b.tolist()})
    return np.union1d(a, b)


# On one part of the labels -----------------------------------------------------------------------


def _occurring(labels: Array) -> Terms:
    found: Array | None = None
    for rows in blocks_of(len(labels)):
        new = _different(np.asarray(labels[rows]))
        found = new if found is None else union(found, new)
    return (np.asarray(labels[:0]) if found is None else found,)


def _different(labels: Array) -> Array:
    """Return the labels of a block that differ, sorted."""
    if labels.dtype == object:
        return _sorted_objects(set(labels.tolist()))
    low = _lowest(labels)
    if low is None:
        return np.unique(labels)
    # Adding the least back in int64 keeps what a short type could not tell apart.
    seen = np.flatnonzero(np.bincount(labels.astype(np.int64) - low)) + low
    return seen.astype(labels.dtype)


def _lowest(labels: Array) -> int | None:
    """Return the least of whole numbers that lie close together; None for all else."""
    if labels.dtype.kind not in "iub" or not len(labels):
        return None
    low, high = int(labels.min()), int(labels.max())
    return low if high - low < SPAN and high < 2**62 and low > -(2**62) else None


def _sorted_objects(found: set[Any]) -> Array:
    out = np.empty(len(found), dtype=object)
    out[:] = sorted(found)
    return out


def _coded(labels: Array, *, classes: Array, dtype: np.dtype[Any]) -> Array:
    out = np.empty(len(labels), dtype=dtype)
    objects = object in (labels.dtype, classes.dtype)
    index = {name: i for i, name in enumerate(classes.tolist())} if objects else {}
    for rows in blocks_of(len(labels)):
        block = np.asarray(labels[rows])
        if objects:
            out[rows] = [index.get(name, -1) for name in block.tolist()]
        else:
            out[rows] = _numbers(block, classes)
    return out


def _numbers(block: Array, classes: Array) -> Array:
    """Return the codes of a block of labels, -1 for the unknown."""
    low = _lowest(classes)
    if low is not None and _lowest(block) is not None:
        at = block.astype(np.int64) - low
        inside = (at >= 0) & (at <= int(classes[-1]) - low)
        table = np.full(int(classes[-1]) - low + 1, -1)
        table[classes.astype(np.int64) - low] = np.arange(len(classes))
        return np.where(inside, table[np.where(inside, at, 0)], -1)
    codes = np.searchsorted(classes, block).clip(0, len(classes) - 1)
    return np.where(classes[codes] == block, codes, -1)


def _totals(codes: Array, weights: Vector | None, *, k: int) -> Terms:
    total = np.zeros(k)
    for rows in blocks_of(len(codes)):
        own = None if weights is None else weights[rows]
        if codes.ndim == 2:
            total += codes[rows].sum(axis=0) if own is None else own @ codes[rows]
        else:
            total += np.bincount(codes[rows], weights=own, minlength=k)
    return (total,)


def _taken(codes: Array, weights: Vector | None, *, each: Vector) -> Vector:
    out = np.empty(len(codes))
    for rows in blocks_of(len(codes)):  # small codes are widened to be indices
        found = each[codes[rows]]
        out[rows] = found if weights is None else found * weights[rows]
    return out


# Checks ------------------------------------------------------------------------------------------


def _check(labels: Any) -> None:
    """Raise what is wrong with labels before they are sorted, which some cannot be."""
    there, few = isinstance(labels, RowArray), len(labels) <= BLOCK
    if labels.dtype == object:
        kinds = (labels.fold(_kinds, union) if there else _kinds(labels))[0].tolist()
        if len(kinds) > 1:
            raise InputError(
                f"y holds labels of types {', '.join(kinds)} side by side, {_odd_one(labels)}:"
                " make them one type, and fill or drop missing ones."
            )
        if there or not few:
            check_classification_targets(labels[np.arange(min(len(labels), FEW))])
    if labels.dtype.kind == "f":
        _check_finite(labels)
    if few and not there:
        check_classification_targets(labels)


def _check_finite(labels: Any) -> None:
    """Raise where a label is NaN or infinite: which row it is in, and how many there are."""
    there = isinstance(labels, RowArray)
    count = int((labels.fold(_lost) if there else _lost(labels))[0])
    if count:
        row = int(np.argmin(np.asarray(labels.map(np.isfinite) if there else np.isfinite(labels))))
        raise InputError(
            f"y holds NaN or infinity in {count} of {len(labels)} rows, first in row {row}: drop"
            " these rows, or give them labels."
        )


def _lost(labels: Array) -> Terms:
    blocks = (labels[rows] for rows in blocks_of(len(labels)))
    return (sum(int(np.count_nonzero(~np.isfinite(block))) for block in blocks),)


def _odd_one(labels: Any) -> str:
    """Return a clause on the first label whose type is not that of row 0."""
    values = np.asarray(labels).tolist()
    row = next(i for i, label in enumerate(values) if type(label) is not type(values[0]))
    return f"{values[0]!r} in row 0 and {values[row]!r} in row {row}"


def _kinds(labels: Array) -> Terms:
    found: set[str] = set()
    for rows in blocks_of(len(labels)):
        found |= {type(label).__name__ for label in labels[rows].tolist()}
    return (_sorted_objects(found),)


def _check_classes(found: Array, labels: Array | RowArray) -> None:
    """Let scikit-learn judge many labels by those that occur: its own copies are as long as y."""
    if not isinstance(labels, RowArray) and len(labels) <= BLOCK:
        return
    # Twice each: where mostly different labels stand, scikit-learn thinks of a regression.
    often = 2 * len(found) <= len(labels)
    check_classification_targets(np.repeat(found, 2) if often else found)

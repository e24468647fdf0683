"""Coefficients that separate rows by themselves: found by their signs, however many there are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix
from softunit.designs import SparseDesign
from softunit.separation.cone import Cone, Part
from softunit.separation.exact import holds_exactly
from softunit.separation.search import Walk

WORK = 2e8  # entries of all forms as functions of the coefficients up to which they are looked at
PIECE = 1 << 22  # entries at once


def separated_alone(cone: Cone, hint: Array | None = None) -> tuple[Matrix, Walk] | None:
    """Return a sum of single coefficients along which no row's loss rises and some row's falls.

    1. The forms D w >= 0 along a single coefficient are a column of D: it is enough that all of
    its entries have one sign. They are single entries of the design or differences of two, whose
    signs float64 has right.  2. A hint counts if it is in the cone, in exact arithmetic.  3. The
    sum of all that is found is in the cone too, as that is convex.

    Parameters
    ----------
    cone : Cone
    hint : ndarray of size p K, or None, default None

    Returns
    -------
    (ndarray of shape (p, K), Walk) or None
        None where there is none of this kind: others may exist.
    """
    w = _by_sign(cone)  # 1.
    if hint is not None:
        given = np.asarray(hint, dtype=np.float64).reshape(cone.shape)
        w = w + given if _holds(cone, given) else w  # 2.
    if not w.any():
        return None
    walk = Walk()
    for part in cone.measure(w):  # 3.
        walk.add(part)
    return (w, walk) if any(mask.any() for mask in walk.positive) else None


def _by_sign(cone: Cone) -> Matrix:
    """Return +-1 / scale for each coefficient whose column of D has one sign, else 0: (p, K)."""
    size = int(np.prod(cone.shape))
    low, high = np.zeros(size), np.zeros(size)
    sparse = isinstance(cone.inner, SparseDesign)
    width = 2.0 * (cone.inner.row_entries + 1 if sparse else cone.shape[0])
    if sum(len(forms) for forms in cone.recessions()) * width > WORK:
        return np.zeros(cone.shape)
    step = max(1, int(PIECE // width))
    for rows, forms in zip(cone.blocks, cone.recessions(), strict=True):
        none = np.zeros(0)
        part = Part(cone.inner.rows(rows), forms, none, none, none, rows.start)
        for first in range(0, len(forms), step):
            chosen = np.arange(first, min(first + step, len(forms)))
            entries = cone.rows_of(part, chosen)
            equal = np.repeat(forms.equal[chosen], np.diff(entries.indptr))
            np.minimum.at(
                low, entries.indices, np.where(equal, -np.abs(entries.data), entries.data)
            )
            np.maximum.at(
                high, entries.indices, np.where(equal, np.abs(entries.data), entries.data)
            )
    sign = np.where((low == 0) & (high > 0), 1.0, np.where((high == 0) & (low < 0), -1.0, 0.0))
    sign[cone.held.ravel()] = 0.0
    return np.asarray(sign.reshape(cone.shape) / cone.scale[:, None])


def _holds(cone: Cone, w: Matrix) -> bool:
    """Return whether a direction is in the cone, in exact arithmetic, and raises a form."""
    if w[cone.held].any():
        return False
    walk = Walk()
    for part in cone.measure(w):
        walk.add(part)
    if not walk.holds or not any(mask.any() for mask in walk.positive):
        return False
    doubtful: list[npt.NDArray[np.bool_]] = list(walk.blurred)
    return holds_exactly(cone, w, doubtful)

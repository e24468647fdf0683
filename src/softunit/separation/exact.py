"""Whether zeros are zeros: signs of sums of products, without rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix, Vector
from softunit.separation.cone import Cone, Part

LONG = 200_000  # products that are summed as fractions
PIECE = 256  # forms that are summed before the next are
DIGITS = 2.0**53  # whole numbers below this are exact in float64
FAR = 4096  # the exponent of a zero: it limits nothing


def holds_exactly(cone: Cone, w: Matrix, blurred: list[npt.NDArray[np.bool_]]) -> bool:
    """Return whether forms that float64 cannot tell from zero are zero or positive in truth.

    1. A sum of products is exact where all of them are multiples of one power of two that is not
    too small beside them: then its computed value is its value.  2. Others are summed as
    fractions, as far as these are not too many.

    Parameters
    ----------
    cone : Cone
    w : ndarray of shape (p, K)
    blurred : list of ndarray of bool
        Which forms, for each block.

    Returns
    -------
    bool
        False also where there are too many to tell.
    """
    left = LONG
    for mask, part in zip(blurred, cone.measure(w), strict=True):
        chosen = np.flatnonzero(mask)
        if not len(chosen):
            continue
        exact = part.sizes[chosen] < DIGITS * _grain(cone, part, chosen, w)  # 1.
        if (_wrong(part, chosen, part.values[chosen]) & exact).any():
            return False
        rest = chosen[~exact]
        left -= len(rest) * int((w != 0).sum())
        if left < 0:
            return False
        for k in range(0, len(rest), PIECE):  # 2. what fails, fails early
            piece = rest[k : k + PIECE]
            if _wrong(part, piece, _summed(cone, part, piece, w)).any():
                return False
    return True


def _wrong(part: Part, chosen: Array, values: Vector) -> npt.NDArray[np.bool_]:
    return np.asarray(np.where(part.recession.equal[chosen], values != 0, values < 0))


def _grain(cone: Cone, part: Part, chosen: Array, w: Matrix) -> Vector:
    """Return for each form a power of two of which all its products are multiples."""
    picked, columns = cone.terms(part, chosen)
    each = np.repeat(np.arange(columns.shape[0]), np.diff(columns.indptr))
    steps = lowest_bit(w)[columns.indices, (picked.coords[1] % w.shape[1])[each]]
    least = np.full(len(chosen), FAR)
    np.minimum.at(least, picked.coords[0][each], np.minimum(lowest_bit(columns.data) + steps, FAR))
    return np.asarray(np.ldexp(1.0, np.minimum(least, 1000)))


def lowest_bit(values: Array) -> npt.NDArray[np.int64]:
    """Return the exponent of the lowest bit that is set in each number; `FAR` for zero."""
    mantissa, exponent = np.frexp(values)
    whole = (np.abs(mantissa) * DIGITS).astype(np.int64)
    low = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return np.where(values == 0, FAR, exponent - 53 + low)


def _summed(cone: Cone, part: Part, chosen: Array, w: Matrix) -> Vector:
    """Return the signs of some forms, each summed as a fraction."""
    totals = [Fraction(0)] * len(chosen)
    if not totals:
        return np.zeros(0)
    picked, columns = cone.terms(part, chosen)
    k = w.shape[1]
    for term, (form, score) in enumerate(zip(*picked.coords, strict=True)):
        sign = Fraction(float(picked.data[term]))
        entries = slice(columns.indptr[term], columns.indptr[term + 1])
        for a, j in zip(columns.data[entries], columns.indices[entries], strict=True):
            if w[j, score % k]:
                totals[form] += sign * Fraction(float(a)) * Fraction(float(w[j, score % k]))
    return np.array([float((total > 0) - (total < 0)) for total in totals])

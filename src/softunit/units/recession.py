"""Along which directions of scores a loss never rises: where its minimiser can escape to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._typing import Array

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recession:
    """Linear forms of scores whose signs tell along which directions a loss never rises.

    With v = forms @ dz.ravel() the loss never rises along the scores dz if and only if v >= 0, and
    v = 0 where `equal`. It then falls for ever if one of v is positive, and stays as it is if none
    is. (The recession cone of the loss: R. T. Rockafellar, "Convex analysis", section 8.)

    Attributes
    ----------
    forms : CSR array of shape (m, n K)
        Of scores (n,) or (n, K), flattened row by row.
    equal : ndarray of bool, shape (m,)
        Forms that must be zero: both sides have been observed.
    own, other : ndarray of int, shape (m,)
        Which outcome was observed and which was not; `own` scores higher by v. Classes, or rows of
        the scores where outcomes are rows.
    """

    forms: Any
    equal: npt.NDArray[np.bool_]
    own: Index
    other: Index

    @classmethod
    def of_pairs(
        cls, plus: Index, minus: Index, size: int, equal: Array, sides: Array
    ) -> Recession:
        """Return forms z[plus] - z[minus]; an index of -1 stands for a score of zero.

        Parameters
        ----------
        plus, minus : ndarray of int, shape (m,)
            Into the flattened scores.
        size : int
            n K.
        equal : ndarray of bool, shape (m,)
        sides : ndarray of int, shape (2, m)
            `own` and `other`.
        """
        m = len(plus)
        columns = np.stack([plus, minus], axis=1).ravel()
        signs = np.tile([1.0, -1.0], m)
        seen = columns >= 0
        starts = np.concatenate([[0], np.cumsum(seen.reshape(m, 2).sum(axis=1))])
        forms = sparse.csr_array((signs[seen], columns[seen], starts), shape=(m, size))
        return cls(forms, equal, sides[0], sides[1])

    def __len__(self) -> int:
        """Return m."""
        return len(self.equal)

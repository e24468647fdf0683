"""Rows that belong together, in any order."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Vector
from softunit.errors import InputError


class Groups:
    """Which group each row belongs to.

    Parameters
    ----------
    labels : array_like of shape (n,)
        Equal labels belong together; they need not stand next to each other.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Number of each row's group, from zero.
    count : int
        How many groups there are.

    Raises
    ------
    InputError
        If the labels are not one for each row, or hold NaN.
    """

    def __init__(self, labels: npt.ArrayLike) -> None:
        array = np.asarray(labels)
        if array.ndim != 1 or len(array) == 0:
            raise InputError(
                f"the groups must be one label for each row; got an array of shape {array.shape}."
            )
        if array.dtype.kind == "f" and np.isnan(array).any():
            row = int(np.flatnonzero(np.isnan(array))[0])
            raise InputError(f"the groups hold NaN, first in row {row}: every row needs a group.")
        self.codes: npt.NDArray[np.integer] = np.unique(array, return_inverse=True)[1].ravel()
        self.count = int(self.codes.max()) + 1

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    @cached_property
    def order(self) -> npt.NDArray[np.integer] | None:
        """Rows group by group; None where they stand so already."""
        if (np.diff(self.codes) >= 0).all():
            return None
        return np.argsort(self.codes, kind="stable")

    @cached_property
    def starts(self) -> npt.NDArray[np.integer]:
        """Where each group begins in that order, and the end: (count + 1,)."""
        sizes = np.bincount(self.codes, minlength=self.count)
        return np.concatenate([[0], np.cumsum(sizes)])

    @property
    def sizes(self) -> npt.NDArray[np.integer]:
        """Rows of each group, (count,)."""
        return np.diff(self.starts)

    def sorted(self, v: Array) -> Array:
        """Return v group by group."""
        return v if self.order is None else v[self.order]

    def sums(self, v: Vector) -> Vector:
        """Return the sum of v (n,) over each group, (count,)."""
        sums = np.bincount(self.codes, weights=v, minlength=self.count)
        return np.asarray(sums, dtype=np.float64)

    def largest(self, v: Vector) -> Vector:
        """Return the largest of v (n,) in each group, (count,)."""
        return np.asarray(np.maximum.reduceat(self.sorted(v), self.starts[:-1]))

    def spread(self, each: Vector) -> Vector:
        """Return for every row what belongs to its group, (n,)."""
        return np.asarray(each[self.codes])

    def pieces(self, rows: int) -> list[tuple[slice, slice | npt.NDArray[np.integer]]]:
        """Return whole groups in pieces of about so many rows.

        Returns
        -------
        list of (slice of groups, index of their rows, group by group)
        """
        found, first = [], 0
        while first < self.count:
            last = int(np.searchsorted(self.starts, self.starts[first] + rows, side="right")) - 1
            last = max(last, first + 1)
            part = slice(int(self.starts[first]), int(self.starts[last]))
            found.append((slice(first, last), part if self.order is None else self.order[part]))
            first = last
        return found

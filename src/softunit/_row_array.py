"""Arrays with a row for each row of a design that lies elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from softunit._typing import Array

Terms = tuple[Any, ...]
"""Floats and arrays."""

Fold: TypeAlias = Callable[[Any, Any], Any]
"""What makes one term of two."""


class RowArray(ABC):
    """Labels, weights or offsets that are kept in parts, beside the rows that they belong to.

    Rows taken by an array of indices come as NumPy; `numpy.asarray` fetches all.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, index: slice | npt.NDArray[np.integer]) -> Array:
        """Return some rows here, in the order of the index."""

    @abstractmethod
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all rows here."""

    @abstractmethod
    def fold(
        self, function: Callable[..., Terms], *folds: Fold, others: Sequence[Any] = ()
    ) -> Terms:
        """Return the terms of function(part, *parts of others), folded over the parts.

        Parameters
        ----------
        function : callable
            Can be sent away: a function of a module, or a partial of one.
        *folds : callable
            For each term: what makes one of two, as `numpy.add`.
        others : sequence of (RowArray, ndarray or None), default ()
            Of the same rows.
        """

    @abstractmethod
    def map(self, function: Callable[..., Array], *others: Any) -> RowArray:
        """Return function(part, *parts of others) for each part, kept where they lie."""

    def sum(self) -> float:
        """Return the sum of all entries, in float64."""
        return float(self.fold(_sum, np.add)[0])

    def max(self, initial: float = -np.inf) -> float:
        """Return the largest entry, at least `initial`."""
        return max(float(self.fold(_max, np.maximum)[0]), initial)

    def min(self, initial: float = np.inf) -> float:
        """Return the smallest entry, at most `initial`."""
        return min(float(self.fold(_min, np.minimum)[0]), initial)

    def any(self) -> bool:
        """Return whether an entry is not zero."""
        return self.count_nonzero() > 0

    def count_nonzero(self) -> int:
        """Return how many entries are not zero."""
        return int(self.fold(_count, np.add)[0])


def as_array(value: Any) -> Any:
    """Return a `RowArray` as it is, and all else as a NumPy array."""
    return value if isinstance(value, RowArray) else np.asarray(value)


def count_nonzero(value: Array | RowArray) -> int:
    """Return how many entries are not zero, wherever they are."""
    return value.count_nonzero() if isinstance(value, RowArray) else int(np.count_nonzero(value))


def _sum(part: Array) -> Terms:
    return (float(part.sum(dtype=np.float64)),)


def _max(part: Array) -> Terms:
    return (float(part.max()),)


def _min(part: Array) -> Terms:
    return (float(part.min()),)


def _count(part: Array) -> Terms:
    return (float(np.count_nonzero(part)),)

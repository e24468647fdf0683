"""What stands in for missing values, found in columns that are seen block by block."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.tables.names import show

MOST_VALUES = 100_000
"""Different values of a column that are counted for the most frequent one."""

SAMPLE = 1 << 16
"""Values of a column that its median is bracketed by."""

_REACH = 5.0  # standard deviations of a rank in the sample that the bracket reaches on each side


class Fill(Protocol):
    """A statistic of the values that are there."""

    def add(self, values: Vector) -> None:
        """Take more values of the column, shape (m,), none of them missing."""

    def value(self) -> float | None:
        """Return the statistic; None where the values must be seen once more."""


def fill_of(strategy: str, name: str, columns: int) -> Fill:
    """Return the statistic of a strategy.

    Parameters
    ----------
    strategy : {"mean", "median", "most-frequent"}
    name : str
        Of the column.
    columns : int
        How many columns share the memory.
    """
    if strategy == "mean":
        return MeanFill()
    if strategy == "most-frequent":
        return FrequentFill(name)
    return MedianFill(max(1 << 10, min(SAMPLE, (1 << 23) // max(columns, 1))))


class MeanFill:
    """The mean; sums of blocks are added without rounding."""

    def __init__(self) -> None:
        self._sums: list[float] = []
        self._count = 0

    def add(self, values: Vector) -> None:
        """Take more values of the column, shape (m,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(values.sum())
        if not math.isfinite(total):
            self._sums = [total]
        elif not self._sums or math.isfinite(self._sums[0]):
            # As few numbers as hold the sum exactly, or nearly so.
            head = math.fsum([*self._sums, total])
            self._sums = [head, math.fsum([*self._sums, total, -head])]
        self._count += len(values)

    def value(self) -> float:
        """Return the mean; infinite or nan where the sum is not representable."""
        return math.fsum(self._sums) / self._count if self._sums else math.nan


class FrequentFill:
    """The most frequent value, the least of several.

    Parameters
    ----------
    name : str
        Of the column.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._values = np.empty(0)
        self._counts = np.empty(0, dtype=np.int64)

    def add(self, values: Vector) -> None:
        """Take more values of the column, shape (m,).

        Raises
        ------
        InputError
            If there are more different ones than are counted.
        """
        found, counts = np.unique(values, return_counts=True)
        merged, places = np.unique(np.concatenate([self._values, found]), return_inverse=True)
        weights = np.concatenate([self._counts, counts])
        self._counts = np.zeros(len(merged), dtype=np.int64)
        np.add.at(self._counts, places.ravel(), weights)
        self._values = merged
        if len(merged) > MOST_VALUES:
            raise InputError(
                f"Column {show(self._name)} has more than {MOST_VALUES:,} different values, too"
                " many to count them block by block, and none that stands for all: fill it with"
                " --impute median or mean."
            )

    def value(self) -> float:
        """Return the value."""
        return float(self._values[int(np.argmax(self._counts))])


class MedianFill:
    """The median, exact.

    1. A seeded sample of the values brackets it.  2. Where the sample is not all values, they are
    seen once more: those below the bracket are counted, those inside are kept.  3. Where the
    bracket misses it (once in a million times), a wider one is tried.

    Parameters
    ----------
    size : int
        Of the sample, at least; it has at most twice as many values.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._rng = np.random.default_rng(0)
        self._rate = 1.0
        self._sample = np.empty(0)
        self._count = 0
        self._reach = _REACH
        self._bracket: tuple[float, float] | None = None
        self._below = 0
        self._ends = [0, 0]
        self._inside: list[Array] = []

    def add(self, values: Vector) -> None:
        """Take more values of the column, shape (m,)."""
        if self._bracket is not None:
            self._add_again(values)
            return
        self._count += len(values)
        self._sample = np.concatenate([self._sample, self._drawn(values, self._rate)])
        while len(self._sample) > 2 * self._size:
            self._sample = self._drawn(self._sample, 0.5)
            self._rate /= 2

    def _drawn(self, values: Vector, rate: float) -> Vector:
        if rate >= 1:
            return values
        count = int(self._rng.binomial(len(values), rate))
        return values[self._rng.choice(len(values), count, replace=False, shuffle=False)]

    def _add_again(self, values: Vector) -> None:
        assert self._bracket is not None
        low, high = self._bracket
        self._below += int(np.count_nonzero(values < low))
        for end, bound in enumerate(self._bracket):
            self._ends[end] += int(np.count_nonzero(values == bound))
        self._inside.append(values[(values > low) & (values < high)])

    def value(self) -> float | None:
        """Return the median; None where the values must be seen once more."""
        if self._bracket is None and self._rate >= 1:
            return float(np.median(self._sample))
        if self._bracket is not None:
            inside = np.sort(np.concatenate(self._inside))
            middle = {(self._count - 1) // 2, self._count // 2}
            found = [self._at(rank, inside) for rank in middle]
            if None not in found:
                return float(np.mean([value for value in found if value is not None]))
            self._reach *= 4
        self._bracket = self._next_bracket()
        self._below, self._ends, self._inside = 0, [0, 0], []
        return None

    def _next_bracket(self) -> tuple[float, float]:
        """Return bounds that a middle rank of all values lies between, nearly always."""
        ordered = np.sort(self._sample)
        m = len(ordered)
        margin = 1 + self._reach * math.sqrt(m) / 2
        low, high = math.floor(m / 2 - margin), math.ceil(m / 2 + margin)
        return (
            float(ordered[low]) if low >= 0 else -math.inf,
            float(ordered[high]) if high < m else math.inf,
        )

    def _at(self, rank: int, inside: Vector) -> float | None:
        """Return the value of a rank among all; None where the bracket does not hold it."""
        assert self._bracket is not None
        low, high = self._bracket
        at = rank - self._below
        if at < 0:
            return None
        if low == high:
            return low if at < self._ends[0] else None
        if at < self._ends[0]:
            return low
        at -= self._ends[0]
        if at < len(inside):
            return float(inside[at])
        return high if at - len(inside) < self._ends[1] else None

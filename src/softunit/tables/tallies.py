"""What is learned of the columns of a dataset while its rows go by once."""

from __future__ import annotations

import numpy as np

from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.tables.column_encodings import CategoricalColumn, NumericColumn
from softunit.tables.columns import as_numbers, missing_rows, text_codes
from softunit.tables.dirty_numbers import dirty_levels
from softunit.tables.fills import Fill
from softunit.tables.fitting import MAX_LEVELS, MISSING_WISH, check_level_counts
from softunit.tables.names import rows, show
from softunit.tables.table import Table


class Marks:
    """How many rows are marked, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first = -1

    def add(self, marked: Array, start: int) -> None:
        """Take the marks of more rows, shape (m,), the first of which is row `start`."""
        count = int(np.count_nonzero(marked))
        if count and not self.count:
            self.first = start + int(np.argmax(marked))
        self.count += count

    def refuse(self, name: str, noun: str, wish: str) -> None:
        """Raise InputError with column, count and first row if any row is marked."""
        if self.count:
            raise InputError(
                f"Column {show(name)} has {rows(self.count, self.first, noun)}: {wish}."
            )


class NumberTally:
    """A column of numbers.

    Parameters
    ----------
    name : str
    fill : Fill or None
        What stands in for missing values; None refuses them.
    """

    def __init__(self, name: str, fill: Fill | None) -> None:
        self.name = name
        self._fill = fill
        self._n = 0
        self._missing, self._infinite = Marks(), Marks()

    def add(self, table: Table, start: int) -> None:
        """Take a block of rows, the first of which is row `start` of the dataset."""
        values = as_numbers(table.column(self.name), self.name)
        missing = missing_rows(values)
        self._n += len(values)
        self._missing.add(missing, start)
        self._infinite.add(np.isinf(values), start)
        if self._fill is not None and not self._infinite.count:
            self._fill.add(values if not missing.any() else values[~missing])

    def add_again(self, table: Table) -> None:
        """Take a block of rows once more, for a fill that asked for it."""
        values = as_numbers(table.column(self.name), self.name)
        assert self._fill is not None
        self._fill.add(values[~missing_rows(values)])

    def check(self) -> None:
        """Refuse a column without values, and values that are infinite or missing.

        Raises
        ------
        InputError
            With column, count and first row.
        """
        _refuse_empty(self.name, self._missing.count == self._n)
        self._infinite.refuse(
            self.name,
            "infinite value",
            "replace them by finite numbers, drop the rows, or drop the column (--drop"
            f" {show(self.name)})",
        )
        if self._fill is None:
            self._missing.refuse(self.name, "missing value", MISSING_WISH)

    def column(self) -> NumericColumn | None:
        """Return the encoding; None where the values must be seen once more.

        Raises
        ------
        InputError
            If no fill can be taken of the values.
        """
        if self._fill is None:
            return NumericColumn(self.name)
        value = self._fill.value()
        if value is None:
            return None
        if not np.isfinite(value):
            raise InputError(
                f"Column {show(self.name)} has values so large that no mean can be taken of them:"
                " scale it, or impute most-frequent."
            )
        return NumericColumn(self.name, value)


class TextTally:
    """A column of labels.

    Parameters
    ----------
    name : str
    imputed : bool
        Whether missing values become the most frequent level; else they are refused.
    """

    def __init__(self, name: str, *, imputed: bool) -> None:
        self.name = name
        self._imputed = imputed
        self._n = 0
        self._missing = Marks()
        self._levels: dict[str, list[int]] = {}  # how often, and the first row

    def add(self, table: Table, start: int) -> None:
        """Take a block of rows, the first of which is row `start` of the dataset.

        Raises
        ------
        InputError
            As soon as there are more levels than a model may have.
        """
        texts, codes = text_codes(table.column(self.name), self.name)
        self._n += len(codes)
        self._missing.add(codes < 0, start)
        counts = np.bincount(codes + 1, minlength=len(texts) + 1)[1:]
        for code in np.flatnonzero(counts).tolist():
            level, count = texts[code].as_py(), int(counts[code])
            if level in self._levels:
                self._levels[level][0] += count
                continue
            self._levels[level] = [count, start + int(np.argmax(codes == code))]
            if len(self._levels) > MAX_LEVELS:
                self._refuse_levels()

    def _refuse_levels(self) -> None:
        """Refuse a column of too many levels, before all rows have been read."""
        if sentence := self.dirt():
            raise InputError(sentence)
        latest = max(first for _, first in self._levels.values())
        raise InputError(
            f"Column {show(self.name)} has more than {MAX_LEVELS:,} different texts (data row"
            f" {latest + 1} holds one more), and no more are encoded: it may be an identifier or"
            f" free text. Merge rare ones, or drop the column (--drop {show(self.name)})."
        )

    def dirt(self) -> str:
        """Return what keeps the column from being numbers; "" if it is text."""
        levels = list(self._levels)
        table = np.array([self._levels[level] for level in levels]).reshape(-1, 2)
        return dirty_levels(levels, table[:, 0], table[:, 1], self.name)

    def check(self) -> None:
        """Refuse a column without values, with missing ones, or whose levels hardly repeat.

        Raises
        ------
        InputError
            With column, count and first row.
        """
        _refuse_empty(self.name, self._missing.count == self._n)
        if not self._imputed:
            self._missing.refuse(self.name, "missing value", MISSING_WISH)
        check_level_counts(len(self._levels), self._n - self._missing.count, self.name, self.dirt)

    def column(self) -> CategoricalColumn:
        """Return the encoding."""
        levels = sorted(self._levels)
        fill = None
        if self._imputed:
            counts = [self._levels[level][0] for level in levels]
            fill = levels[int(np.argmax(counts))]
        return CategoricalColumn(self.name, tuple(levels), fill)


def _refuse_empty(name: str, empty: bool) -> None:
    if empty:
        raise InputError(
            f"Column {show(name)} has no values at all: drop it (--drop {show(name)})."
        )


class ValueTally:
    """A column of numbers that is kept: weights, an offset.

    Parameters
    ----------
    name : str
    role : str
        What it is wanted for, as an error says it.
    """

    def __init__(self, name: str, role: str) -> None:
        self.name = name
        self.role = role
        self._parts: list[Vector] = []

    def add(self, table: Table, start: int) -> None:
        """Take a block of rows."""
        # A copy: what a block shares with a buffer would keep the buffer.
        column = table.column(self.name, role=self.role)
        self._parts.append(np.array(as_numbers(column, self.name)))

    def values(self) -> Vector:
        """Return the column, shape (n,), missing values as NaN."""
        return np.concatenate(self._parts)

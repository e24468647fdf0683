"""The labels of a dataset as small codes, learned while its rows go by."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from softunit._files import load_pyarrow
from softunit._typing import Array
from softunit.errors import InputError
from softunit.tables.columns import missing_rows
from softunit.tables.names import listed, rows, show
from softunit.tables.places import Places
from softunit.tables.table import Table
from softunit.tables.tallies import Marks
from softunit.tables.targets import TARGET_WISH, read_target, refuse_fractions

MOST_LABELS = 1 << 16
"""Different labels of a target that is read block by block: codes take two bytes at most."""

_HERE = Places.within("", several=False)  # counts rows of a block from where it begins


class LabelTally:
    """A column of labels: a code of one or two bytes for each row.

    Parameters
    ----------
    name : str
    known : ndarray of shape (K,) or None, default None
        The labels that there may be; None learns them.
    """

    def __init__(self, name: str, known: Array | None = None) -> None:
        self.name = name
        self._known = known is not None
        self._kind = "" if known is None else known.dtype.kind
        labels = [] if known is None else known.tolist()
        self._codes: dict[Any, int] = {label: code for code, label in enumerate(labels)}
        self._parts: list[Array] = []
        self._missing = Marks()
        self._strange: dict[Any, int] = {}
        self._first: int | None = None  # row with such a label

    def add(self, table: Table, start: int) -> None:
        """Take a block of rows, the first of which is row `start` of the dataset.

        Raises
        ------
        InputError
            If the labels are more than codes there are, or no labels at all.
        """
        column = table.column(self.name, role="target")
        missing = missing_rows(column)
        self._missing.add(missing, start)
        if missing.any():  # told with their count at the end
            column = column.drop_null()
            if not len(column):
                return
            table = Table(
                (self.name,), len(column), table.source, load_pyarrow().table({self.name: column})
            )
        with _HERE.told(start):
            labels = read_target(table, self.name, kind="labels", all_seen=False)
        found, places = np.unique(labels, return_inverse=True)
        self._parts.append(self._coded(found, places.ravel(), start))

    def _coded(self, found: Array, places: Array, start: int) -> Array:
        """Return the codes of labels `found[places]`; new labels get the next ones."""
        # To Python True is 1: labels must also be of the kind of those known.
        alike = (
            not self._kind
            or not ({found.dtype.kind, self._kind} & {"U", "b"})
            or (found.dtype.kind == self._kind)
        )
        if self._known:
            counts = np.bincount(places, minlength=len(found)).tolist()
            for code, (label, count) in enumerate(zip(found.tolist(), counts, strict=True)):
                if label not in self._codes or not alike:
                    self._strange[label] = self._strange.get(label, 0) + count
                    first = start + int(np.argmax(places == code))
                    self._first = first if self._first is None else min(self._first, first)
            codes = np.array([self._codes.get(label, 0) for label in found.tolist()])
        else:
            for label in found.tolist():
                self._codes.setdefault(label, len(self._codes))
            self._check_new(found)
            codes = np.array([self._codes[label] for label in found.tolist()])
        return codes.astype(_code_type(len(self._codes)))[places]

    def _check_new(self, found: Array) -> None:
        if found.dtype.kind == "f":
            values = np.array(list(self._codes), dtype=float)
            refuse_fractions(values[values != np.rint(values)], self.name, all_seen=False)
        if len(self._codes) > MOST_LABELS:
            raise InputError(
                f"Target {show(self.name)} has more than {MOST_LABELS:,} different values, too many"
                " for classes: it looks like an identifier or a quantity. Name another target, or"
                " group its values."
            )

    def labels(self) -> tuple[Array, Array]:
        """Return the labels in sorted order, shape (K,), and the code of each row, shape (n,).

        Raises
        ------
        InputError
            If a label is missing, or is not among those that are known.
        """
        self._missing.refuse(self.name, "missing value", TARGET_WISH)
        if self._strange:
            count = sum(self._strange.values())
            strange = sorted(self._strange, key=str)
            raise InputError(
                unknown_labels(self.name, strange, count, self._first or 0, self._codes)
            )
        seen = np.array(list(self._codes))
        classes, order = np.unique(seen, return_inverse=True)
        small = order.ravel().astype(_code_type(len(classes)))
        codes = np.empty(sum(map(len, self._parts)), dtype=small.dtype)
        start = 0
        for part in self._parts:
            codes[start : start + len(part)] = small[part]
            start += len(part)
        self._parts = []
        return classes, codes


def unknown_labels(
    name: str, strange: Collection[Any], count: int, first: int, known: Collection[Any]
) -> str:
    """Return the sentence for labels that a model does not know.

    Parameters
    ----------
    name : str
        Of the column.
    strange : collection
        The labels.
    count : int
        Rows that hold one of them.
    first : int
        The first such row, from 0.
    known : collection
        The labels of the model.
    """
    return (
        f"Column {show(name)} holds {listed(strange, 5)} ({rows(count, first, 'row')}), which the"
        f" model does not know: its classes are {listed(known, 10)}. Drop such rows, or fit a model"
        " to them too."
    )


def _code_type(labels: int) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if labels <= 1 << 8 else np.uint16

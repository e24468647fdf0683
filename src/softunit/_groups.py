"""Rows that belong together, in any order."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._typing import Array, Matrix, Vector
from softunit.errors import InputError

Index = npt.NDArray[np.integer]

FEW = 32  # rows of equal groups up to which row j of all groups at once is the fastest way


class Groups:
    """Which group each row belongs to.

    Groups whose rows stand together are numbered in the order of their rows, and nothing is
    sorted; others in the order of their labels. Groups of one size that stand together, as choice
    sets often do, are handled as a table without any index.

    Parameters
    ----------
    labels : array_like of shape (n,)
        Equal labels belong together; they need not stand next to each other.

    Attributes
    ----------
    count : int
        How many groups there are.
    starts : ndarray of int, shape (count + 1,)
        Where each group begins in `order`, and the end.
    order : ndarray of int, shape (n,), or None
        Rows group by group; None where they stand so already.

    Raises
    ------
    InputError
        If the labels are not one for each row, hold missing ones, or cannot be compared.
    """

    def __init__(self, labels: npt.ArrayLike) -> None:
        array = _checked(labels)
        ends = np.flatnonzero(array[1:] != array[:-1]) + 1
        runs = np.concatenate([[0], ends])
        self._n = len(array)
        self.order: Index | None = None
        self.count = len(runs)
        if not _distinct(array[runs]):
            names, codes = _numbered(array[runs])
            self.count = len(names)
        if self.count == len(runs):
            self.starts: Index = np.append(runs, self._n)
        else:
            each = np.repeat(codes, np.diff(np.append(runs, self._n)))
            sizes = np.bincount(each, minlength=self.count)
            self.starts = np.concatenate([[0], np.cumsum(sizes)])
            self.order = None if (np.diff(each) >= 0).all() else np.argsort(each, kind="stable")
            self.codes = each

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._n

    @cached_property
    def codes(self) -> Index:
        """Number of each row's group, from zero, (n,)."""
        codes = np.repeat(np.arange(self.count), self.sizes)
        if self.order is None:
            return codes
        out = np.empty_like(codes)
        out[self.order] = codes
        return out

    @property
    def sizes(self) -> Index:
        """Rows of each group, (count,)."""
        return np.diff(self.starts)

    @cached_property
    def size(self) -> int:
        """Rows of every group where they stand together and are as many in each; else zero."""
        whole = self.order is None and self._n % self.count == 0
        size = self._n // self.count
        return size if whole and (self.sizes == size).all() else 0

    def number_of(self, rows: Index) -> Index:
        """Return the number of the group of some rows."""
        if self.size:
            return np.asarray(rows // self.size)
        if self.order is None:
            return np.searchsorted(self.starts, rows, side="right") - 1
        return np.asarray(self.codes[rows])

    @property
    def first_rows(self) -> Index:
        """The first row of each group, (count,)."""
        return self.starts[:-1] if self.order is None else self.order[self.starts[:-1]]

    def sorted(self, v: Array) -> Array:
        """Return v group by group."""
        return v if self.order is None else v[self.order]

    def sums(self, v: Vector) -> Vector:
        """Return the sum of v (n,) over each group, (count,)."""
        if self.size:
            return self._by_column(np.add, v)
        if self.order is None:
            return np.asarray(np.add.reduceat(v, self.starts[:-1]), dtype=np.float64)
        sums = np.bincount(self.codes, weights=v, minlength=self.count)
        return np.asarray(sums, dtype=np.float64)

    def largest(self, v: Vector) -> Vector:
        """Return the largest of v (n,) in each group, (count,)."""
        if self.size:
            return self._by_column(np.maximum, v)
        return np.asarray(np.maximum.reduceat(self.sorted(v), self.starts[:-1]))

    def spread(self, each: Array) -> Array:
        """Return for every row what belongs to its group, (n,)."""
        if self.order is None:
            return np.repeat(each, self.size or self.sizes)
        return np.asarray(each[self.codes])

    def spread_rows(self, each: Matrix) -> Matrix:
        """Return for every row the row (count, d) that belongs to its group, group by group."""
        return np.repeat(each, self.sizes, axis=0)

    def softmax(self, z: Vector) -> Vector:
        """Return softmax(z) within each group, shape (n,)."""
        e = z - self.spread(self.largest(z))
        np.exp(e, out=e)
        e /= self.spread(self.sums(e))
        return np.asarray(e)

    def block_sums(self, weights: Vector, block: Matrix) -> Matrix:
        """Return the weighted sums of rows (n, d) over each group, (count, d).

        Parameters
        ----------
        weights : ndarray of shape (n,)
        block : ndarray of shape (n, d)
            Group by group.
        """
        pointers, columns = self.starts, np.arange(self._n)
        summed = sparse.csr_array((weights, columns, pointers), shape=(self.count, self._n))
        return np.asarray(summed @ block)

    def part(self, which: slice) -> Groups:
        """Return some of the groups, their rows group by group."""
        part = copy.copy(self)
        for name in ("codes", "size"):
            part.__dict__.pop(name, None)
        part.starts = self.starts[which.start : which.stop + 1] - self.starts[which.start]
        part.count, part._n, part.order = which.stop - which.start, int(part.starts[-1]), None
        if self.size:
            part.__dict__["size"] = self.size
        return part

    def pieces(self, rows: int) -> list[tuple[slice, slice | Index]]:
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

    def _by_column(self, function: np.ufunc, v: Vector) -> Vector:
        """Return function reduced over the rows of each of the equal groups."""
        table = v.reshape(self.count, self.size)
        if self.size > FEW:
            return np.asarray(function.reduce(table, axis=1))
        out = np.array(table[:, 0], dtype=np.float64)
        for j in range(1, self.size):
            function(out, table[:, j], out=out)
        return out


def as_labels(labels: Any) -> Array:
    """Return labels as an array in which different labels stay different.

    NumPy makes 1 and "1" of a list the same text; such a list becomes an array of objects.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "SU" or hasattr(labels, "dtype") or array.ndim != 1:
        return array
    given = list(labels)
    return array if all(isinstance(v, (str, bytes)) for v in given) else _objects(given)


def _objects(given: list[Any]) -> Array:
    array = np.empty(len(given), dtype=object)
    array[:] = given
    return array


def _checked(labels: npt.ArrayLike) -> Array:
    array = as_labels(labels)
    if array.ndim != 1 or len(array) == 0:
        raise InputError(
            f"the groups must be one label for each row; got an array of shape {array.shape}."
        )
    missing = missing_rows(array)
    if len(missing):
        name = "NaN" if array.dtype.kind == "f" else repr(array[missing[0]])
        raise InputError(
            f"the groups hold {name}, first in row {missing[0]}: every row needs a group."
        )
    return array


def missing_rows(array: Array) -> Index:
    """Return the rows whose label is NaN, NaT, None or another that does not equal itself."""
    if array.dtype.kind not in "fcmMO":
        return np.zeros(0, dtype=np.intp)
    if array.dtype.kind != "O":
        return np.flatnonzero(array != array)
    return np.flatnonzero([_is_missing(label) for label in array.tolist()])


def _is_missing(label: Any) -> bool:
    try:
        return label is None or not bool(label == label)
    except (TypeError, ValueError):  # pandas.NA has no truth
        return True


def _distinct(labels: Array) -> bool:
    """Return whether labels of runs are all different for sure: rising or falling."""
    if len(labels) == 1:
        return True
    try:
        return bool((labels[1:] > labels[:-1]).all() or (labels[1:] < labels[:-1]).all())
    except TypeError:
        return False


def _numbered(labels: Array) -> tuple[Array, Index]:
    """Return the different labels and the number of each."""
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = ", ".join(sorted({type(label).__name__ for label in labels.tolist()}))
        raise InputError(
            f"the groups hold labels of types {kinds} side by side, which cannot be compared: make"
            " them one type."
        ) from error
    return names, codes.ravel()

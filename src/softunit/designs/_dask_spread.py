"""Arrays spread over the partitions of a design: labels, weights, offsets beside their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._row_array import RowArray
from softunit._typing import Array
from softunit.designs._dask_blocks import delayed_blocks, is_dask
from softunit.designs._dask_parts import Parts
from softunit.designs._dask_tasks import Fold, array_of, cut, mapped, rows_of, shape_of
from softunit.designs.base import Terms
from softunit.errors import InputError


class Spread(RowArray):
    """An array with a row for each row of a `DaskDesign`, kept in parts beside them.

    Made by `DaskDesign.beside`. Rows taken by an index come here as NumPy, and so does all of it
    by `numpy.asarray`.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    parts : list
        Dask's handles of the parts.
    """

    def __init__(self, parts: Parts) -> None:
        from dask.delayed import delayed

        self._parts = parts
        found = parts.place.fetch([delayed(shape_of, pure=False)(kept) for kept in parts.kept])
        tails = [shape[1:] for shape, _ in found]
        for number, tail in enumerate(tails):
            if tail != tails[0]:
                raise InputError(
                    f"parts of an array disagree: part {number} has rows of shape {tail}, part 0"
                    f" of shape {tails[0]}."
                )
        self.shape = (parts.rows, *tails[0])
        self.dtype = np.result_type(*(np.dtype(dtype) for _, dtype in found))

    @property
    def parts(self) -> list[Any]:
        """Dask's handles of the parts: delayed values on a cluster, else arrays."""
        return list(self._parts.kept)

    def __getitem__(self, index: Any) -> Array:
        """Return some rows here, in the order of an index; slices and masks do as well."""
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        index = np.asarray(index)
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        if index.ndim == 0:
            row: Array = self[index[None]][0]
            return row
        rows: npt.NDArray[np.int64] = np.where(index < 0, index + len(self), index).astype(np.int64)
        taken: Array = self._parts.gathered(rows, rows_of)
        return taken.astype(self.dtype, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all rows here."""
        out: Array = np.empty(self.shape, dtype=self.dtype if dtype is None else dtype)
        for rows, part in zip(self._parts.slices, self._parts.here(), strict=True):
            out[rows] = part
        return out

    def fold(
        self, function: Callable[..., Terms], *folds: Fold, others: Sequence[Any] = ()
    ) -> Terms:
        """Return the terms of function(part, *parts of others), folded over the parts.

        Parameters
        ----------
        function : callable
            A function of a module, or a partial of one.
        *folds : callable
            For each term: a ufunc, or any function of a module that puts two terms together, no
            matter which pairs first. None at all adds.
        others : sequence of (Spread, ndarray or None), default ()
            With as many rows.
        """
        return self._parts.reduce(function, _bare(others), folds or None)

    def map(self, function: Callable[..., Array], *others: Any) -> Spread:
        """Return function(part, *parts of others), made and kept where the parts lie.

        Parameters
        ----------
        function : callable
            A function of a module, or a partial of one, that returns as many rows as it is given.
        *others : Spread, ndarray or None
            With as many rows.
        """
        from dask.delayed import delayed

        parts, sent = self._parts, delayed(function, pure=False, traverse=False)
        items = parts.items(_bare(others))
        made = parts.place.keep([delayed(mapped, pure=False)(sent, *item) for item in items])
        return Spread(Parts(parts.place, made, parts.lengths))

    def astype(self, dtype: npt.DTypeLike, copy: bool = True) -> Spread:
        """Return it in another dtype; itself where it has that dtype and need not be copied."""
        if self.dtype == np.dtype(dtype) and not copy:
            return self
        return self.map(partial(_cast, dtype=np.dtype(dtype)))

    @property
    def over(self) -> Parts:
        """The parts with their place and lengths."""
        return self._parts


def spread_over(parts: Parts, array: Any, name: str) -> Any:
    """Return an array of the rows spread over the partitions of a design.

    Parameters
    ----------
    parts : Parts
        Of the design.
    array : array_like, dask collection, Spread or None
    name : str
        How messages call it.

    Raises
    ------
    InputError
        If it lies elsewhere already, and has another number of rows.
    """
    from dask.delayed import delayed

    if array is None:
        return None
    if isinstance(array, Spread):
        if array.over.lengths == parts.lengths and array.over.place is parts.place:
            return array
        source = array.over
    elif is_dask(array):
        source = _kept(parts, array, name)
    else:
        array = np.asarray(array)
        if array.ndim == 0 or len(array) != parts.rows:
            return array
        source = None
    if source is not None and source.rows != parts.rows:
        raise InputError(
            f"{name} has {source.rows} rows, but A has {parts.rows} rows: both must come from the"
            " same rows."
        )
    made = []
    own = [None] * len(parts.kept) if source else parts.cut(array)
    for rows, kept, piece in zip(parts.slices, parts.kept, own, strict=True):
        pieces = _over(source, rows) if source else [(piece, 0, rows.stop - rows.start)]
        whole, starts, stops = zip(*pieces, strict=True)
        made.append(delayed(cut, pure=False)(kept, starts, stops, *whole))
    return Spread(Parts(parts.place, parts.place.keep(made), parts.lengths))


def _kept(parts: Parts, array: Any, name: str) -> Parts:
    """Return the parts of a dask array by its own chunks, kept; empty ones are left out."""
    from dask.delayed import delayed

    blocks = delayed_blocks(array, name)
    kept = parts.place.keep([delayed(array_of, pure=False)(*row) for row in blocks])
    found = parts.place.fetch([delayed(shape_of, pure=False)(part) for part in kept])
    lengths = [shape[0] for shape, _ in found]
    full = [i for i, rows in enumerate(lengths) if rows]
    return Parts(parts.place, [kept[i] for i in full], tuple(lengths[i] for i in full))


def _over(source: Parts, rows: slice) -> list[tuple[Any, int, int]]:
    """Return (kept, first row in it, row after the last) of what holds these rows."""
    first = int(np.searchsorted(source.starts, rows.start, side="right")) - 1
    found = []
    while source.starts[first] < rows.stop:
        start, stop = int(source.starts[first]), int(source.starts[first + 1])
        begin, end = max(rows.start, start), min(rows.stop, stop)
        found.append((source.kept[first], begin - start, end - start))
        first += 1
        if first == len(source.kept):
            break
    return found


def _bare(arrays: Sequence[Any]) -> list[Any]:
    return [array.over if isinstance(array, Spread) else array for array in arrays]


def _cast(part: Array, *, dtype: np.dtype[Any]) -> Array:
    return part.astype(dtype)

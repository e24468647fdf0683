"""Rows of a tensor in blocks: where they are worked on, in what precision, and in what memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import array_api_compat as compat
import numpy as np
import numpy.typing as npt

from softunit._array_api import (
    added,
    check_together,
    dtypes_of,
    is_elsewhere,
    itemsize,
    like,
    moved,
    namespace,
    to_numpy,
    widened,
)
from softunit._typing import Array, Matrix
from softunit.designs._device_memory import (
    first_block_entries,
    is_out_of_memory,
    smaller_block_entries,
)
from softunit.designs.base import Design, Home, Terms
from softunit.designs.held import HeldDesign

T = TypeVar("T")
DOUBLE = np.zeros(0)


class TensorBlocks(HeldDesign):
    """What `TensorDesign` rests on: an array of another library, cut into blocks of rows."""

    def _hold(self, array: Any) -> None:
        xp = self._xp = namespace(array)
        self.array = array
        self.device = compat.device(array)
        self.shape: tuple[int, int] = (int(array.shape[0]), int(array.shape[1]))
        real = xp.isdtype(array.dtype, "real floating")
        self._single = bool(real and array.dtype != xp.float64)
        self.dtype = np.dtype(np.float32 if self._single else np.float64)
        self._double = "float64" in dtypes_of(xp, self.device)
        self._entries: int | None = None

    @property
    def home(self) -> Home:
        """Always "device"."""
        return "device"

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self.shape[0] * self.shape[1] * itemsize(self.array)

    @property
    def narrowable(self) -> bool:
        """Always, as for a dense array."""
        return True

    @property
    def block_entries(self) -> int:
        """Entries of a block: as many as the free memory of a GPU bears, 134 million at most."""
        if self._entries is None:
            self._entries = first_block_entries(self.array)
        return self._entries

    def placed(self, array: Any) -> Any:
        """Return a NumPy array on the device; one of float64 stays where the device has none."""
        if not (self._double or is_elsewhere(array)) and array.dtype == np.float64:
            return array
        return like(array, self.array)

    def beside(self, array: Any, name: str = "the array") -> Any:
        """Return an array of the rows as NumPy, from NumPy or from the device of this one.

        Raises
        ------
        InputError
            If it is on another device.
        """
        check_together(("A", self.array), (name, array))
        return to_numpy(array) if is_elsewhere(array) else array

    def reduce(
        self,
        function: Callable[[Design, tuple[Any, ...]], Terms],
        arrays: tuple[Any, ...] = (),
        folds: Sequence[np.ufunc] | None = None,
    ) -> Terms:
        """Return the terms of function(self, arrays) as floats and NumPy arrays.

        Raises
        ------
        InputError
            If the memory of the device bears no block of rows beside the array.
        """
        terms = self._until_it_fits(lambda: function(self, arrays))
        return tuple(to_numpy(term) if is_elsewhere(term) else term for term in terms)

    def narrow(self) -> Self:
        """Return the array in float32."""
        xp = self._xp
        return self if self.array.dtype == xp.float32 else self._of(self._in(xp.float32))

    def rows(self, index: slice | npt.NDArray[np.integer]) -> Self:
        """Return the design of some rows; a slice shares memory."""
        if isinstance(index, slice):
            # The standard wants bounds within the array.
            return self._of(self.array[slice(*index.indices(self.shape[0])), :])
        return self._take(index, 0)

    def columns(self, index: npt.NDArray[np.integer]) -> Self:
        """Return a copy of some columns."""
        return self._take(index, 1)

    def toarray(self) -> Matrix:
        """Return A as a float64 NumPy array."""
        a = self.array
        if self._single and a.dtype != self._xp.float32:  # NumPy may not know its dtype
            a = self._in(self._xp.float32)
        return np.asarray(to_numpy(a), dtype=np.float64)

    def _until_it_fits(self, work: Callable[[], T]) -> T:
        """Return work(), in smaller blocks from now on where it runs out of memory."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._entries = smaller_block_entries(self.array, self.block_entries, error)

    def _by_rows(self, x: Array, part: Callable[[Any], Any]) -> Array:
        """Return part(array of these rows) for each block, one below the other, as NumPy."""
        out = np.empty((*x.shape[1:], self.shape[0])).T

        def fill() -> Array:
            for rows, block in self.blocks(self._size(x)):
                out[rows] = to_numpy(part(block._for(x)))  # type: ignore[attr-defined]
            return out

        return self._until_it_fits(fill)

    def _summed(
        self, part: Callable[[slice, Any], Any], *, for_: Array = DOUBLE, size: int | None = None
    ) -> Array:
        """Return the sum of part(rows, array of these rows) over blocks, as NumPy, in float64.

        The array is in the precision of a product with `for_`.
        """

        def add() -> Any:
            total: Any = None
            for rows, block in self.blocks(size or self._size(for_)):
                more = widened(part(rows, block._for(for_)))  # type: ignore[attr-defined]
                total = more if total is None else added(total, more)
            return total

        return to_numpy(self._until_it_fits(add))

    def _size(self, v: Array) -> int:
        """Return how many rows a block has for a product with v."""
        columns = v.shape[1] if v.ndim == 2 else 1
        return max(1, self.block_entries // (self.shape[1] + 2 * columns))

    def _for(self, v: Any) -> Any:
        """Return the array in the precision of a product with v: float32 if both are that."""
        single = v.dtype == (self._xp.float32 if is_elsewhere(v) else np.float32)
        return self._in(self._xp.float32) if single and self._single else self._exact()

    def _exact(self) -> Any:
        """Return the array in float64: on the device, or as NumPy where it has none."""
        return self._in(self._xp.float64) if self._double else self.toarray()

    def _in(self, dtype: Any) -> Any:
        return self._xp.astype(self.array, dtype, copy=False)

    def _take(self, index: npt.NDArray[np.integer], axis: int) -> Self:
        where = moved(np.asarray(index), self._xp, self.device)
        return self._of(self._xp.take(self.array, where, axis=axis))

    def _of(self, array: Any) -> Self:
        """Return a design of another array, in blocks as large as here."""
        part = object.__new__(type(self))
        part._hold(array)
        part._entries = self._entries
        return part

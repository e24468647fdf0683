"""A design held as a dense array of PyTorch, CuPy or another library, on the device it is on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

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
    matching,
    moved,
    namespace,
    to_numpy,
    widened,
)
from softunit._typing import Array, Matrix, Vector
from softunit.curvature import BlockRows, RowSoftmax
from softunit.designs._device_memory import (
    first_block_entries,
    is_out_of_memory,
    no_memory,
    smaller_block_entries,
)
from softunit.designs.base import Design, Home, Terms
from softunit.errors import InputError

T = TypeVar("T")
DOUBLE = np.zeros(0)


class TensorDesign(Design):
    """A dense array of PyTorch, CuPy or any other library of the array API standard, not copied.

    Products are made where the array is, in blocks of rows, in float64, or in float32 for a
    `narrow` block. Points, targets and weights are NumPy arrays and are moved to the device as
    blocks need them. float32, half precision and integers are widened block by block. Where the
    device has no float64, as Apple's, blocks that must be float64 are worked on as NumPy.

    Products with NumPy arrays give NumPy arrays; those with arrays of the design's own kind give
    arrays of that kind. Where a block does not fit the memory of the device, smaller ones follow.

    Parameters
    ----------
    array : torch.Tensor, cupy.ndarray or other array of the standard, of shape (n, d)
        Of real numbers. A tensor that requires a gradient is used as a constant.

    Raises
    ------
    InputError
        If it is no such array, has not two axes with at least one row and one column, or holds
        complex numbers.

    Notes
    -----
    float32 products on CUDA follow PyTorch's setting: with TF32 switched on by
    ``torch.set_float32_matmul_precision`` they have three digits. Every step is confirmed in
    float64, so the answer stays the same.
    """

    def __init__(self, array: Any) -> None:
        if not is_elsewhere(array):
            raise InputError(
                "TensorDesign takes an array of PyTorch, CuPy or another library of the array API"
                f" standard; got {type(array).__name__}. For NumPy there is DenseDesign."
            )
        if array.ndim != 2 or 0 in array.shape:
            raise InputError(f"A must have shape (n, d) with n, d >= 1; got {tuple(array.shape)}.")
        xp = namespace(array)
        if xp.isdtype(array.dtype, "complex floating"):
            raise InputError("A holds complex numbers; take its real part, or split it into two.")
        if compat.is_torch_array(array):
            array = array.detach()
        self._hold(array)

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
        self._moments: tuple[Vector, Vector] | None = None

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

    def narrow(self) -> TensorDesign:
        """Return the array in float32."""
        xp = self._xp
        return self if self.array.dtype == xp.float32 else self._of(self._in(xp.float32))

    def placed(self, array: Any) -> Any:
        """Return a NumPy array on the device; one of float64 stays where the device has none."""
        if not (self._double or is_elsewhere(array)) and array.dtype == np.float64:
            return array
        return like(array, self.array)

    def beside(self, array: Any) -> Any:
        """Return an array of the rows as NumPy, from NumPy or from the device of this one.

        Raises
        ------
        InputError
            If it is on another device.
        """
        check_together(("A", self.array), ("an array of its rows", array))
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

    def _until_it_fits(self, work: Callable[[], T]) -> T:
        """Return work(), in smaller blocks from now on where it runs out of memory."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._entries = smaller_block_entries(self.array, self.block_entries, error)

    def matvec(self, x: Array) -> Array:
        """Return A x, (n,) or (n, K): NumPy for NumPy, else of the array's kind."""
        if is_elsewhere(x):
            a = self._for(x)
            return a @ matching(x, a)  # type: ignore[no-any-return]
        return self._by_rows(x, lambda a: a @ matching(x, a))

    def rmatvec(self, g: Array) -> Array:
        """Return A' g, (d,) or (d, K): NumPy for NumPy, else of the array's kind."""
        if is_elsewhere(g):
            a = self._for(g)
            return a.T @ matching(g, a)  # type: ignore[no-any-return]
        return self._summed(lambda rows, a: a.T @ matching(g[rows], a), for_=g)

    def rows(self, index: slice | npt.NDArray[np.integer]) -> TensorDesign:
        """Return the design of some rows; a slice shares memory."""
        if isinstance(index, slice):
            # The standard wants bounds within the array.
            return self._of(self.array[slice(*index.indices(self.shape[0])), :])
        return self._take(index, 0)

    def gathered(self, index: npt.NDArray[np.integer]) -> TensorDesign:
        """Return a copy of some rows in float32, on the device."""
        return self.rescaled(None, None, index=index, narrow=True)

    def rescaled(
        self,
        centre: Vector | None,
        scale: Vector | None,
        *,
        intercept: bool = False,
        index: npt.NDArray[np.integer] | None = None,
        narrow: bool = False,
    ) -> TensorDesign:
        """Return a copy [(A - 1 m') diag(1/s), 1] on the device, made block by block.

        Parameters
        ----------
        centre, scale : ndarray of shape (d,), or None
            m and s.
        intercept : bool, default False
            Whether to append the column of ones.
        index : ndarray of int or None, default None
            The rows to take; None takes all.
        narrow : bool, default False
            Whether the copy is float32; it is where the device has no float64.

        Raises
        ------
        InputError
            If the memory of the device does not bear it.
        """
        xp, d = self._xp, self.shape[1]
        n = self.shape[0] if index is None else len(index)
        dtype = xp.float64 if self._double and not narrow else xp.float32
        size = max(64, self.block_entries // d)
        try:
            out = xp.ones((n, d + intercept), dtype=dtype, device=self.device)
            for start in range(0, n, size):
                part = slice(start, min(start + size, n))
                some = self.rows(part if index is None else index[part])
                if centre is None and scale is None:
                    out[part, :d] = some._in(dtype)
                    continue
                # Differences of float64: a centre far from zero leaves no digits to float32.
                a = some._exact()
                if centre is not None:
                    a = a - like(centre, a)
                if scale is not None:
                    a = a / like(scale, a)
                out[part, :d] = matching(a, out)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            needed = (8 if dtype == xp.float64 else 4) * n * (d + intercept)
            raise no_memory(self.array, error, needed) from error
        return self._of(out)

    def less(self, centre: Vector) -> TensorDesign:
        """Return a copy with a centre taken off each row, on the device."""
        return self.rescaled(centre, None)

    def columns(self, index: npt.NDArray[np.integer]) -> TensorDesign:
        """Return a copy of some columns."""
        return self._take(index, 1)

    def toarray(self) -> Matrix:
        """Return A as a float64 NumPy array."""
        a = self.array
        if self._single and a.dtype != self._xp.float32:  # NumPy may not know its dtype
            a = self._in(self._xp.float32)
        return np.asarray(to_numpy(a), dtype=np.float64)

    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column; without weights they are kept."""
        if weights is None:
            if self._moments is None:
                self._moments = self._measured(np.full(self.shape[0], 1 / self.shape[0]))
            return self._moments[0].copy(), self._moments[1].copy()
        return self._measured(weights / weights.sum())

    def _measured(self, share: Vector) -> tuple[Vector, Vector]:
        mean = self._summed(lambda rows, a: like(share[rows], a) @ a)

        def squares(rows: slice, a: Any) -> Any:
            moved_ = a - like(mean, a)
            return like(share[rows], a) @ (moved_ * moved_)

        return mean, self._summed(squares)

    def abs_matvec(self, x: Array) -> Array:
        """Return |A| x for x >= 0, (n,) or (n, K)."""
        return self._by_rows(x, lambda a: namespace(a).abs(a) @ matching(x, a))

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return |A|' g for g >= 0 of shape (n,)."""
        return self._summed(lambda rows, a: like(g[rows], a) @ namespace(a).abs(a))

    def weighted_gram(self, weights: Vector, centre: Vector | None = None) -> Matrix:
        """Return (A - 1 c')' diag(p) (A - 1 c'), (d, d), from rows less their centre."""

        def part(rows: slice, a: Any) -> Any:
            a = a if centre is None else a - like(centre, a)
            return a.T @ (like(weights[rows], a)[:, None] * a)

        return self._summed(part)

    def _block_rows(self, curvature: BlockRows) -> Matrix:
        if not isinstance(curvature, RowSoftmax):
            return super()._block_rows(curvature)
        entries = self.shape[1] * (1 + curvature.probabilities.shape[1])
        size = max(1, self.block_entries // entries)
        return self._summed(lambda rows, a: curvature[rows].block_gram(a), size=size)

    def _by_rows(self, x: Array, part: Callable[[Any], Any]) -> Array:
        """Return part(array of these rows) for each block, one below the other, as NumPy."""
        out = np.empty((*x.shape[1:], self.shape[0])).T

        def fill() -> Array:
            for rows, block in self.blocks():
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
            for rows, block in self.blocks(size):
                more = widened(part(rows, block._for(for_)))  # type: ignore[attr-defined]
                total = more if total is None else added(total, more)
            return total

        return to_numpy(self._until_it_fits(add))

    def _for(self, v: Any) -> Any:
        """Return the array in the precision of a product with v: float32 if both are that."""
        single = v.dtype == (self._xp.float32 if is_elsewhere(v) else np.float32)
        return self._in(self._xp.float32) if single and self._single else self._exact()

    def _exact(self) -> Any:
        """Return the array in float64: on the device, or as NumPy where it has none."""
        return self._in(self._xp.float64) if self._double else self.toarray()

    def _in(self, dtype: Any) -> Any:
        return self._xp.astype(self.array, dtype, copy=False)

    def _take(self, index: npt.NDArray[np.integer], axis: int) -> TensorDesign:
        where = moved(np.asarray(index), self._xp, self.device)
        return self._of(self._xp.take(self.array, where, axis=axis))

    def _of(self, array: Any) -> TensorDesign:
        """Return a design of another array, in blocks as large as here."""
        part = object.__new__(TensorDesign)
        part._hold(array)
        part._entries = self._entries
        return part

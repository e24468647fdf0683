"""A design held as a dense array of PyTorch, CuPy or another library, on the device it is on."""

from __future__ import annotations

from typing import Any

import array_api_compat as compat
import numpy as np
import numpy.typing as npt

from softunit._array_api import is_elsewhere, like, matching, namespace
from softunit._typing import Array, Matrix, Vector
from softunit.curvature import BlockRows, RowSoftmax
from softunit.designs._device_memory import is_out_of_memory, no_memory
from softunit.designs._tensor_blocks import TensorBlocks
from softunit.errors import InputError


class TensorDesign(TensorBlocks):
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
        If it is no such array, is sparse, has not two axes with at least one row and one column,
        or holds complex numbers.

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
            if str(array.layout) != "torch.strided":
                raise InputError(
                    f"A is a tensor of layout {array.layout}: make it dense, or pass a SciPy sparse"
                    " matrix, which stays sparse."
                )
            array = array.detach()
        self._hold(array)

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

    def _measured(self, share: Vector) -> tuple[Vector, Vector]:
        mean = self._summed(lambda rows, a: like(share[rows], a) @ a)

        def squares(rows: slice, a: Any) -> Any:
            moved_ = a - like(mean, a)
            return like(share[rows], a) @ (moved_ * moved_)

        return mean, self._summed(squares)

    def abs_matvec(self, x: Array) -> Array:
        """Return |A| x for x >= 0, (n,) or (n, K)."""
        return self._by_rows(x, lambda a: namespace(a).abs(a) @ matching(x, a))

    def largest_terms(self, x: Array) -> float:
        """Return max_i sum_j |a_ij| |x_j|: what rounding of a score scales with."""

        def largest() -> float:
            found = []
            for _, block in self.blocks(self._size(x)):
                a = block._for(x)  # type: ignore[attr-defined]
                xp = namespace(a)
                found.append(float(xp.max(xp.abs(a) @ matching(np.abs(x), a))))
            return max(found)

        return self._until_it_fits(largest)

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

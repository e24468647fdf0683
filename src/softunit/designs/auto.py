"""From what users hold to a design."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from softunit._array_api import check_finite, is_elsewhere, seen_by_numpy, to_numpy
from softunit._checks import check_finite_columns
from softunit.designs.base import Design
from softunit.designs.dask import DaskDesign, is_dask
from softunit.designs.dense import DenseDesign
from softunit.designs.scaled import ScaledDesign
from softunit.designs.sparse import SparseDesign
from softunit.designs.tensor import TensorDesign
from softunit.errors import InputError


def as_design(a: Any, *, intercept: bool = False) -> Design:
    """Return a design for an array, a tensor, a sparse matrix, a frame or a design.

    Parameters
    ----------
    a : array_like, tensor, scipy sparse, dask array, frame of shape (n, d), or Design
        Contiguous floating-point arrays are not copied, and nor are tensors: one in the memory of
        this machine becomes a `DenseDesign`, one on a device stays there in a `TensorDesign`.
        Frames are those of pandas, polars or dask; Dask's stay with its workers (`DaskDesign`).
    intercept : bool, default False
        Whether to append a column of ones; the columns are then centred inside, which changes
        no score and makes solvers faster.

    Returns
    -------
    Design

    Raises
    ------
    InputError
        If entries are not numbers, are NaN or infinite (column, count and first row are named),
        or the shape is not (n, d).
    """
    design = a if isinstance(a, Design) else _wrap(a)
    if not intercept:
        return design
    return ScaledDesign(design, intercept=True, centre=design.column_moments()[0])


def _wrap(a: Any) -> Design:
    if is_dask(a):
        return DaskDesign(a)
    if sparse.issparse(a):
        rows = SparseDesign(a)
        check_finite_columns(rows.matrix)
        return rows
    if is_elsewhere(a):
        tensor = TensorDesign(a)
        check_finite(tensor.array)
        # In this machine's memory NumPy sees the same entries, and works faster on them.
        return DenseDesign(to_numpy(a)) if seen_by_numpy(a) else tensor
    names = [str(name) for name in a.columns] if hasattr(a, "columns") else None
    try:
        array = np.asarray(a)
        if array.dtype.kind == "c":
            raise InputError("A holds complex numbers; take its real part, or split it into two.")
        if array.dtype.kind not in "fiub":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"A must hold numbers; {error}. Encode text columns first.") from error
    design = DenseDesign(array)
    check_finite_columns(design.array, names)
    return design

"""A design held as a compressed sparse row matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._typing import Array, Matrix, Vector
from softunit.curvature import BlockRows, WeightedRows, recentred
from softunit.designs.base import Design
from softunit.errors import InputError


class SparseDesign(Design):
    """A SciPy sparse matrix as a design. Products with A' use a cached column form.

    Parameters
    ----------
    matrix : scipy sparse matrix or array of shape (n, d)
        Any format; CSR is taken without a copy. float32 stays float32.

    Raises
    ------
    InputError
        If it is not sparse, has no row or no column, or its indices point outside of it.

    Notes
    -----
    SciPy's CSR and CSC products are one loop each and equally fast, so A' g runs on the
    transposed view of the CSR; the column form (as large as the matrix) is built only when a
    weighted Gram is asked for on the whole design, where it saves a conversion per call.
    """

    def __init__(self, matrix: Any) -> None:
        if not sparse.issparse(matrix):
            raise InputError(f"SparseDesign needs a SciPy sparse matrix; got {type(matrix)}.")
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise InputError(f"A must have shape (n, d) with n, d >= 1; got {matrix.shape}.")
        a = checked_csr(matrix)
        if not a.has_canonical_format or len(a.data) > a.nnz:
            a = a.copy()  # the caller's entries stay as they are
            a.prune()
            a.sum_duplicates()
        if a.dtype not in (np.float32, np.float64):
            a = a.astype(np.float64)
        self.matrix = a
        self.shape: tuple[int, int] = (int(a.shape[0]), int(a.shape[1]))
        self.dtype = a.dtype
        self._transposed: Any = None

    @property
    def nbytes(self) -> int:
        """Bytes of entries and indices."""
        return int(self.matrix.data.nbytes + self.matrix.indices.nbytes + self.matrix.indptr.nbytes)

    @property
    def row_entries(self) -> float:
        """Stored entries in a row, on average; at least one."""
        return max(1.0, float(self.matrix.nnz) / self.shape[0])

    @property
    def narrowable(self) -> bool:
        """Always: narrowing touches each entry once, products once for each class."""
        return True

    def narrow(self) -> SparseDesign:
        """Return the design with its entries in float32; indices are shared."""
        if self.dtype == np.float32:
            return self
        with np.errstate(over="ignore"):
            return self._like(self.matrix, self.matrix.data.astype(np.float32))

    def matvec(self, x: Array) -> Array:
        """Return A x, (n,) or (n, K), float64."""
        return np.asarray(self.matrix @ x)

    def rmatvec(self, g: Array) -> Array:
        """Return A' g, (d,) or (d, K), float64."""
        return np.asarray(self.matrix.T @ g)

    def _weighted_rows(self, curvature: WeightedRows) -> Matrix:
        return curvature.expanded_gram(self._weighted_gram, self.rmatvec)

    def _block_rows(self, curvature: BlockRows) -> Matrix:
        return curvature.expanded_gram(self._weighted_gram, self.rmatvec)

    def weighted_gram(self, weights: Vector, centre: Vector | None = None) -> Matrix:
        """Return (A - 1 c')' diag(p) (A - 1 c') through sparse products."""
        gram = self._weighted_gram(weights)
        if centre is None:
            return gram
        return recentred(gram, self.rmatvec(weights), float(weights.sum()), centre)

    def _weighted_gram(self, w: Vector) -> Matrix:
        if self._transposed is None:
            self._transposed = self.matrix.T.tocsr()
        scaled = self.matrix.astype(np.float64).copy()
        scaled.data *= np.repeat(w, np.diff(scaled.indptr))
        return np.asarray((self._transposed @ scaled).toarray())

    def rows(self, index: slice | npt.NDArray[np.integer]) -> SparseDesign:
        """Return the design of some rows; a slice shares the entries."""
        if not isinstance(index, slice):
            return SparseDesign(self.matrix[index])
        start, stop, step = index.indices(self.shape[0])
        if step != 1:
            return SparseDesign(self.matrix[index])
        a, pointers = self.matrix, self.matrix.indptr[start : stop + 1]
        entries = slice(pointers[0], pointers[-1])
        part = type(a)((stop - start, self.shape[1]), dtype=a.dtype)
        part.indices, part.indptr = a.indices[entries], pointers - pointers[0]
        return self._like(part, a.data[entries])

    def columns(self, index: npt.NDArray[np.integer]) -> SparseDesign:
        """Return a copy of some columns."""
        return SparseDesign(self.matrix[:, index])

    @staticmethod
    def _like(matrix: Any, data: Array) -> SparseDesign:
        """Return the design of a canonical CSR matrix with other entries in the same places."""
        part = type(matrix)(matrix.shape, dtype=data.dtype)
        # Assigned rather than passed: the constructor would scan and may copy the indices.
        part.data, part.indices, part.indptr = data, matrix.indices, matrix.indptr
        design = object.__new__(SparseDesign)
        design.matrix, design._transposed = part, None
        design.shape, design.dtype = (int(part.shape[0]), int(part.shape[1])), data.dtype
        return design

    def toarray(self) -> Matrix:
        """Return a dense float64 copy, (n, d)."""
        return np.asarray(self.matrix.toarray(), dtype=np.float64)

    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column, zeros included, not filled in."""
        n, d = self.shape
        share = np.full(n, 1 / n) if weights is None else weights / weights.sum()
        columns, data = self.matrix.indices, self.matrix.data.astype(np.float64)
        each = np.repeat(share, np.diff(self.matrix.indptr))
        mean = np.bincount(columns, weights=each * data, minlength=d)
        stored = np.bincount(columns, weights=each, minlength=d)
        squares = np.bincount(columns, weights=each * (data - mean[columns]) ** 2, minlength=d)
        # Exactly none where every row is stored: a constant column must have variance zero.
        full = np.bincount(columns, minlength=d) == n
        empty = np.where(full, 0.0, np.maximum(1 - stored, 0.0))
        return np.asarray(mean, dtype=np.float64), np.asarray(
            squares + empty * mean**2, dtype=np.float64
        )

    def abs_matvec(self, x: Array) -> Array:
        """Return |A| x, (n,) or (n, K)."""
        return np.asarray(abs(self.matrix) @ x)

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return |A|' g, shape (d,)."""
        return np.asarray(abs(self.matrix).T @ g)


def checked_csr(matrix: Any, what: str = "A") -> Any:
    """Return a sparse matrix as CSR, without a copy if it is; its indices are looked at first.

    SciPy's loops believe the indices: one that points outside would end the process, or add up
    what lies beside the matrix in memory.

    Parameters
    ----------
    matrix : scipy sparse matrix or array
    what : str, default "A"
        How messages call it.

    Raises
    ------
    InputError
        If an index points outside of the matrix; the first is named.
    """
    fault = _fault_of_triples(matrix) if matrix.format == "coo" else _fault_of_lines(matrix)
    if fault:
        raise InputError(
            f"{what} is a broken sparse matrix: {fault}. Something changed its arrays after it was"
            " made: make it anew."
        )
    return matrix.tocsr()


def _fault_of_triples(matrix: Any) -> str:
    """Return what is wrong with the places of a COO matrix, or nothing."""
    for name, index, size in zip(("row", "col"), matrix.coords, matrix.shape, strict=False):
        if len(index) != len(matrix.data):
            return f"`{name}` has {len(index)} entries, `data` {len(matrix.data)}"
        bad = _first_outside(index, size)
        if bad is not None:
            return f"`{name}` holds {index[bad]}, where 0 to {size - 1} can be"
    return ""


def _fault_of_lines(matrix: Any) -> str:
    """Return what is wrong with the indices of a CSR, CSC or BSR matrix, or nothing."""
    if matrix.format not in ("csr", "csc", "bsr"):
        return ""  # other formats come to CSR by way of COO, whose indices they make themselves
    size = np.asarray(matrix.shape) // (matrix.blocksize if matrix.format == "bsr" else 1)
    lines, width = map(int, size[::-1] if matrix.format == "csc" else size)
    pointers, indices = matrix.indptr, matrix.indices
    if len(pointers) != lines + 1 or pointers[0] != 0:
        return f"`indptr` must begin with 0 and have {lines + 1} entries; it has {len(pointers)}"
    falls = np.flatnonzero(pointers[1:] < pointers[:-1])
    if len(falls):
        at = int(falls[0])
        return f"`indptr` falls from {pointers[at]} to {pointers[at + 1]} at entry {at + 1}"
    stored = min(len(indices), len(matrix.data))
    if pointers[-1] > stored:
        return f"`indptr` promises {pointers[-1]} entries where {stored} are stored"
    bad = _first_outside(indices[: pointers[-1]], width)
    if bad is None:
        return ""
    line = int(np.searchsorted(pointers, bad, side="right")) - 1
    line_name, name = ("column", "row") if matrix.format == "csc" else ("row", "column")
    if matrix.format == "bsr":
        line_name, name = "row of blocks", "column of blocks"
    return f"{line_name} {line} has an entry in {name} {indices[bad]}, where 0 to {width - 1} are"


def _first_outside(index: npt.NDArray[np.integer], size: int) -> int | None:
    """Return the place of the first index that is not one of 0 to size - 1."""
    if not len(index) or (index.min() >= 0 and index.max() < size):
        return None
    return int(np.argmax((index < 0) | (index >= size)))

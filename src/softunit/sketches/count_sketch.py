"""Sparse sketches: each row of A is added to a few rows of S A, with random signs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._checks import check_count
from softunit._typing import Array, Matrix, Vector
from softunit.designs import Design, SparseDesign, as_design
from softunit.errors import InputError
from softunit.sketches.base import Drawn, Index, Sketch, check_generator, rows_of_blocks


@dataclass(frozen=True)
class CountSketch(Sketch):
    """S with one entry +-1 in each column, in a random row: work in proportion to nnz(A).

    The cheapest sketch, and the one for sparse A. Where few rows of A matter it needs m of the
    order of d^2, lest two of them meet in one row of S A; several nonzeros mend that.

    Parameters
    ----------
    m : int
        Rows of S.
    nonzeros : int, default 1
        s, nonzeros in each column of S: s independent sketches of m / s rows over sqrt(s), one
        below the other. m must be a multiple of it.

    Raises
    ------
    InputError
        If m or `nonzeros` is below one, or m is not a multiple of `nonzeros`.

    Notes
    -----
    E |U' S'S U - I|_F^2 <= (d^2 + d) / m for orthonormal U and any s, so by Markov
    eps = sqrt((d^2 + d) / (m delta)): K. Clarkson, D. Woodruff (2013), with the constant of
    J. Nelson, H. Nguyen (2013). With s = 1 the numbers drawn are those of
    `scipy.linalg.clarkson_woodruff_transform`; ours takes A block by block.
    """

    nonzeros: int = 1
    source: ClassVar[str] = "Proved: second moments, Nelson and Nguyen (2013), and Markov."

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("nonzeros", self.nonzeros, least=1)
        if self.m % self.nonzeros:
            raise InputError(
                f"`m` must be a multiple of `nonzeros`; got m = {self.m} and nonzeros ="
                f" {self.nonzeros}."
            )

    def draw(self, a: Any, rng: np.random.Generator) -> CountMap:
        """Return S, drawn for a design or array of shape (n, d); only n matters."""
        check_generator(rng)
        n = as_design(a).shape[0]
        rows = self.m // self.nonzeros
        buckets, signs = (
            np.empty((self.nonzeros, n), np.int32),
            np.empty((self.nonzeros, n), np.int8),
        )
        for j in range(self.nonzeros):
            buckets[j] = rng.integers(0, rows, n) + j * rows
            signs[j] = rng.choice([1, -1], n)
        return CountMap(n, self.m, buckets, signs)

    def resized(self, m: int) -> CountSketch:
        """Return the same sketch with m rows, or with the next multiple of `nonzeros`."""
        return CountSketch(-(-m // self.nonzeros) * self.nonzeros, self.nonzeros)

    def _eps(self, n: int, d: int, delta: float) -> float:
        return math.sqrt((d * d + d) / (self.m * delta))


@dataclass(frozen=True, eq=False)
class CountMap(Drawn):
    """A drawn CountSketch: for each row of A the rows of S A that it goes to, and its signs."""

    m: int
    buckets: Index
    signs: npt.NDArray[np.int8]

    def _image(self, design: Design, root: Vector | None) -> Matrix:
        scale = 1 / math.sqrt(len(self.buckets))

        def part(block: tuple[slice, Design]) -> tuple[Matrix]:
            rows, a = block
            signs = scale * self.signs[:, rows] * (1.0 if root is None else root[rows])
            if isinstance(a, SparseDesign):
                return (_scattered(a, self.buckets[:, rows], signs, self.m),)
            count, b = signs.shape
            where = np.ascontiguousarray(self.buckets[:, rows].T).ravel()
            ends = np.arange(0, count * b + 1, count, dtype=np.int32)
            s = sparse.csc_matrix((signs.T.ravel(), where, ends), shape=(self.m, b))
            return (np.asarray(s @ a.toarray()),)

        (total,) = design.over_blocks(part, rows_of_blocks(design, self.m))
        return np.asarray(total)


def _scattered(a: SparseDesign, buckets: Index, signs: Array, m: int) -> Matrix:
    """Return the sketch of some sparse rows, (m, d), from their stored entries."""
    d, matrix = a.shape[1], a.matrix
    stored = np.diff(matrix.indptr)
    out = np.zeros(m * d)
    for where, sign in zip(buckets, signs, strict=True):
        place = np.repeat(where.astype(np.int64) * d, stored) + matrix.indices
        out += np.bincount(place, weights=np.repeat(sign, stored) * matrix.data, minlength=m * d)
    return out.reshape(m, d)

"""The subsampled randomised Hadamard transform."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from softunit._typing import Matrix, Vector
from softunit.designs import Design, as_design
from softunit.errors import InputError
from softunit.sketches.base import Drawn, Index, Sketch, check_generator
from softunit.sketches.bounds import chernoff_eps, flatness

STRIP_ENTRIES = 1 << 17  # transformed at a time: they and their image stay in the cache
RADIX = 16  # rows of the transform that one matrix product does: the fastest measured


@dataclass(frozen=True)
class SRHT(Sketch):
    """S = sqrt(N / m) P H D: random signs, a Hadamard transform, and m of its N rows.

    N is n padded to a power of two, H the orthonormal Walsh-Hadamard matrix of N rows, and P takes
    m of them without replacement. Signs and transform spread every vector over all rows, so that
    the sample does not miss what stands in few of them.

    Parameters
    ----------
    m : int
        Rows of S; at most N.

    Raises
    ------
    InputError
        If m is below one.

    Notes
    -----
    H_N is the Kronecker product of two smaller ones. Blocks of about m rows are transformed in the
    cache and m rows of each are added up with signs: O(n d log m) work in one pass over A, with
    no more memory than a block (N. Ailon, E. Liberty, 2009). With M = (sqrt(d) +
    sqrt(8 log(2 N / delta)))^2 the distortion solves (1 + eps) log(1 + eps) - eps =
    M log(4 d / delta) / m: J. Tropp (2011), Lemma 3.3 and Theorem 2.2. Far fewer rows do in
    practice.
    """

    dense: ClassVar[bool] = True
    source: ClassVar[str] = "Proved: Tropp (2011); measured distortions are several times smaller."

    def draw(self, a: Any, rng: np.random.Generator) -> HadamardMap:
        """Return S, drawn for a design or array of shape (n, d); only n matters.

        Raises
        ------
        InputError
            If m exceeds N, n padded to a power of two.
        """
        check_generator(rng)
        n = as_design(a).shape[0]
        padded = power_above(n)
        if self.m > padded:
            raise InputError(
                f"SRHT takes m = {self.m} rows of a transform that has {padded} ({n} rows padded to"
                " a power of two). Take fewer rows, or work with A itself."
            )
        signs = (2 * rng.integers(0, 2, n, dtype=np.int8) - 1).astype(np.int8)
        picks = np.sort(rng.choice(padded, self.m, replace=False, shuffle=False))
        return HadamardMap(n, signs, picks)

    def _eps(self, n: int, d: int, delta: float) -> float:
        padded = power_above(n)
        if self.m >= padded:
            return 0.0  # all rows of an orthogonal matrix
        return chernoff_eps(self.m, d, delta / 2, flatness(padded, d, delta / 2))

    def entry_eps(self, n: int, d: int, *, delta: float = 0.05) -> float:
        """Return eps: |x' - x*|_inf <= (eps / sqrt(d)) |A x* - b| |A^+|.

        eps = sqrt(d log(n / delta) / m) is the rate of arXiv 2302.00248 with one logarithm for its
        three, and constant one: measured, not proved.

        Parameters
        ----------
        n, d : int
            Rows and columns of A.
        delta : float, default 0.05
            Probability with which the promise may fail.
        """
        self.distortion(n, d, delta=delta)  # refuses what is out of range
        return math.sqrt(d * math.log(n / delta) / self.m)


@dataclass(frozen=True, eq=False)
class HadamardMap(Drawn):
    """A drawn SRHT: the sign of each row of A, and which rows of the transform are taken."""

    signs: npt.NDArray[np.int8]
    picks: Index

    def _image(self, design: Design, root: Vector | None) -> Matrix:
        n, d = design.shape
        m = len(self.picks)
        size = power_below(max(64, m, STRIP_ENTRIES // d))
        size = min(size, power_above(n))
        # Row (high, low) of H_N adds up rows low of the transformed blocks, signed by high.
        high, low = np.divmod(self.picks, size)
        strip = max(8, STRIP_ENTRIES // size)

        def part(block: tuple[slice, Design]) -> tuple[Matrix]:
            rows, a = block
            dense = a.toarray()
            signs = self.signs[rows] * (1.0 if root is None else root[rows])
            out = np.empty((m, d))
            for start in range(0, d, strip):
                columns = slice(start, start + strip)
                work = np.zeros((size, min(strip, d - start)))
                np.multiply(dense[:, columns], signs[:, None], out=work[: len(signs)])
                out[:, columns] = hadamard(work)[low]
            out *= parity_signs(high & (rows.start // size))[:, None]
            return (out,)

        (total,) = design.over_blocks(part, size)
        return np.asarray(total / math.sqrt(m))


def power_above(n: int) -> int:
    """Return the least power of two that is at least n."""
    return 1 << (n - 1).bit_length()


def power_below(n: int) -> int:
    """Return the largest power of two that is at most n."""
    return 1 << (n.bit_length() - 1)


def parity_signs(bits: Index) -> Vector:
    """Return -1 where a number below 2^63 has an odd count of ones in binary, else 1."""
    odd = bits.astype(np.int64)
    for shift in (32, 16, 8, 4, 2, 1):
        odd = odd ^ (odd >> shift)
    return np.asarray(1.0 - 2.0 * (odd & 1), dtype=np.float64)


def hadamard(a: Matrix) -> Matrix:
    """Return H a for the unscaled Walsh-Hadamard matrix H of entries +-1, in natural order.

    Parameters
    ----------
    a : ndarray of shape (2^k, d)
        C-contiguous. The work is O(2^k k d): four levels of butterflies at a time, as one product
        with a matrix of 16 rows.
    """
    n, d = a.shape
    done = 1
    while done < n:
        radix = min(RADIX, n // done)
        groups = a.reshape(n // (radix * done), radix, done * d)
        a = np.matmul(_small_hadamard(radix), groups).reshape(n, d)
        done *= radix
    return a


def _small_hadamard(rows: int) -> Matrix:
    bits = np.arange(rows)
    return parity_signs(bits[:, None] & bits)

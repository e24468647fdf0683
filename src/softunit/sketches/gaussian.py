"""A sketch of independent normal numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from softunit._typing import Matrix, Vector
from softunit.designs import Design, SparseDesign, as_design
from softunit.sketches.base import Drawn, Sketch, check_generator
from softunit.sketches.bounds import gaussian_deviation

CHUNK_ENTRIES = 1 << 19  # normal numbers held at a time


@dataclass(frozen=True)
class Gaussian(Sketch):
    """S with independent normal entries of variance 1/m.

    The best distortion for its rows, at the price of n m normal numbers and n m d multiplications:
    for m of some hundreds, or as the yardstick. S is never held: it is drawn again, chunk by chunk
    of its columns, from one seed.

    Parameters
    ----------
    m : int
        Rows of S.

    Raises
    ------
    InputError
        If m is below one.

    Notes
    -----
    eps = 2 r + r^2 with r = (sqrt(d) + sqrt(2 log(2 / delta))) / sqrt(m): Davidson and Szarek
    (2001), Theorem II.13.
    """

    dense: ClassVar[bool] = True
    source: ClassVar[str] = "Proved: Davidson and Szarek (2001)."

    def draw(self, a: Any, rng: np.random.Generator) -> GaussianMap:
        """Return S, drawn for a design or array of shape (n, d); only n matters."""
        check_generator(rng)
        return GaussianMap(as_design(a).shape[0], self.m, int(rng.integers(1 << 63)))

    def _eps(self, n: int, d: int, delta: float) -> float:
        r = gaussian_deviation(self.m, d, delta)
        return 2 * r + r * r

    def residual_eps(self, n: int, d: int, *, delta: float = 0.05) -> float:
        """Return eps: |A x' - b| <= (1 + eps) min |A x - b|, which falls as d / m.

        S A and S r are independent for the residual r, so |A (x' - x*)| <= q |r| with
        q = r / (1 - r), r the deviation above at delta / 2, and 1 + eps = sqrt(1 + q^2).

        Parameters
        ----------
        n, d : int
            Rows and columns of A.
        delta : float, default 0.05
            Probability with which the promise may fail.
        """
        self.distortion(n, d, delta=delta)  # refuses what is out of range
        r = gaussian_deviation(self.m, d, delta / 2)
        return math.expm1(0.5 * math.log1p((r / (1 - r)) ** 2)) if r < 1 else math.inf

    def entry_eps(self, n: int, d: int, *, delta: float = 0.05) -> float:
        """Return eps: |x' - x*|_inf <= (eps / sqrt(d)) |A x* - b| |A^+|.

        Given S A the entries of x' - x* are normal with standard deviation at most
        |A^+| |A x* - b| / (sqrt(m) (1 - r)), so eps = sqrt(2 d log(4 d / delta) / m) / (1 - r) with
        the deviation r at delta / 2.

        Parameters
        ----------
        n, d : int
            Rows and columns of A.
        delta : float, default 0.05
            Probability with which the promise may fail.
        """
        self.distortion(n, d, delta=delta)
        r = gaussian_deviation(self.m, d, delta / 2)
        if r >= 1:
            return math.inf
        return math.sqrt(2 * d * math.log(4 * d / delta) / self.m) / (1 - r)


@dataclass(frozen=True, eq=False)
class GaussianMap(Drawn):
    """A drawn Gaussian sketch: its rows and the seed of its entries."""

    m: int
    seed: int

    def _image(self, design: Design, root: Vector | None) -> Matrix:
        # The chunks go by m alone, so that every design meets the same numbers.
        size = max(64, CHUNK_ENTRIES // self.m)

        def part(block: tuple[slice, Design]) -> tuple[Matrix]:
            rows, a = block
            rng = np.random.default_rng((self.seed, rows.start // size))
            entries = rng.standard_normal((rows.stop - rows.start, self.m))
            if root is not None:
                entries *= root[rows, None]
            if isinstance(a, SparseDesign):
                return (a.rmatvec(entries).T,)
            return (np.asarray(entries.T @ a.toarray()),)

        (total,) = design.over_blocks(part, size)
        return np.asarray(total / math.sqrt(self.m))

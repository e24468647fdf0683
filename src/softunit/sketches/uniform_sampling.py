"""Every row with the same probability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from softunit._typing import Vector
from softunit.designs import as_design
from softunit.errors import InputError
from softunit.sketches.base import Index, check_generator
from softunit.sketches.bounds import chernoff_eps
from softunit.sketches.row_sampling import RowSampling


@dataclass(frozen=True)
class UniformSampling(RowSampling):
    """A simple random sample of m rows without replacement, each with weight n/m.

    It costs nothing, and misses what stands in few rows: it promises something only where no row
    has a large leverage score.

    Parameters
    ----------
    m : int
        Rows drawn; all of them if there are no more.
    coherence : float or None, default None
        A number that no leverage score of A exceeds, for the promise. None promises nothing.

    Raises
    ------
    InputError
        If m is below one, or the coherence is not in (0, 1].

    Notes
    -----
    With mu the coherence, the distortion solves (1 + eps) log(1 + eps) - eps =
    n mu log(2 d / delta) / m: J. Tropp (2011), Theorem 2.2.
    """

    coherence: float | None = None
    oblivious: ClassVar[bool] = False
    source: ClassVar[str] = (
        "Proved for leverage scores that are at most `coherence`: Tropp (2011), Theorem 2.2."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coherence is not None and not 0 < self.coherence <= 1:
            raise InputError(f"`coherence` must be None or in (0, 1]; got {self.coherence!r}.")

    def sample(self, a: Any, rng: np.random.Generator) -> tuple[Index, Vector]:
        """Return min(m, n) rows in order, and their weights n / min(m, n)."""
        check_generator(rng)
        n = as_design(a).shape[0]
        m = min(self.m, n)
        index = np.sort(rng.choice(n, m, replace=False, shuffle=False))
        return index, np.full(m, n / m)

    def _eps(self, n: int, d: int, delta: float) -> float:
        if self.m >= n:
            return 0.0
        if self.coherence is None:
            return math.inf
        return chernoff_eps(self.m, d, delta, n * self.coherence)

    def _cross(self, n: int, d: int) -> float:
        return n * (1.0 if self.coherence is None else self.coherence)

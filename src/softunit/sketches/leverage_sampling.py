"""Each row with a probability in proportion to its leverage score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from softunit._checks import check_choice, check_count
from softunit._typing import Vector
from softunit.designs import as_design
from softunit.errors import InputError
from softunit.sketches.base import Index, check_generator
from softunit.sketches.bounds import chernoff_eps
from softunit.sketches.leverage import FIRST, METHODS, check_factor, leverage_scores
from softunit.sketches.row_sampling import RowSampling


@dataclass(frozen=True)
class LeverageSampling(RowSampling):
    """m rows drawn independently with probability p_i = tau_i / sum(tau), tau the leverage scores.

    Row i gets the weight count_i / (m p_i), so A' diag(weights) A is unbiased for A'A, and within
    1 +- eps of it for m of the order of d log(d) / eps^2, whatever A is.

    Parameters
    ----------
    m : int
        Rows drawn; a row drawn more than once is returned once.
    method : {"exact", "sketched"}, default "sketched"
        How the scores are found: see `leverage_scores`.
    factor : float, default 2.0
        That sketched scores may be off by, above 1.5. The promise allows for it, and for 1.5 in
        their sum. A large one saves work where many rows are drawn.

    Raises
    ------
    InputError
        If m is below one, the method is unknown, or the factor is not above 1.5.

    Notes
    -----
    The distortion solves (1 + eps) log(1 + eps) - eps = d log(2 d / delta) / m, with 1.5 factor d
    for d where scores are sketched: the summands are at most d / m, and matrix Chernoff bounds do
    the rest (J. Tropp, 2012). With exact scores it is at most sqrt(3 d log(2 d / delta) / m) where
    that is below one.
    """

    method: str = "sketched"
    factor: float = 2.0
    oblivious: ClassVar[bool] = False
    source: ClassVar[str] = "Proved, given the scores: matrix Chernoff, Tropp (2012)."

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("method", self.method, METHODS)
        check_factor(self.factor)

    def sample(
        self, a: Any, rng: np.random.Generator, *, weights: npt.ArrayLike | None = None
    ) -> tuple[Index, Vector]:
        """Return rows in order, at most m, and the weights with which they stand for all.

        Parameters
        ----------
        a : array_like, scipy sparse, frame or Design, of shape (n, d)
        rng : numpy.random.Generator
        weights : array_like of shape (n,) or None, default None
            Rows are drawn by the scores of diag(sqrt(weights)) A; the weights returned do not
            contain these.

        Raises
        ------
        InputError
            If all rows of A are zero: none has a score to be drawn by.
        """
        check_generator(rng)
        design = as_design(a)
        seed = int(rng.integers(1 << 63))
        scores = leverage_scores(
            design, self.method, weights=weights, factor=self.factor, seed=seed
        )
        return drawn_by(scores, self.m, rng)

    def _spread(self, d: int) -> float:
        # p_i >= (tau_i / factor) / (FIRST d), since sketched scores sum up to at most FIRST d.
        return d * (1.0 if self.method == "exact" else self.factor * FIRST)

    def _eps(self, n: int, d: int, delta: float) -> float:
        return chernoff_eps(self.m, d, delta, self._spread(d))

    def _cross(self, n: int, d: int) -> float:
        return self._spread(d)


def drawn_by(scores: Vector, m: int, rng: np.random.Generator) -> tuple[Index, Vector]:
    """Return m independent draws in proportion to scores: rows in order, and count / (m p).

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Nonnegative; rows with score zero are never drawn.
    m : int
        Draws.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        If the scores are all zero.
    """
    check_count("m", m, least=1)
    heights = np.cumsum(scores)
    total = float(heights[-1])
    if not total > 0:
        raise InputError(
            f"all {len(scores)} leverage scores are zero, so no row can be drawn: A, or its rows"
            " that have weight, are zero."
        )
    draws = np.searchsorted(heights, total * rng.random(m), side="right")
    # Rounding may lift a draw to the total itself, which is beyond every row.
    draws = np.minimum(draws, np.searchsorted(heights, total))
    index, count = np.unique(draws, return_counts=True)
    return index, np.asarray(count * total / (m * scores[index]))

"""Ordered classes: the log loss of cumulative logits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.special import expit

from softunit._checks import check_count, check_positive, check_switch
from softunit._numeric import softplus
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.errors import InputError
from softunit.units._adjacent import (
    AdjacentLogits,
    add_own,
    from_right,
    neighbours,
    own,
    spread,
)
from softunit.units._gaps import (
    entropies,
    gap_bends,
    gap_losses,
    gap_slopes,
    in_order,
    middle_conjugates,
)
from softunit.units.base import Bounds, Unit
from softunit.units.recession import Recession


@dataclass(frozen=True)
class CumulativeLogit(Unit):
    """Log loss of ordered classes from their cumulative logits.

    Scores have K - 1 columns, z_k = logit P(class <= k). With y the class of a row, a = z_{y-1}
    (minus infinity for the first class), b = z_y (infinity for the last) and s the row weights::

        value     = sum_i s_i [ softplus(-b) + softplus(a) - log(1 - exp(a - b)) ]
                  = sum_i s_i [ -log( sigma(b) - sigma(a) ) ]
        gradient  = s (-sigma(-b) + r) at column y,  s (sigma(a) - r) at column y - 1
        curvature = s (sigma(b) sigma(-b) + q), s (sigma(a) sigma(-a) + q), and -s q between them
                    r = -1 / (exp(b - a) - 1),  q = 1 / (2 sinh((b - a) / 2))^2

    It is convex, and infinite where a row's own logits are out of order, b <= a: every point that
    a solver accepts gives each row's own class a positive probability.

    Parameters
    ----------
    n_classes : int or None, default None
        K; None takes it from the target, its largest label plus one.
    differences : bool, default False
        Whether scores are t with z_k = t_0 + ... + t_k: the first logit, then the gaps between
        neighbours. Coefficients are then differences of adjacent ones, which PRESTO penalises.
    least_gap : float, default 0.0
        Own gaps b - a must be larger than this. Where it is positive, `bounds` has a finite
        concordance.

    Notes
    -----
    Derivations: docs/maths/cumulative-logit. The model with one set of coefficients is that of
    P. McCullagh (1980), "Regression models for ordinal data"; differences are those of G. Faletto
    and J. Bien (2023), "Predicting rare events by shrinking towards proportional odds".
    """

    n_classes: int | None = None
    differences: bool = False
    least_gap: float = 0.0
    rowwise: ClassVar[bool] = True
    outcome: ClassVar[str] = "level"

    def __post_init__(self) -> None:
        if self.n_classes is not None:
            check_count("n_classes", self.n_classes, least=2)
        check_switch("differences", self.differences)
        check_positive("least_gap", self.least_gap, zero=True)

    def check(self, target: object, n: int) -> Array:
        """Return the classes as int64 (n,) with entries 0 to K - 1.

        Raises
        ------
        InputError
            If the shape does not match, or a class is negative, not whole or beyond `n_classes`.
        """
        codes = np.asarray(target)
        if codes.shape != (n,):
            raise InputError(
                f"the classes have shape {codes.shape}, but A has {n} rows: they must be ({n},)."
            )
        if codes.dtype.kind not in "iub":
            raise InputError(
                f"the classes must be whole numbers 0 to K - 1 in their order; got dtype"
                f" {codes.dtype}. OrdinalClassifier takes labels of any type."
            )
        low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
        if low < 0 or (self.n_classes is not None and high >= self.n_classes):
            top = "K - 1" if self.n_classes is None else self.n_classes - 1
            raise InputError(f"the classes must lie in 0 to {top}; got {low if low < 0 else high}.")
        if self.n_classes is None and high == 0:
            raise InputError("one class only: all are 0. Give `n_classes` or more data.")
        return codes.astype(np.int64, copy=False)

    def columns(self, target: Array) -> int:
        """Return K - 1."""
        k = int(target.max()) + 1 if self.n_classes is None else self.n_classes
        return k - 1

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the weighted sum of log losses for scores (n, K - 1)."""
        above, below, gap = self._own_logits(z, target)
        return self._total(above, below, gap, (z.shape[1], target), weights)

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by the scores, shape (n, K - 1)."""
        m = z.shape[1]
        above, below, gap = self._own_logits(z, target)
        value = self._total(above, below, gap, (m, target), weights)
        up, down, pull = -expit(-above), expit(below), self._pulls(gap, target, m)
        if weights is not None:
            up, down, pull = weights * up, weights * down, weights * pull
        if not self.differences:
            return value, spread(up + pull, down - pull, target, m)
        gradient = from_right(spread(up, down, target, m))
        add_own(gradient, pull, target)
        return value, gradient

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> AdjacentLogits:
        """Return the second derivative by the scores; both kinds are the same."""
        m = z.shape[1]
        above, below, gap = self._own_logits(z, target)
        middle = (target > 0) & (target < m)
        up = np.where(target < m, expit(above) * expit(-above), 0.0)
        down = np.where(target > 0, expit(below) * expit(-below), 0.0)
        bend = np.where(middle, gap_bends(np.where(middle, gap, 1.0), self.least_gap), 0.0)
        if weights is not None:
            up, down, bend = weights * up, weights * down, weights * bend
        return AdjacentLogits(target, up, down, bend, m, self.differences)

    def conjugate(self, v: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the sum over rows of the conjugate of their loss, for v as gradients are.

        For a class at an end p log p + (1 - p) log(1 - p), with p the size of the one entry over s;
        for others the least sum of such terms and that of the gap. Entries that no gradient has are
        taken for rounding.
        """
        if self.least_gap > 0:
            return math.nan
        if self.differences:
            v = v - np.column_stack([v[:, 1:], np.zeros(len(v))])
        s = np.ones(len(v)) if weights is None else weights
        heard = np.flatnonzero((s > 0) | v.any(axis=1))
        above, below = neighbours(v[heard], target[heard])
        with np.errstate(divide="ignore", invalid="ignore"):
            upper, lower = -above / s[heard], below / s[heard]
        y = target[heard]
        middle = (y > 0) & (y < v.shape[1])
        own = np.where(y == 0, entropies(upper), entropies(lower))
        own[middle] = middle_conjugates(lower[middle], upper[middle])
        return float(s[heard] @ own) if np.isfinite(own).all() else math.inf

    @staticmethod
    def log_probabilities(z: Matrix) -> Matrix:
        """Return the logarithm of the probability of each class, (n, K), from logits (n, K - 1).

        Logits out of order are put in order first, so that no probability is negative; a class
        between two equal ones has probability zero, and minus infinity here.
        """
        z = np.sort(z, axis=1)
        out = np.zeros((len(z), z.shape[1] + 1))
        out[:, :-1] -= softplus(-z)
        out[:, 1:] -= softplus(z)
        # log(sigma(b) - sigma(a)) without cancellation.
        out[:, 1:-1] -= gap_losses(np.diff(z, axis=1))
        return out

    def gaps(self, z: Matrix, target: Array) -> Vector:
        """Return z_y - z_{y-1} of each row, (n,); for a class at an end it means nothing."""
        return self._own_logits(z, target)[2]

    def start(self, target: Array, weights: Vector | None = None) -> Vector:
        """Return the scores, (K - 1,), that fit best if all rows have the same.

        Parameters
        ----------
        target : ndarray of shape (n,)
        weights : ndarray of shape (n,) or None, default None

        Raises
        ------
        InputError
            If a class has no weight: two thresholds would fall together, or lie at infinity.
        """
        k = self.columns(target) + 1
        totals = np.bincount(target, weights=weights, minlength=k)
        empty = np.flatnonzero(totals == 0)
        if len(empty):
            raise InputError(
                f"class {empty[0]} of {k} has no row with weight: its thresholds would collapse."
                " Leave it out, and number the others 0 to K - 1."
            )
        up_to, beyond = np.cumsum(totals)[:-1], np.cumsum(totals[::-1])[::-1][1:]
        z = np.log(up_to) - np.log(beyond)
        return np.diff(z, prepend=0.0) if self.differences else z

    def recession(self, target: Array, columns: int, weights: Vector | None = None) -> Recession:
        """Return z_y >= 0 and -z_{y-1} >= 0 for the class y of each row of positive weight.

        Gaps then widen by themselves. `own` is y, `other` the class beyond the logit.
        """
        n, m = len(target), columns
        rows = np.arange(n) if weights is None else np.flatnonzero(weights > 0)
        y = target[rows]
        high, low = np.flatnonzero(y < m), np.flatnonzero(y > 0)
        plus = np.concatenate([rows[high] * m + y[high], np.full(len(low), -1)])
        minus = np.concatenate([np.full(len(high), -1), rows[low] * m + y[low] - 1])
        own_class = np.concatenate([y[high], y[low]])
        sides = np.stack([own_class, np.concatenate([y[high] + 1, y[low] - 1])])
        equal = np.zeros(len(plus), dtype=bool)
        found = Recession.of_pairs(plus, minus, n * m, equal, sides)
        if not self.differences:
            return found
        sums = sparse.kron(sparse.eye_array(n), np.tril(np.ones((m, m))), format="csr")
        return replace(found, forms=sparse.csr_array(found.forms @ sums))

    def why_infinite(self, z: Array, target: Array) -> str:
        """Return the sentence on the first row whose own logits are out of order."""
        m = z.shape[1]
        _, _, gap = self._own_logits(z, target)
        middle = (target > 0) & (target < m)
        bad = np.flatnonzero(middle & ~in_order(gap, self.least_gap))
        if not len(bad):
            return ""
        i, y = int(bad[0]), int(target[bad[0]])
        return (
            f" The cumulative logits {y - 1} and {y} of row {i}, which has class {y}, are out of"
            f" order: their gap is {gap[i]:.3g}. Start from intercepts in order, as those of"
            " `CumulativeLogit.start`."
        )

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return: convex and nonnegative; concordant where there is no gap or gaps are bounded.

        A row of norm one moves a logit by at most 1 and a gap by at most sqrt(2); in differences a
        logit by at most sqrt(K - 1) and a gap by at most 1.
        """
        m = self.columns(target)
        heaviest = 1.0 if weights is None else float(weights.max())
        if m == 1:
            return Bounds(True, 0.0, 0.0, 0.25 * heaviest, concordance=1.0)
        if self.least_gap == 0:
            return Bounds(True, 0.0, 0.0)
        each = 1 / math.tanh(self.least_gap / 2)
        reach = max(math.sqrt(m), each) if self.differences else math.sqrt(2.0) * each
        return Bounds(True, 0.0, 0.0, concordance=reach)

    def _own_logits(self, scores: Matrix, target: Array) -> tuple[Vector, Vector, Vector]:
        """Return z_y, z_{y-1} and their gap in each row."""
        if not self.differences:
            above, below = neighbours(scores, target)
            return above, below, above - below
        above, below = neighbours(np.cumsum(scores, axis=1), target)
        return above, below, own(scores, target)

    def _total(
        self,
        above: Vector,
        below: Vector,
        gap: Vector,
        classes: tuple[int, Array],
        weights: Vector | None,
    ) -> float:
        m, target = classes
        losses = np.where(target < m, softplus(-above), 0.0)
        losses += np.where(target > 0, softplus(below), 0.0)
        middle = np.flatnonzero((target > 0) & (target < m))
        losses[middle] += gap_losses(gap[middle], self.least_gap)
        if weights is None:
            return float(losses.sum())
        # A row without weight has no say, also where it is out of order.
        return float((weights * np.where(weights > 0, losses, 0.0)).sum())

    def _pulls(self, gap: Vector, target: Array, m: int) -> Vector:
        """Return the derivative of the barrier by the gap, zero for the classes at the ends."""
        middle = (target > 0) & (target < m)
        slopes = gap_slopes(np.where(middle, gap, 1.0), self.least_gap)
        return np.where(middle, slopes, 0.0)

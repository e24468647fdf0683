"""The log loss of proportional odds, taken apart into rows that do not meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._checks import check_positive
from softunit._typing import Array, Kind, Vector
from softunit.curvature import Diagonal
from softunit.errors import InputError
from softunit.units._gaps import (
    entropies,
    gap_bends,
    gap_conjugates,
    gap_losses,
    gap_slopes,
    in_order,
)
from softunit.units.base import Bounds, Unit
from softunit.units.recession import Recession

LOWER, UPPER, GAP = 0, 1, 2
"""Kinds of row: the cumulative logit below a class, the one above it, and what lies between."""

KINDS = 3


@dataclass(frozen=True)
class OrderedTerms(Unit):
    """Logistic losses of cumulative logits, and a barrier for the gaps between thresholds.

    The log loss of an observation of class y with cumulative logits a = z_{y-1} and b = z_y is
    softplus(a) + softplus(-b) - log(1 - exp(a - b)). Where all observations share one set of
    coefficients, b - a is the gap between two thresholds, so that the three terms are rows of one
    design, each with a score of its own. The target is 3 k + kind, with k the threshold::

        kind LOWER = 0, k = y - 1   softplus(z)           z = a
        kind UPPER = 1, k = y       softplus(-z)          z = b
        kind GAP = 2, k = y         -log(1 - exp(-z))     z = b - a, infinite unless z > 0

    Parameters
    ----------
    least_gap : float, default 0.0
        Gaps must be larger than this. Where it is positive, `bounds` has a finite concordance:
        |D^3| of a gap is coth(z / 2) times its curvature.

    Notes
    -----
    Derivations: docs/maths/cumulative-logit.
    """

    least_gap: float = 0.0
    rowwise: ClassVar[bool] = True
    outcome: ClassVar[str] = "level"

    def __post_init__(self) -> None:
        check_positive("least_gap", self.least_gap, zero=True)

    def check(self, target: object, n: int) -> Array:
        """Return the terms of the rows as int32 (n,).

        Raises
        ------
        InputError
            If they are not n whole numbers >= 0.
        """
        terms = np.asarray(target)
        if terms.shape != (n,):
            raise InputError(
                f"the terms have shape {terms.shape}, but A has {n} rows: give one each."
            )
        if terms.dtype.kind not in "iu" or int(terms.min(initial=0)) < 0:
            found = terms.dtype if terms.dtype.kind not in "iu" else terms.min()
            raise InputError(f"the terms must be whole numbers >= 0, 3 k + kind; got {found}.")
        return terms.astype(np.int32, copy=False)

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the weighted sum of the terms for scores (n,); infinite out of order."""
        return self.value_gradient(z, target, weights)[0]

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, shape (n,)."""
        kind = target % KINDS
        m = _turned(z, kind)
        small = np.exp(-np.abs(m))
        losses = np.maximum(m, 0.0) + np.log1p(small)
        gradient = _turned(np.where(m >= 0, 1.0, small) / (1.0 + small), kind)
        gap = np.flatnonzero(kind == GAP)
        losses[gap] = gap_losses(z[gap], self.least_gap)
        gradient[gap] = gap_slopes(z[gap], self.least_gap)
        if weights is None:
            return float(losses.sum()), gradient
        # A row without weight has no say, also where it is out of order.
        return float((weights * np.where(weights > 0, losses, 0.0)).sum()), weights * gradient

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Diagonal:
        """Return the second derivative by z: rows do not meet. Both kinds are the same."""
        small = np.exp(-np.abs(z))
        bend = small / (1.0 + small) ** 2
        gap = np.flatnonzero(target % KINDS == GAP)
        bend[gap] = gap_bends(z[gap], self.least_gap)
        return Diagonal(bend if weights is None else weights * bend)

    def conjugate(self, v: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the sum of p log p + (1 - p) log(1 - p) and of q log q - (1 + q) log(1 + q).

        With p = v / s or -v / s for the logits and q = -v / s for gaps.
        """
        if self.least_gap > 0:
            return math.nan
        s = np.ones(len(v)) if weights is None else weights
        heard = np.flatnonzero((s > 0) | (v != 0))
        with np.errstate(divide="ignore"):
            each, kind = v[heard] / s[heard], target[heard] % KINDS
        own = np.where(kind == GAP, gap_conjugates(-each), entropies(_turned(each, kind)))
        return float(s[heard] @ own) if np.isfinite(own).all() else math.inf

    def recession(self, target: Array, columns: int, weights: Vector | None = None) -> Recession:
        """Return -a >= 0 and b >= 0 for the cumulative logits beside the class of an observation.

        Gaps then widen by themselves. `own` is that class, `other` the one beyond the logit.
        """
        level, kind = np.divmod(target, KINDS)
        heard = kind != GAP if weights is None else (kind != GAP) & (weights > 0)
        rows = np.flatnonzero(heard)
        up = kind[rows] == UPPER
        plus, minus = np.where(up, rows, -1), np.where(up, -1, rows)
        beside = np.stack([level[rows], level[rows] + 1]).astype(np.int64)
        sides = np.where(up, beside, beside[::-1])
        return Recession.of_pairs(plus, minus, len(target), np.zeros(len(rows), dtype=bool), sides)

    def why_infinite(self, z: Array, target: Array) -> str:
        """Return the sentence on the first gap that is not positive."""
        bad = np.flatnonzero((target % KINDS == GAP) & ~in_order(z, self.least_gap))
        if not len(bad):
            return ""
        return (
            f" The gap in row {bad[0]} is {z[bad[0]]:.3g}, but thresholds must rise strictly: start"
            " from thresholds in order."
        )

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return: convex and nonnegative; concordant where gaps are bounded below."""
        heaviest = 1.0 if weights is None else float(weights.max())
        if not (target % KINDS == GAP).any():
            return Bounds(True, 0.0, 0.0, 0.25 * heaviest, concordance=1.0)
        if self.least_gap == 0:
            return Bounds(True, 0.0, 0.0)
        return Bounds(True, 0.0, 0.0, concordance=1 / math.tanh(self.least_gap / 2))


def _turned(v: Vector, kind: Array) -> Vector:
    """Return v with another sign where the row is of an upper logit."""
    return np.where(kind == UPPER, -v, v)

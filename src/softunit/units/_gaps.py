"""The barrier that keeps two neighbouring cumulative logits apart: -log(1 - exp(-g))."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from softunit._typing import Array, Vector

HALVINGS = 40  # what they leave of a bracket is squared in the value
LEAST = 1e-150  # gap below which squares underflow: out of order to float64


def in_order(gap: Array, least: float = 0.0) -> Array:
    """Return whether each gap is larger than the least one allowed."""
    return np.asarray(gap > max(least, LEAST))


def gap_losses(gap: Vector, least: float = 0.0) -> Vector:
    """Return -log(1 - exp(-g)), infinite where a gap is not larger than the least one."""
    good = in_order(gap, least)
    small = -np.expm1(-np.where(good, gap, 1.0))
    return np.where(good, -np.log(small), np.inf)


def gap_slopes(gap: Vector, least: float = 0.0) -> Vector:
    """Return the derivative, -1 / (exp(g) - 1); zero where the value is infinite."""
    good = in_order(gap, least)
    kept = np.where(good, gap, 1.0)
    return np.where(good, np.exp(-kept) / np.expm1(-kept), 0.0)


def gap_bends(gap: Vector, least: float = 0.0) -> Vector:
    """Return the second derivative, 1 / (2 sinh(g / 2))^2; zero where the value is infinite."""
    good = in_order(gap, least)
    kept = np.where(good, gap, 1.0)
    with np.errstate(over="ignore"):
        return np.where(good, np.exp(-kept) / np.expm1(-kept) ** 2, 0.0)


def entropies(p: Vector) -> Vector:
    """Return p log p + (1 - p) log(1 - p), the conjugate of softplus; infinite outside [0, 1]."""
    inside = (p >= 0) & (p <= 1)
    kept = np.where(inside, p, 0.5)
    return np.where(inside, xlogy(kept, kept) + xlogy(1 - kept, 1 - kept), np.inf)


def gap_conjugates(q: Vector) -> Vector:
    """Return q log q - (1 + q) log(1 + q), the conjugate at -q; infinite where q < 0."""
    good = q >= 0
    kept = np.where(good, q, 1.0)
    return np.where(good, xlogy(kept, kept) - (1 + kept) * np.log1p(kept), np.inf)


def middle_conjugates(lower: Vector, upper: Vector) -> Vector:
    """Return the conjugate of softplus(-b) + softplus(a) - log(1 - exp(a - b)).

    At the derivative (-upper, lower) by (b, a). It is the least over q of the sum of the conjugates
    of the three terms, with upper - q and lower - q for the logistic ones; the derivative in q
    rises, and its root is bisected: any q gives no less.
    """
    low = np.maximum(np.maximum(upper, lower) - 1.0, 0.0)
    high = np.minimum(upper, lower)
    good = low <= high
    low, high = np.where(good, low, 0.0), np.where(good, high, 0.0)
    for _ in range(HALVINGS):
        q = 0.5 * (low + high)
        # exp of the derivative in q, less one: its sign without a logarithm.
        up, down = upper - q, lower - q
        rises = q * (1 - up) * (1 - down) > (1 + q) * up * down
        low, high = np.where(rises, low, q), np.where(rises, q, high)
    q = 0.5 * (low + high)
    total = entropies(np.clip(upper - q, 0, 1)) + entropies(np.clip(lower - q, 0, 1))
    good &= np.isfinite(total)  # infinite where no derivative is like this
    return np.where(good, total, np.inf) + np.where(good, gap_conjugates(q), 0.0)

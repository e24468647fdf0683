"""Tail bounds of random matrices as numbers: how far off a sketch is, how many rows it needs."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.special import lambertw
from scipy.stats import chi2

MOST_ROWS = 1 << 62  # beyond it a bound is not reached by any number of rows


def gaussian_deviation(rows: int, dimension: int, delta: float) -> float:
    """Return r: singular values of a Gaussian matrix lie in [1 - r, 1 + r].

    With entries of variance 1/rows, and with probability 1 - delta::

        r = (sqrt(dimension) + sqrt(2 log(2 / delta))) / sqrt(rows)

    Source: K. Davidson, S. Szarek (2001), "Local operator theory, random matrices and Banach
    spaces", Theorem II.13.
    """
    return (math.sqrt(dimension) + math.sqrt(2 * math.log(2 / delta))) / math.sqrt(rows)


def chernoff_eps(rows: int, dimension: int, delta: float, largest: float) -> float:
    """Return eps: eigenvalues of a sampled Gram lie in [1 - eps, 1 + eps].

    With probability 1 - delta, for a sum of `rows` terms drawn independently, or without
    replacement, whose mean is the identity and each of which is at most largest / rows::

        (1 + eps) log(1 + eps) - eps = largest log(2 dimension / delta) / rows

    It is at most sqrt(3 largest log(2 dimension / delta) / rows) where that is below one. Source:
    J. Tropp (2012), "User-friendly tail bounds for sums of random matrices", Corollary 5.2, and
    (2011), "Improved analysis of the subsampled randomized Hadamard transform", Theorem 2.2.
    """
    exponent = largest * math.log(2 * dimension / delta) / rows
    if exponent < 1e-8:  # the closed form cancels here
        return math.sqrt(2 * exponent)
    return math.expm1(1.0 + float(lambertw((exponent - 1) / math.e).real))


def flatness(n: int, dimension: int, delta: float) -> float:
    """Return M: n |row|^2 of an orthonormal basis after random signs and a Hadamard transform.

    All n rows are within it, but with probability delta: M = (sqrt(dimension) +
    sqrt(8 log(n / delta)))^2, and never above n. Source: J. Tropp (2011), Lemma 3.3.
    """
    return min(float(n), (math.sqrt(dimension) + math.sqrt(8 * math.log(n / delta))) ** 2)


def least_rows(bound: Callable[[int], float], target: float, least: int = 1) -> int:
    """Return the least number of rows whose bound is at most the target; `MOST_ROWS` if none is.

    Parameters
    ----------
    bound : callable
        Falls with its argument.
    target : float
    least : int, default 1
        Where the search begins.
    """
    high = max(1, least)
    while bound(high) > target:
        if high >= MOST_ROWS:
            return MOST_ROWS
        high *= 2
    low = max(least, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if bound(middle) <= target else (middle + 1, high)
    return high


def directions_needed(n: int, factor: float, delta: float) -> int:
    """Return k: n mean squares of k normal numbers are all within a factor of one.

    With probability 1 - delta, by the union of n chi-square tails on both sides.
    """

    def missed(k: int) -> float:
        return float(n * (chi2.cdf(k / factor, k) + chi2.sf(k * factor, k)))

    return least_rows(missed, delta)

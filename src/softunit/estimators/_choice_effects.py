"""What choice coefficients mean: elasticities of probabilities, and rates of exchange."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import norm

from softunit._checks import check_positive
from softunit._groups import Groups
from softunit._typing import Array, Matrix, Vector
from softunit.errors import InputError


@dataclass(frozen=True, eq=False)
class Elasticities:
    """Per cent by which probabilities change for each per cent of one column.

    Attributes
    ----------
    own : ndarray of shape (n,)
        Of each row's probability by its own entry: b x (1 - p).
    cross : ndarray of shape (n,)
        Of the probability of every other row of the set by this row's entry: -b x p.
    alternatives : ndarray of shape (K,) or None
    table : ndarray of shape (K, K) or None
        Entry (i, j): of the share of alternative i by the column of alternative j, over the sets
        that offer both, each set weighted by the probability of i.

    Notes
    -----
    Source: K. Train, "Discrete Choice Methods with Simulation" (2009), section 3.6; averages are
    weighted by probability as in section 2.5 there.
    """

    own: Vector
    cross: Vector
    alternatives: Array | None = None
    table: Matrix | None = None


def elasticities_of(
    p: Vector,
    change: Vector,
    groups: Groups,
    names: Array | None = None,
    codes: npt.NDArray[np.int32] | None = None,
) -> Elasticities:
    """Return elasticities for probabilities p and change = coefficient * column, both (n,)."""
    own, cross = change * (1 - p), -change * p
    if codes is None or names is None:
        return Elasticities(own, cross)
    k, sets = len(names), groups.codes
    shape = (k, groups.count)

    def by_alternative(v: Vector) -> sparse.csr_array:
        """(K, sets), sparse: nothing is held for alternatives that a set does not offer."""
        return sparse.csr_array(sparse.coo_array((v, (codes, sets)), shape=shape))

    weight, offered = by_alternative(p), by_alternative(np.ones(len(p)))
    offered.data[:] = 1.0
    effect = np.asarray((weight @ by_alternative(cross).T).toarray())
    # A row meets itself by its own effect; other rows of its alternative by their cross effects.
    effect[np.diag_indices(k)] += np.bincount(codes, weights=p * (own - cross), minlength=k)
    total = np.asarray((weight @ offered.T).toarray())
    table = np.divide(effect, total, out=np.full((k, k), np.nan), where=total > 0)
    return Elasticities(own, cross, names, table)


@dataclass(frozen=True, eq=False)
class WillingnessToPay:
    """How much of one column makes up for one unit of another: -b_j / b_price.

    Attributes
    ----------
    names : tuple of str
        Columns and constants but the price.
    price : str
    values : ndarray of shape (m,)
    standard_errors : ndarray of shape (m,)
        By the delta method: the square root of g' V g, g = (-1 / b_price, b_j / b_price^2).

    Notes
    -----
    The delta method takes the ratio for linear over the spread of b_price: where that is not well
    away from zero its intervals are too short, and the ratio itself has no moments.

    Source: W. Greene, "Econometric Analysis" (8th ed.), section 18.2.
    """

    names: tuple[str, ...]
    price: str
    values: Vector
    standard_errors: Vector

    def confidence_intervals(self, level: float = 0.95) -> Matrix:
        """Return the ends of normal intervals, shape (m, 2).

        Parameters
        ----------
        level : float, default 0.95

        Raises
        ------
        InputError
            Unless 0 < level < 1.
        """
        if check_positive("level", level) >= 1:
            raise InputError(f"`level` must be below 1; got {level!r}.")
        reach = norm.ppf(0.5 + level / 2) * self.standard_errors
        return np.column_stack([self.values - reach, self.values + reach])

    def __str__(self) -> str:
        ends = self.confidence_intervals()
        wide = max(len(name) for name in (*self.names, "willingness to pay"))
        lines = [f"{'willingness to pay':{wide}}  {'estimate':>11} {'error':>11}   95% interval"]
        for name, value, error, (low, high) in zip(
            self.names, self.values, self.standard_errors, ends, strict=True
        ):
            lines.append(f"{name:{wide}}  {value:11.5g} {error:11.5g}   {low:.5g} to {high:.5g}")
        return "\n".join([*lines, f"in units of {self.price}, errors by the delta method"])


def willingness(
    names: tuple[str, ...], price: int, coef: Vector, covariance: Matrix
) -> WillingnessToPay:
    """Return the ratios of all coefficients to that of the price.

    Raises
    ------
    InputError
        If the coefficient of the price is zero, or it is the only one.
    """
    others = np.delete(np.arange(len(names)), price)
    b = coef[price]
    if b == 0 or not len(others):
        why = "it is zero, and so can pay for nothing" if b == 0 else "there is no other column"
        raise InputError(f"no willingness to pay in units of {names[price]!r}: {why}.")
    values = -coef[others] / b
    # d(-b_j / b) = -db_j / b + b_j / b^2 db
    own, cross = np.diagonal(covariance)[others], covariance[others, price]
    variance = (own + 2 * values * cross + values**2 * covariance[price, price]) / b**2
    told = tuple(names[j] for j in others)
    return WillingnessToPay(told, names[price], values, np.sqrt(np.maximum(variance, 0.0)))

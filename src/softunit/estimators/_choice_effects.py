"""What choice coefficients mean: elasticities of probabilities, and rates of exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import norm

from softunit._checks import check_positive, counted
from softunit._groups import Groups
from softunit._typing import Array, Matrix, Vector
from softunit.errors import InputError
from softunit.estimators._choice_tables import Table, shown_cells
from softunit.inference.frames import named_frame

SHOWN = 30  # alternatives of a printed table; a frame holds them all


@dataclass(frozen=True, eq=False)
class Elasticities:
    """Per cent by which probabilities change for each per cent of one column.

    Printed, and in a notebook, it is the table of averages; `frame` gives numbers.

    Attributes
    ----------
    own : ndarray of shape (n,)
        Of each row's probability by its own entry: b x (1 - p).
    cross : ndarray of shape (n,)
        Of the probability of every other row of the set by this row's entry: -b x p.
    alternatives : ndarray of shape (K,) or None
    table : ndarray of shape (K, K) or None
        Entry (i, j): of the share of alternative i by the column of alternative j, over the sets
        that offer both, each set weighted by the probability of i; nan where none does.
    column : str
        The column that changes.

    Notes
    -----
    Source: K. Train, "Discrete Choice Methods with Simulation" (2009), section 3.6; averages are
    weighted by probability as in section 2.5 there.
    """

    own: Vector = field(repr=False)
    cross: Vector = field(repr=False)
    alternatives: Array | None = field(default=None, repr=False)
    table: Matrix | None = field(default=None, repr=False)
    column: str = ""

    def frame(self) -> Any:
        """Return a pandas frame: the table of averages, or own and cross of each row without it.

        Of the table, rows are the alternatives whose shares change, and columns those whose entry
        does; `attrs` hold the name of the column.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        facts = {"column": self.column}
        if self.table is None or self.alternatives is None:
            each = {"own": self.own, "cross": self.cross}
            return named_frame("Elasticities.frame", each, None, ("row", None), facts)
        names = self.alternatives.tolist()
        columns = dict(zip(names, self.table.T, strict=True))
        return named_frame("Elasticities.frame", columns, names, ("share of", "by"), facts)

    def __str__(self) -> str:
        return self._told().to_text()

    def _repr_html_(self) -> str:
        return self._told().to_html()

    def _told(self) -> Table:
        by = f"Per cent of probability for each per cent of {self.column or 'the column'}"
        if self.table is None or self.alternatives is None:
            each = np.stack([self.own, self.cross])
            spread = np.stack([each.mean(axis=1), each.min(axis=1), each.max(axis=1)], axis=1)
            columns, cells = ("mean", "least", "largest"), shown_cells(spread, ".4g")
            of = f"{by}, in {counted(len(self.own), 'row')}; alternatives make it a table."
            return Table("elasticities", columns, ("own", "cross"), cells, (of,))
        names = tuple(map(str, self.alternatives[:SHOWN].tolist()))
        cells = shown_cells(self.table[:SHOWN, :SHOWN], ".3f")
        notes = [f"{by}: of the share in the row, by the alternative in the column."]
        left = len(self.alternatives) - SHOWN
        if left > 0:
            notes.append(f"{counted(left, 'alternative')} more in frame().")
        return Table("elasticities", names, names, cells, tuple(notes))


def elasticities_of(
    p: Vector,
    change: Vector,
    groups: Groups,
    column: str,
    told: tuple[Array, npt.NDArray[np.int32]] | None = None,
) -> Elasticities:
    """Return elasticities for probabilities p and change = coefficient * column, both (n,).

    Parameters
    ----------
    p, change : ndarray of shape (n,)
    groups : Groups
    column : str
        Its name.
    told : (ndarray of shape (K,), ndarray of int of shape (n,)) or None, default None
        Names of the alternatives, and the number of each row's.
    """
    own, cross = change * (1 - p), -change * p
    if told is None:
        return Elasticities(own, cross, column=column)
    names, codes = told
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
    return Elasticities(own, cross, names, table, column)


@dataclass(frozen=True, eq=False)
class WillingnessToPay:
    """How much of one column makes up for one unit of another: -b_j / b_price.

    Printed, and in a notebook, it is a table; `frame` gives numbers.

    Attributes
    ----------
    names : tuple of str
        Columns and constants but the price.
    price : str
    values : ndarray of shape (m,)
    standard_errors : ndarray of shape (m,)
        By the delta method: the square root of g' V g, g = (-1 / b_price, b_j / b_price^2).
    warning : str
        Why the coefficients are no optimum, and the tables show no intervals; empty where they are
        one.

    Notes
    -----
    The delta method takes the ratio for linear over the spread of b_price: where that is not well
    away from zero its intervals are too short, and the ratio itself has no moments.

    Source: W. Greene, "Econometric Analysis" (8th ed.), section 18.2.
    """

    names: tuple[str, ...]
    price: str
    values: Vector = field(repr=False)
    standard_errors: Vector = field(repr=False)
    warning: str = ""

    @property
    def converged(self) -> bool:
        """Whether the coefficients are an optimum; without that the tables hold no intervals."""
        return not self.warning

    def confidence_intervals(self, level: float = 0.95) -> Matrix:
        """Return the ends of normal intervals, shape (m, 2); see `converged` before their use.

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

    def frame(self, level: float = 0.95) -> Any:
        """Return a pandas frame, one row for each name.

        Its columns are estimate, std_error, lower and upper, the last two nan where the fit has
        not converged. Its `attrs` hold price, converged, warning and level.

        Parameters
        ----------
        level : float, default 0.95

        Raises
        ------
        InputError
            Unless 0 < level < 1.
        MissingExtraError
            If pandas is not installed.
        """
        low, high = self._ends(level).T
        columns = {
            "estimate": self.values,
            "std_error": self.standard_errors,
            "lower": low,
            "upper": high,
        }
        facts = {
            "price": self.price,
            "converged": self.converged,
            "warning": self.warning,
            "level": level,
        }
        axes = ("willingness to pay", None)
        return named_frame("WillingnessToPay.frame", columns, self.names, axes, facts)

    def _ends(self, level: float) -> Matrix:
        ends = self.confidence_intervals(level)
        return ends if self.converged else np.full_like(ends, np.nan)

    def __str__(self) -> str:
        return self._told().to_text()

    def _repr_html_(self) -> str:
        return self._told().to_html()

    def _told(self) -> Table:
        numbers = np.column_stack([self.values, self.standard_errors, self._ends(0.95)])
        shown = 4 if self.converged else 2
        return Table(
            "willingness to pay",
            ("estimate", "error", "95% from", "to")[:shown],
            self.names,
            shown_cells(numbers[:, :shown], ".5g"),
            (f"in units of {self.price}, errors by the delta method",),
            self.warning,
        )


def willingness(
    names: tuple[str, ...], price: int, coef: Vector, covariance: Matrix, problem: str = ""
) -> WillingnessToPay:
    """Return the ratios of all coefficients to that of the price.

    Parameters
    ----------
    names : tuple of str
    price : int
    coef : ndarray of shape (q,)
    covariance : ndarray of shape (q, q)
    problem : str, default ""
        Why the coefficients are no optimum.

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
    errors = np.sqrt(np.maximum(variance, 0.0))
    warning = problem and f"NOT CONVERGED, so no intervals. {problem}"
    return WillingnessToPay(told, names[price], values, errors, warning)

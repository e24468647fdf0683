"""What coefficients of choices mean, as plain data: rates of exchange, and elasticities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softunit._typing import Matrix, Vector


@dataclass(frozen=True)
class Worth:
    """What one unit of a column is worth, with the error and the interval of that.

    Attributes
    ----------
    feature : str
    value, error, low, high : float
        The ends of the interval are nan where the fit has not converged.
    """

    feature: str
    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Willingness:
    """How much of a price makes up for one unit of each other column: -b_j / b_price.

    Attributes
    ----------
    price : str
        The column whose units the answers are in.
    kind : str
        Of the errors, in words.
    rows : tuple of Worth
    name : str
        The kind of the errors, as it is asked for.
    level : float
        Of the intervals.
    believed : bool
        Whether the fit converged.
    notes : tuple of str
    """

    price: str
    kind: str
    rows: tuple[Worth, ...]
    name: str = "classical"
    level: float = 0.95
    believed: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ElasticityTable:
    """By how many per cent shares change for one per cent of a column, by alternative.

    Attributes
    ----------
    column : str
    alternatives : tuple of str
    table : tuple of tuples of float
        Entry (i, j): of the share of alternative i by the column of alternative j; nan where no
        set offers both.
    believed : bool
        Whether the fit converged.
    """

    column: str
    alternatives: tuple[str, ...]
    table: tuple[tuple[float, ...], ...]
    believed: bool = True

    @property
    def rows(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """Each alternative with its row."""
        return tuple(zip(self.alternatives, self.table, strict=True))


def worths(
    names: Sequence[str], values: Vector, errors: Vector, intervals: Matrix
) -> tuple[Worth, ...]:
    """Return a row for each column.

    Parameters
    ----------
    names : sequence of m str
    values, errors : ndarray of shape (m,)
    intervals : ndarray of shape (m, 2)
    """
    return tuple(
        Worth(name, float(value), float(error), float(low), float(high))
        for name, value, error, (low, high) in zip(names, values, errors, intervals, strict=True)
    )


def elasticity_table(
    column: str, alternatives: Sequence[str], table: Matrix, *, believed: bool = True
) -> ElasticityTable:
    """Return a table of elasticities as plain data.

    Parameters
    ----------
    column : str
    alternatives : sequence of K str
    table : ndarray of shape (K, K)
    believed : bool, default True
        Whether the fit converged.
    """
    rows = tuple(tuple(row) for row in np.asarray(table, dtype=np.float64).tolist())
    return ElasticityTable(column, tuple(alternatives), rows, believed)

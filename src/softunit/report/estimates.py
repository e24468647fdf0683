"""Coefficients with their errors, as plain data: for the page, the terminal and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from softunit._typing import Vector

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
DASH = "\N{EN DASH}"
LEGEND = "*** p < 0.001, ** p < 0.01, * p < 0.05"

_KINDS = {
    "classical": "classical: they trust the model",
    "robust": "robust (HC0): they trust that observations are independent, not the model",
    "HC0": "robust (HC0): they trust that observations are independent, not the model",
    "HC1": "robust (HC1): HC0 times n / (n - parameters)",
    "clustered": "clustered: they trust that clusters are independent",
}


@dataclass(frozen=True)
class Estimate:
    """One coefficient with what is known of its error.

    Attributes
    ----------
    feature : str
    label : str
        The class it belongs to; empty where there are none.
    value, error, z, p, low, high : float
        Estimate, standard error, their ratio, the probability of a ratio at least as large were
        the coefficient zero, and the ends of the interval. An error of zero belongs to what a
        penalty holds at zero: it has no ratio (nan).
    scale : float
        The standard deviation of its column where known, else 1: estimates of columns in different
        units become comparable when multiplied by it.
    stars : str
        Empty where the fit has not converged.
    """

    feature: str
    label: str
    value: float
    error: float
    z: float
    p: float
    low: float
    high: float
    scale: float = 1.0
    stars: str = ""


@dataclass(frozen=True)
class Estimates:
    """All coefficients of a fit with their errors.

    Attributes
    ----------
    rows : tuple of Estimate
    kind : str
        Of the errors, in words.
    name : str
        The same, as it is asked for.
    level : float
        Of the intervals.
    believed : bool
        Whether the fit converged; no stars where it did not.
    against : str
        The class that the others are told apart from; empty where there is none.
    facts : tuple of (label, value)
        Log-likelihood, AIC and the like.
    notes : tuple of str
        What the errors mean, as sentences.
    scaled : bool
        Whether `Estimate.scale` holds standard deviations.
    """

    rows: tuple[Estimate, ...]
    kind: str
    name: str = "classical"
    level: float = 0.95
    believed: bool = True
    against: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    scaled: bool = False

    @property
    def groups(self) -> tuple[tuple[str, tuple[Estimate, ...]], ...]:
        """The rows by class, in order."""
        labels = dict.fromkeys(row.label for row in self.rows)
        return tuple(
            (label, tuple(row for row in self.rows if row.label == label)) for label in labels
        )


def estimates(
    names: Sequence[Any],
    coef: Vector,
    errors: Vector,
    *,
    believed: bool,
    level: float = 0.95,
    scale_of: Callable[[str], float] | None = None,
) -> tuple[Estimate, ...]:
    """Return a row for each coefficient: z = coef / error, p from the normal distribution.

    Parameters
    ----------
    names : sequence of str or of (class, column)
    coef, errors : ndarray of shape (q,)
    believed : bool
        Whether the fit converged; else there are no stars.
    level : float, default 0.95
    scale_of : callable or None, default None
        Takes the name of a column, returns its standard deviation.
    """
    reach = float(norm.isf((1 - level) / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(errors > 0, np.asarray(coef, dtype=float) / errors, np.nan)
    p = 2 * norm.sf(np.abs(z))
    rows = []
    for i, name in enumerate(names):
        label, feature = name if isinstance(name, tuple) else ("", name)
        value, error = float(coef[i]), float(errors[i])
        rows.append(
            Estimate(
                feature=str(feature),
                label=str(label),
                value=value,
                error=error,
                z=float(z[i]),
                p=float(p[i]),
                low=value - reach * error,
                high=value + reach * error,
                scale=1.0 if scale_of is None else scale_of(str(feature)),
                stars=stars(float(p[i])) if believed else "",
            )
        )
    return tuple(rows)


def stars(p: float) -> str:
    """Return one to three stars below 0.05, 0.01 and 0.001; none for nan.

    Parameters
    ----------
    p : float
    """
    return next((sign for bound, sign in STARS if p < bound), "")


def kind_in_words(kind: str) -> str:
    """Return what errors of a kind trust.

    Parameters
    ----------
    kind : {"classical", "robust", "HC0", "HC1", "clustered"}
    """
    return _KINDS[kind]


def chance(p: float) -> str:
    """Return a p-value as people write it: ``0.032``, ``<0.001``; a dash where there is none."""
    if math.isnan(p):
        return DASH
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


@dataclass(frozen=True)
class Whisker:
    """An interval in a forest plot, as percentages of its width.

    Attributes
    ----------
    left, right : float
        From 0 to 100, cut at the ends.
    dot : float or None
        Where the estimate is; None where that is beyond what is drawn.
    opens_left, opens_right : bool
        Whether the interval goes on beyond what is drawn.
    """

    left: float
    right: float
    dot: float | None
    opens_left: bool
    opens_right: bool


@dataclass(frozen=True)
class Forest:
    """The geometry of a forest plot of estimates, each times its scale.

    Attributes
    ----------
    low, high : float
        Ends of the axis.
    zero : float
        Where zero lies, from 0 to 100.
    whiskers : tuple of Whisker
        One for each row, in order.
    """

    low: float
    high: float
    zero: float
    whiskers: tuple[Whisker, ...]


WIDEST = 3.0
"""Intervals that reach over so many times further than the median one are cut."""


def forest(rows: Sequence[Estimate]) -> Forest:
    """Return where the intervals of estimates lie on one axis that holds zero.

    Parameters
    ----------
    rows : sequence of Estimate
        At least one.
    """
    ends = np.array([[row.low * row.scale, row.high * row.scale] for row in rows])
    dots = np.array([row.value * row.scale for row in rows])
    reach = np.abs(ends).max(axis=1)
    finite = reach[np.isfinite(reach) & (reach > 0)]
    # One interval without end must not press all others into a line.
    limit = min(float(finite.max()), WIDEST * float(np.median(finite))) if finite.size else 1.0
    low = min(float(np.clip(ends, -limit, limit).min()), 0.0)
    high = max(float(np.clip(ends, -limit, limit).max()), 0.0)
    width = (high - low) or 1.0
    low, high = low - 0.04 * width, high + 0.04 * width

    def place(value: float) -> float:
        return round(100 * min(max((value - low) / (high - low), 0.0), 1.0), 2)

    whiskers = tuple(
        Whisker(
            left=place(left),
            right=place(right),
            dot=place(dot) if low <= dot <= high else None,
            opens_left=bool(left < low),
            opens_right=bool(right > high),
        )
        for (left, right), dot in zip(ends, dots, strict=True)
    )
    return Forest(low, high, place(0.0), whiskers)

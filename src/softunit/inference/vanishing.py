"""Sandwich errors of parameters along which no scores are left: refused, with their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softunit._typing import Vector
from softunit.errors import InputError
from softunit.inference.names import Name, label

ROUNDING = 1e-8  # of the classical error: less than that is what sums of scores leave of zero

SMALL = 0.05  # of the classical error: more than that is no remainder of a fit that has converged


@dataclass(frozen=True)
class Spread:
    """What is known of some parameters, each of shape (m,).

    Attributes
    ----------
    variance : ndarray
        Of the kind that was asked for.
    classical : ndarray
        The classical variance; zero for parameters that a penalty holds at zero.
    step : ndarray
        What Newton's method would still add, L B^-1 g: how far the fit has left each from the
        optimum.
    """

    variance: Vector
    classical: Vector
    step: Vector

    @property
    def errors(self) -> Vector:
        """The standard errors."""
        return np.asarray(np.sqrt(np.maximum(self.variance, 0.0)))

    def check(self, kind: str, names: Sequence[Name]) -> None:
        """Refuse errors that are zero but for rounding, or for what the fit has left.

        Sums of scores that cancel leave rounding of them, and the gradient at the end of the fit
        spread over them: an error no larger than that is none.

        Parameters
        ----------
        kind : str
        names : sequence of str or of (class, column)
            Of these parameters.

        Raises
        ------
        InputError
            If there are such, with their names.
        """
        if kind == "classical":
            return
        errors, plain = self.errors, np.sqrt(np.maximum(self.classical, 0.0))
        left = (errors <= SMALL * plain) & (errors <= np.abs(self.step))
        gone = np.flatnonzero((plain > 0) & ((errors <= ROUNDING * plain) | left))
        if len(gone):
            raise InputError(_vanished(kind, [label(names[i]) for i in gone.tolist()]))


def _vanished(kind: str, names: list[str]) -> str:
    told = ", ".join(map(repr, names[:5]))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    if kind == "clustered":
        return (
            f"no clustered errors for {told}{more}: the scores cancel within every cluster, up to"
            " rounding and what the tolerance of the fit leaves, so that differences between"
            " clusters tell nothing of the spread. Take clusters that group the rows in another"
            " way, or kind='classical'."
        )
    return (
        f"no robust errors for {told}{more}: the fit meets every observation, up to rounding and"
        " its tolerance, so that residuals tell nothing of the spread. Take kind='classical'."
    )

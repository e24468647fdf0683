"""Leverage scores under squared error: the unit of leverage-score inversion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from softunit._checks import check_finite_columns, check_vector
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.errors import InputError
from softunit.units._leverage_curvature import LeverageCurvature
from softunit.units._projection import Projection, Span
from softunit.units.base import Bounds, Unit

NEAR_ZERO = 1e-8  # of the median |s|: where a zero is put for the limit of a derivative


@dataclass(frozen=True, eq=False)
class LeverageScores(Unit):
    """Half squared distance between the leverage scores of diag(1/s) A and given ones.

    With s = z - b, P the projection on the range of diag(1/s) A, sigma = diag(P), row weights w and
    v = dz/s (* is elementwise)::

        value           = 1/2 sum_i w_i (sigma_i - t_i)^2
        change of sigma = -2 (sigma*v - (P.P) v),  (P.P) v = rowsum((Q Q'diag(v)Q) * Q),  P = Q Q'
        gradient        = -2 (sigma*r - (P.P) r) / s,  r = w*(sigma - t)

    Every product costs O(n r^2) for rank r, and nothing of size n by n is made. sigma does not see
    the scale of s, the sign of any s_i, or an invertible change of the columns of A. Where s_i = 0
    nothing is defined: the value is infinite there, and derivatives are limits.

    Parameters
    ----------
    matrix : array_like or sparse matrix of shape (n, d)
        A; kept dense.
    shift : array_like of shape (n,)
        b.

    Raises
    ------
    InputError
        If A is no matrix of finite numbers, or b has another number of rows or is not finite.

    Notes
    -----
    The unit keeps A for itself and never sees the design of the problem: give both the same A. Only
    the number of rows is compared; with another design of as many rows the answer is of no use.

    Source: Li, Song, Wang, Yin, Yu, arXiv 2404.13785. Derivatives: docs/maths/leverage-scores.
    """

    matrix: Any
    shift: Any
    rowwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _checked_matrix(self.matrix))
        b = check_vector("the shift b", self.shift, self.matrix.shape[0])
        object.__setattr__(self, "shift", b)

    @cached_property
    def span(self) -> Span:
        """The range of A, decomposed once."""
        return Span.of(self.matrix)

    def check(self, target: object, n: int) -> Array:
        """Return the target scores as float64 (n,); any finite numbers are accepted.

        Raises
        ------
        InputError
            If `matrix` has not n rows, or the target does not fit.
        """
        if n != len(self.shift):
            raise InputError(
                f"the design has {n} rows, but `matrix` has shape {self.matrix.shape}: both must"
                " be the same A."
            )
        return check_vector("the target scores sigma", target, n)

    def scores(self, z: Vector) -> Vector:
        """Return sigma, shape (n,), in [0, 1] with sum rank(A), for scores z = A x.

        Raises
        ------
        InputError
            If s = z - b has a zero entry; the first row is named.
        """
        s = z - self.shift
        zero = np.flatnonzero(s == 0)
        if len(zero):
            raise InputError(
                f"s = A x - b is zero in {len(zero)} of {len(s)} rows, the first is row {zero[0]}:"
                " leverage scores of diag(1/s) A are not defined there. Move x or b."
            )
        return Projection.scaled(self.span.basis, s).scores

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for z and target scores of shape (n,); infinite where some s_i = 0."""
        s = z - self.shift
        if not (np.isfinite(s).all() and s.all()):
            return math.inf
        r = Projection.scaled(self.span.basis, s).scores - target
        return 0.5 * float(r @ (r if weights is None else weights * r))

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, shape (n,), from one factorisation."""
        if not np.isfinite(z).all():
            return math.inf, np.full(len(z), math.nan)
        s = self._near(z)
        p = Projection.scaled(self.span.basis, s)
        r = p.scores - target
        rho = r if weights is None else weights * r
        gradient = -2 * p.laplacian(rho) / s
        zero = z == self.shift
        gradient[zero] = 0.0  # the limit: sigma is 1 there, and flat
        return (math.inf if zero.any() else 0.5 * float(r @ rho)), np.asarray(gradient)

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> LeverageCurvature:
        """Return the second derivative by its products; "gauss_newton" leaves out r."""
        s = self._near(z)
        p = Projection.scaled(self.span.basis, s)
        w = np.ones(len(s)) if weights is None else weights
        rho = None if kind == "gauss_newton" else w * (p.scores - target)
        return LeverageCurvature(p, s, w, rho)

    def _near(self, z: Vector) -> Vector:
        """Return s = z - b with zeros moved off: derivatives have limits there, quotients none."""
        s = np.asarray(z - self.shift)
        zero = s == 0
        if zero.any():
            s[zero] = NEAR_ZERO * (float(np.median(np.abs(s[~zero]))) if not zero.all() else 1.0)
        return s

    def why_infinite(self, z: Array, target: Array) -> str:
        """Return which row of A x - b is zero, if one is."""
        zero = np.flatnonzero(z == self.shift)
        if not len(zero):
            return ""
        return (
            f" A x - b is zero in row {zero[0]}, where leverage scores are not defined: start"
            " elsewhere, or move the shift."
        )

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return: not convex, nonnegative. Derivatives grow without bound as an s_i goes to 0."""
        return Bounds(convex=False, lower=0.0)


def _checked_matrix(matrix: Any) -> Matrix:
    """Return A as a dense float64 array."""
    try:
        dense = matrix.toarray() if sparse.issparse(matrix) else matrix
        array = np.asarray(dense, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`matrix` must hold numbers; {error}.") from error
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"`matrix` must be A of shape (n, d), n, d >= 1; got shape {array.shape}.")
    check_finite_columns(array, what="`matrix`")
    return array

"""Two losses with an exact and an approximate Hessian, for Newton's method to be tried on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from softunit._checks import check_vector
from softunit._numeric import log_sum_exp, softmax, softplus
from softunit._typing import Array, Kind, Vector
from softunit.curvature import CentredDiagonal, Curvature, Diagonal
from softunit.units.base import Bounds, Unit


@dataclass(frozen=True)
class SmoothMaximum(Unit):
    """mu log sum exp((z - b) / mu); kind="gauss_newton" drops the Hessian's rank-one part.

    With f = softmax((z - b) / mu): gradient f, curvature (diag(f) - f f') / mu.

    Parameters
    ----------
    mu : float, default 0.1
    """

    mu: float = 0.1
    rowwise: ClassVar[bool] = False

    def check(self, target: object, n: int) -> Array:
        """Return b as float64 (n,)."""
        return check_vector("the target b", target, n)

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the smoothed maximum of z - b."""
        return self.mu * log_sum_exp((z - target) / self.mu)

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the value and f, shape (n,)."""
        return self.value(z, target), softmax((z - target) / self.mu)

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Curvature:
        """Return the curvature, or its diagonal part diag(f) / mu."""
        f = softmax((z - target) / self.mu)
        return Diagonal(f / self.mu) if kind == "gauss_newton" else CentredDiagonal(f / self.mu, f)

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return that it is convex, with curvature at most 1 / (2 mu)."""
        return Bounds(convex=True, lowest=0.0, highest=0.5 / self.mu)


@dataclass(frozen=True)
class Logistic(Unit):
    """Logistic loss of labels 0 and 1; kind="gauss_newton" is the empirical Fisher matrix.

    With p = 1 / (1 + exp(-z)): gradient p - y, curvature diag(p (1 - p)); the empirical Fisher
    matrix has (p - y)^2 instead, the outer products of the rows' gradients.
    """

    rowwise: ClassVar[bool] = True

    def check(self, target: object, n: int) -> Array:
        """Return the labels as float64 (n,)."""
        return check_vector("the labels", target, n)

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the weighted sum of the losses."""
        return float(_weighted(softplus(z) - target * z, weights).sum())

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and p - y, shape (n,)."""
        return self.value(z, target, weights), _weighted(expit(z) - target, weights)

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Diagonal:
        """Return the curvature, or the empirical Fisher weights."""
        p = expit(z)
        own = (p - target) ** 2 if kind == "gauss_newton" else p * (1 - p)
        return Diagonal(_weighted(own, weights))

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return that it is convex, at least zero, with curvature at most 1 / 4."""
        return Bounds(convex=True, lower=0.0, lowest=0.0, highest=0.25)


def _weighted(v: Vector, weights: Vector | None) -> Vector:
    return np.asarray(v if weights is None else weights * v)

"""exp, cosh or sinh over all rows, compared with a target up to the sum of their values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._typing import Array, Kind, Vector
from softunit.coupled_curvature import Updated
from softunit.curvature import Diagonal
from softunit.units._curves import Curve, curve_named
from softunit.units._elementwise import checked_target, limited
from softunit.units.base import Bounds, Unit


@dataclass(frozen=True)
class RescaledSquares(Unit):
    """Half squared distance between u(z) and its own sum times a target b.

    With u = exp, cosh or sinh of z, r = u - <u, 1> b, outcome weights s and t = s*r - <b, s*r> 1
    (* is elementwise)::

        value     = 1/2 sum_k s_k r_k^2
        gradient  = u' * t
        curvature = diag(s*u'^2 + u''*t) - u' (s*b*u')' - (s*b*u') u'' + <b, s*b> u' u''

    where u' u'' in the last terms is the outer product. kind="gauss_newton" leaves u''*t out.

    No bound holds the scale of u, which makes two cases vacuous: with exp the value tends to zero
    along any v with A v < 0, whatever b is, and with sinh it is zero at z = 0. `NormalisedSquares`
    divides the scale out. With cosh z = 0 is stationary. Where some z is above 160 (for cosh
    and sinh, |z|) the value counts as infinite.

    Parameters
    ----------
    unit : {"exp", "cosh", "sinh"}

    Raises
    ------
    InputError
        If the unit is none of these.

    Notes
    -----
    Source: Gao, Song, Yin, arXiv 2305.00660; the curvature is derived in docs/maths/rescaled.
    """

    unit: str
    rowwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        curve_named(self.unit)

    @property
    def curve(self) -> Curve:
        """The function u of one score."""
        return curve_named(self.unit)

    def check(self, target: object, n: int) -> Array:
        """Return the target b as float64 (n,); any finite numbers up to 1e65 are accepted."""
        return checked_target(target, n)

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for scores z and target b, both of shape (n,)."""
        u, _, _ = self.curve.derivatives(z)
        return self._loss(z, u - u.sum() * target, weights)

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, shape (n,), finite everywhere."""
        u, slope, _ = self.curve.derivatives(z)
        r = u - u.sum() * target
        q = r if weights is None else weights * r
        return limited(self._loss(z, r, weights), np.asarray(slope * (q - target @ q)))

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Updated:
        """Return the second derivative: a diagonal and two terms that see all rows."""
        u, slope, bend = self.curve.derivatives(z)
        s = np.ones(len(z)) if weights is None else weights
        diagonal = s * slope * slope
        if kind == "exact":
            q = s * (u - u.sum() * target)
            diagonal = diagonal + bend * (q - target @ q)
        sb = s * target
        core = np.array([[target @ sb, -1.0], [-1.0, 0.0]])
        return Updated(Diagonal(diagonal), np.stack([slope, sb * slope], axis=1), core)

    def gradient_terms(self, start: Array, target: Array, weights: Vector | None = None) -> Vector:
        """Return the sizes of the gradient's terms at z = 1, (n,): at z = 0 cosh has none."""
        u, slope, _ = self.curve.derivatives(np.ones(len(target)))
        s = np.ones(len(target)) if weights is None else weights
        q = s * (u + u.sum() * np.abs(target))
        return np.asarray(slope * (q + np.abs(target) @ q))

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return: not convex, nowhere negative; no bound on the curvature is known."""
        return Bounds(convex=False, lower=0.0)

    def _loss(self, z: Array, r: Array, weights: Vector | None) -> float:
        if self.curve.overflows(z).any():
            return math.inf
        return 0.5 * float(r @ r if weights is None else r @ (weights * r))


@dataclass(frozen=True)
class NormalisedSquares(Unit):
    """Half squared distance between u(z) over its sum and a target b: `RescaledSquares` gauged.

    With u = exp, cosh or sinh of z, a = <u, 1>, f = u/a, v = u'/a, outcome weights s, c = f - b,
    t = s*c - <f, s*c> and m = s*(2f - b) (* is elementwise)::

        value     = 1/2 sum_k s_k c_k^2
        gradient  = v * t
        curvature = diag(s*v^2 + u''*t/a) - v (v*m)' - (v*m) v' + (<f, m> + <f, s*c>) v v'

    kind="gauss_newton" has diag(s*v^2) - v (v*s*f)' - (v*s*f) v' + <f, s*f> v v'. With exp it is
    `SoftmaxSquares`, which knows more about itself. cosh and sinh do not see the sign of z. Where
    the sum of sinh is zero the value is infinite.

    Parameters
    ----------
    unit : {"exp", "cosh", "sinh"}

    Raises
    ------
    InputError
        If the unit is none of these.

    Notes
    -----
    Source: Gao, Song, Yin, arXiv 2305.00660, divided by the square of the normaliser; the
    derivatives are derived in docs/maths/rescaled.
    """

    unit: str
    rowwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        curve_named(self.unit)

    def check(self, target: object, n: int) -> Array:
        """Return the target b as float64 (n,); any finite numbers up to 1e65 are accepted."""
        return checked_target(target, n)

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for scores z and target b, both of shape (n,)."""
        return self.value_gradient(z, target, weights)[0]

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, shape (n,), finite everywhere."""
        parts = self._normalised(z)
        if parts is None:
            return math.inf, np.zeros(len(z))
        f, v, _ = parts
        c = f - target
        q = c if weights is None else weights * c
        return 0.5 * float(c @ q), np.asarray(v * (q - f @ q))

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Updated:
        """Return the second derivative: a diagonal and two terms that see all rows."""
        parts = self._normalised(z)
        n = len(z)
        f, v, bend = (np.zeros(n), np.zeros(n), np.zeros(n)) if parts is None else parts
        s = np.ones(n) if weights is None else weights
        if kind == "gauss_newton":
            diagonal, m = s * v * v, s * f
            corner = float(f @ m)
        else:
            q, m = s * (f - target), s * (2 * f - target)
            diagonal = s * v * v + bend * (q - f @ q)
            corner = float(f @ m + f @ q)
        core = np.array([[corner, -1.0], [-1.0, 0.0]])
        return Updated(Diagonal(diagonal), np.stack([v, m * v], axis=1), core)

    def gradient_terms(self, start: Array, target: Array, weights: Vector | None = None) -> Vector:
        """Return the sizes of the gradient's terms, (n,), at z = 1 and where f is b.

        At z = 0 cosh has none.
        """
        parts = self._normalised(np.ones(len(target)))
        assert parts is not None
        size = np.abs(target)
        f, v = np.maximum(parts[0], size), np.maximum(parts[1], size)
        q = f + size if weights is None else weights * (f + size)
        return np.asarray(v * (q + f @ q))

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return: not convex, at least the part of b whose sum is not one."""
        if weights is not None:
            return Bounds(convex=False, lower=0.0)
        missed = 1.0 - float(target.sum())
        missed = missed if abs(missed) > 1e-12 else 0.0  # rounding of the sum
        return Bounds(convex=False, lower=missed**2 / (2 * len(target)))

    def _normalised(self, z: Array) -> tuple[Array, Array, Array] | None:
        """Return u, u' and u'' over <u, 1>, or None where that is zero to rounding."""
        u, slope, bend = curve_named(self.unit).scaled(z)
        total = float(u.sum())
        if abs(total) <= 1e-100 * float(np.abs(slope).max()):
            return None
        return u / total, slope / total, bend / total

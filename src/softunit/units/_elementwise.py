"""What the squared errors of exp, cosh and sinh share: each row has its own score and target."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._checks import check_vector
from softunit._typing import Array, Kind, Vector
from softunit.curvature import Diagonal
from softunit.errors import InputError
from softunit.units._curves import LARGEST, Curve
from softunit.units.base import Bounds, Unit
from softunit.units.theory import Theory

STEEPEST = 1e100  # entry of a gradient where the value is infinite: it is to be refused, not used


def checked_target(target: object, n: int) -> Vector:
    """Return the target b as float64 (n,), or raise `InputError`."""
    b = check_vector("the target b", target, n)
    worst = int(np.argmax(np.abs(b)))
    if abs(b[worst]) > LARGEST:
        raise InputError(
            f"the target b is {b[worst]:.3g} in row {worst}; squared errors of targets beyond"
            f" {LARGEST:.0e} have derivatives beyond float64. Divide b by its largest entry."
        )
    return b


def limited(value: float, gradient: Array) -> tuple[float, Array]:
    """Return value and gradient; where the value is infinite products of the latter stay finite."""
    if value < math.inf:
        return value, gradient
    return value, np.clip(gradient, -STEEPEST, STEEPEST)


@dataclass(frozen=True)
class ElementwiseSquares(Unit):
    """Half squared distance between u(z), entry by entry, and a target b."""

    rowwise: ClassVar[bool] = True
    relative: ClassVar[bool] = True
    curve: ClassVar[Curve]
    extra: ClassVar[float] = 0.0
    """What the paper asks of w^2 beyond b^2 / 2."""

    def check(self, target: object, n: int) -> Array:
        """Return the target b as float64 (n,).

        Raises
        ------
        InputError
            If its shape differs, or an entry is not finite or beyond 1e65.
        """
        return checked_target(target, n)

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for scores z and target b, both (n,); inf at scores beyond 160."""
        u, _, _ = self.curve.derivatives(z)
        return self._loss(z, self.curve.residual(z, u, target), weights)

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and s * u'(z) * (u(z) - b), shape (n,), finite everywhere."""
        u, slope, _ = self.curve.derivatives(z)
        r = self.curve.residual(z, u, target)
        g = slope * r
        return limited(self._loss(z, r, weights), g if weights is None else weights * g)

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Diagonal:
        """Return the second derivative, a diagonal (n,)."""
        u, slope, bend = self.curve.derivatives(z)
        p = slope * slope
        if kind == "exact":
            p = p + bend * self.curve.residual(z, u, target)
        return Diagonal(p if weights is None else weights * p)

    def gradient_terms(self, start: Array, target: Array, weights: Vector | None = None) -> Vector:
        """Return s * |u'(z) b| where u(z) = b, (n,): what rounding leaves of the gradient there.

        The gradient at z = 0 would be no measure: that of cosh vanishes, and beside a target of
        1e8 or 1e-8 it is far too small or too large.
        """
        terms = self.curve.sensitivity(target)
        return terms if weights is None else weights * terms

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return the exact infima of value and curvature over all z, row by row."""
        s = np.ones(len(target)) if weights is None else weights
        rows = s * self._least_curvature(target)
        lowest, missed = float(rows.min()), self._missed(target)
        lower = 0.5 * float(s @ (missed * missed))
        return Bounds(convex=lowest >= 0, lower=lower, lowest=lowest, lowest_rows=rows)

    def theory(self, target: Array) -> Theory:
        """Return the condition w_i^2 >= b_i^2 / 2 (+ 1 for cosh and sinh) + l / sigma_min(A)^2."""
        return Theory(
            source="arXiv 2303.15725: w_i^2 >= b_i^2 / 2 + l / sigma_min(A)^2, and 1 more for cosh"
            " and sinh; its constant exp(O(R^2 + log n)) with one for the O",
            w_squared=0.5 * target * target + self.extra,
            radius_factor=1.0,
            log_rows=1.0,
        )

    def lipschitz_near(
        self, z: Array, target: Array, reach: float, weights: Vector | None = None
    ) -> float:
        """Return the largest third derivative of a row for scores within a distance of z."""
        top = (float(np.abs(z).max()) if self.extra else float(z.max())) + reach
        if top > 160:
            return math.inf
        grown = math.exp(top)
        b = np.abs(target) if weights is None else weights * np.abs(target)
        heaviest = 1.0 if weights is None else float(weights.max())
        # 3 u' u" + u"' (u - b) is at most 4 exp(2 top) + |b| exp(top) for all three curves.
        return 4 * heaviest * grown * grown + float(b.max()) * grown

    @abstractmethod
    def _least_curvature(self, b: Vector) -> Vector:
        """Return the infimum over z of each row's curvature, (n,)."""

    def _missed(self, b: Vector) -> Vector:
        """Return the least |u(z) - b| over z, (n,)."""
        return np.zeros(len(b))

    def _loss(self, z: Array, r: Array, weights: Vector | None) -> float:
        beyond = self.curve.overflows(z)
        if beyond.any() and (weights is None or (weights[beyond] > 0).any()):
            return math.inf
        return 0.5 * float(r @ r if weights is None else r @ (weights * r))

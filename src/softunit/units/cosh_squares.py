"""cosh under squared error: the papers' cosh regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._typing import Vector
from softunit.units._curves import CURVES, Curve
from softunit.units._elementwise import ElementwiseSquares


@dataclass(frozen=True)
class CoshSquares(ElementwiseSquares):
    """Half squared distance between cosh(z), entry by entry, and a target b.

    With row weights s (* is elementwise)::

        value     = 1/2 sum_i s_i (cosh(z_i) - b_i)^2
        gradient  = s * sinh(z) * (cosh(z) - b)
        curvature = diag(s * (cosh(2z) - b * cosh(z))),
                    at least 1 - b for b <= 4, else -1 - b^2 / 8

    Convex if and only if all b <= 1. cosh does not see the sign of z: z = 0 is stationary for
    every b, a maximum where b > 1. kind="gauss_newton" has s * sinh(z)^2. The loss is a sum, never
    a mean. Where some |z| is above 160 it counts as infinite: there the squares of its derivatives
    leave float64.

    Notes
    -----
    Source: Li, Song, Zhou, arXiv 2303.15725; docs/maths/exp-cosh-sinh.
    """

    curve: ClassVar[Curve] = CURVES["cosh"]
    extra: ClassVar[float] = 1.0

    def _least_curvature(self, b: Vector) -> Vector:
        return np.where(b <= 4, 1 - b, -1 - b * b / 8)

    def _missed(self, b: Vector) -> Vector:
        return np.maximum(1 - b, 0.0)

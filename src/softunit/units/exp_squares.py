"""exp under squared error: the papers' exp regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._typing import Vector
from softunit.units._curves import CURVES, Curve
from softunit.units._elementwise import ElementwiseSquares


@dataclass(frozen=True)
class ExpSquares(ElementwiseSquares):
    """Half squared distance between exp(z), entry by entry, and a target b.

    With row weights s (* is elementwise)::

        value     = 1/2 sum_i s_i (exp(z_i) - b_i)^2
        gradient  = s * exp(z) * (exp(z) - b)
        curvature = diag(s * exp(z) * (2 exp(z) - b)),  at least -b^2 / 8 for b > 0

    Convex if and only if all b <= 0, and then no z attains the infimum 1/2 sum s b^2.
    kind="gauss_newton" has s * exp(2z). The loss is a sum, never a mean. Where a score is above 160
    it counts as infinite: there the squares of its derivatives leave float64.

    Notes
    -----
    Source: Li, Song, Zhou, arXiv 2303.15725; docs/maths/exp-cosh-sinh.
    """

    curve: ClassVar[Curve] = CURVES["exp"]

    def _least_curvature(self, b: Vector) -> Vector:
        return np.where(b > 0, -b * b / 8, 0.0)

    def _missed(self, b: Vector) -> Vector:
        return np.maximum(-b, 0.0)

"""sinh under squared error: the papers' sinh regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._typing import Vector
from softunit.units._curves import CURVES, Curve
from softunit.units._elementwise import ElementwiseSquares


@dataclass(frozen=True)
class SinhSquares(ElementwiseSquares):
    """Half squared distance between sinh(z), entry by entry, and a target b.

    With row weights s (* is elementwise)::

        value     = 1/2 sum_i s_i (sinh(z_i) - b_i)^2
        gradient  = s * cosh(z) * (sinh(z) - b)
        curvature = diag(s * (cosh(2z) - b * sinh(z))),  at least 1 - b^2 / 8

    Convex if and only if all |b| <= 2 sqrt(2). kind="gauss_newton" has s * cosh(z)^2 >= s. The
    loss is a sum, never a mean. Where some |z| is above 160 it counts as infinite: there the
    squares of its derivatives leave float64.

    Notes
    -----
    Source: Li, Song, Zhou, arXiv 2303.15725; docs/maths/exp-cosh-sinh.
    """

    curve: ClassVar[Curve] = CURVES["sinh"]
    extra: ClassVar[float] = 1.0

    def _least_curvature(self, b: Vector) -> Vector:
        return np.asarray(1 - b * b / 8)

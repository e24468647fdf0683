"""One softmax over all rows under squared error: the papers' softmax regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._checks import check_vector
from softunit._numeric import softmax
from softunit._typing import Array, Kind, Vector
from softunit.curvature import CentredDiagonal
from softunit.units.base import SOFTMAX_SECOND, Bounds, Unit
from softunit.units.theory import Theory

# Extremal eigenvalues and third derivative in score space for a target in the simplex: attained
# with two rows, and not exceeded in a search over more (docs/maths/softmax-squares).
SIMPLEX_LOWEST, SIMPLEX_HIGHEST, SIMPLEX_LIPSCHITZ = -0.240410, 0.308118, 0.571409


@dataclass(frozen=True)
class SoftmaxSquares(Unit):
    """Half squared distance between softmax(z) and a target b.

    With f = softmax(z), c = f - b and outcome weights s (* is elementwise)::

        value     = 1/2 sum_k s_k c_k^2
        gradient  = f*s*c - <f, s*c> f
        curvature = C' diag(p) C,  C = I - 1 f',  p = f*(s*f + s*c - <f, s*c>)

    Adding a constant to z changes nothing, so curvature @ ones = 0. The exact curvature can be
    indefinite; kind="gauss_newton" has p = s*f*f and is positive semidefinite.

    Notes
    -----
    Source: Deng, Li, Song, arXiv 2304.10411; the centred form is derived in
    docs/maths/softmax-squares.
    """

    rowwise: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True

    def check(self, target: object, n: int) -> Array:
        """Return the target b as float64 (n,); any finite numbers are accepted."""
        return check_vector("the target b", target, n)

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for scores z and target b, both of shape (n,)."""
        c = softmax(z) - target
        return 0.5 * float(c @ c if weights is None else c @ (weights * c))

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, shape (n,)."""
        f = softmax(z)
        c = f - target
        weighted = c if weights is None else weights * c
        return 0.5 * float(c @ weighted), np.asarray(f * (weighted - f @ weighted))

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> CentredDiagonal:
        """Return the second derivative: weights (n,) in the design centred by f (n,)."""
        f = softmax(z)
        own = f if weights is None else weights * f
        if kind == "gauss_newton":
            return CentredDiagonal(weights=f * own, centre=f)
        c = f - target if weights is None else weights * (f - target)
        return CentredDiagonal(weights=f * (own + c - f @ c), centre=f)

    def theory(self, target: Array) -> Theory:
        """Return the conditions of the paper, as the H2O appendix quotes them."""
        return Theory(
            source="arXiv 2304.10411 as quoted in 2306.14048, D.47 and D.48: w_i^2 >= 20 + l /"
            " sigma_min(A)^2",
            w_squared=np.full(len(target), 20.0),
            radius_factor=40.0,
            log_rows=2.0,
            least_radius=10.0,
        )

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return the known constants: sharp ones for b in the simplex, looser ones elsewhere.

        The part of b that no softmax can reach, (1 - sum b)^2 / (2n), bounds the loss below.
        """
        if weights is not None:
            return Bounds(convex=False, lower=0.0)
        total, norm = float(target.sum()), float(np.linalg.norm(target))
        missed = 1.0 - total if abs(1.0 - total) > 1e-12 else 0.0  # rounding of the sum
        lower = missed**2 / (2 * len(target))
        if target.min() >= 0 and total <= 1 + 1e-12:
            lowest, highest, lipschitz = SIMPLEX_LOWEST, SIMPLEX_HIGHEST, SIMPLEX_LIPSCHITZ
        else:
            lowest, highest = -1 / 12 - SOFTMAX_SECOND * norm, 1 / 4 + SOFTMAX_SECOND * norm
            lipschitz = 1.5 * SOFTMAX_SECOND + 0.5 * (1 + norm)
        return Bounds(False, lower, lowest, highest, lipschitz)

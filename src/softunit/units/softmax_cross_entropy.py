"""One softmax over all rows under cross-entropy: the convex companion of `SoftmaxSquares`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._checks import check_vector
from softunit._numeric import log_sum_exp, softmax
from softunit._typing import Array, Kind, Vector
from softunit.curvature import CentredDiagonal
from softunit.errors import InputError
from softunit.units.base import SOFTMAX_SECOND, Bounds, Unit


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Unit):
    """Cross-entropy between a target b >= 0 and softmax(z).

    With f = softmax(z) and beta = sum(b)::

        value     = beta log sum exp(z) - <b, z>
        gradient  = beta f - b
        curvature = C' diag(beta f) C,  C = I - 1 f'

    Convex, where `SoftmaxSquares` is not, with the same minimiser when softmax(Ax) can equal b:
    hence its use as the first phase. Outcome weights multiply b.

    Notes
    -----
    It is the Kullback-Leibler divergence plus a constant, and the loss of a conditional logit with
    one choice set (docs/maths/softmax-cross-entropy).
    """

    rowwise: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True

    def check(self, target: object, n: int) -> Array:
        """Return the target b as float64 (n,).

        Raises
        ------
        InputError
            If an entry is negative (the loss would be unbounded below) or all are zero.
        """
        b = check_vector("the target b", target, n)
        low = np.flatnonzero(b < 0)
        if len(low):
            raise InputError(
                f"the target b holds {len(low)} negative entries; the first is {b[low[0]]} in row"
                f" {low[0]}. Cross-entropy needs b >= 0; SoftmaxSquares takes any b."
            )
        if not b.any():
            raise InputError(f"the target b is zero in all {n} rows: there is nothing to fit.")
        return b

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for scores z and target b, both of shape (n,)."""
        b = target if weights is None else weights * target
        top = float(z.max())
        # Both terms are taken relative to the largest score: no cancellation at |z| ~ 1e9.
        return float(b.sum() * log_sum_exp(z - top) - b @ (z - top))

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and beta f - b, shape (n,)."""
        b = target if weights is None else weights * target
        return self.value(z, target, weights), np.asarray(b.sum() * softmax(z) - b)

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> CentredDiagonal:
        """Return the second derivative; both kinds are the same for this loss."""
        beta = float(target.sum() if weights is None else weights @ target)
        f = softmax(z)
        return CentredDiagonal(weights=beta * f, centre=f)

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return: convex, at least the entropy of b, curvature at most beta / 2."""
        b = target if weights is None else weights * target
        beta = float(b.sum())
        seen = b[b > 0] / beta
        return Bounds(
            convex=True,
            lower=-beta * float(seen @ np.log(seen)),
            lowest=0.0,
            highest=0.5 * beta,
            lipschitz=SOFTMAX_SECOND * beta,
        )

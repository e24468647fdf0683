"""The second derivative of squared errors of leverage scores, matrix-free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softunit._typing import Array, Matrix, Vector
from softunit.curvature import Curvature, Products
from softunit.units._projection import Pairs, Projection


@dataclass(frozen=True)
class LeverageCurvature(Curvature):
    """C of 1/2 sum_i w_i (sigma_i(s) - t_i)^2 by its products, in O(n r^2) each.

    With v = dz/s, L = diag(sigma) - P.P, rho = w * (sigma - t), ds = -2 L v (the change of sigma)
    and M_a = Q' diag(a) Q::

        C dz = -2/s * [ L (w*ds) + ds*rho + v*(3 (P.P) rho - sigma*rho) + 2 (P.P)(v*rho)
                        - 4 rowsum((Q M_rho M_v) * Q) ]

    The Gauss-Newton part is the first term.

    Attributes
    ----------
    projection : Projection
        P.
    s : ndarray of shape (n,)
    weights : ndarray of shape (n,)
        w.
    residual : ndarray of shape (n,) or None
        rho; None leaves the Gauss-Newton part.
    """

    projection: Projection
    s: Vector
    weights: Vector
    residual: Vector | None

    def matvec(self, v: Array) -> Array:
        """Return C v, shape (n,) or (n, K), column by column."""
        if v.ndim == 1:
            return self._product(v)
        return np.stack([self._product(column) for column in v.T], axis=1)

    def _product(self, dz: Vector) -> Vector:
        p, v = self.projection, dz / self.s
        change = -2 * p.laplacian(v)
        weighed, rho = self.weights * change, self.residual
        if rho is None:
            return np.asarray(-2 * p.laplacian(weighed) / self.s)
        moment = p.moment(rho) @ p.moment(v)
        # One pass for all three terms with P.P.
        inner = p.moment(2 * v * rho - weighed) - 2 * (moment + moment.T)
        image = change * rho + p.scores * weighed + v * self._own(rho) + p.forms(inner)
        return np.asarray(-2 * image / self.s)

    def _own(self, rho: Vector) -> Vector:
        """Return what v itself is multiplied by, 3 (P.P) rho - sigma*rho, shape (n,)."""
        return np.asarray(3 * self.projection.squared(rho) - self.projection.scores * rho)

    def gram_in(self, design: Products) -> Matrix:
        """Return A' C A, (d, d), in O(n r^2 d): one pass for the change of sigma, one for the rest.

        V = diag(1/s) A. P.P acts through the pairs K of columns of Q, which all columns of V share;
        the term with M_rho M_v is a contraction of K'V alone.
        """
        pairs, p = Pairs(self.projection), self.projection
        sums = np.zeros((pairs.count, design.shape[1]))
        for rows, k, a in pairs.blocks(design):
            sums += k.T @ (a / self.s[rows, None])
        total, more = np.zeros((design.shape[1],) * 2), np.zeros_like(sums)
        rho, w = self.residual, self.weights
        own = None if rho is None else self._own(rho)
        for rows, k, a in pairs.blocks(design):
            v = a / self.s[rows, None]
            change = 2 * (k @ sums - p.scores[rows, None] * v)
            weighed = w[rows, None] * change
            image = p.scores[rows, None] * weighed
            if rho is not None and own is not None:
                image += rho[rows, None] * change + own[rows, None] * v
                weighed -= 2 * rho[rows, None] * v
            total += v.T @ image
            more += k.T @ weighed
        total = -2 * (total - sums.T @ more)
        if rho is not None:
            moments = pairs.unpacked(sums)
            turned = p.moment(rho) @ moments
            total += 8 * turned.reshape(len(turned), -1) @ moments.reshape(len(moments), -1).T
        return np.asarray((total + total.T) / 2)

    def diagonal(self) -> Matrix:
        """Return the diagonal of C, shape (n, 1), from n products: for checks, not for large n."""
        return np.array([self._product(unit)[i] for i, unit in enumerate(np.eye(len(self.s)))])[
            :, None
        ]

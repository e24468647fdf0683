"""The regression losses by plain NumPy, apart from the package: for peers and for the judge.

Every loss is half a squared length, 1/2 |r(z)|^2, of residuals of scores z = A x. A `Place` holds
what is known at one z, so that residuals, first and second derivatives share it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from softunit._typing import Array, Matrix, Vector

_BYTES = 1 << 25  # of the products of pairs of columns that are held at once


class Place(ABC):
    """Residuals r at scores z, and products with their derivatives; J = dr/dz is (m, n)."""

    residual: Vector

    @property
    def value(self) -> float:
        """1/2 |r|^2."""
        return 0.5 * float(self.residual @ self.residual)

    @property
    def gradient(self) -> Vector:
        """J' r, (n,)."""
        return self.backward(self.residual)

    @abstractmethod
    def forward(self, v: Array) -> Array:
        """Return J v for v of shape (n,) or (n, p)."""

    @abstractmethod
    def backward(self, y: Vector) -> Vector:
        """Return J' y for y of shape (m,)."""

    @abstractmethod
    def curvature(self, v: Vector) -> Vector:
        """Return the second derivative of the loss times v, (n,)."""


class Loss(ABC):
    """A squared loss of scores."""

    @abstractmethod
    def at(self, z: Vector) -> Place:
        """Return residuals and derivatives at scores z, (n,)."""

    @abstractmethod
    def terms(self, n: int) -> Vector:
        """Return the sizes of the gradient's entries that a tolerance is relative to, (n,)."""


def _softmax(z: Vector) -> Vector:
    f = np.exp(z - z.max())
    return np.asarray(f / f.sum())


def _spread(f: Vector, v: Array) -> Array:
    """Return (diag(f) - f f') v."""
    return np.asarray((f * (v - f @ v).T).T)


@dataclass(frozen=True)
class SoftmaxLoss(Loss):
    """r = softmax(z) - b, derivatives as in arXiv 2304.10411.

    ::

        H v = dq*e - <e, dq> f - <f, c> dq,  dq = (diag(f) - f f') v,  c = f - b,  e = c + f
    """

    b: Vector

    def at(self, z: Vector) -> Place:
        """Return the place of z."""
        return _SoftmaxPlace(_softmax(z), self.b)

    def terms(self, n: int) -> Vector:
        """Return |gradient| at z = 0."""
        return np.abs(self.at(np.zeros(n)).gradient)


class _SoftmaxPlace(Place):
    def __init__(self, f: Vector, b: Vector) -> None:
        self.f, self.residual = f, f - b

    def forward(self, v: Array) -> Array:
        return _spread(self.f, v)

    def backward(self, y: Vector) -> Vector:
        return _spread(self.f, y)

    def curvature(self, v: Vector) -> Vector:
        f, c = self.f, self.residual
        dq, e = _spread(f, v), c + f
        return np.asarray(dq * e - (e @ dq) * f - (f @ c) * dq)


Curve = Callable[[Array], Array]
CURVES: dict[str, tuple[Curve, Curve, Curve]] = {
    "exp": (np.exp, np.exp, np.exp),
    "cosh": (np.cosh, np.sinh, np.cosh),
    "sinh": (np.sinh, np.cosh, np.sinh),
}
"""Functions with their first and second derivatives."""


@dataclass(frozen=True)
class CurveLoss(Loss):
    """r = u(z) - b with u = exp, cosh or sinh; H = diag(u'^2 + u" r), as in arXiv 2303.15725."""

    name: str
    b: Vector

    def at(self, z: Vector) -> Place:
        """Return the place of z."""
        u, slope, bend = (curve(z) for curve in CURVES[self.name])
        return _CurvePlace(u - self.b, slope, bend)

    def terms(self, n: int) -> Vector:
        """Return |u'(z) b| where u(z) = b, and |1 - b| where cosh does not reach b < 1."""
        b = self.b
        if self.name == "exp":
            return b * b
        if self.name == "sinh":
            return np.abs(b) * np.sqrt(1 + b * b)
        return np.where(b > 1, b * np.sqrt(np.maximum(b, 1.0) ** 2 - 1), 1 - b)


class _CurvePlace(Place):
    def __init__(self, residual: Vector, slope: Vector, bend: Vector) -> None:
        self.residual, self.slope, self.bend = residual, slope, bend

    def forward(self, v: Array) -> Array:
        return np.asarray((self.slope * v.T).T)

    def backward(self, y: Vector) -> Vector:
        return np.asarray(self.slope * y)

    def curvature(self, v: Vector) -> Vector:
        return np.asarray((self.slope**2 + self.bend * self.residual) * v)


@dataclass(frozen=True)
class TwoLayerLoss(Loss):
    """r = tanh(C softmax(z)) - b with C of shape (m, n), derivatives as in arXiv 2311.15390.

    ::

        H v = J C' diag(phi'^2 + phi" r) C J v + (g*jv - <g, jv> f - <f, g> jv),
        J = diag(f) - f f',  jv = J v,  g = C' (phi'*r)
    """

    C: Matrix
    b: Vector

    def at(self, z: Vector) -> Place:
        """Return the place of z."""
        return _TwoLayerPlace(self.C, self.b, _softmax(z))

    def terms(self, n: int) -> Vector:
        """Return f * |C|' (|phi'| (|phi| + |b|)) at z = 0: the gradient's terms uncancelled."""
        place = _TwoLayerPlace(self.C, self.b, np.full(n, 1 / n))
        sizes = np.abs(place.slope) * (np.abs(place.out) + np.abs(self.b))
        return np.asarray(np.abs(self.C).T @ sizes / n)


class _TwoLayerPlace(Place):
    def __init__(self, C: Matrix, b: Vector, f: Vector) -> None:
        self.C, self.f = C, f
        self.out = np.tanh(C @ f)
        self.residual = self.out - b
        self.slope = 1 - self.out**2

    def forward(self, v: Array) -> Array:
        return np.asarray((self.slope * (self.C @ _spread(self.f, v)).T).T)

    def backward(self, y: Vector) -> Vector:
        return _spread(self.f, self.C.T @ (self.slope * y))

    def curvature(self, v: Vector) -> Vector:
        f, jv = self.f, _spread(self.f, v)
        bend = -2 * self.out * self.slope
        inner = self.C.T @ ((self.slope**2 + bend * self.residual) * (self.C @ jv))
        g = self.C.T @ (self.slope * self.residual)
        return np.asarray(_spread(f, inner) + g * jv - (g @ jv) * f - (f @ g) * jv)


@dataclass(frozen=True)
class LeverageLoss(Loss):
    """r = diag(P) - sigma, P the projection on the range of diag(1/s) A, s = z - b.

    With v = dz/s, the first derivatives are those of arXiv 2404.13785, ::

        dr = -2 (diag(P)*v - (P.P) v),  (P.P) v = rowsum((Q Q'diag(v)Q) * Q),  P = Q Q'
    """

    A: Matrix
    b: Vector
    sigma: Vector

    def at(self, z: Vector) -> Place:
        """Return the place of z."""
        return _LeveragePlace(self.A, z - self.b, self.sigma)

    def terms(self, n: int) -> Vector:
        """Return |gradient| at z = 0."""
        return np.abs(self.at(np.zeros(n)).gradient)


class _LeveragePlace(Place):
    def __init__(self, A: Matrix, s: Vector, sigma: Vector) -> None:
        self.s = s
        if not (np.isfinite(s).all() and s.all()):
            self.Q, self.own = np.full_like(A, np.nan), np.full(len(s), np.nan)
        else:
            self.Q = np.linalg.qr(A / s[:, None])[0]
            self.own = np.einsum("ij,ij->i", self.Q, self.Q)
        self.residual = self.own - sigma

    def _squared(self, v: Vector) -> Vector:
        """Return (P.P) v, (n,)."""
        return np.asarray(np.einsum("ij,ij->i", self.Q @ ((self.Q.T * v) @ self.Q), self.Q))

    def _laplacian(self, v: Vector) -> Vector:
        return np.asarray(self.own * v - self._squared(v))

    def forward(self, v: Array) -> Array:
        if v.ndim == 1:
            return np.asarray(-2 * self._laplacian(v / self.s))
        scaled = v / self.s[:, None]
        # (P.P) V = K (K' V), K the products of pairs of columns of Q: by blocks of rows, since K
        # has d (d + 1) / 2 columns.
        first, second = np.triu_indices(self.Q.shape[1])
        both = np.where(first == second, 1.0, 2.0)
        step = max(1, _BYTES // (8 * len(first)))
        slices = [slice(i, i + step) for i in range(0, len(self.s), step)]
        middle = np.zeros((len(first), v.shape[1]))
        for rows in slices:
            middle += (self.Q[rows][:, first] * self.Q[rows][:, second]).T @ scaled[rows]
        middle *= both[:, None]
        found = self.own[:, None] * scaled
        for rows in slices:
            found[rows] -= (self.Q[rows][:, first] * self.Q[rows][:, second]) @ middle
        return np.asarray(-2 * found)

    def backward(self, y: Vector) -> Vector:
        return np.asarray(-2 * self._laplacian(y) / self.s)

    @cached_property
    def _known(self) -> tuple[Vector, Matrix, Vector]:
        """(P.P) r, Q'diag(r)Q and diag(P)*r - (P.P) r: the same for every product."""
        squared = self._squared(self.residual)
        middle = (self.Q.T * self.residual) @ self.Q
        return squared, middle, self.own * self.residual - squared

    def curvature(self, v: Vector) -> Vector:
        Q, r, v = self.Q, self.residual, v / self.s
        squared, middle, bent = self._known
        change = -2 * self._laplacian(v)
        mixed = np.einsum("ij,ij->i", Q @ (middle @ ((Q.T * v) @ Q)), Q)
        turned = -2 * (v * squared + self._squared(v * r)) + 4 * mixed
        return np.asarray(-2 * (change * r - turned - v * bent) / self.s + self.backward(change))

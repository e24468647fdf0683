"""exp, cosh and sinh: values, slopes and bends that never overflow into nan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from softunit._checks import check_choice
from softunit._typing import Array, Vector

LARGEST = 1e65
"""A target beyond this has a loss whose derivatives, squared in norms, leave float64."""

NEAR = 0.5  # |z| below which exp(z) - b is better taken as expm1(z) - (b - 1)

Derivatives: TypeAlias = tuple[Array, Array, Array]


def cap(dtype: np.dtype[np.floating]) -> float:
    """Return the score up to which derivatives are finite, and their squares, times some data."""
    return 160.0 if dtype == np.float64 else 40.0


class Curve(ABC):
    """A function u of one score, with what fitting it to b takes."""

    @abstractmethod
    def derivatives(self, z: Array) -> Derivatives:
        """Return u(z), u'(z) and u''(z), finite: scores are cut at `cap`."""

    @abstractmethod
    def residual(self, z: Array, u: Array, b: Array) -> Array:
        """Return u - b, accurate also where both are close to one."""

    @abstractmethod
    def overflows(self, z: Array) -> Array:
        """Return which scores lie beyond `cap`, so that the loss counts as infinite."""

    @abstractmethod
    def scaled(self, z: Array) -> Derivatives:
        """Return u(z), u'(z) and u''(z) over one common factor that keeps them finite."""

    @abstractmethod
    def sensitivity(self, b: Vector) -> Vector:
        """Return |u'(z) b| where u(z) = b: the terms of a squared error's gradient there."""


@dataclass(frozen=True)
class Exp(Curve):
    """u = exp(z)."""

    def derivatives(self, z: Array) -> Derivatives:
        """Return exp(z), three times."""
        u = np.exp(np.minimum(z, cap(z.dtype)))
        return u, u, u

    def residual(self, z: Array, u: Array, b: Array) -> Array:
        """Return exp(z) - b."""
        r = np.asarray(u - b)
        near = np.abs(z) < NEAR
        r[near] = np.expm1(z[near]) - (b[near] - 1)
        return r

    def overflows(self, z: Array) -> Array:
        """Return z > cap."""
        return np.asarray(z > cap(z.dtype))

    def scaled(self, z: Array) -> Derivatives:
        """Return exp(z - max z), three times."""
        u = np.exp(z - z.max())
        return u, u, u

    def sensitivity(self, b: Vector) -> Vector:
        """Return b^2."""
        return np.asarray(b * b)


class _Even(Curve):
    """What cosh and sinh share: they grow to both sides."""

    def overflows(self, z: Array) -> Array:
        """Return |z| > cap."""
        return np.asarray(np.abs(z) > cap(z.dtype))

    @staticmethod
    def _cut(z: Array) -> Array:
        top = cap(z.dtype)
        return np.clip(z, -top, top)

    @staticmethod
    def _halves(z: Array) -> tuple[Array, Array]:
        """Return cosh(z) and sinh(z) over exp(max |z|) or less."""
        top = max(float(np.abs(z).max()) - 1.0, 0.0)
        # Far from overflow the library's own functions keep the digits of small scores.
        small = np.abs(z) < NEAR
        up, down = np.exp(z - top), np.exp(-z - top)
        sinh = np.where(small, np.sinh(np.where(small, z, 0.0)) * np.exp(-top), (up - down) / 2)
        return (up + down) / 2, sinh


@dataclass(frozen=True)
class Cosh(_Even):
    """u = cosh(z)."""

    def derivatives(self, z: Array) -> Derivatives:
        """Return cosh(z), sinh(z), cosh(z)."""
        z = self._cut(z)
        u = np.cosh(z)
        return u, np.sinh(z), u

    def residual(self, z: Array, u: Array, b: Array) -> Array:
        """Return cosh(z) - b as 2 sinh(z/2)^2 - (b - 1)."""
        return np.asarray(2 * np.sinh(self._cut(z) / 2) ** 2 - (b - 1))

    def scaled(self, z: Array) -> Derivatives:
        """Return cosh, sinh, cosh over exp(max |z|)."""
        u, slope = self._halves(z)
        return u, slope, u

    def sensitivity(self, b: Vector) -> Vector:
        """Return b sqrt(b^2 - 1), and the curvature 1 - b at z = 0 for b < 1."""
        above = np.maximum(b, 1.0)
        return np.where(b > 1, b * np.sqrt((above - 1) * (above + 1)), 1 - b)


@dataclass(frozen=True)
class Sinh(_Even):
    """u = sinh(z)."""

    def derivatives(self, z: Array) -> Derivatives:
        """Return sinh(z), cosh(z), sinh(z)."""
        z = self._cut(z)
        u = np.sinh(z)
        return u, np.cosh(z), u

    def residual(self, z: Array, u: Array, b: Array) -> Array:
        """Return sinh(z) - b."""
        return np.asarray(u - b)

    def scaled(self, z: Array) -> Derivatives:
        """Return sinh, cosh, sinh over exp(max |z|)."""
        slope, u = self._halves(z)
        return u, slope, u

    def sensitivity(self, b: Vector) -> Vector:
        """Return |b| sqrt(1 + b^2)."""
        return np.asarray(np.abs(b) * np.hypot(1.0, b))


CURVES: dict[str, Curve] = {"exp": Exp(), "cosh": Cosh(), "sinh": Sinh()}


def curve_named(name: object) -> Curve:
    """Return the curve of this name, or raise `InputError`."""
    check_choice("unit", name, tuple(CURVES))
    return CURVES[str(name)]

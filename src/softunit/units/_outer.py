"""Functions of the second layer: value, two derivatives, inverse, and how large they can get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from softunit._checks import check_known
from softunit._numeric import softplus
from softunit._typing import Vector

Map = Callable[[Vector], Vector]
"""y (m,) -> something for each entry, (m,)."""

TANH_BEND = 4 / (3 * np.sqrt(3))  # max |tanh''|, where tanh = 1 / sqrt(3)
SIGMOID_BEND = 1 / (6 * np.sqrt(3))


@dataclass(frozen=True)
class Outer:
    """A function phi of one number, entry by entry.

    Attributes
    ----------
    name : str
    value, slope, bend : callable
        phi, phi' and phi''.
    inverse : callable
        The largest y with phi(y) = b, for b inside `image`.
    image : tuple of float
        phi lies between these; they are attained at infinity or at a kink only.
    extremes : callable
        (nearest, farthest, highest) -> bounds on |phi'|, |phi''| and |phi'''| on an interval, given
        its point nearest to zero, the one farthest from zero (in absolute value) and its upper end.
    smooth : bool
        Whether phi' is continuous.
    even : bool
        Whether phi(-y) = phi(y); else phi increases.
    exponential : bool
        Whether phi grows so fast that its square may overflow.
    """

    name: str
    value: Map
    slope: Map
    bend: Map
    inverse: Map
    image: tuple[float, float]
    extremes: Callable[[Vector, Vector, Vector], tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]]
    smooth: bool = True
    even: bool = False
    exponential: bool = False

    def between(self, low: Vector, high: Vector) -> tuple[Vector, Vector]:
        """Return the least and the largest phi on intervals [low, high], (m,) each."""
        if not self.even:
            return self.value(low), self.value(high)
        return self.value(_nearest(low, high)), self.value(np.maximum(np.abs(low), np.abs(high)))

    def largest(self, low: Vector, high: Vector) -> tuple[Vector, Vector, Vector]:
        """Return bounds on |phi'|, |phi''| and |phi'''| on intervals [low, high], (m,) each."""
        far = np.maximum(np.abs(low), np.abs(high))
        found = self.extremes(_nearest(low, high), far, high)
        first, second, third = (np.broadcast_to(bound, low.shape) for bound in found)
        return first, second, third


def _nearest(low: Vector, high: Vector) -> Vector:
    """Return the point of each interval that is nearest to zero, as an absolute value."""
    return np.maximum(np.maximum(low, -high), 0.0)


def _inverse_softplus(b: Vector) -> Vector:
    return np.asarray(b + np.log(-np.expm1(-b)))


def _tanh_slope(y: Vector) -> Vector:
    return np.asarray(1.0 - np.tanh(y) ** 2)


def _sigmoid_slope(y: Vector) -> Vector:
    return np.asarray(expit(y) * expit(-y))


def _tanh_bend(y: Vector) -> Vector:
    return -2.0 * np.tanh(y) * _tanh_slope(y)


def _sigmoid_bend(y: Vector) -> Vector:
    return np.asarray(_sigmoid_slope(y) * (expit(-y) - expit(y)))


def _step(y: Vector) -> Vector:
    return np.asarray(y > 0, dtype=np.float64)


_INFINITE = (-np.inf, np.inf)

OUTERS: dict[str, Outer] = {
    outer.name: outer
    for outer in (
        Outer("identity", np.asarray, np.ones_like, np.zeros_like, np.asarray, _INFINITE,
              lambda near, far, high: (1.0, 0.0, 0.0)),
        Outer("relu", lambda y: np.maximum(y, 0.0), _step, np.zeros_like, np.asarray, (0.0, np.inf),
              lambda near, far, high: (_step(high), 0.0, 0.0), smooth=False),
        Outer("softplus", softplus, expit, _sigmoid_slope, _inverse_softplus, (0.0, np.inf),
              lambda near, far, high: (expit(high), _sigmoid_slope(near), SIGMOID_BEND)),
        Outer("tanh", np.tanh, _tanh_slope, _tanh_bend, np.arctanh, (-1.0, 1.0),
              lambda near, far, high: (_tanh_slope(near), TANH_BEND, 2.0)),
        Outer("sigmoid", expit, _sigmoid_slope, _sigmoid_bend, logit, (0.0, 1.0),
              lambda near, far, high: (_sigmoid_slope(near), SIGMOID_BEND, 0.125)),
        Outer("exp", np.exp, np.exp, np.exp, np.log, (0.0, np.inf),
              lambda near, far, high: (np.exp(high), np.exp(high), np.exp(high)),
              exponential=True),
        Outer("cosh", np.cosh, np.sinh, np.cosh, np.arccosh, (1.0, np.inf),
              lambda near, far, high: (np.sinh(far), np.cosh(far), np.sinh(far)),
              even=True, exponential=True),
        Outer("sinh", np.sinh, np.cosh, np.sinh, np.arcsinh, _INFINITE,
              lambda near, far, high: (np.cosh(far), np.sinh(far), np.cosh(far)),
              exponential=True),
    )
}  # fmt: skip
"""The functions by name."""


def outer_named(name: object) -> Outer:
    """Return the function of a name.

    Raises
    ------
    InputError
        If there is none; near names and all names are given.
    """
    check_known("outer function", str(name), OUTERS)
    return OUTERS[str(name)]

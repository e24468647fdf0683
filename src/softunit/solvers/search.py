"""Line search: sufficient decrease with a test by slopes that still works at rounding level."""

from __future__ import annotations

import math
from dataclasses import dataclass

from softunit._checks import check_positive
from softunit._numeric import EPS
from softunit.errors import InputError
from softunit.line import Line

MAX_TRIALS = 60


@dataclass(frozen=True)
class Search:
    """Weak Wolfe conditions by bracketing and safeguarded interpolation of the slope.

    A step t is accepted when both hold:

    1. F(t) <= F(0) + decrease * t * F'(0); or, where rounding hides the difference of values,
       F(t) <= F(0) up to rounding and F'(t) <= -(1 - 2 decrease) F'(0) (the approximate Wolfe
       test of Hager and Zhang 2005, doi 10.1137/030601880);
    2. F'(t) >= flatten * F'(0).

    Parameters
    ----------
    decrease : float, default 1e-4
        Share of the predicted decrease that must be realised.
    flatten : float, default 0.9
        Share of the starting slope that may be left.

    Raises
    ------
    InputError
        Unless 0 < decrease < flatten < 1: only then is there a step that meets both conditions.
    """

    decrease: float = 1e-4
    flatten: float = 0.9

    def __post_init__(self) -> None:
        for name in ("decrease", "flatten"):
            if check_positive(name, getattr(self, name)) >= 1:
                raise InputError(f"`{name}` must be below 1; got {getattr(self, name)!r}.")
        if self.decrease >= self.flatten:
            raise InputError(
                f"`decrease` {self.decrease:g} must be below `flatten` {self.flatten:g}: else no"
                " step length need meet both conditions."
            )

    def step(self, line: Line, first: float = 1.0) -> float | None:
        """Return an accepted step length, or None when none is found or p is no descent."""
        start, slope = line.start.value, line.slope
        if not slope < 0:
            return None
        noise = line.noise
        low, high, t = 0.0, math.inf, first
        low_slope, high_slope = slope, math.nan
        for _ in range(MAX_TRIALS):
            value, here = line.at(t)
            if not self._decreases(value - start, here, t * slope, slope, noise):
                high, high_slope = t, here
            elif here < self.flatten * slope:
                low, low_slope = t, here
            else:
                return t
            t = _between(low, high, low_slope, high_slope) if high < math.inf else 4 * t
            if high < math.inf and high - low <= EPS * high:
                return None
        return None

    def _decreases(
        self, change: float, here: float, predicted: float, slope: float, noise: float
    ) -> bool:
        if not (math.isfinite(change) and math.isfinite(here)):
            return False
        if change <= self.decrease * predicted:
            return True
        return change <= noise and here <= -(1 - 2 * self.decrease) * slope


def check_search(value: object) -> None:
    """Raise `InputError` unless value is a `Search`."""
    if not isinstance(value, Search):
        raise InputError(f"`search` must be a Search, such as Search(); got {value!r}.")


def _between(low: float, high: float, low_slope: float, high_slope: float) -> float:
    """Return the secant root of the slope, kept off the ends; the middle where there is none."""
    width = high - low
    if math.isfinite(high_slope) and high_slope > 0 > low_slope:
        t = low + width * low_slope / (low_slope - high_slope)
        return min(max(t, low + 0.1 * width), high - 0.1 * width)
    return low + (0.1 if not math.isfinite(high_slope) else 0.5) * width

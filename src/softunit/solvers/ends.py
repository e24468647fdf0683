"""Why a step was not found."""

from __future__ import annotations

from softunit._numeric import EPS
from softunit.point import Point
from softunit.solution import Status


def why_no_step(point: Point, slope: float) -> Status:
    """Return ROUNDING where the promised decrease is below what float64 can show.

    Parameters
    ----------
    point : Point
        Where the search started.
    slope : float
        The derivative along the direction there.
    """
    promised = -slope
    return Status.ROUNDING if promised <= 1e4 * EPS * abs(point.value) else Status.NO_DESCENT

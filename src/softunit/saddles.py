"""Points where the gradient vanishes and that are no minimum: saddles, and maxima."""

from __future__ import annotations

import numpy as np

from softunit._typing import Array
from softunit.point import Point
from softunit.problem import Problem
from softunit.spectrum import column_squares

LIMIT, WORK = 300, 2e7
"""Parameters p, and n p^2, up to which a look at the Hessian is a small part of any run."""

NEGATIVE = 1e-7  # of the largest eigenvalue, columns made equal: beyond rounding
STEPS = 10.0 ** np.arange(1, -9, -1)  # root mean squares of changes of the scores
LOWER = 1e-10  # of the value: what a step along negative curvature must gain


def lower_point(problem: Problem, point: Point) -> Array | None:
    """Return a point of smaller value along negative curvature; None where there is none.

    At a minimum, and where the unit is convex or the Hessian too large to form in passing, it is
    None. The direction is that of the smallest eigenvalue, columns scaled to one size.

    Parameters
    ----------
    problem : Problem
    point : Point
        Where the gradient vanishes.
    """
    n, p = problem.design.shape[0], problem.size
    if len(problem.shape) > 1 or p > LIMIT or n * p * p > WORK:
        return None
    if problem.unit.bounds(problem.target, problem.weights).convex:
        return None
    hessian = problem.hessian(point)
    squares = column_squares(problem)
    scale = np.where(squares > 0, 1 / np.sqrt(np.where(squares > 0, squares, 1.0)), 0.0)
    values, vectors = np.linalg.eigh(hessian * scale * scale[:, None])
    if not values[0] < -NEGATIVE * float(np.abs(values).max()):
        return None
    direction = np.sqrt(n) * scale * vectors[:, 0]
    trials = [point.x + sign * t * direction for t in STEPS for sign in (1.0, -1.0)]
    found = np.array([problem.value(x) for x in trials])
    best = int(np.nanargmin(np.where(np.isfinite(found), found, np.inf)))
    lower = found[best] < point.value - LOWER * abs(point.value)
    return trials[best] if lower else None

"""Minimising over the rows of x that carry no ridge, so that a bound may rest on the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import lstsq

from softunit._numeric import EPS, as_columns
from softunit._typing import Matrix
from softunit.point import Point
from softunit.problem import Problem

FREE_ITER = 60  # damped Newton steps for that
LEFT_SHARE = 0.01  # of the bound: what the gradient of free parameters may add to it
SAMPLE_ROWS = 1_000_000  # of a sample for their Hessian
FREE_LEFT = 1e-9  # gradient of the free parameters that the bound tolerates, and contains;
FREE_LEFT_FAR = 1e-8  # and where each pass over the rows reads them all from elsewhere


def minimised_over(problem: Problem, point: Point, free: npt.NDArray[np.integer]) -> Point:
    """Return the point after minimising over some rows of x by damped Newton steps.

    What their gradient adds to the bound may be a hundredth of what the held rows do.
    """
    best = point
    for _ in range(FREE_ITER):
        whole = as_columns(best.gradient)
        g, ridge = whole[free], problem.ridge[:, None]
        held = 0.5 * float((whole**2 / np.where(ridge > 0, ridge, np.inf)).sum())
        enough = max(64 * EPS, min(free_left(problem), LEFT_SHARE * held))
        if not len(free) or float(np.abs(g).sum()) <= enough:
            break
        hessian = _hessian(problem, best, free)
        # Singular along a constant across classes, to which the least-squares step is blind.
        step = lstsq(hessian, -g.ravel())[0].reshape(g.shape)
        if not float(np.vdot(step, g)) < 0:
            step = -g
        trial = _halved(problem, best, free, step)
        if trial is None:
            break
        best = trial
    return best


def free_left(problem: Problem) -> float:
    """Return the gradient of the free rows that a bound tolerates."""
    return FREE_LEFT_FAR if problem.design.home in ("disk", "cluster") else FREE_LEFT


def _hessian(problem: Problem, point: Point, free: npt.NDArray[np.integer]) -> Matrix:
    """Return the Hessian by some rows of x; that of a sample where rows are far and one is at hand.

    Any positive one gives a step, and what it leaves is in the bound; this one saves a pass.
    """
    size = min(SAMPLE_ROWS, problem.design.shape[0])
    found = problem.design.at_hand(size) or problem.design.at_hand(max(1, size // 10))
    if found is None:
        return problem.hessian(point, coordinates=free)
    index, design = found
    grown = problem.design.shape[0] / len(index)  # each row stands for so many
    weights = None if problem.weights is None else grown * problem.weights[index]
    if weights is not None and not weights.any():
        return problem.hessian(point, coordinates=free)
    return problem.sampled(index, weights=weights, design=design).hessian(point, coordinates=free)


def _halved(
    problem: Problem, best: Point, free: npt.NDArray[np.integer], step: Matrix
) -> Point | None:
    """Return the first point along a step, halved again and again, that is better; or None.

    Near the minimum, where values differ by rounding only, better means half the gradient.
    """
    g = as_columns(best.gradient)[free]
    slope, size = float(np.vdot(step, g)), float(np.abs(g).max())
    # Where the promise is lost in rounding, shorter steps have nothing more to say.
    shown = -slope > 64 * EPS * (1 + abs(best.value))
    for halving in range(40 if shown else 2):
        t = 0.5**halving
        x = best.x.copy()
        as_columns(x)[free] += t * step
        trial = problem.evaluate(x)
        if trial.value <= best.value + 1e-4 * t * slope:
            return trial
        flatter = float(np.abs(as_columns(trial.gradient)[free]).max()) <= 0.5 * size
        if flatter and trial.value <= best.value + 8 * EPS * (1 + abs(best.value)):
            return trial
    return None

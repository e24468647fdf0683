"""Which classes a hyperplane separates from the others: then no finite optimum exists."""

from __future__ import annotations

import numpy as np

from softunit._typing import Array, Matrix, Vector
from softunit.designs import Design
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solvers import Newton
from softunit.units import Multinomial

SUSPECT = 0.05  # largest residual of a class that is worth the search for a hyperplane
MARGIN = 1e-7  # of the largest score: smaller margins may be rounding


def separated_classes(problem: Problem, x: Array, labels: Vector) -> list[int]:
    """Return the classes that a hyperplane is shown to separate from all others.

    1. Where the fit itself puts every row on its own side, all classes are.  2. Else take those
    whose fitted probabilities are nearly 0 or 1 in every row, and fit each against the rest for a
    few iterations; a fit that puts every row on its own side is the hyperplane.

    Parameters
    ----------
    problem : Problem
        With a `Multinomial` unit; rows of zero weight are left out.
    x : ndarray
        Where the run without ridge ended.
    labels : ndarray of int, shape (n,)
    """
    residuals = _largest_residuals(problem, x, labels)
    if residuals.max() < 0.5 - SUSPECT:  # more than half on the right class, in every row
        return list(range(len(residuals)))
    suspects = np.flatnonzero(residuals < SUSPECT)
    kept = np.arange(len(labels)) if problem.weights is None else np.flatnonzero(problem.weights)
    design = problem.design if len(kept) == len(labels) else problem.design.rows(kept)
    found = [int(k) for k in suspects if _splits(design, labels[kept] == k)]
    # Two classes share one hyperplane.
    return [0, 1] if len(problem.shape) == 1 and found else found


def _largest_residuals(problem: Problem, x: Array, labels: Vector) -> Vector:
    columns = 2 if len(problem.shape) == 1 else problem.shape[1]
    top = np.zeros(columns)
    for rows, _, z in problem.score_blocks(x):
        residual = Multinomial.probabilities(z)
        residual[np.arange(len(residual)), labels[rows]] -= 1.0
        if problem.weights is not None:
            residual[problem.weights[rows] == 0] = 0.0
        np.maximum(top, np.abs(residual).max(axis=0), out=top)
    return top


def _splits(design: Design, inside: Array) -> bool:
    problem = Problem(design, Multinomial(2), inside.astype(np.int64))
    seen = False

    def all_on_their_side(record: object, point: object) -> bool:
        nonlocal seen
        z: Matrix = problem.design.matvec(point.x)  # type: ignore[attr-defined]
        margin = np.where(inside, z, -z).min()
        seen = bool(margin > MARGIN * np.abs(z).max())
        return seen

    minimize(problem, solver=Newton(), tol=0.0, max_iter=30, callback=all_on_their_side)
    return seen

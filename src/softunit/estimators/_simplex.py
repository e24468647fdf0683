"""The point of a convex hull nearest to a target, and proof that the target lies outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._typing import Vector

ENOUGH = 1e-6  # of what |C f - y|^2 was at the start: the search only finds a basin


@dataclass(frozen=True)
class Nearest:
    """A point C f of the hull of C's columns close to y, and how far all of the hull must be.

    Attributes
    ----------
    shares : ndarray of shape (n,)
        f, nonnegative with sum one.
    distance : float
        |C f - y|.
    least : float
        Proved: no point of the hull is nearer to y than this; zero where nothing is proved.
    """

    shares: Vector
    distance: float
    least: float


def nearest_in_hull(matrix: Any, target: Vector, norm: float, *, max_iter: int) -> Nearest:
    """Minimise 1/2 |C f - y|^2 over the simplex.

    Accelerated projected gradients with restarts (Beck and Teboulle 2009; O'Donoghue and Candes
    2015). The direction w = C f - y separates: for every column c, <w, c - y> is at least its
    minimum over columns, so all of the hull is at least min <w, c - y> / |w| away from y.

    Parameters
    ----------
    matrix : ndarray or sparse array of shape (m, n)
        C.
    target : ndarray of shape (m,)
        y.
    norm : float
        At least the spectral norm of C.
    max_iter : int
    """
    n = matrix.shape[1]
    f = np.full(n, 1 / n)
    ahead, speed = f, 1.0
    first = best = float(np.linalg.norm(matrix @ f - target))
    step = 1 / max(norm**2, 1e-300)
    for _ in range(max_iter):
        moved = on_simplex(ahead - step * (matrix.T @ (matrix @ ahead - target)))
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        distance = float(np.linalg.norm(matrix @ moved - target))
        if distance > best:  # overshot: begin again from the best point
            if speed == 1.0:
                break
            ahead, speed = f, 1.0
            continue
        ahead = moved + (speed - 1) / faster * (moved - f)
        f, speed, best = moved, faster, distance
        if best <= ENOUGH * first:
            break
    w = matrix @ f - target
    size = float(np.linalg.norm(w))
    apart = float((matrix.T @ w).min() - target @ w)
    return Nearest(f, size, max(0.0, apart / size) if size > 0 else 0.0)


def on_simplex(v: Vector) -> Vector:
    """Return the point of the simplex nearest to v, shape (n,): sort, cut, shift."""
    ordered = np.sort(v)[::-1]
    excess = np.cumsum(ordered) - 1
    last = np.flatnonzero(ordered * np.arange(1, len(v) + 1) > excess)[-1]
    return np.asarray(np.maximum(v - excess[last] / (last + 1), 0.0))

"""The l1 penalty in a block: soft thresholds, least subgradients and small quadratic models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from softunit._numeric import dot
from softunit._typing import Array, Matrix, Vector

SWEEPS = 500
STEPS = 30  # proximal gradient steps with momentum: on a Gram, the cost of one Hessian product
SETTLED = 1e-3  # of the first of these steps: a smaller one ends them


def soft_threshold(v: Array, threshold: float) -> Array:
    """Return the minimiser of 1/2 |x - v|^2 + threshold |x|_1, of the shape of v."""
    return np.asarray(np.sign(v) * np.maximum(np.abs(v) - threshold, 0.0))


def least_subgradient(x: Array, gradient: Array, strength: float) -> Array:
    """Return the subgradient of F + strength |x|_1 of least norm: zero at the optimum only.

    Parameters
    ----------
    x : ndarray
    gradient : ndarray of the shape of x
        That of F.
    strength : float
    """
    return np.where(x != 0, gradient + strength * np.sign(x), soft_threshold(gradient, strength))


def proximal_newton(hessian: Matrix, gradient: Vector, x: Vector, strength: float) -> Vector:
    """Return the minimiser p of g'p + 1/2 p'Hp + strength |x + p|_1.

    1. One coordinate after the other, each solved by a soft threshold.  2. Once a sweep leaves the
    signs as they are, one linear solve in the entries that are not zero; it is the answer if its
    signs and the subgradients of the others agree.

    Parameters
    ----------
    hessian : ndarray of shape (m, m)
        Positive definite.
    gradient, x : ndarray of shape (m,)
    strength : float
    """
    y, diagonal = x.astype(np.float64, copy=True), np.diagonal(hessian)
    slope = gradient.astype(np.float64, copy=True)  # of the quadratic at y
    signs = np.sign(y)
    for _ in range(SWEEPS):
        for j in range(len(y)):  # 1.
            new = soft_threshold(y[j] - slope[j] / diagonal[j], strength / diagonal[j])
            if new != y[j]:
                slope += hessian[:, j] * (new - y[j])
                y[j] = new
        if np.array_equal(np.sign(y), signs):  # 2.
            exact = _with_signs(hessian, gradient - hessian @ x, signs, strength)
            if exact is not None:
                return exact - x
        signs = np.sign(y)
    return y - x


def _with_signs(hessian: Matrix, linear: Vector, signs: Vector, strength: float) -> Vector | None:
    """Return the minimiser of linear'y + 1/2 y'Hy + strength |y|_1 if its signs are the given."""
    active = signs != 0
    y = np.zeros(len(signs))
    if active.any():
        right = -(linear + strength * signs)[active]
        y[active] = np.linalg.solve(hessian[np.ix_(active, active)], right)
    if not np.array_equal(np.sign(y), signs):
        return None
    rest = np.abs(linear + hessian @ y)[~active]
    return y if (rest <= strength * (1 + 1e-12)).all() else None


def definite(hessian: Matrix) -> Matrix:
    """Return a small symmetric matrix with eigenvalues made positive: sizes, off zero."""
    values, vectors = np.linalg.eigh(hessian)
    size = np.abs(values)
    size = np.maximum(size, max(1e-300, 1e-10 * float(size.max(initial=0.0))))
    return np.asarray((vectors * size) @ vectors.T)


def with_momentum(moved: Callable[[Array], Array], start: Array) -> Array:
    """Return where a few proximal gradient steps with momentum lead.

    Parameters
    ----------
    moved : callable
        One step: takes and returns arrays of the shape of start.
    start : ndarray

    Notes
    -----
    Momentum that leads uphill is dropped: B. O'Donoghue and E. Candes (2015), "Adaptive restart
    for accelerated gradient schemes".
    """
    p = q = start
    momentum, first = 1.0, 0.0
    for _ in range(STEPS):
        new = moved(q)
        move = float(np.abs(new - q).max())
        first = first or move
        if dot(q - new, new - p) > 0:
            momentum = 1.0
        after = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        p, q, momentum = new, new + (momentum - 1) / after * (new - p), after
        if move <= SETTLED * first:
            break
    return p

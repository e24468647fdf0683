"""Preconditioned conjugate gradients for a Newton system, stopped early on purpose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from softunit._numeric import dot
from softunit._typing import Array

Operator = Callable[[Array], Array]


def conjugate_gradients(
    product: Operator, precondition: Operator, right: Array, *, rtol: float, max_iter: int
) -> Array:
    """Return an approximate solution of H v = right, of its shape.

    1. Go along preconditioned residuals made conjugate in H.  2. Stop when the preconditioned
    norm of the residual has fallen by `rtol`.  3. Stop at nonpositive curvature with what has
    been reached (or the preconditioned right side, at the first iteration).

    Parameters
    ----------
    product : callable
        V -> H V.
    precondition : callable
        R -> approximate H^-1 R, symmetric positive definite.
    right : ndarray
    rtol : float
        In (0, 1).
    max_iter : int
    """
    solution, residual = np.zeros_like(right), right.copy()
    direction = z = precondition(residual)
    rho = dot(residual, z)
    stop = rtol * rtol * rho
    for iteration in range(max_iter):
        if rho <= stop or rho <= 0:  # 2.
            break
        image = product(direction)
        curved = dot(direction, image)
        if curved <= 0:  # 3.
            return direction if iteration == 0 else solution
        length = rho / curved
        solution += length * direction
        residual -= length * image
        z = precondition(residual)
        rho, before = dot(residual, z), rho
        direction = z + (rho / before) * direction  # 1.
    return solution

"""Small numerical tools: stable exponentials and a Cholesky solve that always succeeds."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from softunit._typing import Array, Matrix, Vector

EPS = float(np.finfo(np.float64).eps)
NEGATIVE = 64 * EPS  # below this share rounding may lie


def softmax(z: Vector) -> Vector:
    """Return exp(z) / sum(exp(z)), shape (n,), shifted so that nothing overflows."""
    e = np.exp(z - z.max())
    return np.asarray(e / e.sum())


def log_sum_exp(z: Vector) -> float:
    """Return log(sum(exp(z))) for z of shape (n,), shifted so that nothing overflows."""
    top = float(z.max())
    return top + float(np.log(np.exp(z - top).sum()))


def softplus(z: Vector) -> Vector:
    """Return log(1 + exp(z)) entrywise, accurate at both ends."""
    return np.asarray(np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))))


def dot(a: Array, b: Array) -> float:
    """Return sum(a * b) over all entries of two arrays of one shape, without a temporary."""
    return float(np.vdot(a, b))


def as_columns(v: Array) -> Matrix:
    """Return v (n,) or (n, K) as two axes."""
    return v[:, None] if v.ndim == 1 else v


def is_centred(x: Matrix) -> bool:
    """Return whether the mean of each row of x is rounding of the largest entry."""
    return bool(np.abs(x.mean(axis=1)).max() <= 64 * EPS * np.abs(x).max())


class ShiftedCholesky:
    """Cholesky of H + shift * diag(H), with the smallest shift of a growing series that succeeds.

    Parameters
    ----------
    matrix : ndarray of shape (p, p)
        Symmetric; may be indefinite. It is overwritten.
    """

    def __init__(self, matrix: Matrix) -> None:
        if not np.isfinite(matrix).all():
            raise FloatingPointError("the Hessian is not finite")
        diagonal = np.abs(np.diagonal(matrix)).copy()
        # Below this share of the largest a diagonal entry is what cancellation has left.
        floor = np.maximum(diagonal, 1e-30 * diagonal.max(initial=0.0))
        self._scale = 1.0 / np.sqrt(np.where(diagonal > 0, floor, 1.0))
        matrix *= self._scale
        matrix *= self._scale[:, None]
        # A silent parameter has a zero row: one on its diagonal holds it where it is.
        matrix[diagonal == 0, diagonal == 0] = 1.0
        self.shift = 0.0
        self._factor = self._first_success(matrix)

    def _first_success(self, matrix: Matrix) -> tuple[Matrix, bool]:
        unshifted = np.diagonal(matrix).copy()
        shifts = [0.0, *10.0 ** np.arange(-13.0, 16.0)]
        for shift in shifts:
            np.fill_diagonal(matrix, unshifted + shift)
            try:
                factor = cho_factor(matrix, lower=True, check_finite=False)
            except np.linalg.LinAlgError:
                continue
            # A pivot at rounding level is a null direction in disguise: go on shifting.
            if shift > 0 or np.diagonal(factor[0]).min() > 1e-7:
                self.shift = float(shift)
                return factor[0], bool(factor[1])
        # Rounding is all there is: what is left is the scaled gradient.
        self.shift = math.inf
        return np.eye(len(matrix)), True

    @property
    def parts(self) -> tuple[Vector, Matrix]:
        """Scales of the rows, (p,), and the lower factor, (p, p): all that `solve` takes."""
        return self._scale, self._factor[0]

    @classmethod
    def of_parts(cls, scale: Vector, factor: Matrix) -> ShiftedCholesky:
        """Return it from its parts again; `shift` is not known then."""
        made = cls.__new__(cls)
        made._scale, made._factor, made.shift = scale, (factor, True), math.nan
        return made

    def solve(self, right: Vector) -> Vector:
        """Return the solution of the shifted system, shape (p,)."""
        inner = cho_solve(self._factor, self._scale * right, check_finite=False)
        return np.asarray(self._scale * inner)


def minus_entropy(shares: Array, totals: Vector) -> Vector:
    """Return totals * sum_k q_k log q_k for shares totals * q, row by row, (n,).

    It is inf where a share is negative beyond rounding, and zero where a total is zero.

    Parameters
    ----------
    shares : ndarray of shape (n, K)
    totals : ndarray of shape (n,)
        All >= 0.
    """
    heard = totals > 0
    q = shares / np.where(heard, totals, 1.0)[:, None]
    least = q.min(axis=1, initial=0.0)
    terms = np.where(q > 0, q, 1.0)
    sums = totals * np.einsum("ik,ik->i", q, np.log(terms))
    return np.where(heard, np.where(least < -NEGATIVE, np.inf, sums), 0.0)

"""An approximate Hessian that is cheap to invert: one weighted Gram for each column of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh

from softunit._numeric import as_columns
from softunit._typing import Array, Vector
from softunit.problem import Problem

DENSE_LIMIT = 1500
"""Columns of the design up to which its Gram is formed and decomposed."""

JITTER = 1e-12  # of the mean eigenvalue: keeps collinear free columns positive definite


class KroneckerPreconditioner:
    """(m_k G + D)^-1 for each column k of scores, from one eigendecomposition.

    G is the Gram of the design, D the diagonal of the ridge and m_k the mean curvature of column
    k, the only part that changes between iterations. The simultaneous diagonalisation
    V'(G + D)V = I, V'DV = diag(t) gives (m G + D)^-1 = V diag(1 / (m (1 - t) + t)) V'. Above
    `DENSE_LIMIT` columns G is replaced by its diagonal.

    Parameters
    ----------
    problem : Problem

    Notes
    -----
    In the spirit of Boehning's bound (docs/maths/multinomial), with the mean of p(1 - p) in place
    of its upper bound.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._ridge = problem.ridge
        self._vectors: Array | None = None
        if problem.shape[0] <= DENSE_LIMIT:
            both = problem.gram + np.diag(self._ridge)
            both[np.diag_indices_from(both)] += JITTER * np.trace(both) / len(both)
            self._shares, self._vectors = eigh(np.diag(self._ridge), both)
            self._shares = np.clip(self._shares, 0.0, 1.0)
        else:
            mean, variance = problem.design.column_moments()
            n = problem.design.shape[0]
            weight = n if problem.weights is None else float(problem.weights.sum())
            self._diagonal = (mean**2 + variance) * weight / problem.mass

    def at(self, diagonal_sum: Vector) -> Callable[[Array], Array]:
        """Return R -> approximate H^-1 R for the curvature's diagonal summed over rows."""
        problem = self._problem
        n = problem.design.shape[0]
        weight = n if problem.weights is None else float(problem.weights.sum())
        means = np.maximum(diagonal_sum, 0.0) * problem.mass / weight
        means = means + problem.score_ridge.mean() * n * problem.mass / weight
        means = np.maximum(means, 1e-8 * means.max(initial=0.0) + 1e-300)
        if self._vectors is None:
            denominator = np.multiply.outer(self._diagonal, means) + self._ridge[:, None]
            floor = denominator.max() * 1e-12

            def diagonal_solve(r: Array) -> Array:
                return np.asarray((as_columns(r) / np.maximum(denominator, floor)).reshape(r.shape))

            return diagonal_solve
        vectors = self._vectors
        shares = self._shares[:, None]
        inverse = 1.0 / (means * (1 - shares) + shares)

        def solve(r: Array) -> Array:
            return np.asarray((vectors @ (inverse * (vectors.T @ as_columns(r)))).reshape(r.shape))

        return solve

"""An approximate Hessian that is cheap to invert: one weighted Gram for each column of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh

from softunit._numeric import as_columns
from softunit._typing import Array, Matrix, Vector
from softunit.problem import Problem

DENSE_LIMIT = 2048
"""Columns of the design up to which its Gram is formed and decomposed, memory permitting."""

DECOMPOSED = 5  # arrays of the size of the Gram that its decomposition holds at once
SPARE = 100 << 20  # bytes, and a quarter of the design: what they may take

JITTER = 1e-12  # of the mean eigenvalue: keeps collinear free columns positive definite

Solve = Callable[[Array], Array]


class KroneckerPreconditioner:
    """(m_k G + D)^-1 for each column k of scores, from one eigendecomposition.

    G is the Gram of the design, D the diagonal of the ridge and m_k the mean curvature of column
    k, the only part that changes between iterations. The simultaneous diagonalisation
    V'(G + D)V = I, V'DV = diag(t) gives (m G + D)^-1 = V diag(1 / (m (1 - t) + t)) V'. Where the
    Gram has too many columns or would break the memory rule, G is replaced by its diagonal.

    Where a constant across the columns of scores changes nothing, the Hessian on such constants is
    the ridge alone: they are solved for exactly, which keeps sums over the classes exact and saves
    iterations.

    Parameters
    ----------
    problem : Problem

    Notes
    -----
    In the spirit of Boehning's bound (docs/maths/multinomial), with the mean of p(1 - p) in place
    of its upper bound.
    """

    def __init__(self, problem: Problem) -> None:
        self._ridge = problem.ridge
        n = problem.design.shape[0]
        weight = n if problem.weights is None else float(problem.weights.sum())
        self._share = problem.mass / weight
        self._score_ridge = problem.score_ridge.mean() * n
        self._blind = (
            problem.unit.rowwise and problem.unit.shift_invariant and problem.columns > 1
        ) and not problem.score_ridge.any()
        self._vectors: Matrix | None = None
        d = problem.shape[0]
        fits = DECOMPOSED * 8 * d * d <= 0.25 * problem.design.nbytes + SPARE
        if d <= DENSE_LIMIT and fits:
            both = problem.gram + np.diag(self._ridge)
            both[np.diag_indices_from(both)] += JITTER * np.trace(both) / len(both)
            shares, self._vectors = eigh(np.diag(self._ridge), both)
            self._shares = np.clip(shares, 0.0, 1.0)
        else:
            mean, variance = problem.design.column_moments()
            self._diagonal = (mean**2 + variance) / self._share

    def at(self, diagonal_sum: Vector) -> Solve:
        """Return R -> approximate H^-1 R for the curvature's diagonal summed over rows."""
        means = (np.maximum(diagonal_sum, 0.0) + self._score_ridge) * self._share
        means = np.maximum(means, 1e-8 * means.max(initial=0.0) + 1e-300)
        solve = self._by_diagonal(means) if self._vectors is None else self._by_vectors(means)
        if not self._blind:
            return lambda r: np.asarray(solve(as_columns(r)).reshape(r.shape))
        held = self._ridge[:, None] > 0
        inverse = np.where(held, 1.0 / np.where(held, self._ridge[:, None], 1.0), 0.0)

        def with_constants(r: Array) -> Array:
            constant = r.mean(axis=1, keepdims=True)
            v = solve(r - constant)
            return np.asarray(v - v.mean(axis=1, keepdims=True) + inverse * constant)

        return with_constants

    def _by_vectors(self, means: Vector) -> Solve:
        vectors, shares = self._vectors, self._shares[:, None]
        assert vectors is not None
        inverse = 1.0 / (means * (1 - shares) + shares)
        return lambda r: np.asarray(vectors @ (inverse * (vectors.T @ r)))

    def _by_diagonal(self, means: Vector) -> Solve:
        denominator = np.multiply.outer(self._diagonal, means) + self._ridge[:, None]
        np.maximum(denominator, denominator.max() * 1e-12, out=denominator)
        return lambda r: np.asarray(r / denominator)

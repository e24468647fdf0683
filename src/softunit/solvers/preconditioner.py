"""An approximate Hessian that is cheap to invert: one weighted Gram for each column of scores."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from softunit._numeric import as_columns
from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Matrix, Vector
from softunit.problem import Problem

DECOMPOSE_LIMIT = 1024
"""Columns of the design up to which its Gram is decomposed once for every curvature."""

DENSE_LIMIT = 4096
"""Columns of the design up to which its Gram is formed and factored, memory permitting."""

DECOMPOSED = 5  # arrays of the size of the Gram that its decomposition holds at once
FACTORED = 3  # and its factors, for curvatures that do not lie far apart
SPARE = 100 << 20  # bytes, and a quarter of the design: what they may take

NARROW_JITTER = 1e-6  # likewise in float32
LOST = 1e-18  # of the curvature: a ridge below it is lost in rounding, and holds nothing
LITTLE = 1e-3  # of its own curvature: what holds a free column where rows are decomposed
JITTER = 1e-10  # of the mean eigenvalue: keeps collinear free columns positive definite

Solve = Callable[[Array], Array]


class KroneckerPreconditioner:
    """(m_k G + D)^-1 for each column k of scores.

    G is the Gram of the design or of a sample of its rows, D the diagonal of the ridge and m_k the
    mean curvature of column k, the only part that changes between iterations.

    - With fewer rows than columns, S = A D^-1 A' = Q diag(l) Q' and R = Q'A D^-1/2 give
      D^-1/2 (I - R' diag(m / (1 + m l)) R) D^-1/2.
    - Up to 1,024 columns one decomposition serves every m: V'(G + D)V = I and V'DV = diag(t) give
      (m G + D)^-1 = V diag(1 / (m (1 - t) + t)) V'.
    - Up to 4,096 columns classes of like m (within a factor of two) share one Cholesky factor.
    - Beyond, or where these would break the memory rule, G is replaced by its diagonal.

    Where a constant across the columns of scores changes nothing, the Hessian on such constants is
    the ridge alone: they are solved for exactly, which keeps sums over the classes exact and saves
    iterations.

    Parameters
    ----------
    problem : Problem
    gram : callable or None, default None
        Makes G where it is wanted, from some rows, float64 or float32; None takes all rows.

    Notes
    -----
    In the spirit of Boehning's bound (docs/maths/multinomial), with the mean of p(1 - p) in place
    of its upper bound.
    """

    def __init__(self, problem: Problem, gram: Callable[[], Matrix] | None = None) -> None:
        self._ridge = problem.ridge
        self._stretch = 1.0
        n, d = problem.design.shape
        weight = n if problem.weights is None else float(problem.weights.sum())
        self._share = problem.mass / weight
        self._score_ridge = problem.score_ridge.mean() * n
        self._blind = (
            problem.unit.rowwise and problem.unit.shift_invariant and problem.columns > 1
        ) and not problem.score_ridge.any()
        self._gram: Matrix | None = None
        self._vectors: Matrix | None = None
        self._rows: Matrix | None = None
        made = gram or (lambda: problem.gram)
        spare = 0.25 * problem.design.nbytes + SPARE
        if n < d and n <= DECOMPOSE_LIMIT and DECOMPOSED * 8 * n * d <= spare:
            self._decompose_rows(problem)
        elif d <= DECOMPOSE_LIMIT and DECOMPOSED * 8 * d * d <= spare:
            both = made() + np.diag(self._ridge)
            both[np.diag_indices_from(both)] += JITTER * np.trace(both) / len(both)
            with linear_algebra_on_threads():
                shares, self._vectors = eigh(np.diag(self._ridge), both)
            self._shares = np.clip(shares, 0.0, 1.0)
        elif d <= DENSE_LIMIT and FACTORED * 8 * d * d <= spare:
            self._gram = made()
            self._factors: dict[int, tuple[Matrix, bool]] = {}
        else:
            mean, variance = problem.design.column_moments()
            self._diagonal = (mean**2 + variance) / self._share

    def _decompose_rows(self, sample: Problem) -> None:
        weights = np.ones(len(sample.target)) if sample.weights is None else sample.weights
        a = sample.design.toarray() * np.sqrt(weights / sample.mass)[:, None]
        # What no ridge holds is held by a little of its own curvature.
        own = np.einsum("ij,ij->j", a, a)
        held = np.where(self._ridge > 0, self._ridge, LITTLE * own + 1e-300)
        self._root = np.sqrt(held)[:, None]
        a /= self._root.T
        values, vectors = eigh(a @ a.T)
        self._values, self._rows = np.maximum(values, 0.0)[:, None], vectors.T @ a

    def with_ridge(self, ridge: Vector) -> KroneckerPreconditioner | None:
        """Return the same for another ridge, or None where it must be made anew.

        A decomposition serves every multiple of the ridge it was made with.
        """
        stretch = 1.0
        decomposed = self._vectors is not None or self._rows is not None
        if decomposed and not np.array_equal(ridge, self._ridge):
            held = self._ridge > 0
            if not np.array_equal(held, ridge > 0) or not held.any():
                return None
            ratios = ridge[held] / self._ridge[held]
            stretch = float(ratios[0])
            if not np.allclose(ratios, stretch, rtol=1e-12):
                return None
        twin = copy.copy(self)
        twin._stretch, twin._factors = stretch, {}
        twin._ridge = self._ridge if decomposed else ridge
        return twin

    def at(self, diagonal_sum: Vector) -> Solve:
        """Return R -> approximate H^-1 R for the curvature's diagonal summed over rows."""
        means = (np.maximum(diagonal_sum, 0.0) + self._score_ridge) * self._share
        means = np.maximum(means, 1e-8 * means.max(initial=0.0) + 1e-300)
        if self._rows is not None:
            solve = self._by_rows(means)
        elif self._vectors is not None:
            solve = self._by_vectors(means)
        else:
            solve = self._by_diagonal(means) if self._gram is None else self._by_factors(means)
        if not self._blind:
            return lambda r: np.asarray(solve(as_columns(r)).reshape(r.shape))
        return with_exact_constants(solve, self._stretch * self._ridge, float(means.max()))

    def _by_vectors(self, means: Vector) -> Solve:
        vectors, shares = self._vectors, self._shares[:, None]
        assert vectors is not None
        inverse = 1.0 / (means * (1 - shares) + self._stretch * shares)
        return lambda r: np.asarray(vectors @ (inverse * (vectors.T @ r)))

    def _by_rows(self, means: Vector) -> Solve:
        rows, root = self._rows, self._root
        assert rows is not None
        m = means / self._stretch
        inner = m / (1.0 + m * self._values)

        def solve(r: Array) -> Array:
            v = r / root
            return np.asarray((v - rows.T @ (inner * (rows @ v))) / (self._stretch * root))

        return solve

    def _by_factors(self, means: Vector) -> Solve:
        groups = np.rint(np.log2(means)).astype(int)
        members = {int(g): np.flatnonzero(groups == g) for g in np.unique(groups)}

        def solve(r: Array) -> Array:
            out = np.empty_like(r)
            for group, columns in members.items():
                factor = self._factor(group)
                right = r[:, columns].astype(factor[0].dtype, copy=False)
                out[:, columns] = cho_solve(factor, right, check_finite=False)
            return out

        return solve

    def _factor(self, group: int) -> tuple[Matrix, bool]:
        """Return the Cholesky factor of 2^group G + D, made once and kept for a few groups."""
        if group not in self._factors:
            assert self._gram is not None
            if len(self._factors) >= FACTORED - 1:
                self._factors.pop(next(iter(self._factors)))
            jitter = JITTER if self._gram.dtype == np.float64 else NARROW_JITTER
            while group not in self._factors:
                both = self._gram * self._gram.dtype.type(2.0**group)
                lift = jitter * np.trace(both) / len(both)
                both[np.diag_indices_from(both)] += (self._ridge + lift).astype(both.dtype)
                with linear_algebra_on_threads(), suppress(np.linalg.LinAlgError):
                    factor = cho_factor(both, lower=True, overwrite_a=True, check_finite=False)
                    self._factors[group] = factor
                jitter *= 100
        return self._factors[group]

    def _by_diagonal(self, means: Vector) -> Solve:
        denominator = np.multiply.outer(self._diagonal, means) + self._ridge[:, None]
        np.maximum(denominator, denominator.max() * 1e-12, out=denominator)
        return lambda r: np.asarray(r / denominator)


def with_exact_constants(solve: Solve, ridge: Vector, curvature: float) -> Solve:
    """Return the same approximate inverse, exact on constants across the columns of scores.

    The Hessian on them is the ridge alone; one below rounding of the curvature holds nothing.

    Parameters
    ----------
    solve : callable
        R -> approximate H^-1 R for R of shape (d, K).
    ridge : ndarray of shape (d,)
    curvature : float
        The size of the curvature.
    """
    held = ridge[:, None] > LOST * curvature
    inverse = np.where(held, 1.0 / np.where(held, ridge[:, None], 1.0), 0.0)

    def solved(r: Array) -> Array:
        constant = r.mean(axis=1, keepdims=True)
        v = solve(r - constant)
        return np.asarray(v - v.mean(axis=1, keepdims=True) + inverse * constant)

    return solved

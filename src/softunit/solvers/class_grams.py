"""The diagonal blocks of a Hessian: one Gram for each class, weighted by that class's curvature."""

from __future__ import annotations

import numpy as np

from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Matrix, Vector
from softunit.problem import Problem
from softunit.solvers.memory import Inverse
from softunit.solvers.preconditioner import with_exact_constants

PIECE = 1 << 20  # entries of the outer products made at once
JITTER = 1e-10  # of the mean diagonal of a block

MOST_COLUMNS = 128  # of the design; and
MOST_ENTRIES = 4 << 20  # of all blocks together, 32 MiB, up to which they are worth making


def has_small_blocks(problem: Problem) -> bool:
    """Return whether the diagonal blocks are small enough to make and invert."""
    d, columns = problem.shape[0], problem.columns
    return columns > 1 and d <= MOST_COLUMNS and columns * d * d <= MOST_ENTRIES


def inverse_of_blocks(problem: Problem, sample: Problem, x: Array) -> Inverse:
    """Return R -> (A' diag(c_k) A + ridge)^-1 r_k for each column k, at x.

    c_k is the diagonal of the curvature in column k, p (1 - p) for a softmax. Where classes are
    many, each has its curvature on rows of its own, and one Gram for all says little of them.

    Parameters
    ----------
    problem : Problem
        Gives the ridge.
    sample : Problem
        The rows from which the blocks are made.
    x : ndarray of shape (d, K)
    """
    d, columns = problem.shape[0], problem.columns
    blocks: Array = np.zeros((columns, d * d))
    size = max(1, PIECE // (d * d))
    with linear_algebra_on_threads():
        for start in range(0, sample.design.shape[0], size):
            blocks += _piece(sample, slice(start, start + size), x)
    blocks = blocks.reshape(columns, d, d)
    own = np.arange(d)
    jitter = JITTER * blocks[:, own, own].mean(axis=1, keepdims=True) + 1e-300
    blocks[:, own, own] += problem.ridge + jitter
    inverses, largest = np.linalg.inv(blocks), float(blocks[:, own, own].max())

    def solve(r: Array) -> Array:
        return np.asarray(np.matmul(inverses, r.T[:, :, None])[:, :, 0].T)

    if not problem.unit.shift_invariant or problem.score_ridge.any():
        return solve
    return with_exact_constants(solve, problem.ridge, largest)


def _piece(sample: Problem, rows: slice, x: Array) -> Matrix:
    """Return what some rows add to all blocks, (K, d * d)."""
    a = sample.design.rows(rows).toarray()
    by_rows = sample.by_rows
    z = a @ x if sample.offset is None else a @ x + sample.offset[rows]
    diagonal: Vector = by_rows.curvature(rows, z, "exact").diagonal()
    products = (a[:, :, None] * a[:, None, :]).reshape(len(a), -1)
    return np.asarray(diagonal.T @ products)

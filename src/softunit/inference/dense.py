"""Covariances from a Hessian that is written out and factored once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from softunit._numeric import EPS
from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Matrix, Vector
from softunit.errors import InputError
from softunit.inference.free import Free, lasso_curvature, ridge_entries
from softunit.inference.names import Names, involved
from softunit.point import Point
from softunit.problem import Problem

SINGULAR = 1e-12
"""Share of the largest eigenvalue below which one counts as zero, diagonals scaled to one."""

SAFE = 1e-8  # least squared pivot of a Cholesky factor above which no eigenvalue can be as small

ROUNDING = 1e-24  # of the second moment of a column: what centring leaves of a constant, squared

TAKES = 5  # arrays of p^2 floats held at once


@dataclass(frozen=True)
class DenseErrors:
    """What variances are made of where p^2 floats fit in memory.

    With B the Hessian of minus the log-likelihood plus penalty, I that of minus the log-likelihood
    alone, both along the free directions, and L the map from these to the reported parameters::

        classical            L B^-1 I B^-1 L'      (L B^-1 L' without penalty, where B = I)
        robust, clustered    L B^-1 M B^-1 L'      with M the outer products of the scores

    Attributes
    ----------
    free : Free
    scale : ndarray of shape (r,)
        1 / sqrt(diag(B)).
    factor : ndarray of shape (r, r)
        Lower Cholesky factor of B with its diagonal scaled to one.
    reported : ndarray of shape (q, r)
        L.
    information : ndarray of shape (r, r) or None
        I; None without penalty.
    """

    free: Free
    scale: Vector
    factor: Matrix
    reported: Matrix
    information: Matrix | None

    @classmethod
    def of(cls, problem: Problem, point: Point, free: Free, names: Names) -> DenseErrors:
        """Write out and factor the Hessian at the optimum.

        Raises
        ------
        InputError
            If it is singular: the columns that the data do not tell apart.
        """
        bread = problem.hessian(point)
        curved = lasso_curvature(problem, point.x)
        if curved is not None:
            bread += curved.toarray()
        bread = free.reduce(bread) * problem.mass
        information = None
        ridge = ridge_entries(problem)
        if ridge.any() or curved is not None:
            added = np.diag(ridge) if curved is None else np.diag(ridge) + curved.toarray()
            information = bread - problem.mass * free.reduce(added)
        reported = np.asarray(names.basis.T @ free.input_map(problem.design))
        own = np.where(_silent(problem, point, bread), 0.0, np.diagonal(bread))
        scale = np.where(own > 0, 1.0 / np.sqrt(np.where(own > 0, own, 1.0)), 0.0)
        factor = _factored(bread * scale * scale[:, None], free, names)
        return cls(free, scale, factor, reported, information)

    @cached_property
    def _half(self) -> Matrix:
        """C^-1 (L S)', (r, q), with B = S^-1 C C' S^-1."""
        with linear_algebra_on_threads():
            return np.asarray(
                solve_triangular(self.factor, (self.reported * self.scale).T, lower=True)
            )

    @cached_property
    def _outer_map(self) -> Matrix:
        """L B^-1, (q, r)."""
        with linear_algebra_on_threads():
            right = solve_triangular(self.factor, self._half, lower=True, trans="T")
        return np.asarray((self.scale[:, None] * right).T)

    def classical(self) -> Matrix:
        """Return the covariance that the model itself implies, (q, q)."""
        if self.information is None:
            return np.asarray(self._half.T @ self._half)
        return self.sandwich(self.information)

    def sandwich(self, filling: Matrix) -> Matrix:
        """Return L B^-1 M B^-1 L', (q, q)."""
        total = self._outer_map @ filling @ self._outer_map.T
        return np.asarray((total + total.T) / 2)

    def step(self, gradient: Vector) -> Vector:
        """Return L B^-1 g, (q,): what Newton's method would take off the reported parameters.

        Parameters
        ----------
        gradient : ndarray of shape (r,)
        """
        return np.asarray(self._outer_map @ gradient)

    def distance(self, gradient: Vector) -> float:
        """Return how far a point is from the optimum, in standard errors: sqrt(g' B^-1 g).

        No combination of parameters is further off, to first order, than this many of its own
        standard errors.

        Parameters
        ----------
        gradient : ndarray of shape (r,)
        """
        right = solve_triangular(self.factor, self.scale * gradient, lower=True)
        return float(np.linalg.norm(right))

    def effective_parameters(self) -> float:
        """Return tr(B^-1 I): the number of parameters, less what a penalty has taken from them."""
        if self.information is None:
            return float(self.free.size)
        scaled = self.information * self.scale * self.scale[:, None]
        left = solve_triangular(self.factor, scaled, lower=True)
        return float(np.trace(solve_triangular(self.factor, left.T, lower=True)))


def _silent(problem: Problem, point: Point, bread: Matrix) -> npt.NDArray[np.bool_]:
    """Return columns constant within every group of rows, where the unit has groups, (r,).

    What the centring of rows leaves of them is rounding, of the square of a relative 1e-16.
    """
    if problem.unit.rowwise:
        return np.zeros(len(bread), dtype=bool)
    whole, rows = slice(0, problem.design.shape[0]), problem.by_rows
    z = rows.block_scores(whole, problem.design, point.x, point.scores)
    size = float(rows.curvature(whole, z, "exact").diagonal_sum().sum())
    mean, variance = problem.design.column_moments()
    curved = np.diagonal(bread) - problem.mass * problem.ridge
    return np.asarray((curved <= ROUNDING * size * (mean**2 + variance)) & (problem.ridge == 0))


def _factored(scaled: Matrix, free: Free, names: Names) -> Matrix:
    """Return the Cholesky factor of a Hessian with ones on its diagonal, or say what it lacks."""
    with linear_algebra_on_threads():
        try:
            factor = cholesky(scaled, lower=True)
            if (np.diagonal(factor) ** 2).min(initial=1.0) > SAFE:
                return np.asarray(factor)
        except LinAlgError:
            factor = None
        values, vectors = eigh(scaled)
    least = max(SINGULAR, 10 * EPS * len(scaled)) * max(1.0, values[-1])
    silent = np.diagonal(scaled) == 0
    null = vectors[:, values < least]
    if factor is not None and not null.shape[1] and not silent.any():
        return np.asarray(factor)
    raise InputError(_singular(null, free, names))


def _singular(null: Array, free: Free, names: Names) -> str:
    sizes = np.abs(free.basis @ null).max(axis=1, initial=0.0)
    columns = involved(names, sizes > 1e-4 * sizes.max(initial=0.0))
    listed = ", ".join(map(repr, columns[:10]))
    more = f" and {len(columns) - 10} more" if len(columns) > 10 else ""
    if len(columns) == 1:
        told = f"column {listed} adds nothing to the scores that others do not"
    else:
        told = f"the columns {listed}{more} are collinear, or add nothing to the scores"
    return (
        f"the information matrix is singular: {told}, so that no standard errors exist."
        f" Drop {'it' if len(columns) == 1 else 'all but the independent ones'} and fit again."
    )


def bytes_needed(problem: Problem, reported: int) -> float:
    """Return what the dense route holds at once, in bytes."""
    return 8.0 * TAKES * max(problem.size, reported) ** 2


def dense_fits(problem: Problem, reported: int, memory: float) -> bool:
    """Return whether the dense route fits in so many bytes."""
    return bytes_needed(problem, reported) <= memory

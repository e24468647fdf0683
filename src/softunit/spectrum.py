"""The Hessian at a point seen in a metric in which its units of length do not matter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh

from softunit._typing import Matrix
from softunit.curvature import CentredDiagonal
from softunit.problem import Point, Problem

RANK_TOL = 1e-11  # of the largest eigenvalue of the scaled Gram: smaller ones count as zero


@dataclass(frozen=True)
class Metric:
    """The metric B = Gram of the columns + ridge, on its numerical range.

    Attributes
    ----------
    whitener : ndarray of shape (d, r)
        T with T' B T = I.
    rank : int
        r; below d the columns are collinear and no ridge holds them.
    """

    problem: Problem
    whitener: Matrix
    rank: int

    @classmethod
    def of(cls, problem: Problem) -> Metric:
        """Decompose the Gram of a problem's columns, scaled to unit diagonal first."""
        n, d = problem.design.shape
        blind = problem.unit.shift_invariant and not problem.unit.rowwise
        if blind and not problem.score_ridge.any():
            gram = problem.design.gram(CentredDiagonal(np.ones(n), np.full(n, 1 / n)))
        else:
            gram = problem.gram.copy()
        # A constant column leaves only rounding behind once it is centred.
        noise = 1e-13 * (np.diagonal(problem.gram) if blind else np.zeros(d))
        gram[np.diag_indices(d)] += problem.ridge
        size = np.diagonal(gram).copy()
        scale = np.where(size > noise, 1 / np.sqrt(np.maximum(size, 1e-300)), 0.0)
        values, vectors = eigh(gram * scale * scale[:, None])
        kept = values > RANK_TOL * max(float(values[-1]), 1e-300)
        return cls(problem, scale[:, None] * vectors[:, kept] / np.sqrt(values[kept]), kept.sum())

    @cached_property
    def collinear(self) -> bool:
        """Whether some combination of the columns moves no score and no penalty."""
        return self.rank < self.problem.shape[0]

    def dual_norm(self, gradient: Matrix) -> float:
        """Return |g|_* = sqrt(g' B^-1 g) on the range."""
        return float(np.linalg.norm(self.whitener.T @ gradient))

    def largest_row(self) -> float:
        """Return max_i sqrt(a_i' B^-1 a_i): one pass over the rows."""
        top = 0.0
        for _, block in self.problem.design.blocks():
            rows = block.matvec(self.whitener)
            top = max(top, float(np.einsum("ij,ij->i", rows, rows).max()))
        return math.sqrt(top)


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of the Hessian in the metric, and the Newton decrement.

    Attributes
    ----------
    smallest : float
        Least eigenvalue of T' H T, directions that change nothing left out.
    decrement : float
        sqrt(g' H^+ g); nan where the Hessian is not positive semidefinite.
    """

    metric: Metric
    smallest: float
    decrement: float

    @classmethod
    def at(cls, problem: Problem, point: Point, metric: Metric) -> Spectrum:
        """Form the Hessian at a point and decompose it in the metric."""
        columns = problem.columns
        hessian = problem.hessian(point)
        white = np.kron(metric.whitener, np.eye(columns)) if columns > 1 else metric.whitener
        values, vectors = eigh(white.T @ hessian @ white)
        gauge = _gauge_dimensions(problem, metric)
        keep = np.sort(np.argsort(np.abs(values))[gauge:])
        parts = (vectors.T @ (white.T @ point.gradient.ravel()))[keep]
        values = values[keep]
        smallest = float(values[0]) if len(values) else math.inf
        if smallest <= 0:
            return cls(metric, smallest, math.nan)
        return cls(metric, smallest, float(np.sqrt((parts**2 / values).sum())))


def _gauge_dimensions(problem: Problem, metric: Metric) -> int:
    """Return how many directions are blind: a constant across the columns of a free row of x.

    A ridge below the rounding of the Hessian leaves a row as good as free.
    """
    if not (problem.unit.rowwise and problem.columns > 1) or problem.score_ridge.any():
        return 0
    free = problem.ridge <= 1e-12 * np.diagonal(problem.gram)
    return metric.rank if free.all() else int(free.sum())


def concordant_gap(decrement: float, radius: float) -> float:
    """Return the gap bound of a quasi-self-concordant function; inf where there is none.

    With u = decrement * radius < 1 and third derivatives |D^3[v,v,w]| <= radius |w|_H D^2[v,v],
    F(x) - inf F <= (u + (1 - u) log(1 - u)) / radius^2, which tends to decrement^2 / 2. It is the
    minimum over r of -decrement r + (exp(-radius r) + radius r - 1) / radius^2, the lower model
    of Bach (2010), "Self-concordant analysis for logistic regression", Proposition 1.

    Parameters
    ----------
    decrement : float
        Newton decrement.
    radius : float
        Concordance constant in the norm of the Hessian.
    """
    u = decrement * radius
    if not u < 1:
        return math.inf
    if u < 1e-3:  # the closed form cancels here
        return decrement**2 * (0.5 + u / 6 + u * u / 12)
    return (u + (1 - u) * math.log1p(-u)) / radius**2

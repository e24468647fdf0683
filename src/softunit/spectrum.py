"""The Hessian at a point seen in a metric in which its units of length do not matter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh, null_space

from softunit._numeric import EPS
from softunit._typing import Matrix, Vector
from softunit.curvature import CentredDiagonal, Diagonal
from softunit.point import Point
from softunit.problem import FORM_LIMIT, Problem
from softunit.units import Bounds

Mask: TypeAlias = npt.NDArray[np.bool_]

SUSPECT = 1e-9  # of the largest eigenvalue of the scaled Gram: smaller ones are looked at again
TALL = 100  # rows for each column from which a few rows are asked first,
FEW = 8  # how many for each column,
CLEAR = 1e-3  # and what least singular value of their unit columns counts as independent
NULL = 1e-12  # |A v| over that of the largest direction: smaller ones are rounding


@dataclass(frozen=True)
class Metric:
    """The metric B = Gram of the columns + ridge, on the combinations of columns that count.

    Attributes
    ----------
    whitener : ndarray of shape (d, r)
        T with T' B T = I up to rounding.
    null : ndarray of shape (d, d - r)
        Combinations that change no score and carry no penalty, beyond rounding.
    least : float
        Smallest eigenvalue of B on the range, columns scaled to unit size: what rounding is
        magnified by.
    """

    problem: Problem
    whitener: Matrix
    null: Matrix
    least: float

    @classmethod
    def of(cls, problem: Problem) -> Metric:
        """Decompose the Gram of a problem's columns.

        1. Scale the columns to unit size and decompose.  2. Eigenvalues at rounding level say
        little: for these directions v take A v itself, after removing from v what other columns
        explain.  3. Those whose A v is rounding are null; the others join the range.
        """
        blind = is_blind(problem)
        gram = seen_gram(problem) if blind else problem.gram.copy()
        gram[np.diag_indices_from(gram)] += problem.ridge
        size = np.diagonal(gram)
        # A constant column leaves only rounding behind where constants are not seen.
        noise = 1e-26 * column_squares(problem) if blind else np.zeros(len(size))
        scale = np.where(size > noise, 1 / np.sqrt(np.maximum(size, 1e-300)), 1.0)  # 1.
        values, vectors = eigh(gram * scale * scale[:, None])
        top = max(float(values[-1]), 1e-300)
        clear = values > SUSPECT * top
        directions, values = scale[:, None] * vectors, values.copy()
        if not clear.all():  # 2.
            refined, squares = _refined(problem, directions, values, clear, blind=blind)
            directions[:, ~clear], values[~clear] = refined, squares
        kept = values > NULL**2 * top  # 3.
        whitener = directions[:, kept] / np.sqrt(values[kept])
        least = float(values[kept].min(initial=top)) / top
        return cls(problem, whitener, directions[:, ~kept], least)

    @property
    def collinear(self) -> bool:
        """Whether some combination of the columns moves no score and no penalty."""
        return bool(self.null.shape[1] > 0)

    @property
    def null_has_ridge(self) -> bool:
        """Whether a ridge, lost in rounding, holds the null directions after all."""
        return bool((self.problem.ridge @ self.null**2).any())

    def dual_norm(self, gradient: Vector) -> float:
        """Return |g|_* = sqrt(g' B^-1 g) on the range."""
        return float(np.linalg.norm(self.whitener.T @ gradient))

    def largest_row(self) -> float:
        """Return max_i sqrt(a_i' B^-1 a_i): one pass over the rows."""
        top = 0.0
        for _, block in self.problem.design.blocks():
            rows = block.matvec(self.whitener)
            top = max(top, float(np.einsum("ij,ij->i", rows, rows).max()))
        return math.sqrt(top)


def is_blind(problem: Problem) -> bool:
    """Return whether one constant added to all scores changes nothing."""
    coupled = problem.unit.shift_invariant and not problem.unit.rowwise
    return coupled and not problem.score_ridge.any()


def clearly_independent(problem: Problem) -> bool:
    """Return whether a few rows alone show that no combination of the columns moves no score.

    What is independent on some rows is on all. Only asked of designs so tall that it saves a Gram;
    False means that it is not known.
    """
    n, d = problem.design.shape
    if n < TALL * d or problem.weights is not None:
        return False
    blind = is_blind(problem)
    if blind and not isinstance(problem.unit.projection(1), CentredDiagonal):
        return False
    rows = np.random.default_rng(0).choice(n, FEW * d, replace=False)
    few = problem.design.rows(rows).toarray()
    seen = np.column_stack([few, np.ones(len(few))]) if blind else few
    size = np.linalg.norm(seen, axis=0)
    if not size.all():
        return False
    return float(np.linalg.svd(seen / size, compute_uv=False)[-1]) > CLEAR


def seen_gram(problem: Problem) -> Matrix:
    """Return a copy of the Gram of the columns after what the unit does not see is taken out.

    It is made once for a problem and those derived from it; row weights do not count.
    """
    kept = problem.prepared.get("seen gram")
    if kept is None or kept[0] is not problem.unit:
        projection = problem.unit.projection(problem.design.shape[0])
        problem.cost.rows += problem.design.shape[0]
        kept = (problem.unit, problem.design.gram(projection))
        problem.prepared["seen gram"] = kept
    return np.array(kept[1])


def column_squares(problem: Problem) -> Vector:
    """Return the sum of squares of each column, (d,): the diagonal of A' A without a Gram."""
    kept = problem.prepared.get("column squares")
    if kept is None:
        mean, variance = problem.design.column_moments()
        kept = np.asarray(problem.design.shape[0] * (variance + mean**2))
        problem.prepared["column squares"] = kept
    return np.asarray(kept)


def _refined(
    problem: Problem, directions: Matrix, values: Vector, clear: Mask, *, blind: bool
) -> tuple[Matrix, Vector]:
    """Return the suspect directions rotated, and |A v|^2 + ridge of each to full accuracy.

    What the clear directions explain of A v is taken out first: it is an error of the
    decomposition, larger than what is looked for.
    """
    suspect = directions[:, ~clear]
    image, squares = _moments(problem, suspect, blind=blind)
    known = directions[:, clear]
    suspect = suspect - known @ ((known.T @ image) / values[clear, None])
    _, squares = _moments(problem, suspect, blind=blind)
    squares, rotation = eigh(squares)
    return suspect @ rotation, np.maximum(squares, 0.0)


def _moments(problem: Problem, directions: Matrix, *, blind: bool) -> tuple[Matrix, Matrix]:
    """Return B V and V' B V from A V itself: two passes, no cancellation in a Gram."""
    design, mass = problem.design, problem.mass
    m = directions.shape[1]
    image, squares = np.zeros(directions.shape), np.zeros((m, m))
    seen = None
    if blind:
        moved = np.concatenate([block.toarray() @ directions for _, block in design.blocks()])
        seen = problem.unit.projection(design.shape[0]).matvec(moved)
    for rows, block in design.blocks():
        a = block.toarray()
        moved = a @ directions if seen is None else seen[rows]
        weighed = moved if problem.weights is None else problem.weights[rows, None] * moved
        image += a.T @ weighed / mass
        squares += moved.T @ weighed / mass
    held = problem.ridge[:, None] * directions
    return image + held, squares + directions.T @ held


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of the Hessian in the metric, and the Newton decrement.

    Directions that change nothing are left out: the metric's null directions, and a constant
    across the columns of scores where the unit does not see one.

    Attributes
    ----------
    smallest : float
        Least eigenvalue of T' H T.
    decrement : float
        sqrt(g' H^-1 g); nan where the Hessian is not positive definite.
    eigenvalue_error, gradient_error : float
        What rounding can make of the eigenvalues, and of the gradient in the metric's dual norm.
    hessian : ndarray of shape (p, p)
    """

    metric: Metric
    smallest: float
    decrement: float
    eigenvalue_error: float
    gradient_error: float
    hessian: Matrix

    @classmethod
    def at(cls, problem: Problem, point: Point, metric: Metric, *, reach: float) -> Spectrum:
        """Form the Hessian at a point and decompose it in the metric.

        Parameters
        ----------
        problem : Problem
        point : Point
        metric : Metric
        reach : float
            Size of the terms that make up a score: what its rounding scales with.
        """
        hessian = problem.hessian(point)
        white = metric.whitener
        if problem.columns > 1:
            white = np.asarray(np.kron(white, _seen(problem)), dtype=np.float64)
        values, vectors = eigh(white.T @ hessian @ white)
        size = max(1, len(values))
        largest = float(values[-1]) if len(values) else 0.0
        smallest = float(values[0]) if len(values) else math.inf
        decrement = math.nan
        if smallest > 0:
            parts = vectors.T @ (white.T @ point.gradient.ravel())
            decrement = float(np.sqrt((parts**2 / values).sum()))
        growth = 4 * EPS * (1 + reach)
        return cls(
            metric,
            smallest,
            decrement,
            eigenvalue_error=growth * math.sqrt(size) * max(largest, 0.0) / metric.least,
            gradient_error=growth * math.sqrt(size / metric.least),
            hessian=hessian,
        )

    @property
    def proved_smallest(self) -> float:
        """The least eigenvalue less what rounding may have added."""
        return self.smallest - self.eigenvalue_error

    @property
    def proved_decrement(self) -> float:
        """An upper bound on the decrement, rounding of gradient and Hessian included."""
        low = self.proved_smallest
        return self.decrement * math.sqrt(self.smallest / low) + self.gradient_error / math.sqrt(
            low
        )


def _seen(problem: Problem) -> Matrix:
    """Return a basis of the directions across the columns of scores that the unit sees."""
    k = problem.columns
    sees_all = not (problem.unit.rowwise and problem.unit.shift_invariant)
    if sees_all or problem.score_ridge.any():
        return np.eye(k)
    return np.asarray(null_space(np.ones((1, k))))


def constant_gap(problem: Problem, point: Point) -> float:
    """Return what a constant across the columns of x costs in ridge, and in nothing else.

    The loss does not see it, so this part of the gap is exact.
    """
    if problem.columns == 1 or _seen(problem).shape[1] == problem.columns:
        return 0.0
    sums = point.x.sum(axis=1)
    return 0.5 * float(problem.ridge @ sums**2) / problem.columns


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


def least_hessian(problem: Problem, bounds: Bounds) -> Matrix | None:
    """Return a matrix below the Hessian at every point, (d, d), or None where none would help.

    The unit's least curvature, row by row where it is a diagonal, plus the score penalty, as a
    weighted Gram; plus the ridge. Where it is positive definite the objective is strongly convex.

    Parameters
    ----------
    problem : Problem
    bounds : Bounds
        The unit's, for the target and weights of the problem.
    """
    n, d = problem.design.shape
    rows, floor = bounds.lowest_rows, float(problem.score_ridge.min()) + bounds.lowest
    helped = problem.ridge.all() or (rows is not None and problem.score_ridge.any())
    if floor == -math.inf or (floor < 0 and not helped) or d > FORM_LIMIT:
        return None
    if rows is not None:
        gram = problem.design.gram(Diagonal(problem.score_ridge + rows))
    elif problem.weights is None:
        gram = floor * problem.gram
    else:  # the bound on the curvature holds the weights already
        gram = floor * problem.design.gram(Diagonal(np.broadcast_to(1.0, n)))
    return np.asarray(gram + np.diag(problem.ridge))

"""What stands for a Hessian on some rows of x: one Gram, weighted for each column of scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from softunit._numeric import as_columns, dot
from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Matrix, Vector
from softunit.designs.base import Design
from softunit.penalties import Lasso
from softunit.problem import Problem
from softunit.solvers.blocks import Index
from softunit.solvers.conjugate_gradients import Operator
from softunit.solvers.proximal import with_momentum
from softunit.solvers.row_sample import RowSample
from softunit.spectrum import is_blind, seen_gram

GRAM_LIMIT = 1500  # rows of x up to which their Gram is made and factored
GRAM_ROWS = 4  # rows of the design for each of them, where it is made of a sample
LEAST = 1e-12  # of the largest diagonal entry: what a silent column is given
WORTH = 0.7  # of the columns: more are not copied
SPARE = 1.5  # times the columns asked for, in a copy that is used again
JITTER = 1e-10  # of the mean diagonal of a block
POWER_STEPS, ABOVE = 20, 1.05  # what finds the largest eigenvalue, and makes it a bound

Mask = npt.NDArray[np.bool_]


@dataclass
class GramMetric:
    """M with blocks m_k G + ridge on its diagonal, one for each column k of scores.

    G is the Gram of the columns, or its diagonal alone where they are many; m_k the mean curvature
    of column k.

    Attributes
    ----------
    squares : ndarray of shape (r,)
        The diagonal of G.
    means : ndarray of shape (K,)
    ridge : ndarray of shape (r,)
    make_gram : callable or None
        Makes G when it is first called for; None where the diagonal stands for it.
    """

    squares: Vector
    means: Vector
    ridge: Vector
    make_gram: Callable[[], Matrix] | None
    _made: list[Matrix] = field(default_factory=list)
    _top: float = 0.0

    @classmethod
    def of(cls, problem: Problem, part: Problem, rows: Index, curved: Vector) -> GramMetric:
        """Return the metric of some rows of x.

        Parameters
        ----------
        problem : Problem
        part : Problem
            The problem in these rows alone.
        rows : ndarray of int
        curved : ndarray of shape (K,)
            The diagonal of the curvature, summed over the rows of the design.
        """
        n = problem.design.shape[0]
        mean, variance = (moment[rows] for moment in _moments(problem))
        blind = is_blind(problem)
        weight = n if problem.weights is None or blind else float(problem.weights.sum())
        share = weight / problem.mass
        make = _gram_maker(problem, part, rows)
        means = np.maximum(curved, LEAST * curved.max(initial=0.0) + 1e-300) / share
        squares = share * (variance if blind else variance + mean**2)
        return cls(squares, means, part.ridge, make)

    def diagonal(self, shape: tuple[int, ...]) -> Array:
        """Return the diagonal of M in the shape of x, positive."""
        each = np.multiply.outer(self.squares, self.means) + self.ridge[:, None]
        each = np.maximum(each, LEAST * each.max(initial=0.0) + 1e-300)
        return np.asarray(each.reshape(shape))

    @property
    def gram(self) -> Matrix | None:
        """G, made once; None where the diagonal stands for it."""
        if self.make_gram is None:
            return None
        if not self._made:
            self._made.append(self.make_gram())
        return self._made[0]

    def minimised(
        self, y: Array, slope: Array, lasso: Lasso, free: Mask, stretch: float
    ) -> tuple[Array, float] | None:
        """Return p near the minimum of slope'p + stretch/2 p'Mp + penalty(y + p), and p'Mp.

        By accelerated proximal gradient steps with restarts; None where G is not at hand.

        Parameters
        ----------
        y, slope : ndarray of the shape of x
        lasso : Lasso
        free : ndarray of bool of the shape of x
            p is zero elsewhere.
        stretch : float
        """
        gram = self.gram
        if gram is None:
            return None

        def product(v: Array) -> Array:
            return np.asarray(((gram @ v) * means).T + self.ridge * v.T).T

        means = self.means if y.ndim == 2 else self.means[0]
        size = stretch * (np.asarray(means) * self._largest(gram) + self.ridge.max(initial=0.0))
        size = np.asarray(size.max()) if lasso.group else size

        def moved(q: Array) -> Array:
            v = y + q - (slope + stretch * product(q)) / size
            return np.where(free, lasso.proximal(v, 1 / size), y) - y

        p = with_momentum(moved, np.zeros_like(y))
        return p, dot(p, product(p))

    def inverse(self, on: Mask, diagonal: Array, bent: Array) -> Operator:
        """Return R -> (the part of M + diag(bent) in which `on` is true)^-1 R, zero elsewhere."""
        gram = self.gram
        if gram is None:
            return lambda r: np.where(on, r / (diagonal + bent), 0.0)
        factors = []
        with linear_algebra_on_threads():
            for k, column in enumerate(as_columns(on).T):
                index = np.flatnonzero(column)
                block = self.means[k] * gram[np.ix_(index, index)]
                lift = JITTER * np.trace(block) / max(1, len(index)) + 1e-300
                more = self.ridge[index] + as_columns(bent)[index, k]
                block[np.diag_indices_from(block)] += more + lift
                factors.append((index, _factored(block)))

        def solve(r: Array) -> Array:
            out = np.zeros_like(r)
            given, found = as_columns(r), as_columns(out)
            for k, (index, factor) in enumerate(factors):
                found[index, k] = cho_solve(factor, given[index, k], check_finite=False)
            return out

        return solve

    def _largest(self, gram: Matrix) -> float:
        """Return a bound on the largest eigenvalue of G, found once; rarely too small."""
        if self._top == 0.0:
            v = np.sqrt(np.diagonal(gram)) + 1e-300
            for _ in range(POWER_STEPS):
                v = gram @ (v / np.linalg.norm(v)) + 1e-300
            self._top = ABOVE * float(np.linalg.norm(v)) + 1e-300
        return self._top


def _factored(block: Matrix) -> tuple[Matrix, bool]:
    """Return the Cholesky factor of a block; of its diagonal where rounding leaves none."""
    try:
        factor, lower = cho_factor(block, lower=True, check_finite=False)
        return factor, bool(lower)
    except np.linalg.LinAlgError:
        return np.diag(np.sqrt(np.diagonal(block))), True


def _gram_maker(problem: Problem, part: Problem, rows: Index) -> Callable[[], Matrix] | None:
    """Return what makes the Gram of some columns: cut from that of all, or from a sample."""
    n, d = problem.design.shape
    if min(d, len(rows)) > GRAM_LIMIT:
        return None
    if is_blind(problem):
        return (lambda: _cut(seen_gram(problem), rows)) if d <= GRAM_LIMIT else None
    if d <= GRAM_LIMIT:
        return lambda: _cut(_whole_gram(problem), rows)
    size = GRAM_ROWS * max(len(rows), GRAM_LIMIT // 2)
    if not problem.unit.rowwise:
        return None
    if size >= n:
        return lambda: part.gram
    rng = np.random.default_rng(0)
    return lambda: RowSample.draw(part, size, rng).of(part).gram


def _whole_gram(problem: Problem) -> Matrix:
    """Return the Gram of all columns, of a sample of the rows where these are many.

    It is made once for a problem and those derived from it with the same weights.
    """
    n, d = problem.design.shape
    size = GRAM_ROWS * d
    if not problem.unit.rowwise or 2 * size > n or "gram" in problem.__dict__:
        return problem.gram
    kept = problem.prepared.get("sampled gram")
    if kept is None or kept[0] is not problem.weights:
        sample = RowSample.draw(problem, size, np.random.default_rng(0))
        kept = (problem.weights, sample.of(problem).gram)
        problem.prepared["sampled gram"] = kept
    return np.asarray(kept[1])


def _moments(problem: Problem) -> tuple[Vector, Vector]:
    """Return weighted mean and variance of each column, kept for problems of the same weights."""
    kept = problem.prepared.get("moments")
    if kept is None or kept[0] is not problem.weights:
        kept = (problem.weights, problem.design.column_moments(problem.weights))
        problem.prepared["moments"] = kept
    return kept[1]


def _cut(gram: Matrix, rows: Index) -> Matrix:
    return gram if len(rows) == len(gram) else gram[np.ix_(rows, rows)]


def columns_of(design: Design, rows: Index) -> Design | None:
    """Return the design of some columns, None where copying them would save too little."""
    return design.columns(rows) if len(rows) < WORTH * design.shape[1] else None


def working_columns(problem: Problem, rows: Index) -> tuple[Index, Design]:
    """Return the columns to work with, a few more than asked for, and their design.

    The last copy is kept, and serves as long as it holds what is asked for and little more.
    """
    kept = problem.prepared.get("working columns")
    if kept is not None and len(kept[0]) <= SPARE * len(rows) and np.isin(rows, kept[0]).all():
        return kept  # type: ignore[no-any-return]
    design = columns_of(problem.design, rows)
    if design is None:
        rows, design = np.arange(problem.shape[0]), problem.design
    problem.prepared["working columns"] = (rows, design)
    return rows, design

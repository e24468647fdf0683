"""A formed Hessian on the entries of x that may move: what small models are minimised with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from softunit._numeric import dot
from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Matrix, Vector
from softunit.curvature import RowSoftmax
from softunit.penalties import Lasso
from softunit.point import Point
from softunit.problem import Problem
from softunit.solvers.conjugate_gradients import Operator
from softunit.solvers.proximal import with_momentum

BLOCK_ENTRIES = 1 << 20  # of a block of rows, one column for each entry of x
FASTER = 1.0  # entries of a Hessian made in the time of one in a product
LIFTS = (1e-13, 1e-10, 1e-7)  # of the diagonal, where constants across the columns are not seen
LEAST = 1e-12  # of the largest diagonal entry: what a silent entry is given
POWER_STEPS, ABOVE = 20, 1.05  # what finds the largest eigenvalue, and makes it a bound

Mask = npt.NDArray[np.bool_]
Entries = npt.NDArray[np.integer]


def price(stored: float, entries: int, columns: int) -> float:
    """Return how many products with a Hessian take as long as forming it.

    Parameters
    ----------
    stored : float
        Entries in a row of the design.
    entries : int
        Entries that may move.
    columns : int
        Columns of scores.
    """
    return entries**2 / (FASTER * columns * (4 * stored + 10))


def formed(part: Problem, here: Point, free: Mask) -> Matrix:
    """Return the Hessian of a problem at a point in some entries of x, (m, m), row-major.

    Parameters
    ----------
    part : Problem
    here : Point
        With its scores, where these may be stored.
    free : ndarray of bool of the shape of x
        True m times.
    """
    own = np.flatnonzero(free)
    if here.scores is None or len(part.shape) == 1 or len(own) > 0.8 * free.size:
        return part.hessian(here)[np.ix_(own, own)]
    index, column = np.divmod(own, free.shape[1])
    total = np.zeros((len(own), len(own)))
    size = max(64, BLOCK_ENTRIES // len(own))
    with linear_algebra_on_threads():
        for rows, block in part.design.blocks(size):
            curvature = part.by_rows.curvature(rows, here.scores[rows], "exact")
            if not isinstance(curvature, RowSoftmax) or part.score_ridge.any():
                return part.hessian(here)[np.ix_(own, own)]
            _add(total, block.toarray(), curvature, index, column)
    part.cost.curvatures += part.share
    total[np.diag_indices_from(total)] += part.ridge[index]
    return total


def _add(total: Matrix, a: Matrix, c: RowSoftmax, index: Entries, column: Entries) -> None:
    """Add what a block of rows contributes: A'diag(p)A for each column, less one product."""
    p = c.probabilities
    root = p if c.weights is None else p * np.sqrt(c.weights)[:, None]
    wide = a[:, index] * root[:, column]
    total -= wide.T @ wide
    for k in range(p.shape[1]):
        own = np.flatnonzero(column == k)
        if len(own):
            weight = p[:, k] if c.weights is None else p[:, k] * c.weights
            some = a[:, index[own]]
            total[np.ix_(own, own)] += some.T @ (weight[:, None] * some)


@dataclass(frozen=True)
class FormedMetric:
    """The Hessian itself as the metric of a model.

    Attributes
    ----------
    hessian : ndarray of shape (m, m)
    free : ndarray of bool of the shape of x
        The m entries of x that may move.
    """

    hessian: Matrix
    free: Mask
    _places: Entries = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", np.flatnonzero(self.free))

    def product(self, v: Array) -> Array:
        """Return H V in the entries that may move, zero elsewhere."""
        return self._spread(self.hessian @ v.ravel()[self._places])

    @cached_property
    def scale(self) -> Array:
        """A bound on H by a diagonal, of the shape of x: one number for each row of a group."""
        own = np.diagonal(self.hessian)
        own = np.maximum(own, LEAST * own.max(initial=0.0) + 1e-300)
        root = np.sqrt(own)
        v = root * np.random.default_rng(0).random(len(root))  # no null vector
        for _ in range(POWER_STEPS):
            v = (self.hessian @ (v / np.linalg.norm(v) / root)) / root + 1e-300
        out = self._spread(ABOVE * max(1.0, float(np.linalg.norm(v))) * own)
        return np.where(self.free, out, 1.0)

    def minimised(
        self, y: Array, slope: Array, lasso: Lasso, free: Mask, stretch: float
    ) -> tuple[Array, float]:
        """Return p near the minimum of slope'p + stretch/2 p'Hp + penalty(y + p), and p'Hp.

        By accelerated proximal gradient steps with restarts.

        Parameters
        ----------
        y, slope : ndarray of the shape of x
        lasso : Lasso
        free : ndarray of bool of the shape of x
        stretch : float
        """
        size = stretch * self.scale
        size = size.max(axis=1, keepdims=True) if lasso.group else size

        def moved(q: Array) -> Array:
            v = y + q - (slope + stretch * self.product(q)) / size
            return np.where(free, lasso.proximal(v, 1 / size), y) - y

        p = with_momentum(moved, np.zeros_like(y))
        return p, dot(p, self.product(p))

    def inverse(self, on: Mask, lasso: Lasso, y: Array) -> Operator:
        """Return R -> (H + the penalty's curvature at y, where `on` is true)^-1 R, zero elsewhere.

        Parameters
        ----------
        on : ndarray of bool of the shape of x
        lasso : Lasso
        y : ndarray of the shape of x
        """
        places = np.flatnonzero(on)
        index = np.searchsorted(self._places, places)
        block = self.hessian[np.ix_(index, index)]
        if lasso.group:
            _bend(block, lasso, y, places)
        with linear_algebra_on_threads():
            factor = _factored(block)

        def solve(r: Array) -> Array:
            out = np.zeros_like(r)
            out.ravel()[places] = cho_solve(factor, r.ravel()[places], check_finite=False)
            return out

        return solve

    def _spread(self, values: Vector) -> Array:
        out = np.zeros(self.free.shape)
        out.ravel()[self._places] = values
        return out


def _bend(block: Matrix, lasso: Lasso, y: Array, places: Entries) -> None:
    """Add the second derivative of the rows' norms, a small block for each row."""
    k = y.shape[1]
    sizes = lasso.sizes(y)
    kept = np.where(sizes > 0, lasso.strength / np.where(sizes > 0, sizes, 1.0), 0.0)
    for row in np.unique(places // k):
        if kept[row, 0] > 0:
            unit = y[row] / sizes[row]
            own = np.flatnonzero(places // k == row)
            block[np.ix_(own, own)] += kept[row] * (np.eye(k) - np.outer(unit, unit))


def _factored(block: Matrix) -> tuple[Matrix, bool]:
    """Return the Cholesky factor of a block lifted a little; of its diagonal where none exists."""
    diagonal = np.diagonal(block).copy()
    floor = np.maximum(diagonal, LEAST * diagonal.max(initial=0.0) + 1e-300)
    for lift in LIFTS:
        block[np.diag_indices_from(block)] = diagonal + lift * floor
        try:
            factor, lower = cho_factor(block, lower=True, check_finite=False)
            return factor, bool(lower)
        except np.linalg.LinAlgError:
            continue
    return np.diag(np.sqrt(floor)), True

"""The chain rule, and only the chain rule: from derivatives in score space to those in x."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import check_vector, check_weights
from softunit._numeric import dot
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.curvature import Curvature, Diagonal
from softunit.designs.auto import as_design
from softunit.designs.base import BLOCK_ENTRIES, Design
from softunit.designs.dense import DenseDesign
from softunit.errors import InputError
from softunit.penalties import NoPenalty, Penalty, as_penalties, total_diagonal
from softunit.solution import Cost
from softunit.units.base import Unit

FORM_LIMIT = 2000
"""Largest number of parameters for which a Hessian is formed: 32 MB of float64."""

STORED_SCORES = 4  # arrays of the size of the scores that a line search on them holds at once


@dataclass(frozen=True)
class Point:
    """A point with what one pass over the rows tells about it.

    Attributes
    ----------
    x : ndarray of shape (d,) or (d, K)
    value : float
    gradient : ndarray of the shape of x
    scores : ndarray of shape (n,) or (n, K), or None
        A x + offset, where the memory rule lets it be stored.
    """

    x: Array
    value: float
    gradient: Array
    scores: Array | None


class Problem:
    """A design, a unit, a target and a penalty: an objective with derivatives in x.

    ::

        F(x) = unit(A x + offset, target) / mass + penalty(x or A x)

    mass is the sum of the weights for rowwise units (so that F is a mean) and 1 for units that
    couple all rows.

    Parameters
    ----------
    design : Design or array_like of shape (n, d)
    unit : Unit
    target : array_like
        What the unit takes: labels or shares for `Multinomial`, b for `SoftmaxSquares`.
    penalty : Penalty or sequence of Penalty, default NoPenalty()
    weights : array_like of shape (n,) or None, default None
        Row weights (outcome weights for units that couple all rows).
    offset : array_like of the shape of the scores, or None, default None
        Added to A x.

    Attributes
    ----------
    shape : tuple of int
        Shape of x: (d,), or (d, K) where the target calls for K columns of scores.
    mass : float
    cost : Cost
        What has been consumed so far.
    prepared : dict
        What solvers have made once for this design and would make again: samples of rows,
        decomposed Grams. Problems made by `derived` share it.

    Raises
    ------
    InputError
        If shapes disagree, or target, weights or offset hold what they must not.
    """

    def __init__(
        self,
        design: Design | npt.ArrayLike,
        unit: Unit,
        target: Any,
        penalty: Penalty | Sequence[Penalty] = NoPenalty(),
        *,
        weights: npt.ArrayLike | None = None,
        offset: npt.ArrayLike | None = None,
    ) -> None:
        if not isinstance(unit, Unit):
            raise InputError(f"`unit` must be a softunit unit, as Multinomial(); got {unit!r}.")
        self.design = as_design(design)
        self.unit = unit
        n, d = self.design.shape
        self.target = unit.check(target, n)
        columns = unit.columns(self.target)
        self.shape: tuple[int, ...] = (d,) if columns is None else (d, columns)
        self.weights = None if weights is None else check_weights(weights, n)
        self.offset = None if offset is None else _check_offset(offset, n, columns)
        mean = unit.rowwise
        self.mass = float(n if self.weights is None else self.weights.sum()) if mean else 1.0
        self.penalties = as_penalties(penalty)
        self.ridge = total_diagonal(self.penalties, "parameter", d)
        self.score_ridge = total_diagonal(self.penalties, "score", n)
        self.cost = Cost()
        self.prepared: dict[str, Any] = {}

    def derived(
        self, *, penalty: Penalty | Sequence[Penalty], weights: npt.ArrayLike | None = None
    ) -> Problem:
        """Return a problem of the same design, unit, target and offset with other settings.

        Nothing is copied, and what solvers have prepared is shared: a path of penalties, or folds
        told by weights of zero, prepare once.

        Parameters
        ----------
        penalty : Penalty or sequence of Penalty
        weights : array_like of shape (n,) or None, default None
            None keeps the weights.
        """
        twin = copy.copy(self)
        for name in ("gradient_scale", "gram"):
            twin.__dict__.pop(name, None)
        n, d = self.design.shape
        if weights is not None:
            twin.weights = check_weights(weights, n)
            twin.mass = float(twin.weights.sum()) if self.unit.rowwise else 1.0
        elif "gram" in self.__dict__:
            twin.__dict__["gram"] = self.gram
        twin.penalties = as_penalties(penalty)
        twin.ridge = total_diagonal(twin.penalties, "parameter", d)
        twin.score_ridge = total_diagonal(twin.penalties, "score", n)
        twin.cost = Cost()
        return twin

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(np.prod(self.shape))

    @property
    def columns(self) -> int:
        """Number of columns of scores, 1 for scores of shape (n,)."""
        return self.shape[1] if len(self.shape) == 2 else 1

    @cached_property
    def stores_scores(self) -> bool:
        """Whether n K floats fit the memory rule: a small share of the design plus 48 MiB."""
        n, columns = self.design.shape[0], self.columns
        if columns == 1 or not self.unit.rowwise:
            return True
        return STORED_SCORES * 8 * n * columns <= 0.15 * self.design.nbytes + (48 << 20)

    @cached_property
    def gradient_scale(self) -> float:
        """What a gradient entry is divided by before it is compared with a tolerance.

        One for rowwise units, whose objective is a mean. Otherwise the largest entry of
        |A|' |g_z(0)|, the gradient at x = 0 without cancellation, in the input's columns.
        """
        if self.unit.rowwise:
            return 1.0
        start = np.zeros(self.design.shape[0]) if self.offset is None else self.offset
        g = np.abs(self.unit.gradient(start, self.target, self.weights))
        scale = np.abs(self.design.gradient_to_input(self.design.abs_rmatvec(g))).max()
        return float(scale) or 1.0

    @cached_property
    def gram(self) -> Matrix:
        """A' diag(s) A / mass, (d, d): the second moments of the columns."""
        s = np.ones(self.design.shape[0]) if self.weights is None else self.weights
        self.cost.rows += self.design.shape[0]
        return self.design.gram(Diagonal(s)) / self.mass

    @property
    def gauge(self) -> npt.NDArray[np.bool_]:
        """Rows of x, (d,), in which a constant added across the columns changes nothing."""
        free = self.unit.rowwise and self.unit.shift_invariant and len(self.shape) == 2
        return np.asarray((self.ridge == 0) & (free and not self.score_ridge.any()))

    def gradient_norm(self, gradient: Array) -> float:
        """Return the largest absolute entry in the input's coordinates, over the scale."""
        return float(np.abs(self.design.gradient_to_input(gradient)).max()) / self.gradient_scale

    # Evaluations ------------------------------------------------------------------------------

    def scores(self, x: Array) -> Array:
        """Return A x + offset, (n,) or (n, K): one product."""
        self.cost.products += 1
        self.cost.rows += self.design.shape[0]
        z = self.design.matvec(x)
        return z if self.offset is None else z + self.offset

    def value(self, x: Array) -> float:
        """Return F(x): one pass, one product."""
        self._count(products=1, values=1)
        return self._penalty_value(x) + sum(
            self.block_value(rows, z) for rows, _, z in self.score_blocks(x)
        )

    def gradient(self, x: Array) -> Array:
        """Return the gradient of F at x, of the shape of x: one pass, two products."""
        return self.evaluate(x).gradient

    def value_gradient(self, x: Array) -> tuple[float, Array]:
        """Return F(x) and its gradient: one pass, two products."""
        point = self.evaluate(x)
        return point.value, point.gradient

    def evaluate(self, x: Array, scores: Array | None = None) -> Point:
        """Return the point x with value, gradient and, where they may be stored, scores.

        Parameters
        ----------
        x : ndarray of shape (d,) or (d, K)
        scores : ndarray or None, default None
            A x + offset if known; it saves one of the two products.
        """
        self._count(products=2 if scores is None else 1, values=1, gradients=1)
        value, gradient = self._penalty_value(x), np.zeros(x.shape)
        kept = scores
        if kept is None and self.stores_scores:
            kept = np.empty((self.design.shape[0], *x.shape[1:]))
        for rows, block, z in self.score_blocks(x, scores):
            part, g = self.block_value_gradient(rows, z)
            value += part
            gradient += block.rmatvec(g)
            if kept is not None and scores is None:
                kept[rows] = z
        gradient += (self.ridge * x.T).T
        return Point(x, value, gradient, kept)

    def hessian(
        self,
        point: Point,
        *,
        kind: Kind = "exact",
        coordinates: npt.NDArray[np.integer] | None = None,
    ) -> Matrix:
        """Return the Hessian of F at a point, (p, p) for x flattened row-major.

        Parameters
        ----------
        point : Point
        kind : {"exact", "gauss_newton"}, default "exact"
        coordinates : ndarray of int or None, default None
            Rows of x to keep; None keeps all.
        """
        self.cost.curvatures += 1
        self.cost.rows += self.design.shape[0]
        kept = np.arange(self.shape[0]) if coordinates is None else coordinates
        basis = None if coordinates is None else np.eye(self.shape[0])[:, kept]
        columns = self.columns
        total = np.zeros((len(kept) * columns, len(kept) * columns))
        for rows, block, z in self.score_blocks(point.x, point.scores):
            part = block if basis is None else DenseDesign(block.matvec(basis))
            total += part.gram(self.block_curvature(rows, z, kind))
            if self.score_ridge.any():
                extra = part.gram(Diagonal(self.score_ridge[rows]))
                total += extra if point.x.ndim == 1 else np.kron(extra, np.eye(columns))
        total[np.diag_indices_from(total)] += np.repeat(self.ridge[kept], columns)
        return total

    def hessian_product(
        self, point: Point, *, kind: Kind = "exact"
    ) -> tuple[Callable[[Array], Array], Vector]:
        """Return V -> H V and the sum over rows of the curvature's diagonal, (1,) or (K,).

        Curvatures are kept where scores may be; elsewhere each product makes them anew.
        """
        self._count(curvatures=1, products=0 if point.scores is not None else 1)
        kept: list[tuple[slice, Design, Curvature]] = []
        diagonal: Array = np.zeros(1)
        for rows, block, z in self.score_blocks(point.x, point.scores):
            c = self.block_curvature(rows, z, kind)
            diagonal = diagonal + c.diagonal_sum()
            if self.stores_scores:
                kept.append((rows, block, c))

        def curvatures() -> Iterator[tuple[slice, Design, Curvature]]:
            for rows, block, z in self.score_blocks(point.x, point.scores):
                yield rows, block, self.block_curvature(rows, z, kind)

        def product(v: Array) -> Array:
            self._count(products=2 if kept else 3)
            out = (self.ridge * v.T).T
            for rows, block, c in kept or curvatures():
                q = block.matvec(v)
                out = out + block.rmatvec(c.matvec(q) + (self.score_ridge[rows] * q.T).T)
            return np.asarray(out)

        return product, diagonal

    # Blocks: the only place where unit, target, weights and penalty meet a slice of rows --------

    def score_blocks(
        self, x: Array, scores: Array | None = None
    ) -> Iterator[tuple[slice, Design, Array]]:
        """Yield (rows, design of these rows, their scores): all rows at once if they couple."""
        n, d = self.design.shape
        columns = x.shape[1] if x.ndim == 2 else 1
        size = max(64, BLOCK_ENTRIES // (d + 3 * columns)) if self.unit.rowwise else n
        blocks = [(slice(0, n), self.design)] if size >= n else self.design.blocks(size)
        for rows, block in blocks:
            if scores is not None:
                yield rows, block, scores[rows]
                continue
            z = block.matvec(x)
            if self.offset is not None:
                z = z + self.offset[rows]
            yield rows, block, z

    def block_value(self, rows: slice, z: Array) -> float:
        """Return what some rows add to F."""
        loss = self.unit.value(z, self.target[rows], self._weights(rows)) / self.mass
        return loss + self._score_value(rows, z)

    def block_value_gradient(self, rows: slice, z: Array) -> tuple[float, Array]:
        """Return what some rows add to F, and its derivative by their scores."""
        loss, g = self.unit.value_gradient(z, self.target[rows], self._weights(rows))
        if self.mass != 1.0:
            g /= self.mass
        if self.score_ridge.any():
            g = g + (self.score_ridge[rows] * z.T).T
        return loss / self.mass + self._score_value(rows, z), g

    def block_curvature(self, rows: slice, z: Array, kind: Kind) -> Curvature:
        """Return the curvature of some rows, divided by the mass; score ridge not included."""
        weights = self._weights(rows)
        if self.mass != 1.0:
            weights = np.full(len(z), 1 / self.mass) if weights is None else weights / self.mass
        return self.unit.curvature(z, self.target[rows], weights, kind=kind)

    def _weights(self, rows: slice) -> Vector | None:
        return None if self.weights is None else self.weights[rows]

    def _score_value(self, rows: slice, z: Array) -> float:
        q = self.score_ridge[rows]
        return 0.5 * dot(z, (q * z.T).T) if q.any() else 0.0

    def _penalty_value(self, x: Array) -> float:
        return 0.5 * dot(x, (self.ridge * x.T).T)

    def _count(
        self, *, products: int = 0, values: int = 0, gradients: int = 0, curvatures: int = 0
    ) -> None:
        cost = self.cost
        cost.products += products
        cost.rows += self.design.shape[0] if products else 0
        cost.values += values
        cost.gradients += gradients
        cost.curvatures += curvatures


def _check_offset(offset: npt.ArrayLike, n: int, columns: int | None) -> Array:
    if columns is None:
        return check_vector("the offset", offset, n)
    array = np.asarray(offset, dtype=np.float64)
    if array.shape != (n, columns):
        raise InputError(
            f"the offset has shape {array.shape}, but the scores have shape {(n, columns)}: it"
            " needs one number for each row and class."
        )
    for k in range(columns):
        check_vector(f"column {k} of the offset", array[:, k], n)
    return array

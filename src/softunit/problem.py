"""The chain rule, and only the chain rule: from derivatives in score space to those in x."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import check_offset, check_weights
from softunit._numeric import dot
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.curvature import Diagonal
from softunit.designs.auto import as_design
from softunit.designs.base import Design
from softunit.errors import InputError
from softunit.passes import Rows
from softunit.penalties import NoPenalty, Penalty, as_penalties, total_diagonal, total_lasso
from softunit.point import Point
from softunit.row_terms import check_home, score_ridge_of_sample
from softunit.solution import Cost
from softunit.units.base import Unit

FORM_LIMIT = 2000
"""Largest number of parameters for which a Hessian is formed: 32 MB of float64."""

STORED_SCORES = 4  # arrays of the size of the scores that a line search on them holds at once


class Problem:
    """A design, a unit, a target and a penalty: an objective with derivatives in x.

    ::

        F(x) = unit(A x + offset, target) / mass + penalty(x or A x)

    mass is the sum of the weights for rowwise units (so that F is a mean) and 1 for units that
    couple all rows, or whose papers have a sum (`Unit.relative`).

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
    ridge : ndarray of shape (d,)
        The quadratic part of the penalties on x.
    lasso : Lasso or None
        Their part that is not smooth.
    cost : Cost
        What has been consumed so far.
    share : float
        Rows over those of the problem that this one was sampled from, one for a whole.
    derived_from : Problem
        The first of the problems that share `prepared`.
    prepared : dict
        What solvers have made once and would make again, as samples and decomposed Grams.

    Raises
    ------
    InputError
        If shapes disagree, or target, weights or offset hold what they must not.
    NeedsError
        If the unit couples rows that do not live in memory.
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
        check_home(self.design, unit)
        beside = self.design.beside
        self.target = beside(unit.check(beside(target), n))
        columns = unit.columns(self.target)
        self.shape: tuple[int, ...] = (d,) if columns is None else (d, columns)
        self.weights = None if weights is None else check_weights(beside(weights), n)
        self.offset = None if offset is None else check_offset(beside(offset), n, columns)
        self.mass = self._total if unit.rowwise and not unit.relative else 1.0
        self._penalise(penalty)
        self.cost = Cost()
        self.share = 1.0
        self.prepared: dict[str, Any] = {}
        self.derived_from: Problem = self
        self._latest: Point | None = None

    def derived(
        self, *, penalty: Penalty | Sequence[Penalty], weights: npt.ArrayLike | None = None
    ) -> Problem:
        """Return a problem of the same design, unit, target and offset with other settings.

        Nothing is copied, and what solvers have prepared is shared: a path of penalties, or folds
        told by weights of zero, prepare once. None keeps the weights.
        """
        twin = self._twin()
        if weights is not None:
            twin.weights = check_weights(self.design.beside(weights), self.design.shape[0])
            twin.mass = twin._total if self.unit.rowwise and not self.unit.relative else 1.0
        elif "gram" in self.__dict__:
            twin.__dict__["gram"] = self.gram
        twin._penalise(penalty)
        twin.cost = Cost()
        return twin

    def sampled(
        self,
        rows: slice | npt.NDArray[np.integer],
        *,
        weights: Vector | None = None,
        design: Design | None = None,
    ) -> Problem:
        """Return the problem of some rows, standing for all; what it costs is counted here.

        Parameters
        ----------
        rows : slice or ndarray of int
            A slice shares memory; other rows are gathered.
        weights : ndarray or None, default None
            Weights of these rows in the sample; None means one.
        design : Design or None, default None
            The design of these rows, where it is at hand.
        """
        twin = self._twin()
        take: Any = self.design.rows if isinstance(rows, slice) else self.design.gathered
        twin.design = take(rows) if design is None else design
        twin.target, twin.weights = self.target[rows], weights
        twin.offset = None if self.offset is None else self.offset[rows]
        share = twin.design.shape[0] / self.design.shape[0]
        twin.mass = self.mass * (twin._total / self._total) if self.unit.rowwise else 1.0
        own = None if self.weights is None else self.weights[rows]
        twin.score_ridge = score_ridge_of_sample(self.score_ridge[rows], share, weights, own)
        twin.share, twin.prepared, twin.derived_from = self.share * share, {}, twin
        return twin

    def _penalise(self, penalty: Penalty | Sequence[Penalty]) -> None:
        n, d = self.design.shape
        self.penalties = as_penalties(penalty)
        self.ridge = total_diagonal(self.penalties, "parameter", d)
        self.score_ridge = total_diagonal(self.penalties, "score", n)
        self.lasso = total_lasso(self.penalties, self.shape)

    def _twin(self) -> Problem:
        twin = copy.copy(self)
        for name in ("gradient_scale", "gram", "stores_scores"):
            twin.__dict__.pop(name, None)
        twin._latest = None
        return twin

    @property
    def _total(self) -> float:
        return float(self.design.shape[0] if self.weights is None else self.weights.sum())

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
        if self.design.home != "memory" or columns == 1 or not self.unit.rowwise:
            return self.design.home == "memory"
        return STORED_SCORES * 8 * n * columns <= 0.15 * self.design.nbytes + (48 << 20)

    @cached_property
    def gradient_scale(self) -> float:
        """What a gradient entry is divided by before it is compared with a tolerance.

        One where it is a mean, else the largest entry of |A|' `gradient_terms`, if finite.
        """
        if self.unit.rowwise and not self.unit.relative:
            return 1.0
        start = np.zeros(self.design.shape[0]) if self.offset is None else self.offset
        g = self.unit.gradient_terms(start, self.target, self.weights) / self.mass
        scale = np.abs(self.design.gradient_to_input(self.design.abs_rmatvec(g))).max()
        return float(scale) if 0 < scale < np.inf else 1.0

    @cached_property
    def gram(self) -> Matrix:
        """A' diag(s) A / mass, (d, d): the second moments of the columns."""
        s = np.broadcast_to(1.0, self.design.shape[0]) if self.weights is None else self.weights
        self.cost.rows += self.design.shape[0]
        return self.design.gram(Diagonal(s)) / self.mass

    def least_subgradient(self, point: Point) -> Array:
        """Return the subgradient of F of least norm by the input's columns: zero at optima only."""
        design, lasso = self.design, self.lasso
        gradient = design.gradient_to_input(point.gradient)
        if lasso is None:
            return gradient
        own = lasso.scaled(design.gradient_to_input(lasso.strength))
        return own.least_subgradient(design.to_input(point.x), gradient)

    def gradient_norm(self, gradient: Array) -> float:
        """Return the largest absolute entry in the input's coordinates, over the scale."""
        return float(np.abs(self.design.gradient_to_input(gradient)).max()) / self.gradient_scale

    # Evaluations ------------------------------------------------------------------------------

    @property
    def by_rows(self) -> Rows:
        """What slices of the rows add to F."""
        q = self.score_ridge if self.score_ridge.strides[0] and self.score_ridge.any() else None
        return Rows(self.design, self.unit, self.target, self.weights, self.offset, q, self.mass)

    def scores(self, x: Array) -> Array:
        """Return A x + offset, (n,) or (n, K): one product."""
        self._count(Cost(products=1))
        z = self.design.matvec(x)
        return z if self.offset is None else z + self.offset

    def value(self, x: Array) -> float:
        """Return F(x): one pass, one product."""
        self._count(Cost(products=1, values=1))
        return self._penalty_value(x) + self.by_rows.total_value(x)

    def gradient(self, x: Array) -> Array:
        """Return the gradient of F at x, of the shape of x: one pass, two products."""
        return self.evaluate(x).gradient

    def evaluate(
        self, x: Array, scores: Array | None = None, *, store: bool = True, coarse: bool = False
    ) -> Point:
        """Return the point x with value, gradient and, where they may be stored, scores.

        Parameters
        ----------
        x : ndarray of shape (d,) or (d, K)
        scores : ndarray or None, default None
            A x + offset if known; it saves one of the two products.
        store : bool, default True
            Whether to keep the scores, where the memory rule lets them be stored.
        coarse : bool, default False
            Whether to work in float32, block by block, where the design bears it; sums over
            blocks are float64 still. It takes half the time and leaves about six digits.
        """
        fresh = scores is None
        narrow = coarse and fresh and self.design.narrowable
        kept, latest = scores, self._latest
        keep = fresh and store and self.stores_scores and not narrow
        known = latest is not None and fresh and not narrow and np.array_equal(latest.x, x)
        if latest is not None and known and (latest.scores is not None or not keep):
            return replace(latest, x=x, gradient=latest.gradient.copy())
        self._count(Cost(products=2 if fresh else 1, values=1, gradients=1))
        if keep:  # one class after the other in memory, as units like it
            kept = np.empty((*x.shape[1:], self.design.shape[0])).T
        value, gradient = self.by_rows.total_value_gradient(
            x, scores, into=kept if fresh else None, narrow=narrow
        )
        gradient = gradient + (self.ridge * x.T).T
        value += self._penalty_value(x)
        point = Point(x, value, gradient, kept, fresh and not narrow, self.share, narrow)
        if point.exact:  # the end of a run is where its certificate begins
            self._latest = replace(point, x=x.copy(), gradient=gradient.copy())
        return point

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
        self._count(Cost(curvatures=1))
        kept = np.arange(self.shape[0]) if coordinates is None else coordinates
        basis = None if coordinates is None else np.zeros((self.shape[0], len(kept)))
        if basis is not None:
            basis[kept, np.arange(len(kept))] = 1.0
        total = self.by_rows.total_hessian(point.x, point.scores, kind=kind, basis=basis)
        total[np.diag_indices_from(total)] += np.repeat(self.ridge[kept], self.columns)
        return total

    def hessian_product(
        self, point: Point, *, kind: Kind = "exact", coarse: bool = False
    ) -> tuple[Callable[[Array], Array], Vector]:
        """Return V -> H V and the sum over rows of the curvature's diagonal, (1,) or (K,).

        Curvatures are kept where scores may be; elsewhere each product makes them anew.

        Parameters
        ----------
        point : Point
        kind : {"exact", "gauss_newton"}, default "exact"
        coarse : bool, default False
            As in `evaluate`.
        """
        fresh = point.scores is None
        self._count(Cost(curvatures=1, products=int(fresh)), reads=fresh)
        keep = self.stores_scores
        narrow = coarse and self.design.narrowable and point.scores is None
        image, diagonal = self.by_rows.hessian_product(
            point.x, point.scores, kind=kind, keep=keep, narrow=narrow
        )

        def product(v: Array) -> Array:
            self._count(Cost(products=2 if keep else 3))
            return np.asarray(image(v) + (self.ridge * v.T).T)

        return product, diagonal

    def _penalty_value(self, x: Array) -> float:
        smooth = 0.5 * dot(x, (self.ridge * x.T).T)
        return smooth if self.lasso is None else smooth + self.lasso.value(x)

    def _count(self, spent: Cost, *, reads: bool = True) -> None:
        """Add to the cost; a sample of the rows counts as its share of them all."""
        spent.rows = self.design.shape[0] if reads else 0
        self.cost.add(spent, self.share)

"""Passes over the rows, block by block: the only place where a unit meets slices of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from softunit._numeric import dot
from softunit._threads import add_up
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.curvature import Curvature, Diagonal
from softunit.designs.base import BLOCK_ENTRIES, Design
from softunit.designs.dense import DenseDesign
from softunit.units.base import Unit

EARNS = 8  # entries of a sparse block for each of its columns

Block = tuple[slice, Design]
"""Some rows and the design of these rows."""

Curved = tuple[slice, Design, Curvature]
"""Likewise, and their curvature."""


@dataclass(frozen=True)
class Rows:
    """What is known of all rows, and what a slice of them adds to an objective.

    Attributes
    ----------
    design : Design
        A, (n, d).
    unit : Unit
    target : ndarray
    weights : ndarray of shape (n,) or None
        Row weights.
    offset : ndarray of the shape of the scores, or None
        Added to A x.
    score_ridge : ndarray of shape (n,) or None
        q: 1/2 sum_i q_i |z_i|^2 is added.
    mass : float
        What the unit's loss is divided by.
    """

    design: Design
    unit: Unit
    target: Array
    weights: Vector | None
    offset: Array | None
    score_ridge: Vector | None
    mass: float

    # Passes over all rows, without the penalty in x ---------------------------------------------

    def total_value(self, x: Array) -> float:
        """Return the sum over all rows at x."""

        def part(block: Block) -> tuple[float]:
            return (self.value(block[0], self.block_scores(*block, x, None)),)

        return float(add_up(part, self.blocks(_columns(x)))[0])

    def total_value_gradient(
        self, x: Array, scores: Array | None, *, into: Array | None = None, narrow: bool = False
    ) -> tuple[float, Array]:
        """Return the sum over all rows at x and its derivative, float64 of the shape of x.

        Parameters
        ----------
        x : ndarray of shape (d,) or (d, K)
        scores : ndarray or None
            A x + offset if known.
        into : ndarray or None, default None
            Where scores made on the way are written.
        narrow : bool, default False
            Whether blocks are worked on in float32.
        """
        w, constant = self.design.into_core(_narrowed(x) if narrow else x)

        def part(block: Block) -> tuple[float, Array, Array]:
            rows, core = block
            core = core.narrow() if narrow else core
            z = self.core_scores(block, core, w, constant) if scores is None else scores[rows]
            value, g = self.value_gradient(rows, z)
            if into is not None:
                into[rows] = z
            total = np.zeros(1) if constant is None else g.sum(axis=0, dtype=np.float64)
            return value, core.rmatvec(g), total

        with _narrow_errors(narrow):
            value, gradient, total = add_up(part, self.blocks(_columns(x), core=True))
        return float(value), self.design.from_core(gradient, total)

    def total_hessian(
        self, x: Array, scores: Array | None, *, kind: Kind, basis: Matrix | None
    ) -> Matrix:
        """Return the second derivative at x, (p, p), or on some combinations of columns (d, r)."""
        columns, total = _columns(x), None
        for rows, block, z in self._scored(x, scores):
            part = block if basis is None else DenseDesign(block.matvec(basis))
            more = part.gram(self.curvature(rows, z, kind))
            if self.score_ridge is not None:
                extra = part.gram(Diagonal(self.score_ridge[rows]))
                more += extra if x.ndim == 1 else np.kron(extra, np.eye(columns))
            total = more if total is None else np.add(total, more, out=total)
        assert total is not None
        return total

    def hessian_product(
        self, x: Array, scores: Array | None, *, kind: Kind, keep: bool, narrow: bool
    ) -> tuple[Callable[[Array], Array], Vector]:
        """Return V -> (second derivative at x) V, and the curvature's diagonal summed over rows.

        Parameters
        ----------
        x : ndarray of shape (d,) or (d, K)
        scores : ndarray or None
            A x + offset if known.
        kind : {"exact", "gauss_newton"}
        keep : bool
            Whether curvatures are kept; else each product makes them anew.
        narrow : bool
            Whether blocks are worked on in float32.
        """
        blocks = self.blocks(_columns(x), core=True)
        w, constant = self.design.into_core(_narrowed(x) if narrow else x)

        def curved(block: Block) -> Curved:
            rows, core = block
            core = core.narrow() if narrow else core
            z = self.core_scores(block, core, w, constant) if scores is None else scores[rows]
            return rows, core, self.curvature(rows, z, kind)

        def noted(block: Block) -> tuple[Vector, list[Curved]]:
            made = curved(block)
            return made[2].diagonal_sum(), [made] if keep else []

        with _narrow_errors(narrow):
            diagonal, kept = add_up(noted, blocks)

        def product(v: Array) -> Array:
            direction, shift = self.design.into_core(_narrowed(v) if narrow else v)

            def part(made: Curved) -> tuple[Array, Array]:
                rows, core, curvature = made
                q = core.matvec(direction)
                if shift is not None:
                    q += shift
                image = curvature.matvec(q)
                if self.score_ridge is not None:
                    image = image + (self.score_ridge[rows] * q.T).T
                return core.rmatvec(image), image.sum(axis=0, dtype=np.float64)

            parts = (part, kept) if keep else (lambda block: part(curved(block)), blocks)
            with _narrow_errors(narrow):
                sums = add_up(*parts)
            return np.asarray(self.design.from_core(*sums))

        return product, diagonal

    def _scored(self, x: Array, scores: Array | None) -> Iterator[tuple[slice, Design, Array]]:
        """Yield rows for a Gram: all at once where there is one column of scores."""
        if x.ndim == 2:
            yield from self.scores(x, scores)
            return
        everything = slice(0, self.design.shape[0])
        yield everything, self.design, self.block_scores(everything, self.design, x, scores)

    # Slices of rows -----------------------------------------------------------------------------

    def blocks(self, columns: int, *, core: bool = False) -> list[Block]:
        """Return all rows in blocks that fit the cache; in one block if they couple.

        Parameters
        ----------
        columns : int
            Columns of scores.
        core : bool, default False
            Whether blocks are of the design's stored entries.
        """
        n, d = self.design.shape
        design = self.design.core if core else self.design
        if not self.unit.rowwise:
            return [(slice(0, n), design)]
        entries = self.design.row_entries
        # A sparse block must earn the (d, K) arrays that its products read and fill.
        earns = int(EARNS * d / entries) if entries < d else 0
        size = max(64, int(BLOCK_ENTRIES / (entries + 3 * columns)), earns)
        return [(slice(0, n), design)] if size >= n else list(design.blocks(size))

    def scores(
        self, x: Array, scores: Array | None = None
    ) -> Iterator[tuple[slice, Design, Array]]:
        """Yield (rows, design of these rows, their scores), block by block.

        Parameters
        ----------
        x : ndarray of shape (d,) or (d, K)
        scores : ndarray or None, default None
            A x + offset if known.
        """
        for rows, block in self.blocks(_columns(x)):
            yield rows, block, self.block_scores(rows, block, x, scores)

    def core_scores(self, block: Block, core: Design, w: Array, constant: Array | None) -> Array:
        """Return the scores of some rows from their stored entries."""
        z = core.matvec(w)
        if constant is not None:
            z += constant
        if self.offset is not None:
            z += self.offset[block[0]]
        return z

    def block_scores(self, rows: slice, block: Design, x: Array, scores: Array | None) -> Array:
        """Return the scores of some rows: cut from known ones, or one product."""
        if scores is not None:
            return scores[rows]
        z = block.matvec(x)
        if self.offset is not None:
            z += self.offset[rows]
        return z

    def value(self, rows: slice, z: Array) -> float:
        """Return what some rows add to the objective."""
        loss = self.unit.value(z, self._target(rows), self._shares(rows, len(z)))
        return loss + self._score_value(rows, z)

    def value_gradient(self, rows: slice, z: Array) -> tuple[float, Array]:
        """Return what some rows add to the objective, and its derivative by their scores."""
        loss, g = self.unit.value_gradient(z, self._target(rows), self._shares(rows, len(z)))
        if self.score_ridge is not None:
            g = g + (self.score_ridge[rows] * z.T).T
        return loss + self._score_value(rows, z), g

    def conjugate(self, rows: slice, v: Array) -> float:
        """Return the conjugate of what the losses of some rows add, at v; nan where not known."""
        return self.unit.conjugate(v, self._target(rows), self._shares(rows, len(v)))

    def curvature(self, rows: slice, z: Array, kind: Kind) -> Curvature:
        """Return the curvature of some rows; that of the score ridge is not included."""
        return self.unit.curvature(z, self._target(rows), self._shares(rows, len(z)), kind=kind)

    def _target(self, rows: slice) -> Array:
        # Where rows couple there is one slice only, and the target need not have a row for each.
        return self.target[rows] if self.unit.rowwise else self.target

    def _shares(self, rows: slice, n: int) -> Vector | None:
        """Return the weights of some rows over the mass: dividing here costs no pass of its own."""
        if self.weights is None:
            return None if self.mass == 1.0 else np.full(n, 1.0 / self.mass)
        weights = self.weights[rows]
        return weights if self.mass == 1.0 else weights / self.mass

    def _score_value(self, rows: slice, z: Array) -> float:
        if self.score_ridge is None:
            return 0.0
        return 0.5 * dot(z, (self.score_ridge[rows] * z.T).T)


def _columns(x: Array) -> int:
    return x.shape[1] if x.ndim == 2 else 1


def _narrow_errors(narrow: bool) -> np.errstate:
    """Return a context in which float32 may overflow: no step accepts what comes of it."""
    quiet = {"over": "ignore", "invalid": "ignore"} if narrow else {}
    return np.errstate(**quiet)  # type: ignore[arg-type]


def _narrowed(x: Array) -> Array:
    with np.errstate(over="ignore"):  # an infinite value is refused by every step
        return x.astype(np.float32)

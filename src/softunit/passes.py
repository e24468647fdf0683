"""Passes over all rows, wherever they live: sums over chunks, and over blocks within them.

What is done with a chunk is a function of a module with settings: it can be sent to the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from softunit._array_api import column_sums, matching
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.curvature import Curvature, Diagonal
from softunit.designs.base import Block, Design, Terms
from softunit.designs.dense import DenseDesign
from softunit.row_terms import RowTerms, columns_of, times_rows
from softunit.units.base import Unit

Curved = tuple[slice, Design, Curvature]
"""Some rows, the design of their stored entries, and their curvature."""


class Rows(RowTerms):
    """What is known of all rows, and sums over them, without the penalty in x."""

    def total_value(self, x: Array) -> float:
        """Return the sum over all rows at x."""
        w, constant = self.design.into_core(x)
        return float(self._over_core(partial(_value, w=w, constant=constant))[0])

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
            Where scores made on the way are written, for rows that live in memory.
        narrow : bool, default False
            Whether blocks are worked on in float32.
        """
        w, constant = self.design.into_core(_narrowed(x) if narrow else x)
        function = partial(_value_gradient, w=w, constant=constant, narrow=narrow)
        value, gradient, total = self._over_core(function, scores, into)
        return float(value), self.design.from_core(gradient, total)

    def total_hessian(
        self, x: Array, scores: Array | None, *, kind: Kind, basis: Matrix | None
    ) -> Matrix:
        """Return the second derivative at x, (p, p), or on some combinations of columns (d, r)."""
        function = partial(_hessian, x=x, kind=kind, basis=basis)
        return np.asarray(self._over(self.design, function, scores)[0])

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
            Whether curvatures are kept, of rows that live in memory; else each product makes them
            anew.
        narrow : bool
            Whether blocks are worked on in float32.
        """
        w, constant = self.design.into_core(_narrowed(x) if narrow else x)
        kept: list[Curved] = []
        at = _Curved(w, constant, kind, narrow)
        if keep and self.design.home == "memory":
            diagonal = _curvatures(self._stored, (scores,), at=at, kept=kept)[0]
        else:
            diagonal = self._over_core(partial(_curvatures, at=at, kept=None), scores)[0]

        def product(v: Array) -> Array:
            direction, shift = self.design.into_core(_narrowed(v) if narrow else v)
            function = partial(_hessian_product, at=at, direction=direction, shift=shift)
            if kept:
                sums = function(self._stored, (scores,), kept=kept)
            else:
                sums = self._over_core(function, scores)
            return np.asarray(self.design.from_core(*sums))

        return product, diagonal

    def _over_core(self, function: Callable[..., Terms], *arrays: Array | None) -> Terms:
        """Return function(rows of a chunk of stored entries, arrays) summed over all chunks."""
        return self._over(self.design.core, function, *arrays)

    def _over(self, design: Design, function: Callable[..., Terms], *arrays: Array | None) -> Terms:
        settings = (self.unit, self.mass)
        own = (self.target, self.weights, self.offset, self.score_ridge)
        return design.reduce(partial(_on_chunk, function, settings), (*own, *arrays))

    @property
    def _stored(self) -> RowTerms:
        """The same rows with the stored entries for their design, in memory."""
        fields = self.unit, self.target, self.weights, self.offset, self.score_ridge, self.mass
        return RowTerms(self.design.core, *fields)


def _on_chunk(
    function: Callable[..., Terms],
    settings: tuple[Unit, float],
    chunk: Design,
    arrays: tuple[Any, ...],
) -> Terms:
    """Return function(what is known of the rows of a chunk, the other arrays of these rows)."""
    (unit, mass), (target, weights, offset, score_ridge, *others) = settings, arrays
    rows = RowTerms(chunk, unit, target, weights, offset, score_ridge, mass)
    return function(rows, tuple(others))


def _value(rows: RowTerms, _: tuple[()], *, w: Array, constant: Array | None) -> Terms:
    place = rows.design.placed
    inside, shift = place(w), None if constant is None else place(constant)

    def part(block: Block) -> Terms:
        z = rows.core_scores(block, block[1], inside, shift)
        return (rows.value(block[0], z),)

    return rows.add_up(part, rows.blocks(columns_of(w)))


def _value_gradient(
    rows: RowTerms,
    arrays: tuple[Array | None, Array | None],
    *,
    w: Array,
    constant: Array | None,
    narrow: bool,
) -> Terms:
    """Return value, gradient by the stored columns, and sum of the derivative by the scores."""
    scores, into = arrays
    place = rows.design.placed
    inside, shift = place(w), None if constant is None else place(constant)

    def part(block: Block) -> Terms:
        at, core = block[0], block[1].narrow() if narrow else block[1]
        z = rows.core_scores(block, core, inside, shift) if scores is None else scores[at]
        value, g = rows.value_gradient(at, z)
        if into is not None:
            into[at] = z
        total = np.zeros(1) if constant is None else column_sums(g)
        return value, core.rmatvec(g), total

    with _narrow_errors(narrow):
        return rows.add_up(part, rows.blocks(columns_of(w)))


def _hessian(
    rows: RowTerms, arrays: tuple[Array | None], *, x: Array, kind: Kind, basis: Matrix | None
) -> Terms:
    """Return the second derivative, (p, p), or on some combinations of the columns (d, r)."""
    (scores,), total = arrays, None
    columns = columns_of(x)
    # One column: all rows at once, whose Gram takes its own blocks.
    everything = slice(0, rows.design.shape[0]), rows.design
    for at, block in rows.blocks(columns) if x.ndim == 2 else [everything]:
        z = rows.block_scores(at, block, x, scores)
        part = block if basis is None else DenseDesign(block.matvec(basis))
        more = part.gram(rows.curvature(at, z, kind))
        if rows.score_ridge is not None:
            extra = part.gram(Diagonal(rows.score_ridge[at]))
            more += extra if x.ndim == 1 else np.kron(extra, np.eye(columns))
        total = more if total is None else np.add(total, more, out=total)
    assert total is not None
    return (total,)


@dataclass(frozen=True)
class _Curved:
    """The curvature of blocks at a point, made where the rows are."""

    w: Array
    constant: Array | None
    kind: Kind
    narrow: bool

    def blocks(self, rows: RowTerms, scores: Array | None) -> Callable[[Block], Curved]:
        """Return what makes the curvature of a block of these rows."""
        place = rows.design.placed
        inside = place(self.w)
        shift = None if self.constant is None else place(self.constant)

        def curved(block: Block) -> Curved:
            at, core = block[0], block[1].narrow() if self.narrow else block[1]
            z = rows.core_scores(block, core, inside, shift) if scores is None else scores[at]
            return at, core, rows.curvature(at, z, self.kind)

        return curved


def _curvatures(
    rows: RowTerms, arrays: tuple[Array | None], *, at: _Curved, kept: list[Curved] | None
) -> Terms:
    """Return the sum of the curvature's diagonal over the rows; keep all of it where asked."""
    curved = at.blocks(rows, arrays[0])

    def noted(block: Block) -> tuple[Vector, list[Curved]]:
        made = curved(block)
        return made[2].diagonal_sum(), [] if kept is None else [made]

    with _narrow_errors(at.narrow):
        diagonal, made = rows.add_up(noted, rows.blocks(columns_of(at.w)))
    if kept is not None:
        kept += made
    return (diagonal,)


def _hessian_product(
    rows: RowTerms,
    arrays: tuple[Array | None],
    *,
    at: _Curved,
    direction: Array,
    shift: Array | None,
    kept: list[Curved] | None = None,
) -> Terms:
    """Return the image of a direction, by the stored columns, and its sum over the scores."""
    place = rows.design.placed
    along, across = place(direction), None if shift is None else place(shift)

    def image(made: Curved) -> Terms:
        where, core, curvature = made
        q = core.matvec(along)
        if across is not None:
            q += matching(across, q)
        moved = curvature.matvec(q)
        if rows.score_ridge is not None:
            moved = moved + times_rows(rows.score_ridge[where], q)
        return core.rmatvec(moved), column_sums(moved)

    with _narrow_errors(at.narrow):
        if kept is not None:
            return rows.add_up(image, kept)
        curved = at.blocks(rows, arrays[0])
        return rows.add_up(lambda b: image(curved(b)), rows.blocks(columns_of(at.w)))


def _narrow_errors(narrow: bool) -> np.errstate:
    """Return a context in which float32 may overflow: no step accepts what comes of it."""
    quiet = {"over": "ignore", "invalid": "ignore"} if narrow else {}
    return np.errstate(**quiet)  # type: ignore[arg-type]


def _narrowed(x: Array) -> Array:
    with np.errstate(over="ignore"):  # an infinite value is refused by every step
        return x.astype(np.float32)

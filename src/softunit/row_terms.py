"""What slices of the rows add to an objective: the only place where a unit meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._array_api import column_sums, matching, to_numpy
from softunit._numeric import dot
from softunit._threads import add_up
from softunit._typing import Array, Kind, Vector
from softunit.curvature import Curvature
from softunit.designs.base import Block, Design, Terms
from softunit.errors import NeedsError
from softunit.units.base import Unit

EARNS = 8  # entries of a sparse block for each of its columns


@dataclass(frozen=True)
class RowTerms:
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

    def blocks(self, columns: int) -> list[Block]:
        """Return the rows of a design in memory, or on a device, in blocks that suit it.

        Rows that couple are one block.

        Parameters
        ----------
        columns : int
            Columns of scores.
        """
        n = self.design.shape[0]
        if not self.unit.rowwise:
            return [(slice(0, n), self.design)]
        size = self.block_rows(columns)
        return [(slice(0, n), self.design)] if size >= n else list(self.design.blocks(size))

    def block_rows(self, columns: int) -> int:
        """Return how many rows a block has."""
        d, entries = self.design.shape[1], self.design.row_entries
        # A sparse block must earn the (d, K) arrays that its products read and fill.
        earns = int(EARNS * d / entries) if entries < d else 0
        return max(64, int(self.design.block_entries / (entries + 3 * columns)), earns)

    def several(self, columns: int) -> bool:
        """Return whether there is more than one block, for threads of this machine."""
        if self.design.home == "device":
            return False
        return self.unit.rowwise and self.block_rows(columns) < self.design.shape[0]

    def add_up(self, function: Callable[[Any], Terms], items: Sequence[Any]) -> Terms:
        """Return the sum of function(item): one after the other where a device does the work."""
        return add_up(function, items, alone=self.design.home == "device")

    def scores(
        self, x: Array, scores: Array | None = None
    ) -> Iterator[tuple[slice, Design, Array]]:
        """Yield (rows, design of these rows, their scores), block by block, chunk by chunk.

        Parameters
        ----------
        x : ndarray of shape (d,) or (d, K)
        scores : ndarray or None, default None
            A x + offset if known.
        """
        if not self.unit.rowwise:
            everything = slice(0, self.design.shape[0])
            yield everything, self.design, self.block_scores(everything, self.design, x, scores)
            return
        columns = columns_of(x)
        here = self.design.home == "memory"
        parts = self.blocks(columns) if here else self.design.blocks(self.block_rows(columns))
        for rows, block in parts:
            yield rows, block, self.block_scores(rows, block, x, scores)

    def core_scores(self, block: Block, core: Design, w: Array, constant: Array | None) -> Array:
        """Return the scores of some rows from their stored entries."""
        z = core.matvec(w)
        if constant is not None:
            z += matching(constant, z)
        if self.offset is not None:
            z += matching(self.offset[block[0]], z)
        return z

    def block_scores(self, rows: slice, block: Design, x: Array, scores: Array | None) -> Array:
        """Return the scores of some rows: cut from known ones, or one product."""
        if scores is not None:
            return scores[rows]
        z = block.matvec(x)
        if self.offset is not None:
            z += matching(self.offset[rows], z)
        return z

    def value(self, rows: slice, z: Array) -> float:
        """Return what some rows add to the objective."""
        z = self._seen(z)
        loss = self.unit.value(z, self._target(rows), self._shares(rows, z.shape[0]))
        return loss + self._score_value(rows, z)

    def value_gradient(self, rows: slice, z: Array) -> tuple[float, Array]:
        """Return what some rows add to the objective, and its derivative by their scores."""
        z = self._seen(z)
        loss, g = self.unit.value_gradient(z, self._target(rows), self._shares(rows, z.shape[0]))
        if self.score_ridge is not None:
            g = g + times_rows(self.score_ridge[rows], z)
        return loss + self._score_value(rows, z), g

    def conjugate(self, rows: slice, v: Array) -> float:
        """Return the conjugate of what the losses of some rows add, at v; nan where not known."""
        return self.unit.conjugate(v, self._target(rows), self._shares(rows, len(v)))

    def curvature(self, rows: slice, z: Array, kind: Kind) -> Curvature:
        """Return the curvature of some rows; that of the score ridge is not included."""
        z = self._seen(z)
        return self.unit.curvature(z, self._target(rows), self._shares(rows, z.shape[0]), kind=kind)

    def _seen(self, z: Array) -> Array:
        """Return scores as the unit takes them: here, unless it works on a device."""
        return z if self.unit.array_api else to_numpy(z)

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
        if isinstance(z, np.ndarray):
            return 0.5 * dot(z, times_rows(self.score_ridge[rows], z))
        return 0.5 * float(to_numpy(column_sums(z * times_rows(self.score_ridge[rows], z))).sum())


def times_rows(q: Vector, z: Array) -> Array:
    """Return each row of z, (n,) or (n, K), times its entry of q, of the kind of z."""
    if isinstance(z, np.ndarray):
        return np.asarray((q * z.T).T)
    here = matching(q, z)
    return here * z if z.ndim == 1 else here[:, None] * z


def columns_of(x: Array) -> int:
    """Return how many columns of scores an x makes."""
    return x.shape[1] if x.ndim == 2 else 1


def check_home(design: Design, unit: Unit) -> None:
    """Raise `NeedsError` where a unit couples rows that do not live in memory."""
    if design.home != "memory" and not unit.rowwise:
        raise NeedsError(
            f"{type(unit).__name__} couples all rows, and these live on a {design.home}: it needs"
            " them in memory. Units of single rows, as Multinomial, take them where they are."
        )


def score_ridge_of_sample(
    ridge: Vector, share: float, weights: Vector | None, own: Vector | None
) -> Vector:
    """Return the score ridge of sampled rows: each stands for as many as its weight has grown by.

    Parameters
    ----------
    ridge : ndarray of shape (m,)
        Theirs.
    share : float
        Of all rows, where nothing is said by weights.
    weights, own : ndarray of shape (m,), or None
        Their weights in the sample, and before.
    """
    if weights is None or own is None or not ridge.any():
        return ridge / share
    return np.asarray(ridge * np.divide(weights, own, out=np.zeros(len(own)), where=own > 0))

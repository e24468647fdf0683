"""A problem along a line: what a line search sees."""

from __future__ import annotations

import numpy as np

from softunit._numeric import EPS, dot
from softunit._typing import Array
from softunit.designs.base import Block
from softunit.point import Point
from softunit.problem import Problem


class Line:
    """F(x + t p) and its slope as functions of t.

    Where scores are stored, a trial costs no product with the design: the product A p is made
    once. Elsewhere a trial is one pass, and the last one is kept, so accepting it is free.

    Parameters
    ----------
    problem : Problem
    start : Point
        t = 0.
    direction : ndarray of the shape of x
        p.
    coarse : bool, default False
        Whether trials are made in float32; see `Problem.evaluate`.
    store : bool, default True
        Whether points keep their scores, where they may.
    """

    def __init__(
        self,
        problem: Problem,
        start: Point,
        direction: Array,
        *,
        coarse: bool = False,
        store: bool = True,
    ) -> None:
        self.problem, self.start, self.direction = problem, start, direction
        self._coarse, self._store = coarse, store
        self.slope = dot(start.gradient, direction)
        self._last: tuple[float, Point] | None = None
        self._dz: Array | None = None
        if start.scores is not None:
            problem.cost.products += problem.share
            self._dz = problem.design.matvec(direction)
        # The ridge along the line is a parabola: three numbers instead of three passes over x.
        ridge = (problem.ridge * direction.T).T
        self._linear, self._square = dot(ridge, start.x), dot(ridge, direction)
        self._constant = 0.5 * dot(start.x, (problem.ridge * start.x.T).T)

    @property
    def noise(self) -> float:
        """What rounding may add to a difference of values."""
        return (3e-7 if self._coarse else 16 * EPS) * abs(self.start.value)

    def at(self, t: float) -> tuple[float, float]:
        """Return the value and the slope at t, the slope that of the smooth part."""
        if self._dz is None or self.start.scores is None:
            point = self._evaluate(t)
            return point.value, dot(point.gradient, self.direction)
        self.problem.cost.values += self.problem.share
        value = self._constant + t * self._linear + 0.5 * t * t * self._square
        if self.problem.lasso is not None:
            value += self.problem.lasso.value(self.start.x + t * self.direction)
        slope = self._linear + t * self._square
        by_rows, z, dz = self.problem.by_rows, self.start.scores, self._dz

        def part(block: Block) -> tuple[float, float]:
            rows = block[0]
            moved, g = by_rows.value_gradient(rows, z[rows] + t * dz[rows])
            return moved, dot(g, dz[rows])

        more, steeper = by_rows.add_up(part, by_rows.blocks(self.problem.columns))
        return value + more, slope + steeper

    def point(self, t: float) -> Point:
        """Return the point at t with its gradient."""
        if self._dz is None or self.start.scores is None:
            return self._evaluate(t)
        x = self.start.x + t * self.direction
        return self.problem.evaluate(x, self.start.scores + t * self._dz)

    def _evaluate(self, t: float) -> Point:
        if self._last is None or self._last[0] != t:
            x = np.asarray(self.start.x + t * self.direction)
            point = self.problem.evaluate(x, store=self._store, coarse=self._coarse)
            self._last = (t, point)
        return self._last[1]

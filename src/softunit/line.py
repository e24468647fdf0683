"""A problem along a line: what a line search sees."""

from __future__ import annotations

import numpy as np

from softunit._numeric import dot
from softunit._typing import Array
from softunit.problem import Point, Problem


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
    """

    def __init__(self, problem: Problem, start: Point, direction: Array) -> None:
        self.problem, self.start, self.direction = problem, start, direction
        self.slope = dot(start.gradient, direction)
        self._last: tuple[float, Point] | None = None
        self._dz: Array | None = None
        if start.scores is not None:
            problem.cost.products += 1
            self._dz = problem.design.matvec(direction)
        # The ridge along the line is a parabola: three numbers instead of three passes over x.
        ridge = (problem.ridge * direction.T).T
        self._linear, self._square = dot(ridge, start.x), dot(ridge, direction)
        self._constant = 0.5 * dot(start.x, (problem.ridge * start.x.T).T)

    def at(self, t: float) -> tuple[float, float]:
        """Return the value and the slope at t."""
        if self._dz is None or self.start.scores is None:
            point = self._evaluate(t)
            return point.value, dot(point.gradient, self.direction)
        self.problem.cost.values += 1
        value = self._constant + t * self._linear + 0.5 * t * t * self._square
        slope = self._linear + t * self._square
        for rows, _, z in self.problem.score_blocks(self.start.x, self.start.scores):
            dz = self._dz[rows]
            part, g = self.problem.block_value_gradient(rows, z + t * dz)
            value += part
            slope += dot(g, dz)
        return value, slope

    def point(self, t: float) -> Point:
        """Return the point at t with its gradient."""
        if self._dz is None or self.start.scores is None:
            return self._evaluate(t)
        x = self.start.x + t * self.direction
        return self.problem.evaluate(x, self.start.scores + t * self._dz)

    def _evaluate(self, t: float) -> Point:
        if self._last is None or self._last[0] != t:
            x = np.asarray(self.start.x + t * self.direction)
            self._last = (t, self.problem.evaluate(x))
        return self._last[1]

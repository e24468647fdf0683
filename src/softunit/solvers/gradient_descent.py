"""Gradient descent whose step length comes from the last step and a line search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softunit._numeric import dot
from softunit.line import Line
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.ends import why_no_step
from softunit.solvers.search import Search, check_search


@dataclass(frozen=True)
class DescentState:
    """The point and the step length to try first."""

    point: Point
    first: float


@dataclass(frozen=True)
class GradientDescent(Solver[DescentState]):
    """Steepest descent with Barzilai-Borwein first steps: no learning rate.

    1. Go along -g.  2. Try the step <s, s> / <s, y> of the last move s and change y of the
    gradient first.  3. Search along the line until decrease and flattening hold.

    Useful as a yardstick; `Newton` and `LBFGS` are faster.

    Parameters
    ----------
    search : Search, default Search()
        The line search.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """

    search: Search = Search()
    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

    def __post_init__(self) -> None:
        check_search(self.search)

    def init(self, problem: Problem, point: Point) -> DescentState:
        """Return the state at the start; the first step has the length of the point, or one."""
        norm = dot(point.gradient, point.gradient) ** 0.5
        size = max(1.0, dot(point.x, point.x) ** 0.5)
        return DescentState(point, size / norm if norm > 0 else 1.0)

    def step(self, problem: Problem, state: DescentState) -> tuple[DescentState, Status]:
        """Return the next state."""
        line = Line(problem, state.point, -state.point.gradient)  # 1.
        t = self.search.step(line, state.first)  # 2. and 3.
        if t is None:
            return state, why_no_step(state.point, line.slope)
        point = line.point(t)
        move, change = point.x - state.point.x, point.gradient - state.point.gradient
        curved = dot(move, change)
        return DescentState(point, dot(move, move) / curved if curved > 0 else t), Status.RUNNING

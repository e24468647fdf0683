"""Limited-memory BFGS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softunit._numeric import EPS, dot
from softunit._typing import Array
from softunit.line import Line
from softunit.problem import Point, Problem
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.ends import why_no_step
from softunit.solvers.search import Search


@dataclass(frozen=True)
class LBFGSState:
    """The point and the last moves s with the changes y of the gradient, oldest first."""

    point: Point
    pairs: tuple[tuple[Array, Array], ...] = ()


@dataclass(frozen=True)
class LBFGS(Solver[LBFGSState]):
    """Limited-memory BFGS with the two-loop recursion.

    1. Multiply the gradient by the approximate inverse Hessian of the last `memory` pairs.
    2. Search along the line, step one first.  3. Keep the new pair if its curvature is positive.

    Parameters
    ----------
    memory : int, default 15
        Pairs kept.
    search : Search, default Search()
        The line search.

    Notes
    -----
    Source: J. Nocedal (1980), "Updating quasi-Newton matrices with limited storage".
    """

    memory: int = 15
    search: Search = Search()
    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

    def init(self, problem: Problem, point: Point) -> LBFGSState:
        """Return the state at the start, with an empty memory."""
        return LBFGSState(point)

    def step(self, problem: Problem, state: LBFGSState) -> tuple[LBFGSState, Status]:
        """Return the next state; a failed search forgets the memory once before it gives up."""
        point, pairs = state.point, state.pairs
        while True:
            line = Line(problem, point, -inverse_product(pairs, point.gradient))  # 1.
            t = self.search.step(line, 1.0 if pairs else _first_step(point))  # 2.
            if t is not None:
                break
            if not pairs:
                return state, why_no_step(point, line.slope)
            pairs = ()
        new = line.point(t)
        move, change = new.x - point.x, new.gradient - point.gradient
        curved = dot(move, change)
        if curved > EPS * dot(change, change):  # 3.
            pairs = (*pairs, (move, change))[-self.memory :]
        return LBFGSState(new, pairs), Status.RUNNING


def _first_step(point: Point) -> float:
    norm = dot(point.gradient, point.gradient) ** 0.5
    return min(1.0, 1.0 / norm) if norm > 0 else 1.0


def inverse_product(pairs: tuple[tuple[Array, Array], ...], gradient: Array) -> Array:
    """Return the approximate inverse Hessian times a gradient: the two-loop recursion."""
    q = gradient.copy()
    done = []
    for move, change in reversed(pairs):
        a = dot(move, q) / dot(move, change)
        q -= a * change
        done.append((a, move, change))
    if pairs:
        move, change = pairs[-1]
        q *= dot(move, change) / dot(change, change)
    for a, move, change in reversed(done):
        q += (a - dot(change, q) / dot(move, change)) * move
    return q

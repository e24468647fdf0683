"""Limited-memory BFGS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from softunit._checks import check_count
from softunit._numeric import dot
from softunit.line import Line
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.ends import why_no_step
from softunit.solvers.memory import Memory
from softunit.solvers.search import Search, check_search


@dataclass(frozen=True)
class LBFGSState:
    """The point and the memory of the last moves."""

    point: Point
    memory: Memory


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

    Raises
    ------
    InputError
        If a parameter is out of range.

    Notes
    -----
    Source: J. Nocedal (1980), "Updating quasi-Newton matrices with limited storage".
    """

    memory: int = 15
    search: Search = Search()
    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

    def __post_init__(self) -> None:
        check_count("memory", self.memory, least=1)
        check_search(self.search)

    def init(self, problem: Problem, point: Point) -> LBFGSState:
        """Return the state at the start, with an empty memory."""
        return LBFGSState(point, Memory(self.memory))

    def step(self, problem: Problem, state: LBFGSState) -> tuple[LBFGSState, Status]:
        """Return the next state; a failed search forgets the memory once before it gives up."""
        point, memory = state.point, state.memory
        while True:
            line = Line(problem, point, -memory.inverse_product(point.gradient))  # 1.
            t = self.search.step(line, 1.0 if memory.pairs else _first_step(point))  # 2.
            if t is not None:
                break
            if not memory.pairs:
                return state, why_no_step(point, line.slope)
            memory = Memory(self.memory)
        new = line.point(t)
        memory = memory.with_pair(new.x - point.x, new.gradient - point.gradient)  # 3.
        return LBFGSState(new, memory), Status.RUNNING


def _first_step(point: Point) -> float:
    norm = dot(point.gradient, point.gradient) ** 0.5
    return min(1.0, 1.0 / norm) if norm > 0 else 1.0

"""Where a large choice model begins: at the optimum of some of its sets, with their Hessian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from softunit._groups import Groups
from softunit._numeric import ShiftedCholesky
from softunit._typing import Array, Vector
from softunit.line import Line
from softunit.penalties import Ridge
from softunit.point import Point
from softunit.problem import FORM_LIMIT, Problem
from softunit.run import minimize
from softunit.solution import Status
from softunit.solvers import Newton, Solver
from softunit.solvers.ends import why_no_step
from softunit.solvers.lbfgs import LBFGSState
from softunit.solvers.memory import Memory
from softunit.solvers.search import Search
from softunit.units import GroupedSoftmax

SAMPLED_WORK = 4e6  # entries of the design from which a few sets lead to the start
SHARE, LEAST = 24, 400  # one set in so many is drawn, and at least so many for each column
SAMPLE_TOL, SAMPLE_RIDGE = 1e-4, 1e-4  # a sample is off by more than these
SAMPLE_STEPS = 15
MEMORY = 10
SEED = 0


@dataclass(frozen=True, eq=False)
class SampledHessian(Solver[LBFGSState]):
    """Steps by the Hessian of a sample, corrected by the last moves over all rows.

    1. Multiply the gradient of all rows by the sample's inverse Hessian, corrected by the last
    moves (limited-memory BFGS).  2. Search along the line, step one first.  No Hessian of all rows
    is formed: near the optimum an error of a few per cent in it costs a few cheap steps.

    Parameters
    ----------
    inverse : callable
        g -> H^-1 g, with H near the Hessian of all rows.
    search : Search, default Search()
        The line search.
    """

    inverse: Callable[[Array], Array]
    search: Search = Search()
    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

    def init(self, problem: Problem, point: Point) -> LBFGSState:
        """Return the state at the start, with an empty memory."""
        return LBFGSState(point, Memory(MEMORY))

    def step(self, problem: Problem, state: LBFGSState) -> tuple[LBFGSState, Status]:
        """Return the next state."""
        point, memory = state.point, state.memory
        downhill = -memory.inverse_product(point.gradient, self.inverse, rescale=False)  # 1.
        line = Line(problem, point, downhill)
        t = self.search.step(line)  # 2.
        if t is None:
            return state, why_no_step(point, line.slope)
        new = line.point(t)
        memory = memory.with_pair(new.x - point.x, new.gradient - point.gradient)
        return LBFGSState(new, memory), Status.RUNNING


def sampled_start(problem: Problem) -> tuple[Vector, SampledHessian] | None:
    """Return the optimum of a random sample of the sets, and a solver that steps by its Hessian.

    A hint of ridge keeps it finite where an alternative is not chosen in the sample. None where
    sampling saves nothing, or where it failed.
    """
    n, d = problem.design.shape
    unit = problem.unit
    assert isinstance(unit, GroupedSoftmax)
    groups = unit.members
    chosen = max(groups.count // SHARE, LEAST * d)
    if n * d < SAMPLED_WORK or 4 * chosen > groups.count or d > FORM_LIMIT:
        return None
    drawn = np.random.default_rng(SEED).choice(groups.count, chosen, replace=False)
    part = _part(problem, groups, np.sort(drawn))
    found = minimize(part, solver=Newton(kind="exact"), tol=SAMPLE_TOL, max_iter=SAMPLE_STEPS)
    if not np.isfinite(found.x).all():
        return None
    hessian = part.hessian(part.evaluate(found.x))
    problem.cost.rows += part.cost.rows
    return found.x, SampledHessian(ShiftedCholesky(hessian * (groups.count / chosen)).solve)


def _part(problem: Problem, groups: Groups, drawn: npt.NDArray[np.integer]) -> Problem:
    """Return the problem of some groups, with its share of the ridge and a hint more."""
    rows, labels = _rows_of(groups, drawn)
    weights = None if problem.weights is None else problem.weights[rows]
    target = problem.target[rows]
    mass = float(target.sum() if weights is None else weights @ target)
    return Problem(
        problem.design.rows(rows),
        GroupedSoftmax(Groups(labels)),
        target,
        Ridge(problem.ridge * (len(drawn) / groups.count) + SAMPLE_RIDGE * mass),
        weights=weights,
        offset=None if problem.offset is None else problem.offset[rows],
    )


def _rows_of(
    groups: Groups, drawn: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
    """Return the rows of some groups, group by group, and the group of each."""
    sizes = groups.starts[drawn + 1] - groups.starts[drawn]
    ends = np.cumsum(sizes)
    places = np.arange(ends[-1]) + np.repeat(groups.starts[drawn] - (ends - sizes), sizes)
    rows = places if groups.order is None else groups.order[places]
    return rows, np.repeat(np.arange(len(drawn)), sizes)

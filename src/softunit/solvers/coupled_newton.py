"""Sketched Newton steps where one column of scores may couple all rows: full gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from softunit._numeric import dot
from softunit._typing import Array
from softunit.line import Line
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.curvature_sample import (
    CurvatureSample,
    row_form,
    sample_size,
    sampled_curvature,
)
from softunit.solvers.ends import why_no_step
from softunit.solvers.memory import Memory
from softunit.solvers.search import Search

CHANGED = 0.2  # share by which weights of rows may change before they are drawn anew
POOR = 0.3  # of the decrement, left by a step: then the sample is too small, or too old
PATIENCE = 2  # such steps
GROWTH = 4  # by which a sample grows where its steps are poor


@dataclass(frozen=True)
class CoupledState:
    """What one step hands to the next.

    Attributes
    ----------
    point : Point
    rows : int
        Rows in a sample.
    seed : int
        Of the next sample.
    sample : CurvatureSample or None
        The last one.
    memory : Memory
    decrement : float
        g' H^-1 g before the last step.
    poor : int
        Steps in a row that left too much of the decrement.
    """

    point: Point
    rows: int
    seed: int
    memory: Memory
    sample: CurvatureSample | None = None
    decrement: float = math.nan
    poor: int = 0


@dataclass(frozen=True)
class CoupledNewton:
    """How `SketchedNewton` steps for one column of scores whose rows couple.

    1. Draw rows by approximate leverage scores, and invert the Hessian that they give; again where
    the weights of the rows have changed.  2. Multiply the gradient by it, corrected by the last
    moves (limited-memory BFGS).  3. Search along the line.  4. Where steps are poor or none is
    found, forget the moves and draw more rows, in the end all of them.

    Attributes
    ----------
    memory : int
    seed : int
    search : Search
    """

    memory: int
    seed: int
    search: Search

    def init(self, problem: Problem, point: Point) -> CoupledState:
        """Return the state at the start."""
        return CoupledState(point, sample_size(problem), self.seed, Memory(self.memory))

    def step(self, problem: Problem, state: CoupledState) -> tuple[CoupledState, Status]:
        """Return the next state."""
        state = self._sampled(problem, state)
        direction = self._direction(state)
        line = Line(problem, state.point, direction)
        decrement = -line.slope
        t = self.search.step(line)
        if t is None:
            return self._stuck(problem, state, line.slope)
        new = line.point(t)
        change = new.gradient - state.point.gradient
        memory = state.memory.with_pair(new.x - state.point.x, change)
        # A decrement that falls by less than a third says that the model is not the objective's.
        left = decrement > POOR * state.decrement
        poor = state.poor + 1 if left else 0
        moved = replace(state, point=new, memory=memory, decrement=decrement, poor=poor)
        return moved, Status.RUNNING

    def _sampled(self, problem: Problem, state: CoupledState) -> CoupledState:
        """Return the state with a Hessian that fits its point."""
        n, sample, rows = problem.design.shape[0], state.sample, state.rows
        if sample is not None and state.poor >= PATIENCE:
            rows = min(n, GROWTH * rows)
        elif sample is not None:
            form = row_form(problem, state.point, "exact")
            if form is not None and not sample.stale(form.weights, CHANGED):
                return state
        rng = np.random.default_rng(state.seed)
        made = sampled_curvature(problem, state.point, "exact", rows, rng, sample)
        # Moves across a changed Hessian tell of neither the old nor the new one.
        fresh = CoupledState(state.point, rows, state.seed + 1, Memory(self.memory), made)
        return replace(fresh, decrement=state.decrement)

    @staticmethod
    def _direction(state: CoupledState) -> Array:
        """Return a descent direction (2.)."""
        assert state.sample is not None
        g = state.point.gradient
        direction = -state.memory.inverse_product(g, state.sample.inverse, rescale=False)
        if dot(direction, g) < 0:
            return direction
        direction = -state.sample.inverse(g)
        return direction if dot(direction, g) < 0 else -g

    def _stuck(
        self, problem: Problem, state: CoupledState, slope: float
    ) -> tuple[CoupledState, Status]:
        """Return a state to try again from (4.), or why there is none."""
        n, point = problem.design.shape[0], state.point
        if state.memory.pairs:
            return replace(state, memory=Memory(self.memory), sample=None), Status.RUNNING
        if state.rows < n:
            return replace(state, rows=n, sample=None), Status.RUNNING
        return state, why_no_step(point, slope)

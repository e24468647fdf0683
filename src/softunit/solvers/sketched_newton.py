"""Newton's method with the Hessian of a sample of rows, on samples that grow to the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from softunit._checks import check_choice, check_count
from softunit._numeric import dot, is_centred
from softunit._typing import Array
from softunit.line import Line
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.class_grams import has_small_blocks
from softunit.solvers.coupled_newton import CoupledNewton, CoupledState
from softunit.solvers.memory import Memory
from softunit.solvers.newton import Newton
from softunit.solvers.packing import Packed
from softunit.solvers.search import Search, check_search
from softunit.solvers.sketch_plan import Plan, planned
from softunit.solvers.sketched_state import (
    Remade,
    SketchedState,
    packed_sketch,
    unpacked_coupled,
    unpacked_sketch,
)

SETTLED = 0.3  # of the decrement that sampling leaves: below, a stage has told what it can
FIRST = 0.1  # of value and parameters per row, likewise for the first stage
COARSE = 3e-7  # largest entry of the gradient down to which float32, good to 1e-8, shows the way
MEMORY_BYTES = 48 << 20  # that pairs may take, and
MEMORY_SHARE = 0.05  # of the design,
LEAST_PAIRS = 4  # beyond as many as these
CARRIED_BYTES = 4 << 20  # of pairs that go from one fit of a path to the next
TIRED = 4  # moves in float32 that must halve the decrement
PATIENCE = 20  # iterations on all rows that must lower the decrement
SLOW = 0.1  # by this factor; else Newton's method takes over
SHARPEN = 5  # moves on all rows after which each class gets a Gram of its own
REFRESH = 8  # iterations on one approximate Hessian after which it is made anew


@dataclass(frozen=True)
class SketchedNewton(Solver[SketchedState | CoupledState]):
    """Newton's method on growing samples, with a sampled Hessian and quasi-Newton memory.

    1. Start on a small random sample of the rows.  2. Multiply the gradient by an approximate
    inverse Hessian, corrected by the last moves (limited-memory BFGS): conjugate gradients with
    the Hessian of an eighth of the rows where these determine it, else one weighted Gram for each
    class.  3. Search along the line, step one first; work in float32 while the gradient is far
    from zero.  4. Once the decrement g'H^-1 g is below what sampling leaves, multiply the sample by
    `growth`, until it is the whole.  5. Where all rows no longer get on, as with classes that
    nearly separate and leave curvature on few rows only, go on by `Newton` on all of them.

    Where one column of scores couples all rows, or the loss is not convex, gradients are those of
    all rows, and the Hessian A' D A is that of O(d log d) rows drawn by approximate leverage
    scores, drawn anew where D has changed.

    Else almost all work is done on few rows, and the whole is passed over a handful of times.
    Samples are drawn by priority: sorted rows, rows without weight and rows that outweigh all
    others are met as they should be, and the design is not copied.

    Parameters
    ----------
    growth : int, default 8
        Factor between samples.
    memory : int, default 20
        Pairs of moves and changes of the gradient kept; fewer where they would outgrow the design.
    hessian : {"auto", "sampled", "kronecker"}, default "auto"
        The approximate Hessian: that of a sample of rows, or one weighted Gram for each class.
        "auto" goes by rows per parameter.
    max_cg : int, default 30
        Most products with the sampled Hessian in one direction.
    seed : int, default 0
        Of the order of the rows.
    search : Search, default Search()
        The line search.

    Raises
    ------
    InputError
        If a setting is out of range or unknown.

    Notes
    -----
    Hessians sampled by leverage scores: arXiv 2304.10411; the growing samples, their stopping rule
    and the combination are ours (docs/maths/sketched-newton).
    """

    growth: int = 8
    memory: int = 20
    hessian: str = "auto"
    max_cg: int = 30
    seed: int = 0
    search: Search = Search()
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "curvature"})

    def __post_init__(self) -> None:
        check_count("growth", self.growth, least=2)
        check_count("memory", self.memory, least=1)
        check_count("max_cg", self.max_cg, least=1)
        check_count("seed", self.seed, least=0)
        check_choice("hessian", self.hessian, ("auto", "sampled", "kronecker"))
        check_search(self.search)

    def begin(self, problem: Problem, x: Array) -> Point:
        """Return x on the smallest sample if it is zero, else on all rows."""
        if _couples(problem):
            return problem.evaluate(x)
        plan = planned(problem, self)
        if x.any():
            return self._evaluate(plan, plan.last, x)
        return plan.first if plan.sound else problem.evaluate(x)

    def init(self, problem: Problem, point: Point) -> SketchedState | CoupledState:
        """Return the state at the start; from a point on all rows, choose the first sample."""
        if _couples(problem):
            return self._coupled.init(problem, point)
        plan = planned(problem, self)
        memory = self._memory(problem)
        if (plan.last > 0 or not point.x.any()) and not plan.sound:
            newton = Newton(kind="exact", search=self.search).init(problem, point)
            return SketchedState(point, plan, plan.last, None, memory, newton=newton)
        if point.share < 1.0 or plan.last == 0:
            recalled = self._recalled(problem, memory) if point.x.any() else memory
            return SketchedState(point, plan, 0, None, recalled)
        whole = SketchedState(point, plan, plan.last, None, memory)
        # What a sample says differently is its noise: closer to the optimum it has no say.
        sampled = self._evaluate(plan, plan.last - 1, point.x)
        inverse = Remade(plan, plan.last, point.x, self.hessian, self.max_cg)
        noise = sampled.gradient - point.gradient
        left, blur = (dot(g, inverse(g)) for g in (point.gradient, noise))
        if left <= blur:
            recalled = self._recalled(problem, memory)
            return replace(whole, inverse=inverse, memory=recalled, decrements=(left,))
        return SketchedState(sampled, plan, plan.last - 1, None, memory, enough=SETTLED * blur)

    def step(
        self, problem: Problem, state: SketchedState | CoupledState
    ) -> tuple[SketchedState | CoupledState, Status]:
        """Return the next state: one move, or the same point on a larger sample."""
        if isinstance(state, CoupledState):
            return self._coupled.step(problem, state)
        if state.point.share == 1.0 and state.stage < state.plan.last:
            state = self._on(state, state.plan.last, state.point)
        if state.newton is not None or self._crawls(state):  # 5.
            return self._by_newton(problem, state)
        stage = state.plan.problem(state.stage)
        done = self._tired(state) or not self._coarse(state)
        if state.stage == state.plan.last and not state.point.exact and done:
            # From here on in float64: values of two precisions must not be compared.
            state = replace(state, point=stage.evaluate(state.point.x, store=False))
        if self._blunt(state):
            made = Remade(state.plan, state.stage, state.point.x)
            memory = replace(state.memory, pairs=())
            state = replace(state, inverse=made, memory=memory, sharp=True)
        stale = state.age >= REFRESH and state.plan.samples_hessian(self.hessian)
        if state.inverse is None or stale:
            x = state.point.x
            made = Remade(state.plan, state.stage, x, self.hessian, self.max_cg)
            state = replace(state, inverse=made, age=0)
        direction = self._direction(state)
        decrement = -dot(direction, state.point.gradient)
        if state.stage < state.plan.last:
            if state.enough > 0 and decrement <= state.enough:  # 4.
                return self._grown(state, decrement), Status.RUNNING
            if state.enough == 0:
                state = replace(state, enough=self._enough(state, decrement))
        return self._moved(stage, state, direction)

    def pack(self, state: SketchedState | CoupledState) -> Packed:
        """Return the state for a checkpoint; samples are drawn again, by the same seed."""
        return packed_sketch(state)

    def unpack(self, problem: Problem, packed: Packed) -> SketchedState | CoupledState:
        """Return the state that was packed; see `Remade` for its inverse."""
        if _couples(problem):
            return unpacked_coupled(problem, packed)
        state = unpacked_sketch(planned(problem, self), packed, self.hessian, self.max_cg)
        if state.stage == state.plan.last:
            self._remember(problem, state.memory)
        return state

    @property
    def _coupled(self) -> CoupledNewton:
        return CoupledNewton(self.memory, self.seed, self.search)

    @staticmethod
    def _tired(state: SketchedState) -> bool:
        """Return whether float32 no longer shows the way: moves leave the decrement where it is."""
        seen = state.decrements[-TIRED:]
        return len(seen) == TIRED and seen[-1] > 0.5 * seen[0]

    @staticmethod
    def _crawls(state: SketchedState) -> bool:
        seen = state.decrements
        slow = len(seen) == PATIENCE and seen[-1] > SLOW * seen[0]
        return slow and state.stage == state.plan.last

    def _by_newton(self, problem: Problem, state: SketchedState) -> tuple[SketchedState, Status]:
        point = state.point
        if not point.exact:
            point = problem.evaluate(point.x)
        newton = Newton(kind="exact", search=self.search)
        before = state.newton or newton.init(problem, point)
        after, status = newton.step(problem, replace(before, point=point))
        seen = (after.decrement,)
        return replace(state, point=after.point, newton=after, decrements=seen), status

    def _blunt(self, state: SketchedState) -> bool:
        """Return whether it is time to give each class a Gram of its own."""
        plan, ready = state.plan, len(state.decrements) >= SHARPEN and state.inverse is not None
        kronecker = not (state.sharp or plan.samples_hessian(self.hessian))
        return ready and kronecker and state.stage == plan.last and has_small_blocks(plan.whole)

    def _direction(self, state: SketchedState) -> Array:
        """Return a descent direction (2.)."""
        g = state.point.gradient
        rescale = not state.plan.samples_hessian(self.hessian)
        direction = -state.memory.inverse_product(g, state.inverse, rescale=rescale)
        direction = direction if dot(direction, g) < 0 else -g
        whole = state.plan.whole
        blind = whole.unit.rowwise and whole.unit.shift_invariant and direction.ndim == 2
        if blind and whole.by_rows.score_ridge is None and is_centred(state.point.x):
            # Rounding alone moves such points along what no score sees; ridge would have them back.
            direction -= direction.mean(axis=1, keepdims=True)
        return direction

    def _moved(
        self, stage: Problem, state: SketchedState, direction: Array
    ) -> tuple[SketchedState, Status]:
        """Search along the line (3.) and remember; a failed search forgets, then gives up."""
        point = state.point
        line = Line(stage, point, direction, coarse=self._coarse(state), store=False)
        t = self.search.step(line)
        if t is not None:
            new = line.point(t)
            memory = state.memory.with_pair(new.x - point.x, new.gradient - point.gradient)
            moved = replace(state, point=new, memory=memory, age=state.age + 1)
            if state.stage == state.plan.last:
                self._remember(stage, memory)
            seen = (*state.decrements, -line.slope)[-PATIENCE:]
            return replace(moved, decrements=seen), Status.RUNNING
        if state.stage < state.plan.last:
            return self._grown(state, -line.slope), Status.RUNNING
        if state.memory.pairs or state.age or not point.exact:
            return self._forgetful(state), Status.RUNNING
        return self._by_newton(stage, state)

    def _forgetful(self, state: SketchedState) -> SketchedState:
        """Return the same point in float64, with nothing remembered."""
        point = state.point
        if not point.exact:
            point = state.plan.problem(state.stage).evaluate(point.x, store=False)
        memory = replace(state.memory, pairs=())
        return replace(state, point=point, inverse=None, memory=memory, age=0)

    def _grown(self, state: SketchedState, decrement: float) -> SketchedState:
        stage = state.stage + 1
        point = self._evaluate(state.plan, stage, state.point.x)
        return self._on(state, stage, point)

    def _on(self, state: SketchedState, stage: int, point: Point) -> SketchedState:
        return SketchedState(point, state.plan, stage, None, replace(state.memory, pairs=()))

    @staticmethod
    def _remember(problem: Problem, memory: Memory) -> None:
        """Keep the pairs for problems derived from this one, for each weighting of the rows."""
        if 16 * problem.size * memory.size <= CARRIED_BYTES:
            kept = problem.prepared.setdefault("moves", {})
            kept[id(problem.weights)] = (problem.weights, problem.ridge, memory)

    @staticmethod
    def _recalled(problem: Problem, empty: Memory) -> Memory:
        """Return the pairs kept from another ridge, whose part of each change is known."""
        kept = problem.prepared.get("moves", {}).get(id(problem.weights))
        if kept is None or kept[0] is not problem.weights:
            return empty
        more = problem.ridge - kept[1]
        for move, change, _ in kept[2].pairs:
            empty = empty.with_pair(move, change + (more * move.T).T)
        return empty

    def _memory(self, problem: Problem) -> Memory:
        """Return an empty memory of a size that fits beside the design."""
        room = MEMORY_BYTES + MEMORY_SHARE * problem.design.nbytes
        return Memory(max(1, min(self.memory, max(LEAST_PAIRS, int(room / (16 * problem.size))))))

    def _enough(self, state: SketchedState, decrement: float) -> float:
        """Return the decrement at which a stage is settled.

        On arrival the decrement is what the noise of the smaller sample has left; that of this
        sample is smaller by the factor between them. The first stage has only its size to go by.
        """
        if state.stage > 0:
            return SETTLED * decrement / self.growth
        rows = state.plan.sizes[0]
        return FIRST * abs(state.point.value) * min(1.0, state.point.x.size / rows)

    @staticmethod
    def _evaluate(plan: Plan, stage: int, x: Array) -> Point:
        point = plan.problem(stage).evaluate(x, store=False, coarse=plan.coarse)
        if point.coarse and not math.isfinite(point.value):
            return plan.problem(stage).evaluate(x, store=False)
        return point

    @staticmethod
    def _coarse(state: SketchedState) -> bool:
        """Return whether float32 will do: on samples, and far from the optimum."""
        point, plan = state.point, state.plan
        if state.stage < plan.last:
            return plan.coarse
        far = float(np.abs(point.gradient).max()) > COARSE
        return plan.coarse and far and not point.exact


def _couples(problem: Problem) -> bool:
    """Return whether samples of the rows would not stand for the whole, but those of a Hessian."""
    if not problem.unit.rowwise:
        return True
    if problem.columns > 1:
        return False
    return not problem.unit.bounds(problem.target, problem.weights).convex

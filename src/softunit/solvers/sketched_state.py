"""What one sketched Newton step hands to the next, and how a checkpoint holds it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from softunit._numeric import ShiftedCholesky
from softunit._typing import Array
from softunit.errors import FileError
from softunit.point import Point
from softunit.problem import Problem
from softunit.solvers.coupled_newton import CoupledState
from softunit.solvers.curvature_sample import CurvatureSample
from softunit.solvers.memory import Inverse, Memory
from softunit.solvers.newton import NewtonState
from softunit.solvers.packing import (
    Packed,
    packed_state,
    unpacked_point,
    unpacked_state,
)
from softunit.solvers.sketch_plan import Plan


@dataclass(frozen=True)
class Remade:
    """An approximate inverse Hessian that knows where it was made, so that it can be made again.

    A checkpoint holds x in the place of factors and Grams, which are many times larger: from the
    same sample, drawn by the same seed, the same inverse is made.

    Attributes
    ----------
    plan : Plan
    stage : int
    x : ndarray of shape (d, K) or (d,)
        Where it was made.
    kind : str or None, default None
        Which Hessian, as in `Plan.inverse`; None gives each class a Gram of its own.
    max_cg : int, default 0
    """

    plan: Plan
    stage: int
    x: Array
    kind: str | None = None
    max_cg: int = 0

    def __call__(self, right: Array) -> Array:
        """Return H^-1 R."""
        return self._inverse(right)

    @cached_property
    def _inverse(self) -> Inverse:
        if self.kind is None:
            return self.plan.inverse_of_blocks(self.x)
        return self.plan.inverse(self.stage, self.x, self.kind, self.max_cg)


@dataclass(frozen=True)
class SketchedState:
    """What one step hands to the next.

    Attributes
    ----------
    point : Point
    plan : Plan
        The samples.
    stage : int
        Which of them the point was evaluated on.
    inverse : Remade or None
        The approximate inverse Hessian; None where it must be made.
    memory : Memory
    enough : float
        Decrement at which the stage is settled; zero until it is known.
    age : int
        Iterations since `inverse` was made.
    decrements : tuple of float
        g' H^-1 g before the last steps of this stage, oldest first.
    newton : NewtonState or None
        Where Newton's method has taken over.
    sharp : bool
        Whether each class has a Gram of its own.
    """

    point: Point
    plan: Plan
    stage: int
    inverse: Remade | None
    memory: Memory
    enough: float = 0.0
    age: int = 0
    decrements: tuple[float, ...] = ()
    newton: NewtonState | None = None
    sharp: bool = False

    @property
    def decrement(self) -> float:
        """The decrement g' H^-1 g before the last step."""
        return self.decrements[-1] if self.decrements else math.nan


def packed_sketch(state: SketchedState | CoupledState) -> Packed:
    """Return a state as numbers and arrays."""
    if isinstance(state, CoupledState):
        out, sample = packed_state(state, {"sample"}), state.sample
        if sample is not None:
            scale, factor = sample.factor.parts
            out["sample"] = [scale, factor, sample.weights, sample.leverage]
        return out
    out, inverse = packed_state(state, {"plan", "inverse", "newton"}), state.inverse
    if inverse is not None:
        out["inverse"] = {"x": inverse.x, "of blocks": inverse.kind is None}
    if state.newton is not None:
        out["newton"] = packed_state(state.newton, {"preconditioner", "point"})
    return out


def unpacked_sketch(plan: Plan, packed: Packed, kind: str, max_cg: int) -> SketchedState:
    """Return the state again.

    Parameters
    ----------
    plan : Plan
    packed : dict
        Of `packed_sketch`.
    kind : str
        Settings of the solver, as `max_cg`.
    max_cg : int

    Raises
    ------
    FileError
        If it is no state of such a run.
    """
    rest = dict(packed)
    made, newton = rest.pop("inverse", None), rest.pop("newton", None)
    point, stage = unpacked_point(plan.whole, rest.get("point")), rest.get("stage")
    if not isinstance(stage, int) or not 0 <= stage <= plan.last:
        raise FileError("it is damaged: it is of a stage that this run does not have")
    inverse = None
    if made is not None:
        x = made["x"]
        if not isinstance(x, np.ndarray) or x.shape != point.x.shape:
            raise FileError("it is damaged: its Hessian is of no point")
        at = (plan, stage, x)
        inverse = Remade(*at) if made["of blocks"] else Remade(*at, kind, max_cg)
    empty = SketchedState(point, plan, stage, inverse, Memory(1))
    if newton is not None:
        start = NewtonState(point, 0.0)
        rest["newton"] = unpacked_state(plan.whole, start, newton)
    return unpacked_state(plan.whole, empty, rest)  # type: ignore[no-any-return]


def unpacked_coupled(problem: Problem, packed: Packed) -> CoupledState:
    """Return the state again, for units that couple rows.

    Parameters
    ----------
    problem : Problem
    packed : dict
        Of `packed_sketch`.

    Raises
    ------
    FileError
        If it is no state of such a run.
    """
    rest = dict(packed)
    held: Any = rest.pop("sample", None)
    point = unpacked_point(problem, rest.get("point"))
    sample = None
    if held is not None:
        scale, factor, weights, leverage = held
        d, n = problem.size, problem.design.shape[0]
        shapes = scale.shape == (d,) and factor.shape == (d, d) and weights.shape == (n,)
        if not shapes or (leverage is not None and leverage.shape != (n,)):
            raise FileError("it is damaged: its sampled Hessian has the wrong shape")
        solve = ShiftedCholesky.of_parts(scale, factor).solve
        sample = CurvatureSample(solve, weights, leverage)
    empty = CoupledState(point, 0, 0, Memory(1), sample)
    return unpacked_state(problem, empty, rest)  # type: ignore[no-any-return]

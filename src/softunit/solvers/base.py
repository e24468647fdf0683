"""What every solver offers: settings, a start and a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from softunit._typing import Array
from softunit.errors import NeedsError
from softunit.point import Point
from softunit.problem import FORM_LIMIT, Problem
from softunit.solution import Status
from softunit.solvers.packing import Packed, packed_state, unpacked_point, unpacked_state


class State(Protocol):
    """What one step hands to the next; every state knows the current point."""

    @property
    def point(self) -> Point:
        """Where the solver stands."""
        ...


S = TypeVar("S", bound=State)


class Solver(ABC, Generic[S]):
    """Frozen settings with `init` and `step`; the loop is not its business.

    Subclasses are frozen dataclasses. They hold no loop over iterations, no tolerance and no
    printing: `softunit.minimize` does that.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})
    """A subset of value, gradient, curvature, formed_hessian, rows."""

    composite: ClassVar[bool] = False
    """Whether it minimises with penalties that are not smooth."""

    remade: ClassVar[frozenset[str]] = frozenset()
    """Fields of the state that a checkpoint leaves out, as `init` makes them again."""

    def begin(self, problem: Problem, x: Array) -> Point:
        """Return x as the point to start from; a solver that samples may look at some rows only."""
        return problem.evaluate(x)

    def refresh(self, problem: Problem, point: Point) -> Point:
        """Return a point made afresh, before it is believed: on all rows and in float64."""
        return problem.evaluate(point.x)

    def gradient_scale(self, problem: Problem) -> float:
        """Return what a gradient entry is divided by before it is compared with a tolerance."""
        return problem.gradient_scale

    def patience(self, problem: Problem) -> int:
        """Return the iterations without any progress after which a run is at rounding level."""
        return 5

    @abstractmethod
    def init(self, problem: Problem, point: Point) -> S:
        """Return the state at the start."""

    @abstractmethod
    def step(self, problem: Problem, state: S) -> tuple[S, Status]:
        """Return the next state, and RUNNING or why there is none."""

    def pack(self, state: S) -> Packed:
        """Return the state as numbers, texts and arrays, for a checkpoint.

        Raises
        ------
        NeedsError
            If it holds something else; such fields are named in `remade`, or packed by a method of
            the solver's own.
        """
        return packed_state(state, self.remade)

    def unpack(self, problem: Problem, packed: Packed) -> S:
        """Return the state that was packed, and restore what it has left with the problem.

        Raises
        ------
        FileError
            If it is no state of this solver and problem.
        """
        point = unpacked_point(problem, packed.get("point"))
        state: S = unpacked_state(problem, self.init(problem, point), packed)
        return state

    def check(self, problem: Problem) -> None:
        """Compare what the solver needs with what the problem offers.

        Raises
        ------
        NeedsError
            Naming the solver, the unit, what is missing, and which solvers would do.
        """
        if problem.lasso is not None and not self.composite:
            raise NeedsError(
                f"{type(self).__name__} needs a smooth objective, but the penalty is an ElasticNet"
                " with an l1 part. ProximalNewton ('proximal-newton') would do."
            )
        if "formed_hessian" in self.needs and problem.size > FORM_LIMIT:
            raise NeedsError(
                f"{type(self).__name__} forms the Hessian, and {problem.size} parameters (shape"
                f" {problem.shape}) are more than {FORM_LIMIT}. Newton, LBFGS and GradientDescent"
                " would do."
            )
        if "rows" in self.needs and not problem.unit.rowwise:
            raise NeedsError(
                f"{type(self).__name__} samples rows, but {type(problem.unit).__name__} couples"
                " all rows. Newton, GradientRegularizedNewton, LBFGS and GradientDescent would do."
            )


def check_scores_kept(solver: Solver[Any], problem: Problem) -> None:
    """Raise `NeedsError` where a solver that works on stored scores cannot have them."""
    if problem.stores_scores:
        return
    (n, _), home = problem.design.shape, problem.design.home
    why = f"the rows live on a {home}"
    if home == "memory":
        why = f"{n} x {problem.columns} of them are more than the memory rule allows"
    raise NeedsError(
        f"{type(solver).__name__} keeps the scores, and {why}. SketchedNewton and LBFGS would do."
    )

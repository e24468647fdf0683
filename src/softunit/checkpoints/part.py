"""One run among those of a checkpoint: where it is resumed, and what is kept of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from softunit.checkpoints.fingerprint import difference
from softunit.checkpoints.progress import (
    Progress,
    packed_progress,
    packed_solution,
    unpacked_progress,
    unpacked_solution,
)
from softunit.checkpoints.trees import number, taken
from softunit.errors import FileError
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Record, Solution, Status
from softunit.solvers.base import Solver

if TYPE_CHECKING:
    from softunit.checkpoints.checkpoint import Checkpoint

__all__ = ["Part", "Progress"]

SAME, COARSE = 1e-8, 1e-3  # of the values of a run: what its value may differ by, in float32 too
NEAR, SLACK = 1e-9, 1e-3  # of first gradient and value, and of itself: likewise a gradient


class Part:
    """A run of a solver on a problem, told to a checkpoint.

    Attributes
    ----------
    solution : Solution or None
        Where the run ended in an earlier process, if that is what is asked for.
    progress : Progress or None
        Where it stood, if it is to go on from there.
    start : ndarray or None
        Where it ended, if it is to go on and only that is known.

    Parameters
    ----------
    checkpoint : Checkpoint
    place : int
        The number of the run in the file.
    problem : Problem
    solver : Solver
    tol : float
    """

    def __init__(
        self, checkpoint: Checkpoint, place: int, problem: Problem, solver: Solver[Any], tol: float
    ) -> None:
        self._checkpoint, self._place = checkpoint, place
        self._problem, self._solver = problem, solver
        self.solution: Solution | None = None
        self.progress: Progress | None = None
        self.start: Any = None
        self._head: dict[str, Any] = {
            "fingerprint": checkpoint.fingerprint(problem),
            "solver": settings_of(solver),
            "tol": tol,
        }

    def recall(self, tree: Any, max_iter: int) -> bool:
        """Take up what a file tells of this run; return whether it holds for those that followed.

        Parameters
        ----------
        tree : dict
            As this class has made it.
        max_iter : int

        Raises
        ------
        FileError
            If it is of another problem or solver, or damaged.
        """
        device = self._problem.design.home == "device"
        told = difference(tree.get("fingerprint"), self._head["fingerprint"], rough=device)
        if told:
            raise FileError(f"it is the checkpoint of another problem: {told}")
        solver, tol = taken(tree, "solver", str), self._head["tol"]
        if solver != self._head["solver"]:
            if self._place > 0 and number(tree, "tol") != tol:
                return False  # another tolerance, another way to it
            raise FileError(f"it was written by {solver[:200]}, and this is {self._head['solver']}")
        if tree.get("state") is not None:
            self.progress = self._checked(unpacked_progress(tree, self._state(tree)))
        if tree.get("ended") is None:
            if self.progress is None:
                raise FileError("it is damaged: a run has no state")
            return False
        ended = unpacked_solution(tree, self._problem.shape, tol)
        if serves(ended, max_iter):
            self._check_end(ended)
            self.solution = ended
            return True
        self.start = ended.x
        return False

    def _state(self, tree: dict[str, Any]) -> Any:
        try:
            return self._solver.unpack(self._problem, taken(tree, "state", dict))
        except FileError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise FileError(f"it is damaged: its state is none of this solver ({error})") from error

    def _checked(self, progress: Progress) -> Progress:
        """Compare the value of the saved point with its value here: all rows have a say in it.

        A gradient that is not that of the point is made afresh: no file can say "converged".
        """
        point: Point = progress.state.point
        if point.share < 1.0:
            return progress
        fresh, size = self._afresh(point, progress.history[0])
        off = np.abs(fresh.gradient - point.gradient).max()
        if not point.exact or off <= NEAR * (np.abs(fresh.gradient).max() + size):
            return progress
        state = dataclasses.replace(progress.state, point=fresh)
        return dataclasses.replace(progress, state=state)

    def _afresh(self, point: Point, first: Record) -> tuple[Point, float]:
        """Return a point made afresh, and the size of values; refuse it where its value differs."""
        if "gradient" in self._solver.needs:
            fresh = self._solver.refresh(self._problem, point)
        else:
            fresh = dataclasses.replace(point, value=self._problem.value(point.x))
        size = max(abs(first.value), abs(fresh.value))
        if not abs(fresh.value - point.value) <= (COARSE if point.coarse else SAME) * size:
            raise FileError(
                f"its data have changed: at the point saved the objective was {point.value:.10g},"
                f" and it is {fresh.value:.10g} here"
            )
        return fresh, size

    def _check_end(self, ended: Solution) -> None:
        """Compare value and gradient of an end with those of its point here."""
        first = ended.history[0]
        fresh, _ = self._afresh(Point(ended.x, ended.value, np.zeros_like(ended.x), None), first)
        if "gradient" not in self._solver.needs:
            return
        entries = np.abs(self._problem.least_subgradient(fresh)).max()
        norm = float(entries) / self._solver.gradient_scale(self._problem)
        off = abs(norm - ended.gradient_norm)
        if not off <= SLACK * max(norm, ended.gradient_norm) + NEAR * first.gradient_norm:
            raise FileError(
                f"it says that the largest gradient entry at its end was {ended.gradient_norm:.3g},"
                f" and it is {norm:.3g} here"
            )

    def save(self, progress: Progress) -> None:
        """Write where the run stands."""
        self.hold(progress)
        self._checkpoint.write()

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return self._checkpoint.due

    def hold(self, progress: Progress, solution: Solution | None = None) -> None:
        """Note where the run stands, or where it ended, for the next writing.

        Parameters
        ----------
        progress : Progress
        solution : Solution or None, default None
        """
        if solution is not None:
            seconds, cost = solution.seconds, solution.cost
            progress = dataclasses.replace(progress, seconds=seconds, cost=cost)
        tree = self._head | packed_progress(progress, self._solver.pack(progress.state))
        if solution is not None:
            tree["ended"] = packed_solution(solution)
        self._checkpoint.hold(self._place, tree)


def serves(ended: Solution, max_iter: int) -> bool:
    """Return whether a run would end there again, its tolerance being the one asked for now.

    Parameters
    ----------
    ended : Solution
    max_iter : int
    """
    within = ended.gradient_norm <= ended.tol
    if ended.status in (Status.CONVERGED, Status.SADDLE):
        return within
    if ended.status is Status.MAX_ITER:
        return not within and ended.n_iter >= max_iter
    return not within and ended.status in (Status.ROUNDING, Status.NO_DESCENT)


def settings_of(solver: Solver[Any]) -> str:
    """Return a solver with the settings that are not its defaults; functions are left out."""
    plain: Any = solver
    told = []
    for item in dataclasses.fields(plain) if dataclasses.is_dataclass(plain) else ():
        value = getattr(solver, item.name)
        if not callable(value) and repr(value) != repr(item.default):
            told.append(f"{item.name}={value!r}")
    return f"{type(solver).__name__}({', '.join(told)})"

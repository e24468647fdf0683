"""Where a run stands between two iterations, and where it ended, as trees."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.checkpoints.trees import number, taken
from softunit.errors import FileError
from softunit.solution import Cost, Record, Solution, Status

__all__ = ["Progress", "packed_progress", "packed_solution", "unpacked_solution"]

COLUMNS = [item.name for item in dataclasses.fields(Record)]


@dataclass(frozen=True)
class Progress:
    """What the loop knows between two iterations.

    Attributes
    ----------
    state : State
        Of the solver.
    history : sequence of Record
    judged_from : int
        The record from which progress is judged.
    afresh : sequence of float
        Gradient norms of points that had seemed to be within the tolerance.
    seconds : float
    cost : Cost
    """

    state: Any
    history: Sequence[Record]
    judged_from: int
    afresh: Sequence[float]
    seconds: float
    cost: Cost


def packed_progress(progress: Progress, state: dict[str, Any]) -> dict[str, Any]:
    """Return the tree of a run that goes on.

    Parameters
    ----------
    progress : Progress
    state : dict
        Its state, packed by the solver.
    """
    return {
        "state": state,
        "history": _table(progress.history),
        "judged from": progress.judged_from,
        "afresh": list(progress.afresh),
        "seconds": progress.seconds,
        "cost": dataclasses.asdict(progress.cost),
    }


def unpacked_progress(tree: dict[str, Any], state: Any) -> Progress:
    """Return where a run stood.

    Parameters
    ----------
    tree : dict
        Of `packed_progress`.
    state : State
        Unpacked by the solver.

    Raises
    ------
    FileError
        If something is missing or not what it should be.
    """
    history = _history(tree)
    judged, afresh = taken(tree, "judged from", int), taken(tree, "afresh", list)
    if not 0 <= judged < len(history) or not all(isinstance(each, float) for each in afresh):
        raise FileError("it is damaged: its history is not that of a run")
    return Progress(state, history, judged, afresh, number(tree, "seconds"), _cost(tree))


def packed_solution(solution: Solution) -> dict[str, Any]:
    """Return the tree of a run that has ended; its history and cost lie beside it."""
    return {
        "x": solution.x,
        "value": solution.value,
        "gradient norm": solution.gradient_norm,
        "status": solution.status.name,
        "solver": solution.solver,
        "tol": solution.tol,
    }


def unpacked_solution(tree: dict[str, Any], shape: tuple[int, ...], tol: float) -> Solution:
    """Return where a run ended.

    Parameters
    ----------
    tree : dict
        Of `packed_progress`, with the entry `ended` of `packed_solution`.
    shape : tuple of int
        That of x.
    tol : float
        What is asked for now.

    Raises
    ------
    FileError
        If something is missing or not what it should be.
    """
    ended, history = taken(tree, "ended", dict), _history(tree)
    x = taken(ended, "x", np.ndarray)
    name = taken(ended, "status", str)
    if x.shape != shape or x.dtype != np.float64 or not np.isfinite(x).all():
        raise FileError(f"it is damaged: its x is no finite array of shape {shape}")
    if name not in Status.__members__:
        raise FileError("it is damaged: its run ended in no way that is known")
    value, norm = number(ended, "value"), number(ended, "gradient norm")
    # The end was made afresh, on all rows; a run that goes on does so from what was before.
    history[-1] = dataclasses.replace(history[-1], value=value, gradient_norm=norm, share=1.0)
    return Solution(
        x=x,
        value=value,
        gradient_norm=norm,
        status=Status[name],
        n_iter=history[-1].iteration,
        history=tuple(history),
        seconds=number(tree, "seconds"),
        cost=_cost(tree),
        solver=taken(ended, "solver", str),
        tol=tol,
    )


def _table(history: Sequence[Record]) -> Array:
    """Return the records as rows of numbers."""
    return np.array([[getattr(record, name) for name in COLUMNS] for record in history])


def _history(tree: dict[str, Any]) -> list[Record]:
    table = taken(tree, "history", np.ndarray)
    shaped = table.ndim == 2 and len(table) > 0 and table.shape[1] == len(COLUMNS)
    if not shaped or table.dtype != np.float64 or not (np.abs(table[:, 0]) < 2**53).all():
        raise FileError("it is damaged: its history is no table of records")
    return [Record(int(row[0]), *row[1:]) for row in table.tolist()]


def _cost(tree: dict[str, Any]) -> Cost:
    told = taken(tree, "cost", dict)
    cost = Cost()
    for item in dataclasses.fields(Cost):
        setattr(cost, item.name, number(told, item.name))
    cost.rows = int(cost.rows)
    return cost

"""What a solver's state is made of, as numbers, texts and arrays: what a checkpoint holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np

from softunit.errors import FileError, NeedsError
from softunit.point import Point
from softunit.problem import Problem
from softunit.solvers.memory import Memory

SCORES_BYTES = 64 << 20
"""What scores may take in a checkpoint; larger ones are made again from x."""

Packed = dict[str, Any]
"""None, numbers, texts, arrays, and lists and dicts of these."""


def packed_point(point: Point) -> Packed:
    """Return a point with its scores, or with word that they are to be made again."""
    out = {item.name: getattr(point, item.name) for item in dataclasses.fields(point)}
    if point.scores is not None and point.scores.nbytes > SCORES_BYTES:
        out["scores"] = True
    return out


def unpacked_point(problem: Problem, packed: Any) -> Point:
    """Return the point again.

    Parameters
    ----------
    problem : Problem
    packed : dict
        Of `packed_point`.

    Raises
    ------
    FileError
        If it is no point of this problem.
    """
    names = {item.name for item in dataclasses.fields(Point)}
    if not isinstance(packed, dict) or set(packed) != names:
        raise FileError("it is damaged: it holds no point")
    value, share, scores = packed["value"], packed["share"], packed["scores"]
    flags = isinstance(packed["exact"], bool) and isinstance(packed["coarse"], bool)
    if not (flags and isinstance(value, float) and isinstance(share, float) and 0 < share <= 1):
        raise FileError("it is damaged: its point is not told in full")
    shape = (problem.design.shape[0], *problem.shape[1:])
    arrays = [(packed["x"], problem.shape), (packed["gradient"], problem.shape)]
    arrays += [] if scores is None or scores is True else [(scores, shape)]
    for array, wanted in arrays:
        if not (isinstance(array, np.ndarray) and array.dtype == np.float64):
            raise FileError("it is damaged: its point is not made of arrays of float64")
        if array.shape != wanted or not np.isfinite(array).all():
            raise FileError(
                f"it is damaged: its point has an array of shape {array.shape} where shape {wanted}"
                " is due, or entries that are not finite"
            )
    point = Point(**packed)
    return dataclasses.replace(point, scores=problem.scores(point.x)) if scores is True else point


def packed_state(state: Any, without: Collection[str] = ()) -> Packed:
    """Return the fields of a state.

    Parameters
    ----------
    state : dataclass
    without : collection of str, default ()
        Fields that are made again.

    Raises
    ------
    NeedsError
        If it holds what a checkpoint cannot.
    """
    if not dataclasses.is_dataclass(state):
        raise NeedsError(
            f"{type(state).__name__} is no dataclass, so a checkpoint cannot hold it: give its"
            " solver `pack` and `unpack`."
        )
    names = [item.name for item in dataclasses.fields(state) if item.name not in without]
    return {name: _packed(getattr(state, name), f"{type(state).__name__}.{name}") for name in names}


def _packed(value: Any, name: str) -> Any:
    if isinstance(value, Point):
        return packed_point(value)
    if isinstance(value, Memory):
        return packed_memory(value)
    if isinstance(value, tuple):
        return [_packed(each, name) for each in value]
    if value is None or isinstance(value, bool | int | float | str | np.ndarray | np.generic):
        return value
    raise NeedsError(
        f"a checkpoint cannot hold {name}, a {type(value).__name__}: name it in `remade` of the"
        " solver, if `init` makes it again, or give the solver `pack` and `unpack`."
    )


def packed_memory(memory: Memory) -> Packed:
    """Return the pairs of a memory."""
    return {"size": memory.size, "pairs": [list(pair) for pair in memory.pairs]}


def unpacked_memory(packed: Any, shape: tuple[int, ...]) -> Memory:
    """Return the memory again.

    Parameters
    ----------
    packed : dict
        Of `packed_memory`.
    shape : tuple of int
        That of x.

    Raises
    ------
    FileError
        If it is no memory of moves of this shape.
    """
    size, pairs = packed["size"], tuple(tuple(pair) for pair in packed["pairs"])
    for move, change, curved in pairs:
        _check_move(move, shape)
        _check_move(change, shape)
        if not curved > 0:
            raise FileError("it is damaged: it holds a move without curvature")
    return Memory(int(size), pairs)


def _check_move(array: Any, shape: tuple[int, ...]) -> None:
    if not (isinstance(array, np.ndarray) and array.shape == shape and np.isfinite(array).all()):
        raise FileError(f"it is damaged: it holds a move that is no finite array of shape {shape}")


def unpacked_state(problem: Problem, made: Any, packed: Packed) -> Any:
    """Return the state again.

    Parameters
    ----------
    problem : Problem
    made : dataclass
        A state of the same kind at the same point, whose fields stand where nothing was packed.
    packed : dict
        Of `packed_state`.

    Raises
    ------
    FileError
        If it is no state of this kind.
    """
    known = {item.name for item in dataclasses.fields(made)}
    if not set(packed) <= known:
        raise FileError("it is damaged: it holds no state of this solver")
    fields = {}
    for name, value in packed.items():
        before = getattr(made, name)
        if name == "point":
            fields[name] = before
        elif isinstance(before, Memory):
            fields[name] = unpacked_memory(value, problem.shape)
        elif isinstance(before, bool | int | float) and not _is_alike(value, before):
            raise FileError(f"it is damaged: its {name!r} is {str(value)[:40]!r}")
        else:
            fields[name] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(made, **fields)


def _is_alike(value: Any, before: float) -> bool:
    """Return whether a value is of the kind of another: yes or no, whole, or any number."""
    if isinstance(before, bool) or isinstance(value, bool):
        return isinstance(before, bool) and isinstance(value, bool)
    return isinstance(value, int) or (isinstance(value, float) and isinstance(before, float))

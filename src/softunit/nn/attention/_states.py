"""What steps hand on: checked before it is added to anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from softunit.errors import InputError

Parts = dict[str, tuple[Any, tuple[int, ...]]]
"""The tensors of a state by name, each with the shape that the step needs."""


def check_state(
    unit: str, state: Any, kind: type, parts: Callable[[Any], Parts], like: Tensor
) -> None:
    """Refuse a state that is not what the last step of this unit returned; None is the first.

    Shapes must be those of this step: a batch or a head of one would broadcast silently.

    Parameters
    ----------
    unit : str
        Its name.
    state : object
        What the caller gave.
    kind : type
        What the unit's steps return.
    parts : callable
        Takes a state of this kind; returns its tensors and the shapes they must have.
    like : Tensor
        Of the dtype and device that they must have.

    Raises
    ------
    InputError
        If it is of another kind, shape, dtype or device.
    """
    if state is None:
        return
    if not isinstance(state, kind):
        raise InputError(
            f"The state of a step with the unit {unit!r} must be what its last step returned, a"
            f" {kind.__name__}, or None before the first token; got a {type(state).__name__}."
        )
    for name, (given, shape) in parts(state).items():
        _check_part(unit, name, given, shape, like)


def _check_part(unit: str, name: str, given: Any, shape: tuple[int, ...], like: Tensor) -> None:
    start = f"The state of a step with the unit {unit!r} must have {name}"
    if not isinstance(given, Tensor):
        raise InputError(f"{start} as a tensor; got a {type(given).__name__}.")
    if given.shape != shape:
        raise InputError(
            f"{start} of shape {shape}; got {tuple(given.shape)}. All steps of a sequence take the"
            " same batch, heads, widths and settings; start a new one with state=None."
        )
    if given.dtype != like.dtype or given.device != like.device:
        raise InputError(
            f"{start} of {like.dtype} on {like.device}, as q, k and v (float32 for half"
            f" precision); got {given.dtype} on {given.device}."
        )

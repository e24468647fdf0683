"""The door of softmax and of the losses: scores and axes, checked with sentences."""

from __future__ import annotations

import numbers
from typing import Any

from torch import Tensor

from softunit.errors import InputError


def check_scores(scores: Any) -> None:
    """Refuse what is no torch tensor of a floating dtype."""
    if not isinstance(scores, Tensor) or not scores.dtype.is_floating_point:
        found = scores.dtype if isinstance(scores, Tensor) else type(scores).__name__
        raise InputError(f"`scores` must be a torch tensor of a floating dtype; got {found}.")


def check_axis(name: str, axis: Any, shape: tuple[int, ...]) -> int:
    """Return an axis of the shape as an int; a single number has one, as for torch's softmax."""
    if not isinstance(axis, numbers.Integral) or isinstance(axis, bool):
        raise InputError(f"`{name}` must be an integer, the number of an axis; got {axis!r}.")
    place, rank = int(axis), max(1, len(shape))
    if not -rank <= place < rank:
        raise InputError(f"`{name}` {place} is no axis of scores with shape {tuple(shape)}.")
    return place

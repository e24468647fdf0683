"""The door of the losses: options, shapes and dtypes of targets, checked with sentences."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from softunit.errors import InputError

REDUCTIONS = ("mean", "none", "sum")


def check_options(reduction: str, label_smoothing: float) -> None:
    """Refuse a reduction that is none of torch's, and a smoothing outside [0, 1]."""
    if reduction not in REDUCTIONS:
        raise InputError(f"`reduction` must be 'mean', 'none' or 'sum'; got {reduction!r}.")
    if not 0.0 <= label_smoothing <= 1.0:
        raise InputError(f"`label_smoothing` must be in [0, 1]; got {label_smoothing!r}.")


def check_targets(
    scores: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100
) -> Literal["classes", "shares"]:
    """Return whether the targets are classes or shares, refusing what does not fit the scores."""
    for name, given in (("scores", scores), ("target", target)):
        if not isinstance(given, Tensor):
            raise InputError(f"`{name}` must be a torch tensor; got {type(given).__name__}.")
    if scores.ndim == 0:
        raise InputError("`scores` must have an axis of classes; got a single number.")
    shape = tuple(scores.shape)
    classes = shape[0] if len(shape) == 1 else shape[1]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise InputError(
            f"`weight` must hold one number for each of {classes} classes; got shape"
            f" {tuple(weight.shape)}."
        )
    if target.dtype.is_floating_point:
        if tuple(target.shape) != shape:
            raise InputError(
                f"`target` of shares must have the shape of the scores, {shape}; got"
                f" {tuple(target.shape)}. Targets that are classes must be of dtype int64."
            )
        return "shares"
    _check_classes(shape, classes, target, ignore_index)
    return "classes"


def _check_classes(shape: tuple[int, ...], classes: int, target: Tensor, ignore_index: int) -> None:
    wanted = () if len(shape) == 1 else (shape[0], *shape[2:])
    if tuple(target.shape) != wanted:
        raise InputError(
            f"`target` of classes must have shape {wanted} for scores of shape {shape}, whose axis"
            f" {min(1, len(shape) - 1)} is that of classes; got {tuple(target.shape)}."
        )
    if target.dtype != torch.int64:
        raise InputError(f"`target` of classes must be of dtype int64; got {target.dtype}.")
    # Elsewhere a look at the values would make the processor wait for the device.
    if target.device.type != "cpu" or torch.compiler.is_compiling():
        return
    wrong = target[(target != ignore_index) & ((target < 0) | (target >= classes))]
    if wrong.numel():
        raise InputError(
            f"`target` must hold classes 0 to {classes - 1} (or `ignore_index` = {ignore_index});"
            f" got {int(wrong[0])}."
        )

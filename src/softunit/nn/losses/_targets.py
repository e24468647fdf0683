"""The door of the losses: options, shapes and dtypes of targets, checked with sentences."""

from __future__ import annotations

import numbers
from typing import Any, Literal

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn._checks import check_number
from softunit.nn.softmax._given import check_scores

REDUCTIONS = ("mean", "none", "sum")


def check_options(
    reduction: str, label_smoothing: float, weight: Any = None, ignore_index: Any = -100
) -> None:
    """Refuse options that do not fit whatever the scores are."""
    if reduction not in REDUCTIONS:
        raise InputError(f"`reduction` must be 'mean', 'none' or 'sum'; got {reduction!r}.")
    if check_number("label_smoothing", label_smoothing, least=0) > 1:
        raise InputError(f"`label_smoothing` must be in [0, 1]; got {label_smoothing!r}.")
    if weight is not None and not isinstance(weight, Tensor):
        raise InputError(f"`weight` must be a torch tensor; got {type(weight).__name__}.")
    check_ignored(ignore_index)


def check_ignored(ignore_index: Any) -> int:
    """Return an ignored class as an int."""
    if not isinstance(ignore_index, numbers.Integral) or isinstance(ignore_index, bool):
        raise InputError(
            f"`ignore_index` must be an integer, of a class or negative; got {ignore_index!r}."
        )
    return int(ignore_index)


def check_targets(
    scores: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100
) -> Literal["classes", "shares"]:
    """Return whether the targets are classes or shares, refusing what does not fit the scores."""
    check_scores(scores)
    if not isinstance(target, Tensor):
        raise InputError(f"`target` must be a torch tensor; got {type(target).__name__}.")
    if scores.ndim == 0:
        raise InputError("`scores` must have an axis of classes; got a single number.")
    _check_devices(scores, target, weight)
    shape = tuple(scores.shape)
    classes = shape[0] if len(shape) == 1 else shape[1]
    if classes == 0:
        raise InputError(f"`scores` must have at least one class; got shape {shape}.")
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


def _check_devices(scores: Tensor, target: Tensor, weight: Tensor | None) -> None:
    for name, given in (("target", target), ("weight", weight)):
        if given is not None and given.device != scores.device:
            raise InputError(
                f"`{name}` is on {given.device} and `scores` on {scores.device}: move one with"
                " `.to`."
            )


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

"""Row weights: those given, times those of classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from softunit._checks import check_weights
from softunit._row_array import as_array
from softunit._typing import Vector
from softunit.errors import InputError
from softunit.estimators._data import ClassTarget
from softunit.estimators._labels import taken


def checked_row_weights(
    sample_weight: Any, class_weight: Any, target: ClassTarget, n: int
) -> tuple[Vector | None, ClassTarget]:
    """Return row weights (n,) with class weights multiplied in, and the target to go with them.

    A class weight on shares splits a row into weighted labels; the row's weight is then their sum
    and its shares are tilted.

    Raises
    ------
    InputError
        If weights are negative, all zero, or of another length.
    ValueError
        From scikit-learn, if `class_weight` is neither "balanced", None nor a fitting dict.
    """
    weights = _given_weights(sample_weight, n)
    if class_weight is None:
        return weights, target
    if isinstance(class_weight, dict):
        _check_class_weights(class_weight, target)
    if target.target.ndim == 1:
        each = _weights_for_labels(class_weight, target, weights)
        rows = taken(each, target.target, weights)
        if not rows.any():
            raise InputError(f"`class_weight` = {class_weight!r} leaves no row any weight.")
        return rows, target
    each = _weights_for_shares(class_weight, target, weights)
    tilted = target.target * each
    rows = tilted.sum(axis=1)
    if not (rows > 0).all():
        raise InputError("`class_weight` gives some rows no weight; drop these rows instead.")
    tilted /= rows[:, None]
    return (rows if weights is None else weights * rows), ClassTarget(target.classes, tilted)


def _given_weights(sample_weight: Any, n: int) -> Any:
    """Return row weights (n,), or None; a single number costs no memory."""
    if sample_weight is None:
        return None
    given = as_array(sample_weight)
    return check_weights(np.broadcast_to(given, n) if given.ndim == 0 else given, n)


def _weights_for_labels(class_weight: Any, target: ClassTarget, weights: Any) -> Vector:
    """Return the weight of each class, (K,); scikit-learn's, from totals where it wants labels."""
    if class_weight == "balanced":
        totals = target.class_totals(weights)
        seen = totals > 0
        share = totals.sum() / len(totals)
        return np.asarray(np.divide(share, totals, out=np.ones(len(totals)), where=seen))
    found = compute_class_weight(class_weight, classes=target.classes, y=target.classes)
    return np.asarray(found)


def _check_class_weights(class_weight: dict[Any, Any], target: ClassTarget) -> None:
    names = target.classes.tolist()
    for name, value in class_weight.items():
        try:
            good = math.isfinite(value) and value >= 0
        except TypeError:
            good = False
        if not good:
            raise InputError(
                f"`class_weight` must hold finite numbers >= 0; class {name!r} has {value!r}."
            )
        if target.target.ndim == 2 and name not in names:
            raise InputError(
                f"`class_weight` names class {name!r}, which is not among the shares {names}."
            )


def _weights_for_shares(class_weight: Any, target: ClassTarget, weights: Vector | None) -> Vector:
    if class_weight == "balanced":
        totals = target.class_totals(weights)
        return np.asarray(totals.sum() / (len(totals) * np.maximum(totals, 1e-300)))
    if not isinstance(class_weight, dict):
        raise InputError(
            f"`class_weight` must be None, 'balanced' or a dict; got {class_weight!r}."
        )
    return np.array([float(class_weight.get(name, 1.0)) for name in target.classes.tolist()])

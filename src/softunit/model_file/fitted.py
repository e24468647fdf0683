"""The coefficients of a model file put into an estimator, shapes checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.errors import FileError
from softunit.estimators import ConditionalLogit, OrdinalClassifier, SoftmaxClassifier
from softunit.estimators._choice_problem import Constants
from softunit.tables.names import show


def set_fitted(
    problem: str, estimator: Any, tensors: Mapping[str, Array], classes: Array | None
) -> int:
    """Set the coefficients, shapes checked, and return the number d of columns.

    Parameters
    ----------
    problem : str
    estimator : an estimator with the settings of the file
    tensors : mapping of str to ndarray
        Names and types checked.
    classes : ndarray of shape (K,) or None
        Labels of classes or alternatives.

    Raises
    ------
    FileError
        If shapes disagree, or numbers contradict each other.
    """
    coef = tensors["coef"]
    if coef.size == 0:
        raise FileError("`coef` is empty")
    width = _SET.get(problem, _set_regressor)(estimator, tensors, classes)
    estimator.coef_ = coef
    estimator.n_features_in_ = width
    return width


def _set_regressor(estimator: Any, tensors: Mapping[str, Array], classes: Array | None) -> int:
    _check_shape(tensors["coef"], (tensors["coef"].size,))
    return tensors["coef"].size


def _set_classifier(
    estimator: SoftmaxClassifier, tensors: Mapping[str, Array], classes: Array | None
) -> int:
    coef, intercept = tensors["coef"], tensors["intercept"]
    assert classes is not None
    # Two classes may also have been fitted from shares; they too have one column of scores.
    scores = 1 if len(classes) == 2 else len(classes)
    if intercept.shape != (scores,) or intercept.dtype != coef.dtype:
        raise FileError(
            f"`intercept` has shape {intercept.shape} and type {intercept.dtype}, but"
            f" {len(classes)} classes need ({scores},) and {coef.dtype}"
        )
    _check_shape(coef, (scores, coef.size // scores))
    estimator.intercept_, estimator.classes_ = intercept, classes
    return int(coef.shape[1])


def _set_choice(
    estimator: ConditionalLogit, tensors: Mapping[str, Array], classes: Array | None
) -> int:
    coef = tensors["coef"]
    _check_shape(coef, (coef.size,))
    estimator._columns = estimator._own = estimator._inference = estimator._constants = None
    estimator._separated = ""
    if classes is None:
        return coef.size
    estimator.alternatives_ = classes
    if not estimator.alternative_constants:
        return coef.size
    width = coef.size - (len(classes) - 1)
    if width < 1:
        raise FileError(f"`coef` has shape {coef.shape}, too few for its constants")
    reference = _reference(estimator.reference, classes)
    estimator._constants = Constants(classes, reference)
    estimator.constants_ = np.insert(coef[width:], reference, 0.0)
    return width


def _reference(label: Any, classes: Array) -> int:
    """Return the number of the alternative without a constant."""
    known = classes.tolist()
    if label is None:
        return 0
    if label not in known or isinstance(label, bool) != isinstance(known[0], bool):
        raise FileError(f"setting `reference` is no alternative: {show(label)}")
    return int(known.index(label))


def _set_ordinal(
    estimator: OrdinalClassifier, tensors: Mapping[str, Array], classes: Array | None
) -> int:
    coef, thresholds = tensors["coef"], tensors["thresholds"]
    assert classes is not None
    # With weights of their own thresholds may cross; with shared ones they never do.
    rising = coef.ndim > 1 or bool((np.diff(thresholds) > 0).all())
    if thresholds.shape != (len(classes) - 1,) or not rising:
        raise FileError(
            f"`thresholds` must hold {len(classes) - 1} rising numbers; got {show(thresholds)}"
        )
    shape = coef.shape[-1:] if coef.ndim == 1 else (len(classes) - 1, coef.shape[-1])
    _check_shape(coef, shape)
    estimator.classes_, estimator.thresholds_ = classes, thresholds
    estimator.order = tuple(classes.tolist())
    estimator._fit, estimator._separated = None, ""
    return int(coef.shape[-1])


def _check_shape(coef: Array, shape: tuple[int, ...]) -> None:
    if coef.shape != shape:
        raise FileError(f"`coef` has shape {coef.shape}, which does not go with its classes")


_SET: Mapping[str, Callable[[Any, Mapping[str, Array], Array | None], int]] = MappingProxyType(
    {"classifier": _set_classifier, "choice": _set_choice, "ordinal": _set_ordinal}
)
"""How coefficients are set; those of all other problems are a regression's."""

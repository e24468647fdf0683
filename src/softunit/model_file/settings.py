"""The settings of an estimator as JSON, and an estimator made of them with every value checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from softunit.errors import FileError, InputError
from softunit.estimators import OrdinalClassifier
from softunit.model_file import checks
from softunit.model_file.model import ESTIMATORS, ProblemKind, SavedModel
from softunit.tables.names import show
from softunit.units import TwoLayerSquares

_INFINITY = "infinity"
"""How C = inf is written: JSON has no number for it."""

_OF_THE_RUN = ("keyboard_interrupt", "checkpoint", "every", "resume")
"""The settings that say nothing about the model, so that files do without them."""

_ELSEWHERE = ("matrix", "order")
"""The settings that are saved as arrays, or with the classes."""

_LATER: Mapping[int, Mapping[str, Any]] = MappingProxyType(
    {
        1: {"normalise": False, "l1_ratio": 0.0, "grouped": False},
        2: {"l1_ratio": 0.0, "grouped": False},
    }
)
"""Settings that files of an old format lack, and what they stand for there."""


def encode_settings(model: SavedModel) -> dict[str, Any]:
    """Return the settings of a model's estimator by name.

    Raises
    ------
    InputError
        If a setting has no place in a file: a solver object, an array of weights without the name
        of its column.
    """
    settings = dict(model.estimator.get_params(deep=False))
    for name in (*_OF_THE_RUN, *_ELSEWHERE):
        settings.pop(name, None)
    if model.score_weights is not None:
        settings["w"] = None
    for name, value in settings.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if not isinstance(plain, str | int | float | None):
            raise InputError(
                f"`{name}` = {show(value)} cannot be saved with a model: a file holds texts and"
                " numbers only. Fit with a plain value, such as the name of a solver."
            )
        settings[name] = _INFINITY if plain == math.inf else plain
    return settings


def decode_settings(
    problem: ProblemKind, data: Any, *, matrix: Any, by_column: bool, format: int
) -> Any:
    """Return an estimator, not fitted, whose settings are those that its class has and accepts.

    Parameters
    ----------
    problem : str
    data : object
        The settings, as the header has them.
    matrix : ndarray, sparse array or None
        The outer matrix of two layers.
    by_column : bool
        Whether w stands in a column of the data.
    format : int
        Of the file.

    Raises
    ------
    FileError
        If a setting is missing, unknown, or has a wrong value.
    """
    kind = ESTIMATORS[problem]
    defaults = kind().get_params(deep=False)
    for name in (*_OF_THE_RUN, *_ELSEWHERE):
        defaults.pop(name, None)
    if by_column and "w" not in defaults:
        raise FileError(f"`score_weights` does not go with the problem {problem}")
    later = _LATER.get(format, {})
    if later and isinstance(data, dict):
        data = {name: value for name, value in later.items() if name in defaults} | data
    settings = dict(checks.mapping(data, defaults, "`settings`"))
    for name in ("C", "presto"):
        if settings.get(name) == _INFINITY:
            settings[name] = math.inf
    if "w" in settings and not by_column:
        checks.number(settings["w"], "setting `w`")
    for name, default in defaults.items():
        if not _fits(name, settings[name], default):
            raise FileError(
                f"setting `{name}` has a value that is not known: {show(settings[name])}"
            )
    estimator = kind(**settings) if matrix is None else kind(matrix=matrix, **settings)
    try:
        check_settings(estimator)
        if problem == "two-layer":
            TwoLayerSquares(estimator.outer, matrix)
    except InputError as error:
        raise FileError(f"a setting is wrong: {str(error).rstrip('.')}") from error
    if problem in ("exp", "cosh", "sinh") and estimator.unit != problem:
        raise FileError(f"its problem is {problem}, but its setting `unit` {show(estimator.unit)}")
    return estimator


def check_settings(estimator: Any) -> None:
    """Refuse settings that an estimator would refuse at its fit.

    Parameters
    ----------
    estimator : an estimator, fitted or not

    Raises
    ------
    InputError
        If one is wrong.
    """
    if isinstance(estimator, OrdinalClassifier):
        estimator._plan()
    else:
        estimator._check_parameters()


def _fits(name: str, value: Any, default: Any) -> bool:
    """Return whether a setting is of a type that it may have; the estimator checks the rest."""
    if name == "class_weight":
        return value is None or value == "balanced"
    if name == "reference":
        return value is None or isinstance(value, str | int | float)
    if name in ("random_state", "verbose"):
        return (value is None and name == "random_state") or type(value) is int
    if isinstance(default, str) and not isinstance(value, str):
        return name == "gauge" and value is None
    # bool is an int to Python: a switch must be a switch and a number no switch.
    return isinstance(value, bool) == isinstance(default, bool)

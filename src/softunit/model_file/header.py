"""A model without its numbers as JSON, and back with every value checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.errors import FileError, InputError
from softunit.model_file import checks
from softunit.model_file.model import (
    ESTIMATORS,
    FORMAT,
    PROBLEMS,
    Estimator,
    ProblemKind,
    SavedModel,
    Training,
)
from softunit.solution import Status
from softunit.tables import Encoding
from softunit.tables.names import listed, show

KEYS = (
    "classes", "encoding", "format", "offset", "problem", "settings", "softunit", "target",
    "training", "weights",
)  # fmt: skip
_TRAINING = tuple(Training.__dataclass_fields__)
_LABEL_TYPES = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
_INFINITY = "infinity"
"""How C = inf is written: JSON has no number for it."""

_OF_THE_RUN = "keyboard_interrupt"
"""The setting that says nothing about the model, so that files do without it."""


def encode_header(model: SavedModel) -> dict[str, Any]:
    """Return everything but the coefficients as texts, numbers, lists and dicts.

    Raises
    ------
    InputError
        If a setting has no place in a file: a solver object, an array of weights.
    """
    return {
        "format": FORMAT,
        "softunit": _version(),
        "problem": model.problem,
        "target": model.target,
        "weights": model.weights,
        "offset": model.offset,
        "classes": _encode_classes(model),
        "settings": _encode_settings(model.estimator),
        "encoding": model.encoding.to_json(),
        "training": dict(vars(model.training)),
    }


def _version() -> str:
    try:
        return version("softunit")
    except PackageNotFoundError:  # run from a source tree
        return "(not installed)"  # as the command line says it


def _encode_settings(estimator: Estimator) -> dict[str, Any]:
    settings = dict(estimator.get_params(deep=False))
    del settings[_OF_THE_RUN]
    for name, value in settings.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if not isinstance(plain, str | int | float | None):
            raise InputError(
                f"`{name}` = {show(value)} cannot be saved with a model: a file holds texts and"
                " numbers only. Fit with a plain value, such as the name of a solver."
            )
        settings[name] = _INFINITY if plain == math.inf else plain
    return settings


def _encode_classes(model: SavedModel) -> dict[str, Any] | None:
    if model.problem != "classifier":
        return None
    values = np.asarray(model.estimator.classes_).tolist()
    kinds = {type(value).__name__ for value in values}
    if len(kinds) != 1 or not kinds <= set(_LABEL_TYPES):
        raise InputError(
            f"classes of type {', '.join(sorted(kinds))} cannot be saved: they must all be str,"
            " int, float or bool."
        )
    return {"type": kinds.pop(), "values": values}


def decode_header(data: Any, tensors: Mapping[str, Array]) -> SavedModel:
    """Return the model that a header and its coefficients make.

    Raises
    ------
    FileError
        If a key is unknown or missing, a value has the wrong type, or sizes disagree; the file is
        named by the caller.
    """
    if isinstance(data, dict) and (data.get("format") != FORMAT or data["format"] is True):
        raise FileError(
            f"it has format version {show(data.get('format'))}, and this release reads {FORMAT};"
            " read it with the release that wrote it, or fit again"
        )
    checks.mapping(data, KEYS, "its header")
    checks.text(data["softunit"], "`softunit`")
    problem = _decode_problem(data["problem"])
    estimator = _decode_settings(problem, data["settings"])
    classes = _decode_classes(data["classes"], problem)
    width = _set_fitted(estimator, tensors, classes)
    training = _decode_training(data["training"])
    if isinstance(estimator, ESTIMATORS["classifier"]):
        estimator.n_iter_ = np.array([training.n_iter], dtype=np.int32)
    else:
        estimator.n_iter_ = training.n_iter
    return SavedModel(
        estimator=estimator,
        encoding=_decode_encoding(data["encoding"], width),
        problem=problem,
        target=checks.text(data["target"], "`target`"),
        weights=checks.text_or_none(data["weights"], "`weights`"),
        offset=checks.text_or_none(data["offset"], "`offset`"),
        training=training,
    )


def _decode_problem(value: Any) -> ProblemKind:
    for problem in PROBLEMS:
        if value == problem:
            return problem
    raise FileError(f"`problem` must be one of {listed(PROBLEMS)}; got {show(value)}")


def _decode_settings(problem: ProblemKind, data: Any) -> Estimator:
    """Return an estimator, not fitted, whose settings are those that its class has and accepts."""
    kind = ESTIMATORS[problem]
    defaults = kind().get_params(deep=False)
    del defaults[_OF_THE_RUN]
    settings = dict(checks.mapping(data, defaults, "`settings`"))
    if settings.get("C") == _INFINITY:
        settings["C"] = math.inf
    for name, default in defaults.items():
        value = settings[name]
        # bool is an int to Python: a switch must be a switch and a number no switch.
        good = isinstance(value, bool) == isinstance(default, bool)
        if name == "class_weight":
            good = value is None or value == "balanced"
        elif name in ("random_state", "verbose"):
            good = (value is None and name == "random_state") or type(value) is int
        if not good:
            raise FileError(f"setting `{name}` has a value that is not known: {show(value)}")
    estimator = kind(**settings)
    if problem == "softmax":
        checks.number(settings["w"], "setting `w`")
    try:
        estimator._check_parameters()
    except InputError as error:
        raise FileError(f"a setting is wrong: {str(error).rstrip('.')}") from error
    return estimator


def _decode_classes(data: Any, problem: str) -> Array | None:
    """Return the labels in sorted order, of the type that they had at the fit."""
    if problem != "classifier":
        if data is not None:
            raise FileError(f"`classes` must be null for a regression; got {show(data)}")
        return None
    checks.mapping(data, ("type", "values"), "`classes`")
    kind, values = data["type"], data["values"]
    if not isinstance(kind, str) or kind not in _LABEL_TYPES:
        raise FileError(f"`classes` has type {show(kind)}; known are {list(_LABEL_TYPES)}")
    if not isinstance(values, list) or len(values) < 2:
        raise FileError(f"`classes` must list at least two labels; got {show(values)}")
    for value in values:
        if type(value) not in _LABEL_TYPES[kind] or (
            kind == "float" and not checks.is_finite(value)
        ):
            raise FileError(f"`classes` must hold labels of type {kind}; got {show(value)}")
    classes = np.array(values, dtype=np.float64) if kind == "float" else np.array(values)
    if classes.dtype.kind == "O" or not bool((classes[1:] > classes[:-1]).all()):
        raise FileError(f"`classes` must be sorted, different and representable: {show(values)}")
    return classes


def _set_fitted(estimator: Estimator, tensors: Mapping[str, Array], classes: Array | None) -> int:
    """Set the coefficients, shapes checked, and return the number d of columns."""
    coef = tensors["coef"]
    if classes is None:
        expected: tuple[int, ...] = (coef.size,)
    else:
        scores = 1 if len(classes) == 2 else len(classes)
        # Two classes may also have been fitted from shares; they too have one column of scores.
        expected = (scores, coef.size // scores)
        intercept = tensors["intercept"]
        if intercept.shape != (scores,) or intercept.dtype != coef.dtype:
            raise FileError(
                f"`intercept` has shape {intercept.shape} and type {intercept.dtype}, but"
                f" {len(classes)} classes need ({scores},) and {coef.dtype}"
            )
        estimator.intercept_, estimator.classes_ = intercept, classes
    if coef.shape != expected or coef.size == 0:
        raise FileError(f"`coef` has shape {coef.shape}, which does not go with its classes")
    estimator.coef_ = coef
    estimator.n_features_in_ = coef.shape[-1]
    return int(coef.shape[-1])


def _decode_encoding(data: Any, width: int) -> Encoding:
    """Return the encoding, which must make as many columns as there are coefficients."""
    entries = data.get("columns") if isinstance(data, dict) else None
    runs = [e.get("count") for e in entries or () if isinstance(e, dict)]
    claimed = sum(max(n, 0) for n in runs if isinstance(n, int))
    # A run of columns is a few bytes: it is measured before names are made of it.
    if claimed > width:
        raise FileError(f"its encoding claims {claimed:,} columns, but `coef` has {width:,}")
    encoding = Encoding.from_json(data)
    if len(encoding.feature_names) != width:
        raise FileError(
            f"its encoding makes {len(encoding.feature_names):,} columns, but `coef` has {width:,}"
        )
    return encoding


def _decode_training(data: Any) -> Training:
    checks.mapping(data, _TRAINING, "`training`")
    if not isinstance(data["status"], str) or data["status"] not in Status.__members__:
        raise FileError(f"`status` of the training is not known: {show(data['status'])}")
    if not isinstance(data["certificate"], dict):
        raise FileError(f"`certificate` must be an object; got {show(data['certificate'])}")
    return Training(
        source=checks.text(data["source"], "`source`"),
        rows=checks.count(data["rows"], "`rows`"),
        status=data["status"],
        solver=checks.text(data["solver"], "`solver`"),
        n_iter=checks.count(data["n_iter"], "`n_iter`"),
        seconds=checks.number(data["seconds"], "`seconds`"),
        value=checks.number_or_none(data["value"], "`value`"),
        gradient_norm=checks.number_or_none(data["gradient_norm"], "`gradient_norm`"),
        certificate=data["certificate"],
    )

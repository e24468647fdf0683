"""A model without its numbers as JSON, and back with every value checked."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.errors import FileError, InputError
from softunit.model_file import checks
from softunit.model_file.model import FORMAT, PROBLEMS, ProblemKind, SavedModel, Training
from softunit.model_file.settings import decode_settings, encode_settings
from softunit.model_file.tensors import matrix_of
from softunit.solution import Status
from softunit.tables import Encoding
from softunit.tables.names import listed, show

KEYS = (
    "classes", "encoding", "format", "offset", "problem", "score_weights", "settings", "shift",
    "softunit", "target", "training", "weights",
)  # fmt: skip
_SINCE_2 = {"score_weights": None, "shift": None}
_OLD_PROBLEMS: tuple[ProblemKind, ...] = ("classifier", "softmax")
_TRAINING = tuple(Training.__dataclass_fields__)
_LABEL_TYPES = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


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
        "score_weights": model.score_weights,
        "shift": model.shift,
        "classes": _encode_classes(model),
        "settings": encode_settings(model),
        "encoding": model.encoding.to_json(),
        "training": dict(vars(model.training)),
    }


def _version() -> str:
    try:
        return version("softunit")
    except PackageNotFoundError:  # run from a source tree
        return "(not installed)"  # as the command line says it


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
    data, old = _at_this_format(data)
    checks.mapping(data, KEYS, "its header")
    checks.text(data["softunit"], "`softunit`")
    problem = _decode_problem(data["problem"], _OLD_PROBLEMS if old else PROBLEMS)
    names = {
        key: checks.text_or_none(data[key], f"`{key}`")
        for key in ("weights", "offset", "score_weights", "shift")
    }
    if (names["shift"] is not None) != (problem == "leverage"):
        raise FileError(f"`shift` does not go with the problem {problem}")
    estimator = decode_settings(
        problem,
        data["settings"],
        matrix=matrix_of(tensors),
        by_column=names["score_weights"] is not None,
        old=old,
    )
    classes = _decode_classes(data["classes"], problem)
    width = _set_fitted(estimator, tensors, classes)
    training = _decode_training(data["training"])
    n_iter = training.n_iter
    classifies = problem == "classifier"
    estimator.n_iter_ = np.array([n_iter], dtype=np.int32) if classifies else n_iter
    if not classifies:
        estimator.solution_ = training.solution(estimator.coef_)
    return SavedModel(
        estimator=estimator,
        encoding=_decode_encoding(data["encoding"], width),
        problem=problem,
        target=checks.text(data["target"], "`target`"),
        training=training,
        **names,
    )


def _at_this_format(data: Any) -> tuple[Any, bool]:
    """Return a header with the keys of this format, and whether it was of format 1."""
    if not isinstance(data, dict):
        return data, False
    version = data.get("format")
    if isinstance(version, bool) or version not in (1, FORMAT):
        raise FileError(
            f"it has format version {show(version)}, and this release reads 1 and {FORMAT};"
            " read it with the release that wrote it, or fit again"
        )
    if version == FORMAT:
        return data, False
    strange = sorted(set(data) & set(_SINCE_2))
    if strange:
        raise FileError(f"its header has unknown keys {listed(strange)}")
    return data | _SINCE_2, True


def _decode_problem(value: Any, known: tuple[ProblemKind, ...]) -> ProblemKind:
    for problem in known:
        if value == problem:
            return problem
    raise FileError(f"`problem` must be one of {listed(known)}; got {show(value)}")


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


def _set_fitted(estimator: Any, tensors: Mapping[str, Array], classes: Array | None) -> int:
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

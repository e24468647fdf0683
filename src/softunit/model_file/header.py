"""A model without its numbers as JSON, and back with every value checked."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.errors import FileError, InputError
from softunit.estimators import ConditionalLogit, OrdinalClassifier, SoftmaxClassifier
from softunit.model_file import checks
from softunit.model_file.choices import decode_choice, encode_choice
from softunit.model_file.errors import decode_errors, encode_errors
from softunit.model_file.fitted import set_fitted
from softunit.model_file.model import FORMAT, PROBLEMS, ProblemKind, SavedModel, Training
from softunit.model_file.settings import decode_settings, encode_settings
from softunit.model_file.tensors import matrix_of
from softunit.solution import Status
from softunit.tables import Encoding
from softunit.tables.names import listed, show

KEYS = (
    "choice", "classes", "encoding", "errors", "format", "no_errors", "offset", "problem",
    "score_weights", "settings", "shift", "softunit", "target", "training", "weights",
)  # fmt: skip
_SINCE: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {2: ("score_weights", "shift"), 3: ("choice", "errors", "no_errors")}
)
"""Keys of the header by the format that brought them; None in older files."""

_SINCE_3 = ("choice", "ordinal")
_PROBLEMS: Mapping[int, tuple[ProblemKind, ...]] = MappingProxyType(
    {
        1: ("classifier", "softmax"),
        2: tuple(problem for problem in PROBLEMS if problem not in _SINCE_3),
        3: PROBLEMS,
    }
)
"""The problems of each format."""
_TRAINING = tuple(Training.__dataclass_fields__)
_MOST_ITERATIONS = 2**31 - 1  # scikit-learn's `n_iter_` is of 32 bits
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
        "choice": encode_choice(model.choice),
        "errors": encode_errors(model.errors),
        "no_errors": model.no_errors or None,
    }


def _version() -> str:
    try:
        return version("softunit")
    except PackageNotFoundError:  # run from a source tree
        return "(not installed)"  # as the command line says it


def _encode_classes(model: SavedModel) -> dict[str, Any] | None:
    """Return the labels of classes, or of alternatives, with their type."""
    estimator = model.estimator
    if isinstance(estimator, SoftmaxClassifier | OrdinalClassifier):
        labels = estimator.classes_
    elif isinstance(estimator, ConditionalLogit) and model.choice is not None:
        if model.choice.alternatives is None:
            return None
        labels = estimator.alternatives_
    else:
        return None
    values = np.asarray(labels).tolist()
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
    data, format = _at_this_format(data)
    checks.mapping(data, KEYS, "its header")
    checks.text(data["softunit"], "`softunit`")
    problem = _decode_problem(data["problem"], _PROBLEMS[format])
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
        format=format,
    )
    choice = decode_choice(data["choice"], problem)
    named = choice is not None and choice.alternatives is not None
    classes = _decode_classes(data["classes"], problem, named=named)
    training = _decode_training(data["training"])
    width = set_fitted(problem, estimator, tensors, classes)
    estimator.n_iter_ = training.n_iter
    if problem == "classifier":
        estimator.n_iter_ = np.array([training.n_iter], dtype=np.int32)
    else:
        estimator.solution_ = training.solution(estimator.coef_)
    return SavedModel(
        estimator=estimator,
        encoding=_decode_encoding(data["encoding"], width),
        choice=choice,
        errors=decode_errors(data["errors"], tensors),
        no_errors=checks.text_or_none(data["no_errors"], "`no_errors`") or "",
        problem=problem,
        target=checks.text(data["target"], "`target`"),
        training=training,
        **names,
    )


def _at_this_format(data: Any) -> tuple[Any, int]:
    """Return a header with the keys of this format, and the format it was written in."""
    if not isinstance(data, dict):
        return data, FORMAT
    version = data.get("format")
    if type(version) is not int or version not in _PROBLEMS:
        *old, last = _PROBLEMS
        raise FileError(
            f"it has format version {show(version)}, and this release reads"
            f" {', '.join(map(str, old))} and {last}; read it with the release that wrote it, or"
            " fit again"
        )
    later = {key for since, keys in _SINCE.items() if since > version for key in keys}
    strange = sorted(set(data) & later)
    if strange:
        raise FileError(f"its header has unknown keys {listed(strange)}")
    return data | dict.fromkeys(later), version


def _decode_problem(value: Any, known: tuple[ProblemKind, ...]) -> ProblemKind:
    for problem in known:
        if value == problem:
            return problem
    raise FileError(f"`problem` must be one of {listed(known)}; got {show(value)}")


def _decode_classes(data: Any, problem: str, *, named: bool) -> Array | None:
    """Return the labels of classes or alternatives, of the type that they had at the fit."""
    if problem not in ("classifier", "ordinal") and not named:
        if data is not None:
            raise FileError(f"`classes` must be null where there are none; got {show(data)}")
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
    # The order of ordered classes says what they mean; all others are sorted.
    several = len(set(values)) == len(values)
    good = several if problem == "ordinal" else bool((classes[1:] > classes[:-1]).all())
    if classes.dtype.kind == "O" or not good:
        raise FileError(f"`classes` must be sorted, different and representable: {show(values)}")
    return classes


def _decode_encoding(data: Any, width: int) -> Encoding:
    """Return the encoding, which must make as many columns as there are coefficients."""
    entries = data.get("columns") if isinstance(data, dict) else None
    listed_entries = entries if isinstance(entries, list) else ()
    runs = [entry.get("count") for entry in listed_entries if isinstance(entry, dict)]
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
        n_iter=checks.count(data["n_iter"], "`n_iter`", _MOST_ITERATIONS),
        seconds=checks.number(data["seconds"], "`seconds`"),
        value=checks.number_or_none(data["value"], "`value`"),
        gradient_norm=checks.number_or_none(data["gradient_norm"], "`gradient_norm`"),
        certificate=data["certificate"],
    )

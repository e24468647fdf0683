"""Writing a model to a safetensors file, and reading it back without running anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from softunit._files import replace_file
from softunit._typing import Array
from softunit.errors import FileError, InputError, MissingExtraError
from softunit.model_file.checks import parse_json
from softunit.model_file.header import decode_header, encode_header
from softunit.model_file.model import ESTIMATORS, SavedModel
from softunit.model_file.tensors import check_names, check_type, tensors_of
from softunit.tables.names import cut, near, show

KEY = "softunit"
"""The one entry of the metadata of the safetensors file; it holds the JSON header."""


def save_model(path: str | os.PathLike[str], model: SavedModel) -> None:
    """Write a model to `path`, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Its folder must exist.
    model : SavedModel
        With a fitted estimator.

    Raises
    ------
    FileError
        If the path cannot be written; a file that was there is left as it was.
    InputError
        If a setting or label cannot be kept in a file, or the coefficients are not finite.
    MissingExtraError
        If safetensors is not installed.
    """
    SafetensorError = _library("saving a model").SafetensorError
    from safetensors.numpy import save

    if not isinstance(model.estimator, ESTIMATORS[model.problem]):
        raise InputError(
            f"`problem` is {model.problem!r}, but the estimator is a"
            f" {type(model.estimator).__name__}."
        )
    unit = getattr(model.estimator, "unit", model.problem)
    if model.problem in ("exp", "cosh", "sinh") and unit != model.problem:
        raise InputError(f"`problem` is {model.problem!r}, but the estimator's unit is {unit!r}.")
    if (model.shift is not None) != (model.problem == "leverage"):
        raise InputError(
            "`shift` names the column with the b of leverage scores: they need it, and no other"
            f" problem has one; got {model.shift!r} for {model.problem!r}."
        )
    if (model.choice is not None) != (model.problem == "choice"):
        raise InputError(
            "`choice` says how a table holds choices: models of choice need it, and no other has"
            f" one; got {model.choice!r} for {model.problem!r}."
        )
    tensors = tensors_of(model)
    for name, tensor in tensors.items():
        _check_finite(name, tensor)
    header = json.dumps(encode_header(model), allow_nan=False)
    with replace_file(path) as temporary:
        try:
            # Not save_file: it writes to a file of its own, which would stay if it were killed.
            temporary.write_bytes(save(tensors, metadata={KEY: header}))
        except (SafetensorError, OSError) as error:
            raise FileError(f"{path} cannot be written: {cut(error)}.") from error


def load_model(path: str | os.PathLike[str]) -> SavedModel:
    """Read a model; nothing in the file is executed, and what is not known is refused.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    SavedModel
        Its estimator predicts with the very coefficients that were saved.

    Raises
    ------
    FileError
        If the file is not there, is no model, is damaged, of another format version, or holds
        anything that does not fit; the message names the file.
    MissingExtraError
        If safetensors is not installed.
    """
    SafetensorError = _library("reading a model").SafetensorError
    _check_file(Path(path))
    try:
        header, tensors = _read(path)
        return decode_header(header, tensors)
    except FileError as error:
        raise FileError(f"{path} is not a model to read: {str(error).rstrip('.')}.") from error
    except (SafetensorError, OSError) as error:
        raise FileError(
            f"{path} is not a model, or it is damaged or truncated: {cut(error)}. Models are"
            " written by softunit fit --out."
        ) from error


def _library(part: str) -> Any:
    try:
        import safetensors
    except ImportError as error:
        raise MissingExtraError(part, "cli") from error
    return safetensors


def _check_file(path: Path) -> None:
    """Refuse what is not a file, with near names where none is there."""
    try:
        if path.is_file():
            return
        if path.exists():
            kind = "a folder" if path.is_dir() else "not a plain file"
            raise FileError(f"{path} is {kind}: give the path of a model.")
        folder = path.parent
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be read: {cut(error)}.") from error
    raise FileError(f"{path} is not there.{near(path.name, names)}")


def _read(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Array]]:
    """Return the parsed header and the tensors, whose sizes the library has checked."""
    from safetensors import safe_open

    with safe_open(os.fspath(path), framework="numpy") as file:
        metadata = file.metadata() or {}
        if set(metadata) != {KEY}:
            raise FileError(f"it is a safetensors file without the one header {KEY!r} of a model")
        header = parse_json(metadata[KEY])
        names = set(file.keys())
        problem = header.get("problem") if isinstance(header, dict) else None
        check_names(problem, names)
        for name in names:
            check_type(name, str(file.get_slice(name).get_dtype()))
        tensors = {name: file.get_tensor(name) for name in names}
    for name, tensor in tensors.items():
        _check_finite(name, tensor)
    return header, tensors


def _check_finite(name: str, tensor: Array) -> None:
    bad = int(np.count_nonzero(~np.isfinite(tensor)))
    if bad:
        raise FileError(f"`{name}` holds {show(bad)} entries of NaN or infinity.")

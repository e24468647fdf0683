"""The arrays of a model: which a problem has, and the outer matrix of two layers among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from softunit._array_api import to_numpy
from softunit._typing import Array
from softunit.errors import FileError
from softunit.model_file.errors import TENSORS, error_tensors
from softunit.model_file.model import PROBLEMS, SavedModel
from softunit.tables.names import listed, show

CSR = ("matrix_data", "matrix_indices", "matrix_indptr", "matrix_shape")
"""A sparse outer matrix, as the three arrays of CSR and its shape."""

WITH_ERRORS = ("classifier", "choice", "ordinal")
"""The problems whose coefficients may have errors."""

_FLOATS = ("F32", "F64")
_WHOLE = frozenset(CSR[1:])


def tensors_of(model: SavedModel) -> dict[str, Array]:
    """Return the arrays that are saved, by name.

    Parameters
    ----------
    model : SavedModel
    """
    estimator = model.estimator
    tensors = {"coef": np.ascontiguousarray(to_numpy(estimator.coef_))}
    if model.problem == "classifier":
        tensors["intercept"] = np.ascontiguousarray(to_numpy(estimator.intercept_))
    if model.problem == "ordinal":
        tensors["thresholds"] = np.ascontiguousarray(estimator.thresholds_)
    if model.problem == "two-layer":
        tensors |= _matrix_tensors(estimator.matrix)
    return tensors | error_tensors(model.errors)


def _matrix_tensors(matrix: Any) -> dict[str, Array]:
    if not sparse.issparse(matrix):
        return {"matrix": np.ascontiguousarray(matrix, dtype=np.float64)}
    rows = sparse.csr_array(matrix)
    whole = (rows.indices, rows.indptr, rows.shape)
    parts = [rows.data.astype(np.float64), *(np.asarray(part, dtype=np.int64) for part in whole)]
    return dict(zip(CSR, parts, strict=True))


def check_names(problem: object, names: set[str]) -> None:
    """Refuse arrays that are not those of a problem.

    Parameters
    ----------
    problem : object
        As the header has it.
    names : set of str

    Raises
    ------
    FileError
        If one is missing, or one too many.
    """
    if not isinstance(problem, str) or problem not in PROBLEMS:
        return  # the header is refused, with its problem
    arrays: dict[str, tuple[set[str], ...]] = {
        "classifier": ({"coef", "intercept"},),
        "ordinal": ({"coef", "thresholds"},),
        "two-layer": ({"coef", "matrix"}, {"coef", *CSR}),
    }
    known = arrays.get(problem, ({"coef"},))
    if problem in WITH_ERRORS:
        known = (*known, *(each | set(TENSORS) for each in known))
    if names not in known:
        wanted = " or ".join(listed(sorted(each)) for each in known)
        raise FileError(f"it must hold the arrays {wanted}; it holds {listed(sorted(names), 5)}")


def check_type(name: str, dtype: str) -> None:
    """Refuse an array of another type than it has in a model.

    Parameters
    ----------
    name : str
    dtype : str
        As safetensors names it.

    Raises
    ------
    FileError
        If the type is another.
    """
    allowed = ("I64",) if name in _WHOLE else _FLOATS
    if dtype not in allowed:
        raise FileError(f"`{name}` must be of type {' or '.join(allowed)}; got {dtype}")


def matrix_of(tensors: Mapping[str, Array]) -> Any:
    """Return the outer matrix, dense or CSR; None where there is none.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        Names and types checked.

    Raises
    ------
    FileError
        If the arrays make no matrix.
    """
    if CSR[0] not in tensors:
        return tensors.get("matrix")
    data, indices, indptr, shape = (tensors[name] for name in CSR)
    if shape.shape != (2,) or (shape < 1).any():
        raise FileError(f"`matrix_shape` must hold two whole numbers >= 1; got {show(shape)}")
    try:
        matrix = sparse.csr_array((data, indices, indptr), shape=tuple(shape.tolist()))
        matrix.check_format(full_check=True)
    except (ValueError, OverflowError) as error:
        raise FileError(f"its arrays make no sparse matrix: {error}") from error
    return matrix

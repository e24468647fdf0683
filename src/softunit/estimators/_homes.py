"""What users may give as X beside arrays of NumPy: tensors, dask collections, and designs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_compat as compat
import numpy as np

from softunit._array_api import check_together, is_elsewhere, like, namespace, to_numpy
from softunit._row_array import RowArray, as_array
from softunit.designs import Design, as_design
from softunit.errors import InputError
from softunit.estimators._data import ClassTarget, check_is_array, checked_x, is_dask


def checked_design(estimator: Any, x: Any, *, reset: bool) -> Any:
    """Return X as an array or CSR matrix, or as a design where its rows live elsewhere.

    Sets or checks `n_features_in_` and `feature_names_in_`.

    Parameters
    ----------
    estimator : estimator
    x : array_like, sparse matrix, frame, tensor, dask collection or Design, of shape (n, d)
    reset : bool
        Whether the estimator is being fitted.

    Raises
    ------
    InputError
        If it holds NaN or infinity, or its columns are not those of the fit.
    """
    design = design_of(x)
    if design is None:
        return checked_x(estimator, x, reset=reset)
    check_columns(estimator, design.shape[1], names_of(design, x), reset=reset)
    return design


def design_of(x: Any) -> Design | None:
    """Return the design of an X that is no array of NumPy, sparse matrix or frame; else None."""
    if isinstance(x, Design):
        return x
    if is_dask(x):
        from softunit.designs import DaskDesign  # where dask is installed

        return DaskDesign(x)
    return as_design(x) if is_elsewhere(x) else None


def names_of(design: Any, x: Any) -> list[str] | None:
    """Return the names of the columns, where X or its design has some."""
    found = getattr(design, "names", None)
    if found is None and is_dask(x):
        found = getattr(x, "columns", None)
    return None if found is None else [str(name) for name in found]


def check_columns(estimator: Any, d: int, names: list[str] | None, *, reset: bool) -> None:
    """Set `n_features_in_` and `feature_names_in_`, or check that they are the same.

    Raises
    ------
    InputError
        If the number of columns or a name differs from the fit's.
    """
    if reset:
        estimator.n_features_in_ = d
        if names is not None:
            estimator.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
        return
    if d != estimator.n_features_in_:
        raise InputError(
            f"X has {d} features, but {type(estimator).__name__} is expecting"
            f" {estimator.n_features_in_} features as input."
        )
    fitted = getattr(estimator, "feature_names_in_", None)
    if names is None or fitted is None:
        return
    for j, (name, known) in enumerate(zip(names, fitted, strict=True)):
        if name != known:
            raise InputError(
                f"column {j} of X is {name!r}, but the model was fitted with {known!r} there: give"
                " the columns of the fit in their order."
            )


def check_places(x: Any, **others: Any) -> None:
    """Raise `InputError` where X and another argument are tensors of one library on two devices.

    Those of another library, NumPy arrays and lists are moved.

    Parameters
    ----------
    x : array_like, tensor or Design
        As users give it.
    **others : array_like or None
        By name.
    """
    tensor = tensor_of(x)
    for name, value in others.items():
        if tensor is not None and is_elsewhere(value) and namespace(value) is namespace(tensor):
            check_together(("X", tensor), (name, value))


def brought(x: Any, value: Any, name: str) -> Any:
    """Return labels, weights or offsets where the passes over the rows look for them.

    Beside a dask X they are spread over its workers; beside all others they come as NumPy arrays,
    or stay what scikit-learn takes.

    Parameters
    ----------
    x : array, CSR matrix or Design
        As `checked_design` returns it.
    value : array_like, tensor, dask collection, ClassTarget, number or None
    name : str
        How the argument is called.

    Raises
    ------
    InputError
        If it is the name of a file, a design, or dask's and of another length.
    """
    if value is None or isinstance(value, (ClassTarget, int, float)):
        return value
    check_is_array(name, value)
    if is_elsewhere(value):
        value = to_numpy(value)
    if isinstance(x, Design) and x.home == "cluster":
        return x.beside(value if is_dask(value) else as_array(value), name)
    return np.asarray(value) if is_dask(value) or isinstance(value, RowArray) else value


def tensor_of(x: Any) -> Any:
    """Return the tensor that X is, or that its design holds on a device; None for all else."""
    if isinstance(x, Design):
        return getattr(x, "array", None) if x.home == "device" else None
    if not is_elsewhere(x):
        return None
    return x.detach() if compat.is_torch_array(x) else x


def dtype_for(x: Any) -> Any:
    """Return the dtype of coefficients: X's own, but float64 where a pass over the rows costs much.

    What is stored is certified, and coefficients that are rounded need a pass of their own.

    Parameters
    ----------
    x : array, CSR matrix or Design
        As `checked_design` returns it.
    """
    far = isinstance(x, Design) and x.home in ("disk", "cluster")
    return np.dtype(np.float64) if far else x.dtype


def in_kind_of(x: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return fitted attributes with their arrays in X's kind and on its device; `classes_` stays.

    Parameters
    ----------
    x : array_like, tensor or Design
        As users give it.
    attributes : mapping of str to ndarray
    """
    tensor = tensor_of(x)
    if tensor is None:
        return dict(attributes)
    return {k: v if k == "classes_" else _beside(tensor, v) for k, v in attributes.items()}


def _beside(tensor: Any, array: Any) -> Any:
    """Return an array in the kind of a tensor; counts stay int32, as scikit-learn has them."""
    xp, moved = namespace(tensor), like(array, tensor)
    return xp.astype(moved, xp.int32) if array.dtype == np.int32 else moved

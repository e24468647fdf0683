"""What users pass to `fit`, checked and turned into what problems take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

from softunit._array_api import described, is_elsewhere
from softunit._checks import check_finite_columns, check_shares
from softunit._row_array import RowArray, as_array
from softunit._typing import Array, Vector
from softunit.designs import Design
from softunit.designs.sparse import checked_csr
from softunit.errors import InputError
from softunit.estimators._labels import BLOCK, codes_of, one_axis, totals_of, unique_labels


def checked_x(estimator: Any, x: Any, *, reset: bool) -> Any:
    """Return X as a float32 or float64 array, or CSR, uncopied where it is one already.

    Sets or checks `n_features_in_` and `feature_names_in_`.

    Raises
    ------
    InputError
        If it holds NaN or infinity: the column by name, how many, the first row; if two columns
        have one name, or one holds words; if its rows do not live in memory; if a sparse matrix has
        indices that point outside of it.
    """
    x = _in_memory(estimator, x)
    _check_names_once(x)
    if sparse.issparse(x) and x.ndim == 2 and x.format in ("csr", "csc", "bsr", "coo"):
        x = checked_csr(x, "X")
    try:
        checked = validate_data(
            estimator,
            x,
            reset=reset,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
        )
    except (TypeError, ValueError) as error:
        _blame_column(x, error)
        raise
    check_finite_columns(checked, getattr(estimator, "feature_names_in_", None), what="X")
    return checked


def is_dask(x: Any) -> bool:
    """Return whether something is a dask array, frame or series; dask is not imported."""
    return _of_dask(x) and hasattr(type(x), "ndim")  # a Delayed has any attribute itself


def _of_dask(x: Any) -> bool:
    return type(x).__module__.partition(".")[0] in ("dask", "dask_expr")


def check_is_array(name: str, value: Any) -> None:
    """Raise `InputError` where labels, weights or offsets are the name of a file, say, or a design.

    Parameters
    ----------
    name : str
        How the argument is called.
    value : object
    """
    if isinstance(value, (str, bytes, os.PathLike)):
        what, wish = f"{value!r}", "read the file first, as by numpy.load"
    elif isinstance(value, Design):
        what, wish = f"a {type(value).__name__}", "a ChunkedDesign reads it by `read_column`"
    elif _of_dask(value) and not is_dask(value):
        what, wish = f"a {type(value).__name__} of dask", "make it a dask array, or compute() it"
    else:
        return
    raise InputError(f"{name} must be an array or a list; got {what}: {wish}.")


def _in_memory(estimator: Any, x: Any) -> Any:
    """Return X, a tensor of this machine's memory as NumPy; refuse what lives elsewhere."""
    if isinstance(x, np.ndarray):
        return x
    if is_elsewhere(x):
        try:
            return np.asarray(x)
        except (TypeError, RuntimeError, ValueError):  # on a device, or with gradients
            kind = described(x)
    elif _of_dask(x) and not is_dask(x):
        raise InputError(
            f"X is a {type(x).__name__} of dask, whose shape is not known: make it a dask array"
            " (dask.array.from_delayed) or a dask frame, or compute() it."
        )
    elif isinstance(x, Design) or is_dask(x):
        kind = f"a {type(x).__name__}" if isinstance(x, Design) else "a dask collection"
    else:
        return x
    name = type(estimator).__name__
    who = "This function" if name == "SoftmaxClassifier" else name  # softmax_path, say
    raise InputError(
        f"{who} takes X from memory, as a NumPy array, sparse matrix or frame; got {kind}."
        " SoftmaxClassifier.fit takes it where it is; here give a NumPy array of the rows, or of a"
        " sample of them."
    )


def _check_names_once(x: Any) -> None:
    """Raise `InputError` where two columns of a frame have the same name."""
    names = [] if isinstance(x, np.ndarray) else list(getattr(x, "columns", ()))
    seen: dict[Any, int] = {}
    for j, name in enumerate(names):
        if seen.setdefault(name, j) != j:
            raise InputError(
                f"two columns of X have the name {name!r}, columns {seen[name]} and {j}: rename or"
                " drop one."
            )


def _blame_column(x: Any, error: Exception) -> None:
    """Name the first column that does not hold numbers, if that is what went wrong."""
    if not hasattr(x, "columns"):
        _blame_entry(x, error)
    for name in getattr(x, "columns", ()):
        try:
            np.asarray(x[name], dtype=np.float64)
        except (TypeError, ValueError):
            kind = getattr(x[name], "dtype", type(x[name]).__name__)
            raise InputError(
                f"column {name!r} of X does not hold numbers (its type is {kind}): encode or drop"
                " it. The command line encodes text columns by itself."
            ) from error


def _blame_entry(x: Any, error: Exception) -> None:
    """Name the first entry of an array or list that is no number, if there is one."""
    try:
        cells = np.asarray(x, dtype=object)
    except ValueError:  # rows of different length
        return
    if cells.ndim != 2 or not isinstance(error, ValueError):
        return
    for j, column in enumerate(cells.T):
        for i, cell in enumerate(column.tolist()):
            if isinstance(cell, (str, bytes)) and not _is_number(cell):
                raise InputError(
                    f"column {j} of X holds {cell!r} in row {i}, which is no number: encode or drop"
                    " it. The command line encodes text columns by itself."
                ) from error


def _is_number(cell: str | bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class ClassTarget:
    """Labels or shares of classes as the multinomial takes them.

    Attributes
    ----------
    classes : ndarray of shape (K,)
        Labels in sorted order; for shares the names of the columns, or 0 to K - 1.
    target : ndarray
        Codes (n,) or shares (n, K).
    """

    classes: Array
    target: Array

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.classes)

    def class_totals(self, weights: Vector | RowArray | None) -> Vector:
        """Return the weight of each class, shape (K,)."""
        return totals_of(self.target, self.n_classes, weights)


def checked_classes(y: Any, n: int, *, narrow: bool = False) -> ClassTarget:
    """Return labels of any type, or shares (n, K), as a `ClassTarget`.

    Parameters
    ----------
    y : array_like, RowArray or ClassTarget
        A `ClassTarget` of n rows is taken as it is.
    n : int
        Rows of X.
    narrow : bool, default False
        Whether codes of many rows take as few bytes as they can.

    Raises
    ------
    InputError
        If y is missing, no array or of another length, a label is NaN or infinite, there is one
        class only, or shares do not sum to one.
    ValueError
        From scikit-learn, if y looks continuous.
    """
    if y is None:
        raise InputError("requires y to be passed, but the target y is None")
    if isinstance(y, ClassTarget):
        return _of_length(y, n)
    check_is_array("y", y)
    shape = as_array(y).shape
    if len(shape) == 2 and shape[1] >= 2:
        return _shares(y, shape, n)
    labels = one_axis(y)
    if len(labels) != n:
        raise InputError(f"X has {n} rows, but y has {len(labels)} labels.")
    classes = unique_labels(labels)
    if len(classes) < 2:
        raise InputError(
            f"y holds one class only, {classes.tolist()[0]!r}, in all {n} rows; a classifier needs"
            " samples of at least two classes."
        )
    return ClassTarget(classes, codes_of(labels, classes, narrow=narrow and n > BLOCK))


def _of_length(target: ClassTarget, n: int) -> ClassTarget:
    if len(target.target) != n:
        raise InputError(f"X has {n} rows, but y has {len(target.target)} labels.")
    return target


def _shares(y: Any, shape: tuple[int, ...], n: int) -> ClassTarget:
    if isinstance(y, RowArray):  # also a NumPy array that was spread over the workers of X
        raise InputError(
            f"y has shape {shape} and lies on a cluster: shares of classes are taken from memory"
            " only. Give labels, or y as a NumPy array with X as a NumPy array or ChunkedDesign."
        )
    if shape[0] != n:
        raise InputError(f"X has {n} rows, but y has shape {shape}.")
    names = getattr(y, "columns", None)
    classes = np.arange(shape[1]) if names is None else np.asarray(list(names))
    return ClassTarget(classes, check_shares(y, n))


def checked_labels(y: Any, n: int) -> ClassTarget:
    """Return labels of any type; shares are refused, as folds are stratified by labels.

    Raises
    ------
    InputError
        As `checked_classes`, and if y has several columns.
    """
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] >= 2:
        raise InputError(
            f"y has shape {shape}, but it must hold labels, shape ({n},): folds are stratified and"
            " scored by them. For shares of classes fit SoftmaxClassifier with each C in turn."
        )
    return checked_classes(y, n)


def known_classes(y: Any, n: int, classes: Array, *, narrow: bool = False) -> ClassTarget:
    """Return labels or shares of the classes of a fitted model.

    Parameters
    ----------
    y, n, narrow
        As in `checked_classes`.
    classes : ndarray of shape (K,)
        Of the model.

    Raises
    ------
    InputError
        If the number of rows differs, or a label is not among the classes.
    """
    if isinstance(y, ClassTarget) and np.array_equal(y.classes, classes):
        return _of_length(y, n)
    check_is_array("y", y)
    given = _labels_again(y) if isinstance(y, ClassTarget) else as_array(y)
    if given.ndim == 2 and given.shape[1] >= 2:
        shares = checked_classes(y, n).target
        if shares.shape[1] != len(classes):
            raise InputError(
                f"y has {shares.shape[1]} columns of shares, but the model has {len(classes)}"
                " classes."
            )
        return ClassTarget(classes, shares)
    labels = one_axis(given) if isinstance(given, RowArray) else given.ravel()
    if len(labels) != n:
        raise InputError(f"X has {n} rows, but y has {len(labels)} labels.")
    codes = codes_of(labels, classes, narrow=narrow and n > BLOCK)
    if codes.min(initial=0) < 0:
        unknown = np.flatnonzero(np.asarray(codes) < 0)
        raise InputError(
            f"y holds {len(unknown)} labels that the model does not know; the first is"
            f" {labels[unknown[:1]].tolist()[0]!r} in row {unknown[0]}."
        )
    return ClassTarget(classes, codes)


def _labels_again(target: ClassTarget) -> Array:
    """Return shares, or labels from their codes: only where a model has other classes."""
    return target.target if target.target.ndim == 2 else target.classes[target.target]


def checked_strengths(Cs: Any) -> Vector:
    """Return the values of C, shape (m,), for a number of them or a list; infinity passes.

    Raises
    ------
    InputError
        If there is none, or one is not positive.
    """
    wish = "`Cs` must be a positive integer or a list of numbers > 0"
    if isinstance(Cs, (int, np.integer)) and not isinstance(Cs, bool):
        if Cs < 1:
            raise InputError(f"{wish}; got {Cs!r}.")
        return np.logspace(-4, 4, int(Cs))
    try:
        values = np.array(Cs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{wish}; got {Cs!r}.") from error
    if isinstance(Cs, (bool, str)) or values.ndim != 1 or not len(values):
        raise InputError(f"{wish}; got {Cs!r}.")
    bad = np.flatnonzero(~(values > 0))
    if len(bad):
        raise InputError(f"{wish}; entry {bad[0]} is {values[bad[0]]}.")
    return values

"""What users pass to `fit`, checked and turned into what problems take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from softunit._checks import check_finite_columns, check_shares, check_weights
from softunit._typing import Array, Vector
from softunit.errors import InputError


def checked_x(estimator: Any, x: Any, *, reset: bool) -> Any:
    """Return X as a float32 or float64 array, or CSR, uncopied where it is one already.

    Sets or checks `n_features_in_` and `feature_names_in_`.

    Raises
    ------
    InputError
        If it holds NaN or infinity: the column by name, how many, the first row; if two columns
        have one name, or one holds words.
    """
    _check_names_once(x)
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

    def class_totals(self, weights: Vector | None) -> Vector:
        """Return the weight of each class, shape (K,)."""
        if self.target.ndim == 2:
            return np.asarray(self.target.sum(axis=0) if weights is None else weights @ self.target)
        return np.bincount(self.target, weights=weights, minlength=self.n_classes).astype(float)


def checked_classes(y: Any, n: int) -> ClassTarget:
    """Return labels of any type, or shares (n, K), as a `ClassTarget`.

    Raises
    ------
    InputError
        If the number of rows differs, there is one class only, or shares do not sum to one.
    ValueError
        From scikit-learn, if y is missing, holds NaN or looks continuous.
    """
    if y is None:
        raise InputError("requires y to be passed, but the target y is None")
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] >= 2:
        if shape[0] != n:
            raise InputError(f"X has {n} rows, but y has shape {shape}.")
        names = getattr(y, "columns", None)
        classes = np.arange(shape[1]) if names is None else np.asarray(list(names))
        return ClassTarget(classes, check_shares(y, n))
    labels = column_or_1d(y, warn=True)
    if len(labels) != n:
        raise InputError(f"X has {n} rows, but y has {len(labels)} labels.")
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
    kinds = {type(label) for label in labels.tolist()} if labels.dtype == object else set()
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(
            f"y holds labels of types {names} side by side: make them one type, and fill or drop"
            " missing ones."
        )
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"y holds one class only, {classes.tolist()[0]!r}, in all {n} rows; a classifier needs"
            " samples of at least two classes."
        )
    return ClassTarget(classes, codes.astype(np.int64))


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


def known_classes(y: Any, n: int, classes: Array) -> ClassTarget:
    """Return labels or shares of the classes of a fitted model.

    Raises
    ------
    InputError
        If the number of rows differs, or a label is not among the classes.
    """
    if np.asarray(y).ndim == 2 and np.asarray(y).shape[1] >= 2:
        shares = checked_classes(y, n).target
        if shares.shape[1] != len(classes):
            raise InputError(
                f"y has {shares.shape[1]} columns of shares, but the model has {len(classes)}"
                " classes."
            )
        return ClassTarget(classes, shares)
    labels = np.asarray(y).ravel()
    if len(labels) != n:
        raise InputError(f"X has {n} rows, but y has {len(labels)} labels.")
    codes = np.searchsorted(classes, labels).clip(0, len(classes) - 1)
    unknown = np.flatnonzero(classes[codes] != labels)
    if len(unknown):
        raise InputError(
            f"y holds {len(unknown)} labels that the model does not know; the first is"
            f" {labels[unknown[:1]].tolist()[0]!r} in row {unknown[0]}."
        )
    return ClassTarget(classes, codes.astype(np.int64))


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
    weights: Vector | None = None
    if sample_weight is not None:
        given = np.asarray(sample_weight)
        weights = check_weights(np.full(n, given) if given.ndim == 0 else given, n)
    if class_weight is None:
        return weights, target
    if isinstance(class_weight, dict):
        _check_class_weights(class_weight, target)
    if target.target.ndim == 1:
        each = compute_class_weight(
            class_weight,
            classes=target.classes,
            y=target.classes[target.target],
            sample_weight=weights,
        )
        rows = each[target.target]
        rows = rows if weights is None else weights * rows
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

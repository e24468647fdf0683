"""Labels whose order is known, or is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import near_names
from softunit._typing import Array, Vector
from softunit.errors import InputError, SoftunitWarning, warn
from softunit.estimators._data import checked_labels

SHOWN = 8  # classes that a message lists


@dataclass(frozen=True)
class OrderedTarget:
    """Labels as numbers of classes in their order.

    Attributes
    ----------
    classes : ndarray of shape (K,)
        From the lowest to the highest.
    codes : ndarray of int, shape (n,)
    """

    classes: Array
    codes: npt.NDArray[np.int64]

    def totals(self, weights: Vector | None) -> Vector:
        """Return the weight of each class, (K,)."""
        return np.bincount(self.codes, weights=weights, minlength=len(self.classes)).astype(float)


def ordered_target(y: Any, n: int, order: Any) -> OrderedTarget:
    """Return labels of any type with their order.

    That is `order` if it is given; the order of an ordered categorical column; that of numbers;
    and else that of the alphabet, with a warning where there are more than two classes.

    Parameters
    ----------
    y : array_like of shape (n,)
    n : int
        Rows of X.
    order : array_like of shape (K,) or None
        All labels, from the lowest to the highest.

    Raises
    ------
    InputError
        If y is not one label for each row, holds one that the order lacks, or lacks one that the
        order has: its two thresholds would collapse into one.
    """
    found = checked_labels(y, n)
    given = _own_order(y) if order is None else order
    if given is not None:
        return _in_order(found.classes, found.target, given)
    if found.classes.dtype.kind not in "iufb" and len(found.classes) > 2:
        warn(
            f"the {len(found.classes)} classes are words, {_listed(found.classes)}, and are taken"
            " in the order of the alphabet. Give `order`, from the lowest to the highest, or an"
            " ordered categorical column.",
            SoftunitWarning,
        )
    return OrderedTarget(found.classes, found.target)


def known_codes(y: Any, n: int, classes: Array) -> npt.NDArray[np.int64]:
    """Return the codes of labels among the classes of a fitted model.

    Raises
    ------
    InputError
        If the number of rows differs, or a label is not among the classes.
    """
    labels = np.asarray(y).ravel()
    if len(labels) != n:
        raise InputError(f"X has {n} rows, but y has {len(labels)} labels.")
    return _codes(np.unique(labels), np.unique(labels, return_inverse=True)[1], classes)


def _own_order(y: Any) -> Any:
    """Return the categories of an ordered pandas column or a polars Enum, lowest first."""
    kind = getattr(y, "dtype", None)
    ordered = getattr(kind, "ordered", False) or type(kind).__name__ == "Enum"
    return list(kind.categories) if ordered else None  # type: ignore[union-attr]


def _in_order(found: Array, codes: Any, order: Any) -> OrderedTarget:
    classes = np.asarray(order)
    if classes.ndim != 1 or len(classes) < 2 or len(np.unique(classes)) < len(classes):
        raise InputError(
            f"`order` must hold two or more different labels, from the lowest to the highest; got"
            f" {order!r}."
        )
    new = _codes(found, codes, classes)
    absent = np.flatnonzero(np.bincount(new, minlength=len(classes)) == 0)
    if len(absent):
        label = classes.tolist()[absent[0]]
        raise InputError(
            f"no row has class {label!r}, which the order {_listed(classes)} holds: its thresholds"
            " would collapse. Leave the class out of `order`, or join it with a neighbour."
        )
    return OrderedTarget(classes, new)


def _codes(found: Array, codes: Any, classes: Array) -> npt.NDArray[np.int64]:
    """Return the places among `classes` of labels given as places among `found`."""
    places = {label: i for i, label in enumerate(classes.tolist())}
    unknown = [label for label in found.tolist() if label not in places]
    if unknown:
        row = int(np.flatnonzero(np.isin(codes, found.tolist().index(unknown[0])))[0])
        raise InputError(
            f"y holds label {unknown[0]!r}, first in row {row}, which is not among the classes"
            f" {_listed(classes)}.{near_names(str(unknown[0]), map(str, classes.tolist()))}"
        )
    each = np.array([places[label] for label in found.tolist()], dtype=np.int64)
    return np.asarray(each[codes])


def _listed(classes: Array) -> str:
    told = ", ".join(map(repr, classes.tolist()[:SHOWN]))
    return told if len(classes) <= SHOWN else f"{told} and {len(classes) - SHOWN} more"


def check_weighed(target: OrderedTarget, weights: Vector | None) -> None:
    """Raise `InputError` unless each class has weight: else thresholds would collapse."""
    empty = np.flatnonzero(target.totals(weights) == 0)
    if len(empty):
        label = target.classes.tolist()[empty[0]]
        raise InputError(
            f"all rows of class {label!r} have weight zero: its thresholds would collapse. Give"
            " them weight, or leave these rows out."
        )

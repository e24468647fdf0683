"""Rows split for cross-validation: held-out rows are rows of no weight, so that none is copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.estimators._data import ClassTarget

FOLDS = 5


@dataclass(frozen=True)
class Split:
    """One fold.

    Attributes
    ----------
    weights : ndarray of shape (n,)
        Of the rows for training, times how often each is drawn; zero for the others.
    test : ndarray of int
        Rows that are held out.
    """

    weights: Vector
    test: Array


def checked_splits(
    cv: Any, x: Any, classes: ClassTarget, weights: Vector | None, groups: Any
) -> tuple[Split, ...]:
    """Return the folds that `cv` makes.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        As scikit-learn takes it; numbers make stratified folds. None makes five, or as many as
        the largest class has rows.
    x : array of shape (n, d)
    classes : ClassTarget
        With labels.
    weights : ndarray of shape (n,) or None
    groups : array_like of shape (n,) or None

    Raises
    ------
    InputError
        If it cannot split these rows, or a fold cannot be fitted or scored.
    """
    labels = classes.target
    most = int(np.bincount(labels).max())
    try:
        names = classes.classes[labels]
        folds = max(2, min(FOLDS, most)) if cv is None else cv
        pairs = list(check_cv(folds, names, classifier=True).split(x, names, groups))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"`cv` = {cv!r} cannot split these {len(labels)} rows, at most {most} of one class:"
            f" {error}"
        ) from error
    if not pairs:
        raise InputError(f"`cv` = {cv!r} makes no fold; at least one is needed.")
    base = np.ones(len(labels)) if weights is None else weights
    return tuple(_split(number, pair, base, labels) for number, pair in enumerate(pairs, start=1))


def _split(number: int, pair: Any, weights: Vector, labels: Array) -> Split:
    every = np.arange(len(labels))
    try:
        train, test = (every[np.asarray(part) if len(part) else every[:0]] for part in pair)
    except (IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"fold {number} of `cv` must be a pair of row numbers, for training and for scoring,"
            f" within the {len(labels)} rows: {error}"
        ) from error
    kept = weights * np.bincount(train, minlength=len(labels))
    present = np.unique(labels[kept > 0])
    if len(present) < 2:
        raise InputError(
            f"fold {number} of `cv` trains on rows of {'one class' if len(present) else 'no class'}"
            " with positive weight; at least two classes are needed. Stratify or shuffle the folds."
        )
    if not len(test):
        raise InputError(f"fold {number} of `cv` holds out no row to score.")
    return Split(kept, test)

"""Labels of clusters, checked: rows of one cluster may depend on each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._groups import Groups
from softunit._typing import Array
from softunit.errors import InputError


def checked_clusters(
    clusters: Any, n: int, observations: Groups | None, rows: npt.NDArray[np.integer] | None
) -> Groups:
    """Return clusters of the n rows of a problem.

    Parameters
    ----------
    clusters : array_like of shape (n,), or of the rows of the input
        Labels of any type.
    n : int
    observations : Groups or None
        Rows of one observation belong to one cluster.
    rows : ndarray of int or None
        Rows of the input that the problem holds.

    Raises
    ------
    InputError
        If there are none, not one for each row, missing ones, one cluster only, or if an
        observation lies in two of them.
    """
    if clusters is None:
        raise InputError(
            "kind='clustered' needs `clusters`, one label for each row: rows that may depend on"
            " each other share one."
        )
    labels = np.asarray(clusters)
    if labels.ndim != 1:
        raise InputError(f"`clusters` must be one label for each row; got shape {labels.shape}.")
    if rows is not None and len(labels) != n and len(labels) > int(rows.max()):
        labels = labels[rows]
    if len(labels) != n:
        raise InputError(f"`clusters` holds {len(labels)} labels, but the data have {n} rows.")
    _refuse_missing(labels)
    try:
        groups = Groups(labels)
    except InputError as error:
        raise InputError(f"`clusters`: {error}") from error
    if groups.count < 2:
        raise InputError(
            f"`clusters` holds one cluster only, {labels[:1].tolist()[0]!r}, in all {n} rows:"
            " clustered errors need at least two. Take kind='robust'."
        )
    if observations is not None:
        _check_whole(groups, observations)
    return groups


def _refuse_missing(labels: Array) -> None:
    if labels.dtype.kind in "fcmM":
        missing = np.flatnonzero(labels != labels)
    elif labels.dtype.kind == "O":
        missing = np.flatnonzero([_is_missing(label) for label in labels.tolist()])
    else:
        return
    if len(missing):
        raise InputError(
            f"`clusters` has no label in {len(missing)} of {len(labels)} rows, first in row"
            f" {missing[0]}: every row needs one. A row that depends on no other is a cluster of"
            " its own."
        )


def _is_missing(label: Any) -> bool:
    try:
        return label is None or not bool(label == label)
    except (TypeError, ValueError):  # pandas.NA has no truth
        return True


def _check_whole(clusters: Groups, observations: Groups) -> None:
    first = clusters.codes[observations.first_rows]
    split = np.flatnonzero(observations.spread(first) != clusters.codes)
    if len(split):
        raise InputError(
            f"`clusters` splits an observation: row {split[0]} is in another cluster than the first"
            " row of its set. All rows of a set need one label."
        )


def few_clusters(clusters: int, parameters: int) -> str:
    """Return what it means that there are no more clusters than parameters."""
    return (
        f"There are {clusters} clusters for {parameters} parameters: their covariance has rank"
        f" {clusters} at most ({clusters - 1} without penalty), so that a joint test of more"
        " restrictions is not defined, and errors tend to be too small. Take fewer columns, or"
        " finer clusters."
    )

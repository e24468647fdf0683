"""Bags of rows and what is known of them, checked; and how it is given away in private."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._checks import check_positive, check_shares
from softunit._groups import Groups
from softunit._typing import Array, Matrix
from softunit.errors import InputError

TOLERANCE = 1e-6  # by which shares may miss one


@dataclass(frozen=True)
class Bags:
    """Which rows belong to which bag, and the shares of the classes in each.

    Attributes
    ----------
    members : Groups
    classes : ndarray of shape (K,)
        Names of the columns of the shares, or 0 to K - 1.
    shares : ndarray of shape (count, K)
        Bags numbered as in `members`.
    """

    members: Groups
    classes: Array
    shares: Matrix


def checked_bags(bags: Any, shares: Any, n: int, classes: Array | None = None) -> Bags:
    """Return bags and shares as units take them.

    Parameters
    ----------
    bags : array_like of shape (n,)
        The bag of each row, in any order.
    shares : mapping, frame, series or array_like
        By label of the bag: a mapping from bag to shares, or a frame or series with the bags as
        its index. Else an array with one row (or number) for each bag in sorted order of labels.
        One number for a bag is the share of the second of two classes.
    n : int
        Rows of X.
    classes : ndarray of shape (K,) or None, default None
        Those of a fitted model; None takes them from the shares.

    Raises
    ------
    InputError
        If there is not one bag for each row, fewer than two bags, a bag without shares or shares
        without a bag, or shares that are negative or do not sum to one: the bag is named.
    """
    labels = np.asarray(bags)
    if labels.shape != (n,):
        raise InputError(
            f"`bags` must hold one label for each of the {n} rows of X; got shape {labels.shape}."
        )
    members = Groups(labels)
    if members.count < 2:
        raise InputError(
            f"all {n} rows are in one bag, {labels[:1].tolist()[0]!r}: its shares tell nothing of"
            " the columns."
        )
    names = labels[members.first_rows]
    table = _table(shares, names)
    _check_table(table, names)
    found = _classes(shares, table.shape[1])
    if classes is not None and not np.array_equal(found, classes):
        raise InputError(
            f"the shares are of classes {found.tolist()}, the model's are {classes.tolist()}."
        )
    return Bags(members, found, check_shares(table, len(table)))


def _table(shares: Any, names: Array) -> Matrix:
    """Return the shares of the bags in the order of their names, (count, K)."""
    given, labels = _given(shares)
    if labels is None:
        if len(given) != len(names):
            raise InputError(
                f"there are {len(names)} bags, but shares of {len(given)}: give one row for each"
                " bag in sorted order of their labels, or a mapping or frame by label."
            )
        # In sorted order of labels, whatever the order of the rows.
        rank = np.empty(len(names), dtype=np.intp)
        rank[np.argsort(names, kind="stable")] = np.arange(len(names))
        return given[rank]
    where = {label: row for row, label in enumerate(labels)}
    if len(where) < len(labels):
        twice = next(label for i, label in enumerate(labels) if where[label] != i)
        raise InputError(f"there are several rows of shares for bag {twice!r}: give one each.")
    wanted = names.tolist()
    missing = [label for label in wanted if label not in where]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} bags have no shares; the first is {missing[0]!r}."
        )
    if len(where) > len(wanted):
        known = set(wanted)
        idle = [label for label in labels if label not in known]
        raise InputError(
            f"there are shares of {len(idle)} bags without any row of X; the first is {idle[0]!r}."
            " Drop them."
        )
    return given[[where[label] for label in wanted]]


def _given(shares: Any) -> tuple[Matrix, list[Any] | None]:
    """Return shares (count, K), and the labels of the bags where they come with them."""
    labels: list[Any] | None = None
    if isinstance(shares, Mapping):
        labels, shares = list(shares), list(shares.values())
    elif hasattr(shares, "index") and hasattr(shares, "to_numpy"):
        labels = shares.index.tolist()
        shares = shares.to_numpy()
    try:
        table = np.asarray(shares, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "the shares must be numbers, as many for each bag as there are classes."
        ) from error
    if table.ndim == 1:
        table = np.column_stack([1 - table, table])
    if table.ndim != 2 or table.shape[1] < 2:
        raise InputError(
            f"the shares have shape {table.shape}, but must be (bags, K) for K >= 2 classes, or"
            " (bags,) for the second of two."
        )
    return table, labels


def _check_table(table: Matrix, names: Array) -> None:
    with np.errstate(invalid="ignore"):
        low = table.min(axis=1)
        bad = ~((low >= 0) & (np.abs(table.sum(axis=1) - 1) <= TOLERANCE))
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    raise InputError(
        f"the shares of {int(bad.sum())} bags are negative, missing or do not sum to one; the first"
        f" is bag {names[[row]].tolist()[0]!r}, its least share {table[row].min():.6g} and their"
        f" sum {table[row].sum():.6g}. Divide counts by the size of the bag."
    )


def _classes(shares: Any, k: int) -> Array:
    names = getattr(shares, "columns", None)
    return np.arange(k) if names is None else np.asarray(list(names))


def private_shares(shares: Any, sizes: Any, epsilon: float, rng: np.random.Generator) -> Array:
    """Return shares of bags that may be given away: they are epsilon-differentially private.

    One person's response moves the K shares of its bag by at most 2 / size in all, and the share
    of the second of two classes by 1 / size. Laplace noise of scale 2 / (size * epsilon), or
    1 / (size * epsilon), hides that. What comes out is then moved to the nearest shares, which
    gives nothing away.

    Parameters
    ----------
    shares : array_like of shape (count, K) or (count,)
        Of each bag; (count,) is the share of the second of two classes.
    sizes : int or array_like of shape (count,)
        Rows of each bag. A bag of one row gives its response away, behind noise of scale
        1 / epsilon and more.
    epsilon : float
        Privacy loss, > 0: an observer's odds on one person's response change by at most a factor
        of exp(epsilon). Each row must be in one bag only, and the rows of X are taken to be known.
    rng : numpy.random.Generator
        Where the noise comes from.

    Returns
    -------
    ndarray of shape (count, K) or (count,)

    Raises
    ------
    InputError
        If shares are none, a size is below one, or epsilon is not positive.

    Notes
    -----
    Source: arXiv 2401.11081, its mechanism for aggregate responses; Dwork, McSherry, Nissim, Smith
    (2006) for the noise.
    """
    check_positive("epsilon", epsilon)
    given = np.asarray(shares, dtype=np.float64)
    table, _ = _given(given)
    _check_table(table, np.arange(len(table)))
    each = np.broadcast_to(np.asarray(sizes, dtype=np.float64), (len(table),))
    if not (each >= 1).all():
        row = int(np.flatnonzero(~(each >= 1))[0])
        raise InputError(f"`sizes` must be at least 1; bag {row} has {each[row]:g}.")
    if given.ndim == 1:
        return np.clip(given + rng.laplace(size=len(given)) / (each * epsilon), 0.0, 1.0)
    return nearest_shares(given + rng.laplace(size=given.shape) * (2 / (each * epsilon))[:, None])


def nearest_shares(rows: Matrix) -> Matrix:
    """Return the nearest points, in the 2-norm, that are nonnegative and sum to one, (m, K).

    Parameters
    ----------
    rows : ndarray of shape (m, K)
    """
    falling = -np.sort(-rows, axis=1)
    excess = (falling.cumsum(axis=1) - 1) / np.arange(1, rows.shape[1] + 1)
    last = (falling > excess).sum(axis=1) - 1
    moved = np.maximum(rows - np.take_along_axis(excess, last[:, None], axis=1), 0.0)
    return np.asarray(moved / moved.sum(axis=1, keepdims=True))

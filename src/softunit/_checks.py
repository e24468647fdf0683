"""Checks at the door: each failure is a sentence with the thing, the value and the wish."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._row_array import RowArray
from softunit._typing import Array, Vector
from softunit.errors import InputError

FINITE_BLOCK = 1 << 20  # entries looked at in one go: a mask of the whole would cost memory
PLURAL = ("weights", "labels")  # names that "have" and "hold"


def near_names(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean ...?' with the nearest known names, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


def counted(number: int, one: str, many: str = "") -> str:
    """Return "1 set", "2 sets": a number and what it counts; `many` where that is no -s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def check_positive(
    name: str, value: object, *, zero: bool = False, infinite: bool = False
) -> float:
    """Return value as a float, or raise a sentence that says what it must be.

    Raises
    ------
    InputError
        If it is not a number, is negative, is zero (unless `zero`) or infinite (unless
        `infinite`).
    """
    wish = f"a {'finite ' if not infinite else ''}number {'>= 0' if zero else '> 0'}"
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(f"`{name}` must be {wish}; got {value!r}.")
    number = float(value)
    if np.isnan(number) or number < 0 or (number == 0 and not zero):
        raise InputError(f"`{name}` must be {wish}; got {value!r}.")
    if np.isinf(number) and not infinite:
        raise InputError(f"`{name}` must be {wish}; got {value!r}.")
    return number


def check_count(name: str, value: object, *, least: int = 0) -> int:
    """Return value as an int of at least `least`, or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"`{name}` must be an integer >= {least}; got {value!r}.")
    return int(value)


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise `InputError` unless value is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        known = " or ".join(map(repr, choices))
        raise InputError(f"`{name}` must be {known}; got {value!r}.")


def check_switch(name: str, value: object) -> None:
    """Raise `InputError` unless value is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"`{name}` must be True or False; got {value!r}.")


def first_bad_column(a: Array) -> tuple[int, int, int] | None:
    """Return (column, how many, first row) of the first column that holds NaN or infinity."""
    step = max(1, FINITE_BLOCK // max(1, a.shape[1]))
    bad = np.zeros(a.shape[1], dtype=np.int64)
    first = np.full(a.shape[1], -1, dtype=np.int64)
    for start in range(0, len(a), step):
        # One sum tells the usual case: a finite sum has finite terms.
        block = a[start : start + step]
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(block.sum()):
                continue
        mask = ~np.isfinite(block)
        new = mask.any(axis=0) & (first < 0)
        first[new] = start + mask[:, new].argmax(axis=0)
        bad += mask.sum(axis=0)
    if not bad.any():
        return None
    column = int(np.argmax(bad > 0))
    return column, int(bad[column]), int(first[column])


def check_finite_columns(a: Any, names: Sequence[str] | None = None, *, what: str = "A") -> None:
    """Raise `InputError` naming the column, the count and the first row of NaN or infinity."""
    found = _first_bad_sparse(a) if sparse.issparse(a) else first_bad_column(a)
    if found is None:
        return
    column, count, row = found
    label = f"column {column}" if names is None else f"column {names[column]!r}"
    raise InputError(
        f"{label} of {what} holds NaN or infinity in {count} of {a.shape[0]} rows, first in row"
        f" {row}. Fill or drop these rows (the command line has --impute)."
    )


def _first_bad_sparse(a: Any) -> tuple[int, int, int] | None:
    bad = np.flatnonzero(~np.isfinite(a.data))
    if not len(bad):
        return None
    coo = a.tocoo()
    order = np.lexsort((coo.row[bad], coo.col[bad]))
    column = int(coo.col[bad][order[0]])
    return column, int((coo.col[bad] == column).sum()), int(coo.row[bad][order[0]])


def check_vector(name: str, value: object, n: int, *, rows: str = "A") -> Vector:
    """Return value as a finite float64 vector of shape (n,).

    Raises
    ------
    InputError
        If the shape differs (both are named) or an entry is NaN or infinite (the first is named).
    """
    try:
        v = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers; {error}.") from error
    many = name.endswith(PLURAL)
    if v.shape != (n,):
        raise InputError(
            f"{name} {'have' if many else 'has'} shape {v.shape}, but {rows} has"
            f" {counted(n, 'row')}: {'they' if many else 'it'} must be ({n},)."
        )
    bad = np.flatnonzero(~np.isfinite(v))
    if len(bad):
        raise InputError(
            f"{name} {'hold' if many else 'holds'} NaN or infinity in {len(bad)} of"
            f" {counted(n, 'entry', 'entries')}; the first is {v[bad[0]]} in row {bad[0]}."
        )
    return v


def check_weights(value: object, n: int, *, rows: str = "A") -> Vector:
    """Return row weights (n,), float64, nonnegative and not all zero; otherwise `InputError`.

    Parameters
    ----------
    value : array_like of shape (n,)
    n : int
    rows : str, default "A"
        What has n rows, as the user calls it.
    """
    if isinstance(value, RowArray):
        return cast("Vector", _checked_away("the weights", value, (n,), least=0.0))
    w = check_vector("the weights", value, n, rows=rows)
    negative = np.flatnonzero(w < 0)
    if len(negative):
        raise InputError(
            f"the weights hold {counted(len(negative), 'negative entry', 'negative entries')}; the"
            f" first is {w[negative[0]]} in row {negative[0]}. Weights must be >= 0."
        )
    with np.errstate(over="ignore"):
        total = w.sum()
    if not np.isfinite(total):
        raise InputError(
            f"the sum of the weights overflows float64; the largest is {w.max():.3g}. Divide them"
            " by it."
        )
    if not w.any():
        raise InputError(f"the weights are all zero ({n} rows): no row is left to fit.")
    return w


def check_shares(value: object, n: int, *, tol: float = 1e-6) -> Array:
    """Return shares (n, K), K >= 2, float64, nonnegative with row sums of one; else `InputError`.

    Float32 shares are accepted with the rounding that their dtype brings.
    """
    raw = np.asarray(value)
    try:
        shares = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"shares must hold numbers; {error}.") from error
    if shares.ndim != 2 or shares.shape[0] != n or shares.shape[1] < 2:
        raise InputError(
            f"shares have shape {shares.shape}, but A has {n} rows: they must be ({n}, K) with at"
            " least two columns."
        )
    check_finite_columns(shares, what="the shares")
    low = np.argwhere(shares < 0)
    if len(low):
        i, k = low[0]
        raise InputError(
            f"shares hold {len(low)} negative entries; the first is {shares[i, k]} in row {i},"
            f" column {k}."
        )
    sums = shares.sum(axis=1)
    slack = max(tol, 8 * float(np.finfo(raw.dtype).eps)) if raw.dtype.kind == "f" else tol
    off = np.flatnonzero(np.abs(sums - 1) > slack)
    if len(off):
        raise InputError(
            f"shares must sum to one in every row; {len(off)} of {n} rows do not, the first is row"
            f" {off[0]} with sum {sums[off[0]]:.6g}. Divide each row by its sum."
        )
    return np.asarray(shares / sums[:, None])


def check_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise `InputError`, with near names and all names, unless a name is known.

    Parameters
    ----------
    kind : str
        What is named, in the singular, as "case".
    """
    known = list(known)
    if name not in known:
        raise InputError(
            f"There is no {kind} {name!r}.{near_names(name, known)} The {kind}s are"
            f" {', '.join(known)}."
        )


def check_offset(offset: npt.ArrayLike, n: int, columns: int | None) -> Array:
    """Return the offset as float64 of the shape of the scores, or raise `InputError`."""
    if isinstance(offset, RowArray):
        shape = (n,) if columns is None else (n, columns)
        return cast("Array", _checked_away("the offset", offset, shape))
    if columns is None:
        return check_vector("the offset", offset, n)
    array = np.asarray(offset, dtype=np.float64)
    if array.shape != (n, columns):
        raise InputError(
            f"the offset has shape {array.shape}, but the scores have shape {(n, columns)}: it"
            " needs one number for each row and class."
        )
    for k in range(columns):
        check_vector(f"column {k} of the offset", array[:, k], n)
    return array


def _checked_away(
    name: str, value: RowArray, shape: tuple[int, ...], *, least: float = -np.inf
) -> RowArray:
    """Return an array that is kept elsewhere; its shape and its range are checked there."""
    has, hold = ("have", "hold") if name.endswith(PLURAL) else ("has", "holds")
    if value.shape != shape:
        raise InputError(f"{name} {has} shape {value.shape}; what is needed is shape {shape}.")
    low, total = value.min(), value.sum()
    if not np.isfinite(total):
        raise InputError(f"{name} {hold} NaN or infinity, or the sum overflows: {total}.")
    if low < least:
        raise InputError(f"{name} must be >= {least:g}; the least is {low}.")
    if least == 0 and total == 0:
        raise InputError(f"{name} are all zero ({shape[0]} rows): no row is left to fit.")
    return value

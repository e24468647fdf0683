"""Labels of choice sets and names of alternatives, one for each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import counted, near_names
from softunit._groups import as_labels, missing_rows
from softunit._typing import Array
from softunit.errors import InputError


def set_labels(groups: Any, n: int) -> Array:
    """Return the set of each row, (n,).

    Raises
    ------
    InputError
        If there is not one for each row.
    """
    if groups is None:
        raise InputError("`groups` must say which choice set each row belongs to; got None.")
    labels = as_labels(groups)
    if labels.shape != (n,):
        raise InputError(
            f"`groups` has shape {labels.shape}, but X has {counted(n, 'row')}: each row needs the"
            f" label of its choice set, shape ({n},)."
        )
    return labels


def alternative_codes(alternatives: Any, n: int) -> tuple[Array, npt.NDArray[np.int32]]:
    """Return the names of the alternatives in sorted order, and the number of each row's.

    Raises
    ------
    InputError
        If there is not one name for each row, one is missing, or names cannot be compared.
    """
    names = as_labels(alternatives)
    if names.shape != (n,):
        raise InputError(
            f"`alternatives` has shape {names.shape}, but X has {counted(n, 'row')}: each row needs"
            f" the name of its alternative, shape ({n},)."
        )
    missing = missing_rows(names)
    if len(missing):
        raise InputError(
            f"`alternatives` holds no name in {len(missing)} of {counted(n, 'row')}, first in row"
            f" {missing[0]}: every row needs one."
        )
    try:
        known, codes = np.unique(names, return_inverse=True)
    except TypeError as error:
        kinds = ", ".join(sorted({type(name).__name__ for name in names.tolist()}))
        raise InputError(
            f"`alternatives` holds names of types {kinds} side by side: make them one type."
        ) from error
    return known, codes.ravel().astype(np.int32)


def known_codes(alternatives: Any, known: Array, n: int) -> npt.NDArray[np.int32]:
    """Return the number of each row's alternative among those of a fitted model.

    Raises
    ------
    InputError
        As `alternative_codes`, and if a name is unknown (near names are given).
    """
    names, codes = alternative_codes(alternatives, n)
    place = {name: i for i, name in enumerate(known.tolist())}
    for i, name in enumerate(names.tolist()):
        if name not in place:
            row = int(np.flatnonzero(codes == i)[0])
            hint = near_names(str(name), map(str, place))
            raise InputError(
                f"alternative {name!r} in row {row} is not among those of the fit.{hint} They are"
                f" {', '.join(map(repr, place))}."
            )
    return np.array([place[name] for name in names.tolist()], dtype=np.int32)[codes]


def shown(labels: Array, row: Any) -> str:
    """Return one label as its user would write it."""
    return repr(labels[row : row + 1].tolist()[0])

"""From directions of the cone to what they show together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix
from softunit.separation.alone import separated_alone
from softunit.separation.cone import Cone
from softunit.separation.exact import holds_exactly
from softunit.separation.programme import OutOfReachError
from softunit.separation.search import Search, Walk

Mask = npt.NDArray[np.bool_]

LIMIT = 1500
"""Coefficients, columns times classes, up to which linear programmes are solved."""

ENTRIES = 4_000_000
"""Entries of a linear programme up to which it is solved."""

BRIEF = 400
"""Coefficients up to which more directions are looked for, and fewer columns that would do,"""

FEW = 30
"""and columns of the direction at hand up to which they are."""

MORE = 8  # directions, until no further form is positive


@dataclass(frozen=True)
class Found:
    """Directions of the cone, and what they show together.

    Attributes
    ----------
    direction : ndarray of shape (p, K)
        Their sum, each at size one.
    simplest : ndarray of shape (p, K), or None
        One that moves so few columns that none can be left out; None where not looked for.
    positive : list of ndarray of bool
        Forms that some of them raise, block by block.
    certain : bool
        Whether no form falls along `direction`, in exact arithmetic.
    """

    direction: Matrix
    simplest: Matrix | None
    positive: list[Mask]
    certain: bool


def found_in(
    cone: Cone, start: Matrix | None, constants: Mask, hint: Array | None = None
) -> Found | None:
    """Return what separates, or None where no direction of the cone raises any form.

    1. The start itself may raise all forms.  2. Else a linear programme finds a direction, or that
    there is none.  3. Another asks for one that raises all; else more follow, for the forms that
    none has raised yet.  4. Forms that none raises must be zero along each, in exact arithmetic;
    the others positive along the sum.

    Where the programmes would be too large, single coefficients are tried, and the hint.

    Parameters
    ----------
    cone : Cone
    start : ndarray of shape (p, K) or None
        Where a fit ended.
    constants : ndarray of bool, shape (p,)
        Intercepts and thresholds, which no one would leave out.
    hint : ndarray of size p K, or None, default None
        A direction to be tried where there are too many coefficients for linear programmes.

    Raises
    ------
    OutOfReachError
        If limits or float64 leave it open whether there is one.
    """
    size = int(np.prod(cone.shape))
    plain = None if start is None else _all_raised(cone, start)  # 1.
    if plain is not None and size > BRIEF:
        return Found(plain[0], None, plain[1].positive, certain=True)
    if size > LIMIT:
        cheap = separated_alone(cone, hint)
        if cheap is not None:
            w, walk = cheap
            return Found(w, w, walk.positive, certain=True)
        raise OutOfReachError(
            f"{size:,} coefficients are more than the {LIMIT:,} that its linear programme may have"
        )
    search = Search(cone, start, ENTRIES)
    found = [plain] if plain is not None else _directions(search, MORE if size <= BRIEF else 0)
    if not found:
        return None
    positive = _union([walk.positive for _, walk in found])
    direction = np.sum([w / cone.size_of(w) for w, _ in found], axis=0)
    complete = all(mask.all() for mask in positive)
    simplest = found[0][0]
    if size <= BRIEF:
        simplest = _simplest(search, simplest, constants, complete=complete)
    return Found(direction, simplest, positive, _certain(cone, found, positive, direction))  # 4.


def _all_raised(cone: Cone, w: Matrix) -> tuple[Matrix, Walk] | None:
    """Return w and what it shows if it raises all forms, else None."""
    if w[cone.held].any() or not w.any():
        return None
    walk = Walk()
    for part in cone.measure(w):
        walk.add(part)
        if not walk.positive[-1].all():
            return None
    return w, walk


def _directions(search: Search, most: int) -> list[tuple[Matrix, Walk]]:
    """Return one direction if it raises all forms; else it and up to so many more."""
    wanted = [~forms.equal for forms in search.cone.recessions()]
    first = search.direction(wanted)  # 2.
    if first is None:
        return []
    found = [first]
    try:
        if all(mask.all() for mask in wanted):  # 3.
            widest = None if all(m.all() for m in first[1].positive) else search.widest()
            if widest is not None:
                return [widest]
        for _ in range(most):
            up = found[-1][1].positive
            wanted = [wish & ~mask for wish, mask in zip(wanted, up, strict=True)]
            more = search.direction(wanted) if any(mask.any() for mask in wanted) else None
            if more is None:
                break
            found.append(more)
    except OutOfReachError:
        pass  # what has been found stays found
    return found


def _union(masks: list[list[Mask]]) -> list[Mask]:
    return [np.logical_or.reduce(block) for block in zip(*masks, strict=True)]


def _certain(
    cone: Cone, found: list[tuple[Matrix, Walk]], positive: list[Mask], direction: Matrix
) -> bool:
    """Return whether no form falls along the sum: see step 4 of `found_in`."""
    for w, walk in found:
        zero = [blur & ~up for blur, up in zip(walk.blurred, positive, strict=True)]
        if any(mask.any() for mask in zero) and not holds_exactly(cone, w, zero):
            return False
    if len(found) == 1:
        return True
    parts = zip(cone.measure(direction), positive, strict=True)
    return all(bool((part.values > 2 * part.slack)[up].all()) for part, up in parts)


def _simplest(search: Search, w: Matrix, constants: Mask, *, complete: bool) -> Matrix:
    """Return a direction in so few columns that none of them can be left out.

    Those that w moves least are left out first. Where all forms can be raised, they still are.
    """
    cone, free = search.cone, search.programme.free
    everything = [~forms.equal for forms in cone.recessions()]
    kept = w.any(axis=1) & free.any(axis=1)
    columns = np.flatnonzero(kept & ~constants)
    if len(columns) > FEW:
        return w
    sizes = np.abs(w).max(axis=1) * cone.scale
    for j in columns[np.argsort(sizes[columns], kind="stable")]:
        if not w[j].any():
            continue
        trial = kept | constants
        trial[j] = False
        search.programme.free = trial[:, None] & free
        try:
            other = search.widest() if complete else search.direction(everything)
        except OutOfReachError:
            other = None
        if other is not None:
            w, kept = other[0], trial & other[0].any(axis=1)
    search.programme.free = free
    return w

"""The search for a direction of the cone, on few rows and checked on all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

from softunit._typing import Matrix
from softunit.separation.cone import Cone, Part
from softunit.separation.programme import OutOfReachError, Programme

Mask = npt.NDArray[np.bool_]

ALL = 3000  # forms that are taken at once
FIRST = 8  # forms for each coefficient that a search begins with, where there are more
ROUNDS = 60  # linear programmes for one direction
CLEAR = 1e-12  # relative: a direction that raises forms by less is rounding
TINY = 1e-300  # in place of a size of zero
DENOMINATOR = 10_000  # of ratios of coefficients that are tried for exactness
LARGEST = 1 << 40  # whole number that is tried
NEAR = 1e-8  # relative: how far such a ratio may be from the number found


@dataclass
class Walk:
    """What one pass over the rows has found along a direction, block by block.

    Attributes
    ----------
    wrong, positive, blurred : list of ndarray of bool
        Forms of each block, as in `Part`.
    highest : float
        The largest value of a positive form, relative to its terms.
    """

    wrong: list[Mask] = field(default_factory=list)
    positive: list[Mask] = field(default_factory=list)
    blurred: list[Mask] = field(default_factory=list)
    highest: float = 0.0

    def add(self, part: Part) -> Part:
        """Keep what a part says."""
        self.wrong.append(part.wrong)
        self.positive.append(part.positive)
        self.blurred.append(part.blurred)
        up = self.positive[-1]
        if up.any():
            self.highest = max(self.highest, float((part.values[up] / part.sizes[up]).max()))
        return part

    @property
    def holds(self) -> bool:
        """Whether the direction is in the cone, up to rounding."""
        return not any(mask.any() for mask in self.wrong)


class Search:
    """Directions of a cone by linear programmes that grow by the rows they overlook.

    Parameters
    ----------
    cone : Cone
    start : ndarray of shape (p, K) or None
        Where a fit ended: its worst rows come first.
    most : int
        As in `Programme`.
    """

    def __init__(self, cone: Cone, start: Matrix | None, most: int) -> None:
        self.cone = cone
        blind = cone.problem.unit.shift_invariant and cone.shape[1] > 1
        self.programme = Programme(cone.coordinates, ~cone.held, cone.shape, blind, most)
        self.inside: list[Mask] = []
        self._begin(start)

    def _begin(self, start: Matrix | None) -> None:
        """Enter all forms where they are few; else the worst at the start, and some of all."""
        w = np.zeros(self.cone.shape) if start is None else start
        parts = list(self._cheap(w))
        many = sum(len(values) for values, _ in parts)
        wanted = max(ALL, FIRST * w.size)
        for index, (values, part) in enumerate(parts):
            m = len(values)
            if many <= wanted:
                chosen = np.arange(m)
            else:
                share = max(1, wanted * m // (2 * many))
                worst = np.argpartition(values, min(share, m - 1))[:share]
                chosen = np.union1d(worst, np.linspace(0, m - 1, share).astype(int))
            self.inside.append(np.zeros(m, dtype=bool))
            self._enter(index, part, chosen)

    def _cheap(self, w: Matrix) -> Iterator[tuple[npt.NDArray[np.float64], Part]]:
        for part in self.cone.measure(w):
            yield part.values / np.where(part.sizes > 0, part.sizes, 1.0), part

    def _enter(self, index: int, part: Part, chosen: npt.NDArray[np.integer]) -> None:
        self.inside[index][chosen] = True
        self.programme.add(self.cone.rows_of(part, chosen), part.recession.equal[chosen])

    def direction(self, wanted: list[Mask]) -> tuple[Matrix, Walk] | None:
        """Return a direction of the cone that raises the sum of the wanted forms, checked on all.

        1. Solve the linear programme of the rows so far; no direction there is none at all.
        2. Make its active rows zero up to rounding, or exactly by ratios of whole numbers.
        3. Check all rows; those that fall enter, and it begins again.

        Raises
        ------
        OutOfReachError
            If limits or float64 leave it open whether there is one.
        """
        total = self.cone.total(wanted)
        for _ in range(ROUNDS):
            w = self.programme.solve(total)  # 1.
            if w is None:
                return None
            added = False
            for candidate in self._candidates(self.cone.named(w)):  # 2.
                walk, more = self._checked(candidate)  # 3.
                if walk.holds:
                    raised = walk.highest > CLEAR and any(
                        (up & wish).any() for up, wish in zip(walk.positive, wanted, strict=True)
                    )
                    return (candidate, walk) if raised else None
                added |= more
            if not added:
                raise OutOfReachError(
                    "the rows overlap, if they do, by less than float64 can tell from rounding"
                )
        raise OutOfReachError(f"{ROUNDS} linear programmes have not settled it")

    def widest(self) -> tuple[Matrix, Walk] | None:
        """Return a direction along which all forms are positive, checked on all rows, or None.

        Raises
        ------
        OutOfReachError
            If limits leave it open whether there is one.
        """
        for _ in range(ROUNDS):
            w = self.programme.widest()
            if w is None:
                return None
            walk, added = self._checked(w, strict=True)
            if all(mask.all() for mask in walk.positive):
                return w, walk
            if not added:
                return None
        raise OutOfReachError(f"{ROUNDS} linear programmes have not settled it")

    def _candidates(self, w: Matrix) -> Iterator[Matrix]:
        """Yield directions near w, exact ones first, that the programme's own rows admit."""
        settled = self.cone.named(self.programme.settled(w, self.cone.scale))
        for candidate in (*whole_numbers(settled), settled):
            if candidate.any() and self._admitted(candidate):
                yield candidate
        yield w

    def _admitted(self, w: Matrix) -> bool:
        rows, equal = self.programme.rows, self.programme.equal
        values = rows @ w.ravel()
        sizes = abs(rows) @ np.abs(w).ravel()
        return bool((np.where(equal, np.abs(values), -values) <= 1e-6 * sizes).all())

    def _checked(self, w: Matrix, *, strict: bool = False) -> tuple[Walk, bool]:
        """Return what all rows say, and whether rows that fall have entered the programme.

        Where it is strict, rows must rise.
        """
        walk, entered = Walk(), False
        most = max(ALL, FIRST * w.size) // 4
        share = max(10, most // len(self.cone.blocks))
        for index, part in enumerate(self.cone.measure(w)):
            walk.add(part)
            bad = ~walk.positive[-1] if strict else part.wrong
            new = bad & ~self.inside[index]
            if new.any():
                self._enter(index, part, self._worst(index, part, new, share))
                entered = True
        return walk, entered

    def _worst(self, index: int, part: Part, new: Mask, share: int) -> npt.NDArray[np.integer]:
        """Return new rows that fall, no more than a share, and rows that are next to fall."""
        depth = np.where(part.recession.equal, -np.abs(part.values), part.values)
        relative = depth / np.maximum(part.sizes, TINY)
        relative[self.inside[index]] = np.inf
        many = min(share, max(int(new.sum()), share // 4), len(relative) - 1)
        worst = np.argpartition(relative, many)[: max(many, 1)]
        return worst[~self.inside[index][worst]]


def whole_numbers(w: Matrix) -> Iterator[Matrix]:
    """Yield w in whole numbers where all its ratios are those of small whole numbers.

    Sums of products of whole numbers are exact, so that zeros are zeros.
    """
    sizes = np.abs(w[w != 0])
    for unit in sorted({float(sizes.max()), float(sizes.min())}) if len(sizes) else []:
        ratios = [Fraction(v / unit).limit_denominator(DENOMINATOR) for v in w.ravel()]
        close = np.abs(np.array([float(r) for r in ratios]) - w.ravel() / unit)
        if (close > NEAR * np.abs(w.ravel()) / unit).any():
            continue
        common = lcm(*(ratio.denominator for ratio in ratios))
        if max(abs(ratio) for ratio in ratios) * common < LARGEST:
            yield np.array([float(ratio * common) for ratio in ratios]).reshape(w.shape)

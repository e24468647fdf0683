"""Which outcomes, columns and rows a separation is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix
from softunit.separation.cone import Cone
from softunit.units.recession import Recession

Mask = npt.NDArray[np.bool_]

INTERCEPT = "(intercept)"
"""The name of a row of w that belongs to no column: an intercept or a threshold."""


@dataclass(frozen=True)
class Counts:
    """What the positive forms add up to.

    Attributes
    ----------
    complete : bool
        Whether all are positive, and none must be zero.
    outcomes : tuple of str
        Those of which every form is positive.
    rows, n_rows : int
        Observations with a positive form, and all that have forms.
    """

    complete: bool
    outcomes: tuple[str, ...]
    rows: int
    n_rows: int


@dataclass(frozen=True)
class Tally:
    """The names of a problem's columns and outcomes, and how its forms are counted by them.

    Attributes
    ----------
    cone : Cone
    names : tuple of str
        Of the rows of w.
    outcomes : tuple of str
        Classes or alternatives; for levels the thresholds between them.
    codes : ndarray of int, shape (n,), or None
        The alternative in each row, where outcomes are rows.
    """

    cone: Cone
    names: tuple[str, ...]
    outcomes: tuple[str, ...]
    codes: Array | None

    @classmethod
    def of(
        cls, cone: Cone, names: Sequence[str] | None, outcomes: Sequence[object] | None
    ) -> Tally:
        """Take what names there are, and make up the others."""
        p, k = cone.shape
        d = p - cone.intercept
        columns = [str(j) for j in range(d)] if names is None else [*map(str, names)]
        columns = [*columns[:d], INTERCEPT] if cone.intercept else columns
        unit = cone.problem.unit
        if not unit.rowwise:
            if outcomes is None:
                return cls(cone, tuple(columns), (), None)
            labels, codes = np.unique(np.asarray(outcomes), return_inverse=True)
            return cls(cone, tuple(columns), tuple(map(repr, labels.tolist())), codes.ravel())
        if outcomes is None:
            seen = [max(r.own.max(initial=0), r.other.max(initial=0)) for r in cone.recessions()]
            outcomes = range(max(k, 1 + int(max(seen))))
        shown = [*map(repr, np.asarray(outcomes).tolist())]
        if unit.outcome == "level":
            shown = [f"{low} | {high}" for low, high in pairwise(shown)]
        return cls(cone, tuple(columns), tuple(shown), None)

    @property
    def constants(self) -> Mask:
        """Rows of w, (p,), that are intercepts or thresholds."""
        return np.array([name == INTERCEPT for name in self.names])

    def columns_of(self, w: Matrix | None) -> tuple[str, ...]:
        """Return the names of the columns that a direction moves; the intercept if it is alone."""
        if w is None:
            return ()
        moved = [self.names[j] for j in np.flatnonzero(w.any(axis=1))]
        return tuple(name for name in moved if name != INTERCEPT) or tuple(moved)

    def moved_by(self, w: Matrix | None) -> tuple[str, ...]:
        """Return the classes whose coefficients a direction moves, where each has its own."""
        if w is None or w.shape[1] == 1 or len(self.outcomes) != w.shape[1]:
            return ()
        return tuple(self.outcomes[k] for k in np.flatnonzero(w.any(axis=0)))

    def count(self, positive: list[Mask]) -> Counts:
        """Return what the positive forms add up to, (m,) for each block of the cone."""
        size = len(self.outcomes)
        every, good = np.zeros(size, dtype=int), np.zeros(size, dtype=int)
        rows = n_rows = 0
        complete = True
        for recession, mask in zip(self.cone.recessions(), positive, strict=True):
            complete &= bool(mask.all())
            seen = self._observations(recession)
            rows, n_rows = rows + len(np.unique(seen[mask])), n_rows + len(np.unique(seen))
            for touched in self._touched(recession):
                every += np.bincount(touched, minlength=size)
                good += np.bincount(touched[mask], minlength=size)
        full = np.flatnonzero((every > 0) & (good == every))
        return Counts(complete, tuple(self.outcomes[k] for k in full), rows, n_rows)

    def _touched(self, recession: Recession) -> list[Array]:
        """Return the numbers of the outcomes that each form is about."""
        if not self.outcomes:
            return []
        if self.cone.problem.unit.outcome == "level":
            return [np.minimum(recession.own, recession.other)]
        if self.codes is None:
            return [recession.own, recession.other]
        return [self.codes[recession.own], self.codes[recession.other]]

    def _observations(self, recession: Recession) -> Array:
        """Return a number for each form that is the same within a row, or choice set."""
        if not self.cone.problem.unit.rowwise:
            return recession.own
        forms = recession.forms
        return np.asarray(forms.indices[forms.indptr[:-1]] // self.cone.shape[1])

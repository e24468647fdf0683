"""Many softmax groups in one: choice sets, rows of attention, shares within markets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from softunit._checks import check_choice, check_vector
from softunit._groups import Groups
from softunit._numeric import minus_entropy
from softunit._threads import add_up
from softunit._typing import Array, Kind, Vector
from softunit.coupled_curvature import GroupedDiagonal
from softunit.errors import InputError
from softunit.units.base import SOFTMAX_SECOND, Bounds, Unit
from softunit.units.recession import Recession
from softunit.units.softmax_squares import SIMPLEX_HIGHEST, SIMPLEX_LIPSCHITZ, SIMPLEX_LOWEST

PIECE = 1 << 15
"""Rows of a piece of whole groups: its handful of vectors stays in the cache of one core."""

Piece = tuple[Groups, slice | npt.NDArray[np.integer]]
"""Some groups, and the index of their rows, group by group."""


@dataclass(frozen=True, eq=False)
class GroupedSoftmax(Unit):
    """One softmax for each group of rows, against a target b within each.

    With f = softmax(z) and <., .> and beta = sum(b) taken within each group, c = f - b and outcome
    weights s (* is elementwise)::

        loss="log"       value     = sum over groups of beta log sum exp(z) - <s*b, z>
                         gradient  = beta f - s*b,         p = beta f        (beta = sum(s*b))
        loss="squares"   value     = 1/2 sum s*c^2
                         gradient  = f*s*c - <f, s*c> f,   p = f*(s*f + s*c - <f, s*c>)
        curvature, in each group: (I - 1 f')' diag(p) (I - 1 f')

    It is the sum of `SoftmaxCrossEntropy`, or of `SoftmaxSquares`, over the groups, and costs the
    same as one of them. The log loss is convex, and that of a conditional logit where b marks the
    choice. A constant added to the scores of one group changes nothing; a group of one row, whose
    softmax is always 1, teaches nothing.

    Parameters
    ----------
    groups : array_like of shape (n,)
        Equal labels belong together, in any order.
    loss : {"log", "squares"}, default "log"

    Raises
    ------
    InputError
        If the groups are not one label for each row, or every group has one row only.

    Notes
    -----
    Source: sums of the losses of arXiv 2304.10411; docs/maths/grouped-softmax.
    """

    groups: Any
    loss: Literal["log", "squares"] = "log"
    rowwise: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    outcome: ClassVar[str] = "alternative"

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, ("log", "squares"))
        if not isinstance(self.groups, Groups):
            object.__setattr__(self, "groups", np.asarray(self.groups))
        if self.members.count == len(self.members):
            raise InputError(
                f"each of the {len(self.members)} groups has one row only: a softmax over one row"
                " is always 1, so there is nothing to fit. Do the labels number rows, not groups?"
            )

    @cached_property
    def members(self) -> Groups:
        """Which rows belong together."""
        return self.groups if isinstance(self.groups, Groups) else Groups(self.groups)

    @cached_property
    def _pieces(self) -> list[Piece]:
        """Whole groups in pieces that threads can share."""
        groups = self.members
        return [(groups.part(which), rows) for which, rows in groups.pieces(PIECE)]

    def check(self, target: object, n: int) -> Array:
        """Return the target b as float64 (n,).

        Raises
        ------
        InputError
            If there are not n groups labels or targets; for the log loss also if an entry is
            negative (the loss would be unbounded below) or all of a group are zero.
        """
        if len(self.members) != n:
            raise InputError(
                f"the groups hold {len(self.members)} labels, but A has {n} rows: each row needs"
                " one."
            )
        b = check_vector("the target b", target, n)
        if self.loss == "squares":
            return b
        low = np.flatnonzero(b < 0)
        if len(low):
            raise InputError(
                f"the target b holds {len(low)} negative entries; the first is {b[low[0]]} in row"
                f" {low[0]}, group {self._label(low[0])}. The log loss needs b >= 0; loss='squares'"
                " takes any b."
            )
        empty = np.flatnonzero(self.members.sums(b) == 0)
        if len(empty):
            row = int(self.members.first_rows[empty].min())
            raise InputError(
                f"the target b is zero in all rows of {len(empty)} of {self.members.count} groups;"
                f" the first is group {self._label(row)}, which holds row {row}. Nothing is chosen"
                " there: drop these rows."
            )
        return b

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for scores z and target b, both of shape (n,)."""
        if self.loss == "log":
            return self._log(z, target, weights, None)
        c = self.probabilities(z) - target
        return 0.5 * float(c @ c if weights is None else c @ (weights * c))

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, shape (n,)."""
        if self.loss == "log":
            gradient = np.empty(len(z))
            return self._log(z, target, weights, gradient), gradient
        f = self.probabilities(z)
        c = f - target
        weighted = c if weights is None else weights * c
        return 0.5 * float(c @ weighted), f * (weighted - self._mean(f, weighted))

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> GroupedDiagonal:
        """Return the second derivative: weights (n,) in the design centred by f in each group."""
        if self.loss == "log":
            f = self.probabilities(z)
            beta = self.members.sums(target if weights is None else weights * target)
            own = f if (beta == 1).all() else f * self.members.spread(beta)
            return GroupedDiagonal(own, f, self.members)
        f = self.probabilities(z)
        own = f if weights is None else weights * f
        if kind == "gauss_newton":
            return GroupedDiagonal(f * own, f, self.members)
        c = f - target if weights is None else weights * (f - target)
        return GroupedDiagonal(f * (own + c - self._mean(f, c)), f, self.members)

    def conjugate(self, v: Array, target: Array, weights: Vector | None = None) -> float:
        """Return sum over groups of beta <q, log q> with v = beta q - s*b, for the log loss.

        It is inf where a q is negative, and nan for the loss "squares". v sums to zero in each
        group, as gradients do.
        """
        if self.loss != "log":
            return math.nan
        b = target if weights is None else weights * target
        each = self.members.spread(self.members.sums(b))
        return float(minus_entropy((v + b)[:, None], each).sum())

    def probabilities(self, z: Vector) -> Vector:
        """Return softmax(z) within each group, shape (n,)."""
        out = np.empty(len(z))

        def part(piece: Piece) -> tuple[float]:
            groups, rows = piece
            out[rows] = groups.softmax(z[rows])
            return (0.0,)

        add_up(part, self._pieces)
        return out

    def recession(
        self, target: Array, columns: int, weights: Vector | None = None
    ) -> Recession | None:
        """Return z_c - z_r >= 0 for a chosen row c and each other r of its group.

        It is = 0 where r is chosen too. Groups whose weights are zero have none. Outcomes are
        rows. For the log loss only.
        """
        if self.loss != "log":
            return None
        chosen = target > 0 if weights is None else target * weights > 0
        first = np.full(self.members.count, -1)
        rows = np.flatnonzero(chosen)[::-1]
        first[self.members.codes[rows]] = rows
        own = self.members.spread(first)
        other = np.flatnonzero((own >= 0) & (own != np.arange(len(own))))
        sides = np.stack([own[other], other])
        return Recession.of_pairs(sides[0], sides[1], len(own), chosen[other], sides)

    @property
    def has_local_theory(self) -> bool:
        """Whether the loss is the papers' squares: of likelihoods of choices they say nothing."""
        return self.loss == "squares"

    def projection(self, n: int) -> GroupedDiagonal:
        """Return what takes the mean of each group out of n scores."""
        return GroupedDiagonal(
            np.ones(n), self.members.spread(1 / self.members.sizes), self.members
        )

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return the constants of the group in which they are worst: groups do not meet."""
        sums = self.members.sums(target if weights is None else weights * target)
        if self.loss == "squares":
            return Bounds(False, 0.0) if weights is not None else self._square_bounds(target, sums)
        b = target if weights is None else weights * target
        seen = np.flatnonzero(b > 0)
        own, whole = b[seen], sums[self.members.number_of(seen)]
        entropy = -float(own @ np.log(own / whole))
        beta = float(sums.max())
        return Bounds(True, entropy, 0.0, 0.5 * beta, SOFTMAX_SECOND * beta, concordance=2.0)

    def _square_bounds(self, b: Vector, sums: Vector) -> Bounds:
        missed = np.where(np.abs(1 - sums) > 1e-12, 1 - sums, 0.0)  # rounding of the sums
        lower = float((missed**2 / (2 * self.members.sizes)).sum())
        if b.min() >= 0 and sums.max() <= 1 + 1e-12:
            return Bounds(False, lower, SIMPLEX_LOWEST, SIMPLEX_HIGHEST, SIMPLEX_LIPSCHITZ)
        norm = float(np.sqrt(self.members.sums(b * b).max()))
        lipschitz = 1.5 * SOFTMAX_SECOND + 0.5 * (1 + norm)
        reach = SOFTMAX_SECOND * norm
        return Bounds(False, lower, -1 / 12 - reach, 1 / 4 + reach, lipschitz)

    def _log(self, z: Vector, target: Vector, weights: Vector | None, into: Vector | None) -> float:
        """Return the log loss, and write its derivative, beta f - s*b, where that is wanted."""

        def part(piece: Piece) -> tuple[float]:
            groups, rows = piece
            b = target[rows] if weights is None else weights[rows] * target[rows]
            # Both terms are taken relative to the largest score: no cancellation at |z| ~ 1e9.
            q = z[rows]
            q = q - groups.spread(groups.largest(q))
            e = np.exp(q)
            totals, beta = groups.sums(e), groups.sums(b)
            if into is not None:
                e *= groups.spread(beta / totals)
                e -= b
                into[rows] = e
            return (float(beta @ np.log(totals) - b @ q),)

        return float(add_up(part, self._pieces)[0])

    def _mean(self, f: Vector, v: Vector) -> Vector:
        """Return <f, v> of each row's group, (n,)."""
        return self.members.spread(self.members.sums(f * v))

    def _label(self, row: int) -> str:
        if isinstance(self.groups, Groups):
            return f"number {self.groups.codes[row]}"
        return repr(self.groups[row].item())

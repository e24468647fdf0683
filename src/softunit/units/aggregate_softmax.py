"""Rowwise softmax where only the shares of whole bags of rows are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from softunit._checks import check_shares
from softunit._groups import Groups
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.errors import InputError
from softunit.units._bag_curvature import BagCurvature
from softunit.units.base import Bounds, Unit

PIECE = 1 << 18  # scores that are worked on at a time: whole bags


@dataclass(frozen=True, eq=False)
class AggregateSoftmax(Unit):
    """Log loss of the shares of bags: of the bag's mean prediction, of each row, or between.

    With P = rowwise softmax(z), Y_B the shares of bag B, s the row weights, S_B their sum over the
    bag and m_B = sum_{i in B} s_i P_i / S_B the mean prediction::

        L_bag = - sum_B S_B <Y_B, log m_B>           not convex
        L_ins = - sum_B sum_{i in B} s_i <Y_B, log P_i>      convex
        value = (1 - rho) L_bag + rho L_ins

    L_bag <= L_ins, as -log is convex, and both are at least the entropy sum_B S_B <Y_B, -log Y_B>.
    With w_ik = s_i P_ik / sum_{j in B} s_j P_jk the gradient in row i of bag B is::

        (1 - rho) S_B (P_i <Y_B, w_i> - Y_B*w_i) + rho s_i (P_i - Y_B)

    Scores of shape (n,) mean two classes with the first score held at zero.

    Parameters
    ----------
    bags : array_like of shape (n,)
        Equal labels belong together, in any order.
    rho : float, default 0.0
        Share of the instance-level loss, from 0 to 1.

    Raises
    ------
    InputError
        If the bags are not one label for each row, or rho is not between 0 and 1.

    Notes
    -----
    Source: Javanmard, Chen, Mirrokni, Badanidiyuru, Fu, arXiv 2401.11081, eqs. of both losses and
    of the interpolation; docs/guides/aggregate-responses.
    """

    bags: Any
    rho: float = 0.0
    rowwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        rho: object = self.rho
        number = isinstance(rho, (int, float)) and not isinstance(rho, bool)
        if not (number and 0 <= self.rho <= 1):
            raise InputError(f"`rho` must be a number from 0 to 1; got {self.rho!r}.")
        if not isinstance(self.bags, Groups):
            object.__setattr__(self, "bags", np.asarray(self.bags))
        len(self.members)

    @cached_property
    def members(self) -> Groups:
        """Which rows belong together."""
        return self.bags if isinstance(self.bags, Groups) else Groups(self.bags)

    def check(self, target: object, n: int) -> Array:
        """Return the shares of the bags as float64 (count, K), bags numbered as in `members`.

        Raises
        ------
        InputError
            If there are not n labels of bags, shares are not one row for each bag, or they are
            negative or do not sum to one.
        """
        if len(self.members) != n:
            raise InputError(
                f"the bags hold {len(self.members)} labels, but A has {n} rows: each row needs one."
            )
        shares = np.asarray(target)
        count = self.members.count
        if shares.ndim != 2 or len(shares) != count:
            raise InputError(
                f"the shares have shape {shares.shape}, but there are {count} bags: they must be"
                f" ({count}, K), one row for each bag."
            )
        return check_shares(shares, count)

    def columns(self, target: Array) -> int | None:
        """Return K, or None for two classes, which need one score."""
        return None if target.shape[1] == 2 else int(target.shape[1])

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for scores (n,) or (n, K) and the shares of the bags."""
        return sum(self._value(part) for part in self._parts(z, target, weights))

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, of the shape of z."""
        value, gradient = 0.0, np.empty_like(z, dtype=np.float64)
        for part in self._parts(z, target, weights):
            value += self._value(part)
            g = self._bag_gradient(part)
            if self.rho > 0:
                g += self.rho * part.s[:, None] * (part.p - part.spread)
            gradient[part.index] = g[:, 1] if z.ndim == 1 else g
        return value, gradient

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> BagCurvature:
        """Return the second derivative; Gauss-Newton leaves out how a row's softmax bends."""
        parts = list(self._parts(z, target, weights))
        p = np.concatenate([part.p for part in parts])
        own = np.concatenate([part.s for part in parts])[:, None] * (self.rho * p)
        u, s = own, own / 2
        if kind == "exact":
            bent = np.concatenate([self._bag_gradient(part) for part in parts])
            u, s = own + bent, own / 2 + bent
        strength = (1 - self.rho) * np.concatenate([part.mass[:, None] * part.y for part in parts])
        w = np.concatenate([part.w for part in parts])
        return BagCurvature(self.members, p, u, s, w, strength, z.ndim == 1)

    def gradient_terms(self, start: Array, target: Array, weights: Vector | None = None) -> Vector:
        """Return the largest entry of the gradient of each row at scores of zero, (n,)."""
        n, k = len(start), target.shape[1]
        g = self.gradient(np.zeros(n if k == 2 else (n, k)), target, weights)
        return np.abs(g) if g.ndim == 1 else np.abs(g).max(axis=1)

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return: at least the entropy; convex for rho = 1, and where each bag is a single row.

        In a bag of several rows the curvature of L_bag is sum_k Y_k (diag(w_k J) - Var_k), with J
        at most 1/2 and the variance, of vectors e_k - p of norm at most sqrt(2) and weights that
        sum to one, at most 1 (1/4 and 1/2 for one score).
        """
        s = np.ones(len(self.members)) if weights is None else weights
        mass = self.members.sums(s)
        seen = np.where(target > 0, target, 1.0)
        entropy = -float(mass @ (target * np.log(seen)).sum(axis=1))
        several = float(mass[self.members.sizes > 1].max(initial=0.0))
        scale = 0.5 if target.shape[1] == 2 else 1.0
        heaviest = float(s.max())
        highest = (1 - self.rho) * max(several, heaviest) + self.rho * heaviest
        lowest = -scale * (1 - self.rho) * several
        return Bounds(lowest >= 0, entropy, min(lowest, 0.0), 0.5 * scale * highest)

    def _value(self, part: _Part) -> float:
        bag = part.mass @ _of_positive(part.y, part.log_mean)
        value = -(1 - self.rho) * float(bag)
        if self.rho > 0:
            value -= self.rho * float(part.s @ _of_positive(part.spread, part.log_p))
        return value

    def _bag_gradient(self, part: _Part) -> Matrix:
        """Return (1 - rho) S_B (P <Y, w> - Y w), (rows of the part, K)."""
        towards = part.spread * part.w
        g: Matrix = part.p * towards.sum(axis=1, keepdims=True) - towards
        g *= ((1 - self.rho) * np.repeat(part.mass, part.sizes))[:, None]
        return g

    def _parts(self, z: Array, target: Array, weights: Vector | None) -> Iterator[_Part]:
        """Yield whole bags, a few at a time."""
        s = np.ones(len(z)) if weights is None else weights
        starts = self.members.starts
        for which, index in self.members.pieces(max(1, PIECE // target.shape[1])):
            here = starts[which.start : which.stop + 1] - starts[which.start]
            yield _part(z[index], s[index], here, target[which], index)


class _Part(NamedTuple):
    """Some whole bags, group by group: probabilities and what the bags make of them."""

    index: Any  # of their rows
    s: Vector
    sizes: Array
    y: Matrix  # shares, one row for each bag
    spread: Matrix  # and one for each row
    mass: Vector  # S_B
    log_p: Matrix
    p: Matrix
    w: Matrix
    log_mean: Matrix


def _part(z: Array, s: Vector, starts: Array, y: Matrix, index: Any) -> _Part:
    if z.ndim == 1:
        z = np.column_stack([np.zeros(len(z)), z])
    log_p = z - z.max(axis=1, keepdims=True)
    p = np.exp(log_p)
    total = p.sum(axis=1, keepdims=True)
    log_p -= np.log(total)
    p /= total
    sizes, first = np.diff(starts), starts[:-1]
    # Relative to the largest of its bag: a probability that underflows still has a share of it.
    with np.errstate(divide="ignore"):
        w = log_p + np.log(s)[:, None]
    top = np.maximum.reduceat(w, first, axis=0)
    top[~np.isfinite(top)] = 0.0  # a bag without weight
    w -= np.repeat(top, sizes, axis=0)
    np.exp(w, out=w)
    sums, mass = np.add.reduceat(w, first, axis=0), np.add.reduceat(s, first)
    heard = np.where(sums > 0, sums, 1.0)
    w /= np.repeat(heard, sizes, axis=0)
    log_mean = top + np.log(heard) - np.log(np.where(mass > 0, mass, 1.0))[:, None]
    return _Part(index, s, sizes, y, np.repeat(y, sizes, axis=0), mass, log_p, p, w, log_mean)


def _of_positive(shares: Matrix, logs: Matrix) -> Vector:
    """Return <shares, logs> row by row, where a share of zero takes no part."""
    if math.isfinite(float(logs.min(initial=0.0))):
        return np.asarray(np.einsum("ik,ik->i", shares, logs))
    return np.asarray((shares * np.where(shares > 0, logs, 0.0)).sum(axis=1))

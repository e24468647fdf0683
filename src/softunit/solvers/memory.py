"""The last moves and what they did to the gradient, on top of an approximate inverse Hessian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from softunit._numeric import EPS, dot
from softunit._typing import Array

Inverse = Callable[[Array], Array]
"""R -> approximate H^-1 R, symmetric positive definite."""


@dataclass(frozen=True)
class Memory:
    """The last pairs of moves s and changes y of the gradient: limited-memory BFGS.

    Parameters
    ----------
    size : int
        Pairs kept.
    pairs : tuple of (s, y, s'y)
        Oldest first.

    Notes
    -----
    Source: J. Nocedal (1980), "Updating quasi-Newton matrices with limited storage".
    """

    size: int
    pairs: tuple[tuple[Array, Array, float], ...] = ()

    def with_pair(self, move: Array, change: Array) -> Self:
        """Return the memory with one pair more, if its curvature is positive."""
        curved = dot(move, change)
        if not curved > EPS * dot(change, change):
            return self
        return replace(self, pairs=(*self.pairs, (move, change, curved))[-self.size :])

    def inverse_product(
        self, gradient: Array, inverse: Inverse | None = None, *, rescale: bool = True
    ) -> Array:
        """Return the approximate inverse Hessian times a gradient: the two-loop recursion.

        Parameters
        ----------
        gradient : ndarray
        inverse : callable or None, default None
            What the pairs correct; None means the identity.
        rescale : bool, default True
            Whether `inverse` is first scaled to agree with the last pair.
        """
        q, done = gradient.copy(), []
        for move, change, curved in reversed(self.pairs):
            a = dot(move, q) / curved
            q -= a * change
            done.append(a)
        if inverse is not None:
            q = inverse(q)
        if self.pairs and rescale:
            _, change, curved = self.pairs[-1]
            image = change if inverse is None else inverse(change)
            q *= curved / dot(change, image)
        for (move, change, curved), a in zip(self.pairs, reversed(done), strict=True):
            q += (a - dot(change, q) / curved) * move
        return q

"""A point, and what one pass over the rows told about it."""

from __future__ import annotations

from dataclasses import dataclass

from softunit._typing import Array


@dataclass(frozen=True)
class Point:
    """A point with what one pass over the rows tells about it.

    Attributes
    ----------
    x : ndarray of shape (d,) or (d, K)
    value : float
        The objective, all penalties included.
    gradient : ndarray of the shape of x
        That of its smooth part.
    scores : ndarray of shape (n,) or (n, K), or None
        A x + offset, where the memory rule lets it be stored.
    exact : bool, default True
        Whether value and gradient were made afresh in float64; not so where scores were moved
        along a line, or the work was done in float32.
    share : float, default 1.0
        Share of the rows that value and gradient were taken over.
    coarse : bool, default False
        Whether the work was done in float32.
    """

    x: Array
    value: float
    gradient: Array
    scores: Array | None
    exact: bool = True
    share: float = 1.0
    coarse: bool = False

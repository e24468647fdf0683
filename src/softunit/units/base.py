"""What every unit offers: value, gradient and curvature in score space."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from softunit._typing import Array, Kind, Vector
from softunit.curvature import CentredDiagonal, Curvature, Diagonal
from softunit.units.recession import Recession
from softunit.units.theory import Theory

SOFTMAX_SECOND = 0.272167
"""|sum_k v_k Hess softmax_k| <= this * |v|: sqrt(2) / (3 sqrt(3)), rounded up."""


@dataclass(frozen=True)
class Bounds:
    """What is known of a unit's loss for every score: the facts a certificate rests on.

    Attributes
    ----------
    convex : bool
    lower : float
        The loss is nowhere smaller.
    lowest, highest : float
        Eigenvalues of the curvature lie in [lowest, highest] in score space.
    lipschitz : float
        |D^3[v, v, v]| <= lipschitz |v|^3 in score space; inf where none is known.
    concordance : float
        |D^3[u, u, v]| <= concordance * max_i |v_i| * D^2[u, u], with |v_i| the 2-norm of the
        scores of row i (quasi-self-concordance); inf where it does not hold.
    lowest_rows : ndarray of shape (n,) or None
        Where the curvature is a diagonal: its entries are at least these.
    """

    convex: bool
    lower: float = -math.inf
    lowest: float = -math.inf
    highest: float = math.inf
    lipschitz: float = math.inf
    concordance: float = math.inf
    lowest_rows: Vector | None = field(default=None, compare=False)


class Unit(ABC):
    """A loss of scores z and a target, summed over rows.

    Units know z, never A or x. All methods take row weights s of shape (n,), None meaning one.
    Subclasses are frozen dataclasses.
    """

    rowwise: ClassVar[bool]
    """Whether rows are independent: then they may be streamed in blocks and subsampled."""

    shift_invariant: ClassVar[bool] = False
    """Whether one constant added to all scores of a group changes nothing."""

    outcome: ClassVar[str] = "class"
    """What is told apart where a `recession` is known: "class", "alternative" or "level"."""

    relative: ClassVar[bool] = False
    """Whether a rowwise unit's objective is the sum over rows, its gradient measured relative to
    `gradient_terms`, as if rows coupled; else it is the mean, and its gradient as it is."""

    array_api: ClassVar[bool] = False
    """Whether scores may be arrays of other libraries, on a device; else they come as NumPy."""

    @abstractmethod
    def check(self, target: object, n: int) -> Array:
        """Return the target as an array fit for the other methods.

        Raises
        ------
        InputError
            If its shape does not match n rows or its entries make no sense for this unit.
        """

    def columns(self, target: Array) -> int | None:
        """Return the columns of scores that the target calls for; None means scores (n,)."""
        return None

    @abstractmethod
    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss."""

    def gradient(self, z: Array, target: Array, weights: Vector | None = None) -> Array:
        """Return the derivative of the loss by z, of the shape of z."""
        return self.value_gradient(z, target, weights)[1]

    @abstractmethod
    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, from one evaluation of the exponentials."""

    @abstractmethod
    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Curvature:
        """Return the second derivative by z as an object with products."""

    def conjugate(self, v: Array, target: Array, weights: Vector | None = None) -> float:
        """Return sup over z of <v, z> - value(z), inf where it is not finite, nan if not known.

        Duality gaps of convex units rest on it.

        Parameters
        ----------
        v : ndarray of the shape of the scores
        target : ndarray
        weights : ndarray of shape (n,) or None, default None
        """
        return math.nan

    def gradient_terms(self, start: Array, target: Array, weights: Vector | None = None) -> Vector:
        """Return sizes of the entries of the gradient that a tolerance is relative to, (n,).

        Parameters
        ----------
        start : ndarray of shape (n,)
            The scores at x = 0.
        target : ndarray
        weights : ndarray of shape (n,) or None, default None
        """
        return np.abs(self.gradient(start, target, weights))

    def projection(self, n: int) -> Curvature:
        """Return what takes out of n scores what the unit does not see: the identity if nothing.

        A constant, for one softmax over all rows; the metric of a problem's columns is measured
        after it.
        """
        if self.rowwise or not self.shift_invariant:
            return Diagonal(np.ones(n))
        return CentredDiagonal(np.ones(n), np.full(n, 1 / n))

    def residual_size(self, target: Array) -> float:
        """Return the size of the terms of a residual, in the 2-norm: its rounding goes by it."""
        return float(np.linalg.norm(target))

    def why_infinite(self, z: Array, target: Array) -> str:
        """Return a sentence, after a blank, on why the loss is not finite; "" for none."""
        return ""

    def recession(
        self, target: Array, columns: int, weights: Vector | None = None
    ) -> Recession | None:
        """Return along which directions of scores the loss never rises; None where not known.

        Rows of weight zero have no part in it. Where rows are independent, that of some rows is
        that of their targets and weights alone.

        Parameters
        ----------
        target : ndarray
        columns : int
            Columns of the scores, 1 for scores (n,).
        weights : ndarray of shape (n,) or None, default None
        """
        return None

    def theory(self, target: Array) -> Theory | None:
        """Return what the unit's paper asks of w and promises, where it is known."""
        return None

    @property
    def has_local_theory(self) -> bool:
        """Whether the papers' local theory is about problems like this: then `certify` tells it."""
        return not self.rowwise or self.relative

    def lipschitz_near(
        self, z: Array, target: Array, reach: float, weights: Vector | None = None
    ) -> float:
        """Return the `lipschitz` of `bounds` for scores within a distance of z; inf if unknown.

        Parameters
        ----------
        z : ndarray of shape (n,)
        target : ndarray
        reach : float
            Largest 2-norm of a change of z.
        weights : ndarray of shape (n,) or None, default None
        """
        return self.bounds(target, weights).lipschitz

    @abstractmethod
    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return what is known of the loss for every z."""

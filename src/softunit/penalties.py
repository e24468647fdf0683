"""What is added to the loss: in parameter space (`Ridge`) or in score space (`ScoreRidge`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from softunit._checks import check_vector
from softunit._typing import Array, Vector
from softunit.errors import InputError

__all__ = ["NoPenalty", "Penalty", "Ridge", "ScoreRidge"]


class Penalty(ABC):
    """A convex function added to the loss.

    `space` says of what: "parameter" of x, (d,) or (d, K); "score" of z, (n,) or (n, K). Every
    penalty here is quadratic, 1/2 sum_j q_j |v_j|^2 over the rows v_j of its argument, so its
    gradient is q * v and its Hessian diag(q).
    """

    space: ClassVar[str]

    @abstractmethod
    def diagonal(self, rows: int) -> Vector:
        """Return q, shape (rows,), all >= 0.

        Raises
        ------
        InputError
            If the penalty was given another number of entries.
        """

    def value(self, v: Array) -> float:
        """Return the penalty at v."""
        q = self.diagonal(len(v))
        return 0.5 * float(q @ (v * v if v.ndim == 1 else np.einsum("ij,ij->i", v, v)))

    def gradient(self, v: Array) -> Array:
        """Return the derivative at v, of its shape."""
        return np.asarray((self.diagonal(len(v)) * v.T).T)


@dataclass(frozen=True)
class NoPenalty(Penalty):
    """Zero."""

    space: ClassVar[str] = "parameter"

    def diagonal(self, rows: int) -> Vector:
        """Return zeros, shape (rows,)."""
        return np.zeros(rows)


@dataclass(frozen=True)
class Ridge(Penalty):
    """1/2 sum_j strength_j |x_j|^2 over the rows x_j of x.

    Parameters
    ----------
    strength : float or array_like of shape (d,)
        One number for all columns of the design, or one each; zero leaves a column free.

    Notes
    -----
    The loss of `Multinomial` is a mean, so scikit-learn's C with n unit weights is
    strength = 1 / (C n). Losses of the regression units are sums.
    """

    strength: float | Vector
    space: ClassVar[str] = "parameter"

    def __post_init__(self) -> None:
        values = _numbers("strength", self.strength)
        if values.ndim > 1 or not np.isfinite(values).all() or (values < 0).any():
            raise InputError(
                "`strength` must be a finite number >= 0, or one such number for each column; got"
                f" {self.strength!r}."
            )

    def diagonal(self, rows: int) -> Vector:
        """Return the strength of each row of x, shape (rows,)."""
        return _spread("`strength`", self.strength, rows, "the columns of A")


@dataclass(frozen=True)
class ScoreRidge(Penalty):
    """1/2 sum_i (w_i z_i)^2: the papers' regulariser 1/2 |diag(w) A x|^2.

    Parameters
    ----------
    weights : float or array_like of shape (n,)
        w; one number for all rows, or one each.

    Notes
    -----
    Source: arXiv 2304.10411. It is summed over rows, never averaged.
    """

    weights: float | Vector
    space: ClassVar[str] = "score"

    def __post_init__(self) -> None:
        values = _numbers("weights", self.weights)
        if values.ndim > 1 or not np.isfinite(values).all():
            raise InputError(
                f"`weights` must be a finite number, or one for each row; got {self.weights!r}."
            )

    def diagonal(self, rows: int) -> Vector:
        """Return w^2 for each row of A, shape (rows,)."""
        return _spread("`weights`", self.weights, rows, "the rows of A") ** 2


def as_penalties(penalty: Penalty | Sequence[Penalty]) -> tuple[Penalty, ...]:
    """Return one penalty or several as a tuple.

    Raises
    ------
    InputError
        If something else is among them.
    """
    found = tuple(penalty) if isinstance(penalty, Sequence) else (penalty,)
    for one in found:
        if not isinstance(one, Penalty):
            raise InputError(f"`penalty` must be a softunit penalty, or several; got {one!r}.")
    return found


def total_diagonal(penalties: Sequence[Penalty], space: str, rows: int) -> Vector:
    """Return the sum of the diagonals of the penalties of one space, shape (rows,)."""
    total = np.zeros(rows)
    for penalty in penalties:
        if penalty.space == space:
            total = total + penalty.diagonal(rows)
    return total


def _numbers(name: str, value: object) -> Array:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{name}` must hold numbers; got {value!r}.") from error


def _spread(name: str, value: float | Vector, rows: int, what: str) -> Vector:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return np.full(rows, float(array))
    return check_vector(f"{name} (one for each of {what})", array, rows, rows="the design")

"""What is added to the loss: in parameter space (`Ridge`, `ElasticNet`) or score space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from softunit._checks import check_positive, check_vector
from softunit._typing import Array, Vector
from softunit.errors import InputError

__all__ = ["ElasticNet", "Lasso", "NoPenalty", "Penalty", "Ridge", "ScoreRidge"]


class Penalty(ABC):
    """A convex function added to the loss.

    `space` says of what: "parameter" of x, (d,) or (d, K); "score" of z, (n,) or (n, K). Every
    penalty here has a quadratic part, 1/2 sum_j q_j |v_j|^2 over the rows v_j of its argument,
    whose gradient is q * v and whose Hessian is diag(q). `ElasticNet` has a `Lasso` beside it.
    """

    space: ClassVar[str]

    def lasso(self, shape: tuple[int, ...]) -> Lasso | None:
        """Return the part that is not smooth, for x of a shape; None where there is none.

        Raises
        ------
        InputError
            If the penalty was given another number of entries.
        """
        return None

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


@dataclass(frozen=True, eq=False)
class Lasso:
    """sum_jk s_jk |x_jk|, or sum_j s_j |x_j| with the 2-norms of the rows x_j of x.

    Parameters
    ----------
    strength : ndarray of shape (d,), (d, 1) or (d, K)
        s, with as many axes as x; zero leaves an entry free.
    group : bool
        Whether it is on rows.
    """

    strength: Array
    group: bool

    def value(self, x: Array) -> float:
        """Return the penalty at x."""
        return float((self.strength * self.sizes(x)).sum())

    def sizes(self, x: Array) -> Array:
        """Return the absolute values of the entries; in groups the norms of the rows, (d, 1)."""
        if not self.group:
            return np.abs(x)
        return np.asarray(np.linalg.norm(x, axis=1, keepdims=True))

    def direction(self, x: Array) -> Array:
        """Return the derivative by x where x is not zero, and zero where it is."""
        if not self.group:
            return np.asarray(self.strength * np.sign(x))
        sizes = self.sizes(x)
        return np.asarray(self.strength * x / np.where(sizes > 0, sizes, 1.0))

    def second(self, x: Array) -> Callable[[Array], Array]:
        """Return V -> (second derivative at x) V: zero on entries, and on rows that are zero."""
        if not self.group:
            return np.zeros_like
        sizes = self.sizes(x)
        kept = np.where(sizes > 0, self.strength / np.where(sizes > 0, sizes, 1.0), 0.0)
        unit = x / np.where(sizes > 0, sizes, 1.0)
        return lambda v: np.asarray(kept * (v - unit * (unit * v).sum(axis=1, keepdims=True)))

    def at(self, rows: Array) -> Self:
        """Return the penalty on some rows of x."""
        return replace(self, strength=self.strength[rows])

    def proximal(self, v: Array, step: Array | float = 1.0) -> Array:
        """Return the minimiser of 1/2 |x - v|^2 / step + penalty(x), of the shape of v.

        Parameters
        ----------
        v : ndarray of the shape of x
        step : float or ndarray, default 1.0
            One number, one for each entry, or in groups one for each row, (d, 1).
        """
        threshold = step * self.strength
        if not self.group:
            return np.asarray(np.sign(v) * np.maximum(np.abs(v) - threshold, 0.0))
        sizes = self.sizes(v)
        return np.asarray(v * np.maximum(1.0 - threshold / np.where(sizes > 0, sizes, 1.0), 0.0))

    def least_subgradient(self, x: Array, gradient: Array) -> Array:
        """Return the subgradient of F + penalty of least norm: zero at the optimum only.

        Parameters
        ----------
        x : ndarray
        gradient : ndarray of the shape of x
            That of F.
        """
        return np.where(self.sizes(x) > 0, gradient + self.direction(x), self.proximal(gradient))

    def scaled(self, strength: Array) -> Self:
        """Return the same with other strengths."""
        return replace(self, strength=strength)


@dataclass(frozen=True, eq=False)
class ElasticNet(Penalty):
    """l1 and ridge together, over the rows x_j of x (d,) or (d, K).

    ::

        sum_j strength_j * (l1_ratio * |x_j|_1 + (1 - l1_ratio) / 2 * |x_j|^2)

    Parameters
    ----------
    strength : float or array_like of shape (d,) or (d, K)
        One number, or one for each column of the design; for l1 alone also one for each entry of
        x. Zero leaves a column free, as an intercept should be.
    l1_ratio : float, default 1.0
        Share of the l1 part, 0 to 1.
    group : bool, default False
        Whether to take the 2-norm |x_j| in place of |x_j|_1: a column of the design is then kept
        or dropped for all classes at once (group lasso).

    Raises
    ------
    InputError
        If a strength is negative or not finite, the ratio is not in 0 to 1, or there is one
        strength for each entry where rows are penalised as a whole.

    Notes
    -----
    Source: H. Zou, T. Hastie (2005), "Regularization and variable selection via the elastic net";
    in groups: N. Simon, J. Friedman, T. Hastie, arXiv 1311.6529. It asks for
    `solvers.ProximalNewton`, which "auto" takes; docs/maths/elastic-net.
    """

    strength: float | Array
    l1_ratio: float = 1.0
    group: bool = False
    space: ClassVar[str] = "parameter"

    def __post_init__(self) -> None:
        values = _numbers("strength", self.strength)
        if values.ndim > 2 or not np.isfinite(values).all() or (values < 0).any():
            raise InputError(
                "`strength` must be a finite number >= 0, one such number for each column, or one"
                f" for each entry of x; got {self.strength!r}."
            )
        if check_positive("l1_ratio", self.l1_ratio, zero=True) > 1:
            raise InputError(f"`l1_ratio` must be at most 1; got {self.l1_ratio!r}.")
        if values.ndim == 2 and (self.group or self.l1_ratio < 1):
            raise InputError(
                f"`strength` has shape {values.shape}, one for each entry of x, which goes with"
                f" l1_ratio=1 and group=False only; got l1_ratio={self.l1_ratio!r} and"
                f" group={self.group!r}. Give one for each column."
            )

    def value(self, v: Array) -> float:
        """Return the penalty at v."""
        lasso = self.lasso(v.shape)
        return super().value(v) + (0.0 if lasso is None else lasso.value(v))

    def gradient(self, v: Array) -> Array:
        """Return the derivative at v, of its shape; zero for the l1 part of what is zero."""
        lasso = self.lasso(v.shape)
        return super().gradient(v) + (0.0 if lasso is None else lasso.direction(v))

    def diagonal(self, rows: int) -> Vector:
        """Return the ridge on each row of x, shape (rows,)."""
        if self.l1_ratio == 1:
            return np.zeros(rows)
        each = _spread("`strength`", self.strength, rows, "the columns of A")
        return np.asarray((1 - self.l1_ratio) * each)

    def lasso(self, shape: tuple[int, ...]) -> Lasso | None:
        """Return the l1 part for x of a shape; None where its strengths are all zero.

        Raises
        ------
        InputError
            If the strengths do not fit the shape.
        """
        strength = self.l1_ratio * _numbers("strength", self.strength)
        if strength.ndim == 2 and strength.shape != shape:
            raise InputError(
                f"`strength` has shape {strength.shape}, but x has shape {shape}: give one for"
                " each column of A, or one for each entry of x."
            )
        if strength.ndim < 2:
            strength = _spread("`strength`", strength, shape[0], "the columns of A")
            strength = strength.reshape(shape[0], *(1 for _ in shape[1:]))
        return Lasso(strength, self.group and len(shape) == 2) if strength.any() else None


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
    """Return the diagonals of one space added up, (rows,); without any, one zero seen as many."""
    total: Vector = np.broadcast_to(0.0, rows)
    for penalty in penalties:
        if penalty.space == space:
            total = total + penalty.diagonal(rows)
    return total if space == "score" else np.array(total)


def total_lasso(penalties: Sequence[Penalty], shape: tuple[int, ...]) -> Lasso | None:
    """Return the sum of the parts that are not smooth, or None where there is none.

    Raises
    ------
    InputError
        If some are on entries of x and others on its rows.
    """
    parts = [part for part in (one.lasso(shape) for one in penalties) if part is not None]
    if not parts:
        return None
    if len({part.group for part in parts}) > 1:
        raise InputError(
            "one elastic net is on the entries of x (group=False) and another on its rows"
            " (group=True): both at once are not offered. Take one kind."
        )
    return Lasso(np.asarray(sum(part.strength for part in parts)), parts[0].group)


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

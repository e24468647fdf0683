"""Rowwise softmax under log loss: multinomial logistic regression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from softunit._array_api import matching
from softunit._checks import check_count, check_shares
from softunit._numeric import minus_entropy, softplus
from softunit._row_array import as_array
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.curvature import Curvature, Diagonal, RowSoftmax
from softunit.errors import InputError
from softunit.units import _softmax_arrays as arrays
from softunit.units.base import Bounds, Unit
from softunit.units.recession import Recession


@dataclass(frozen=True)
class Multinomial(Unit):
    """Log loss of a softmax in every row.

    With P = rowwise softmax(z) and Y the target as shares (n, K), s the row weights::

        value     = sum_i s_i [ log sum_k exp(z_ik) - sum_k Y_ik z_ik ]
        gradient  = s * (P - Y)
        curvature = s_i (diag(p_i) - p_i p_i') in row i

    Scores of shape (n,) mean two classes with the first score held at zero: then P is the
    logistic function of z. Otherwise scores have one column for each class, and adding a constant
    to a row changes nothing.

    Parameters
    ----------
    n_classes : int or None, default None
        K; None takes it from the target: its largest label plus one, or its columns.
    symmetric : bool, default False
        Whether two classes get two columns of scores in a `Problem`, like more classes do.

    Notes
    -----
    Derivations: docs/maths/multinomial. The bound on the curvature is from D. Boehning (1992),
    "Multinomial logistic regression algorithm".
    """

    n_classes: int | None = None
    symmetric: bool = False
    rowwise: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    array_api: ClassVar[bool] = True

    def check(self, target: object, n: int) -> Array:
        """Return labels as int64 (n,) with entries 0 to K - 1, or shares as float64 (n, K).

        Raises
        ------
        InputError
            If the shape does not match, a label is negative, not whole or beyond `n_classes`, or
            shares are negative or do not sum to one.
        """
        array = as_array(target)
        if array.ndim == 2:
            shares = check_shares(array, n)
            if self.n_classes is not None and shares.shape[1] != self.n_classes:
                raise InputError(
                    f"shares have {shares.shape[1]} columns, but `n_classes` is {self.n_classes}."
                )
            return shares
        return self._check_labels(array, n)

    def _check_labels(self, labels: Array, n: int) -> Array:
        if labels.shape != (n,):
            raise InputError(
                f"labels have shape {labels.shape}, but A has {n} rows: they must be ({n},)."
            )
        if labels.dtype.kind not in "iub":
            raise InputError(
                f"labels must be whole numbers 0 to K - 1; got dtype {labels.dtype}. Use"
                " SoftmaxClassifier for labels of any type, or an (n, K) array of shares."
            )
        low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
        top = None if self.n_classes is None else check_count("n_classes", self.n_classes, least=2)
        if low < 0 or (top is not None and high >= top):
            allowed = "0 to K - 1" if top is None else f"0 to {top - 1}"
            raise InputError(f"labels must lie in {allowed}; got {low if low < 0 else high}.")
        if top is None and high == 0:
            raise InputError("one class only: all labels are 0. Give `n_classes` or more data.")
        # Small codes stay small: there may be very many.
        small = labels.dtype.kind == "u" and labels.dtype.itemsize < 8
        return labels if small or labels.dtype.kind == "i" else labels.astype(np.int64)

    def columns(self, target: Array) -> int | None:
        """Return K, or None for two classes, which need one score unless `symmetric`."""
        if self.n_classes is not None:
            k = self.n_classes
        else:
            k = target.shape[1] if target.ndim == 2 else int(target.max()) + 1
        return None if k == 2 and not self.symmetric else k

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the weighted sum of log losses for scores (n,) or (n, K)."""
        if not isinstance(z, np.ndarray):
            return arrays.value(z, target, weights)
        if z.ndim == 1:
            return _total(softplus(z) - _second(target) * z, weights)
        shifted = z - z.max(axis=1)[:, None]
        own = _own_scores(shifted, target)
        np.exp(shifted, out=shifted)
        return _total(np.log(shifted.sum(axis=1)) - own, weights)

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and s * (P - Y), of the shape of z."""
        if not isinstance(z, np.ndarray):
            return arrays.value_gradient(z, target, weights)
        if z.ndim == 1:
            return _two_classes(z, _second(target), weights)
        p = z - z.max(axis=1)[:, None]
        own = _own_scores(p, target)
        np.exp(p, out=p)
        sums = p.sum(axis=1)
        value = _total(np.log(sums) - own, weights)
        # One pass divides by the sums and multiplies by the weights.
        each = 1.0 / sums if weights is None else weights / sums
        p *= each.astype(p.dtype, copy=False)[:, None]
        if target.ndim == 2:
            p -= target if weights is None else weights[:, None] * target
        else:
            p[np.arange(len(p)), target] -= 1.0 if weights is None else weights
        return value, p

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Curvature:
        """Return the Hessian by z; both kinds are the same for this loss."""
        if not isinstance(z, np.ndarray):
            weights = matching(weights, z)
            if z.ndim == 1:
                w = arrays.logistic(z) * arrays.logistic(-z)
                return Diagonal(w if weights is None else weights * w)
            return RowSoftmax(arrays.probabilities(z), weights)
        if z.ndim == 1:
            w = expit(z) * expit(-z)
            return Diagonal(w if weights is None else weights * w)
        return RowSoftmax(self.probabilities(z), weights)

    def recession(self, target: Array, columns: int, weights: Vector | None = None) -> Recession:
        """Return z_y - z_k >= 0 for the observed class y and each other k, = 0 where k has a share.

        Source: A. Albert and J. A. Anderson (1984), "On the existence of maximum likelihood
        estimates in logistic regression models", section 2; for shares docs/maths/separation.
        """
        k = max(columns, 2)
        rows = np.arange(len(target)) if weights is None else np.flatnonzero(weights > 0)
        own = (target.argmax(axis=1) if target.ndim == 2 else target)[rows].astype(np.int64)
        others = (own[:, None] + np.arange(1, k)) % k
        equal = np.zeros(others.shape, dtype=bool)
        if target.ndim == 2:
            equal = target[rows[:, None], others] > 0
        sides = np.stack([np.repeat(own, k - 1), others.ravel()])
        start = np.repeat(rows, k - 1)
        if columns == 1:  # the first of two classes has score zero
            plus, minus = (np.where(side == 1, start, -1) for side in sides)
        else:
            plus, minus = (start * k + side for side in sides)
        return Recession.of_pairs(plus, minus, len(target) * columns, equal.ravel(), sides)

    def conjugate(self, v: Array, target: Array, weights: Vector | None = None) -> float:
        """Return sum_i s_i <q_i, log q_i> with v = s * (q - Y); inf where a q_i is negative.

        For scores (n, K), v sums to zero in each row, as gradients do.
        """
        s = np.ones(len(v)) if weights is None else weights
        if v.ndim == 1:
            second = s * _second(target) + v
            return float(minus_entropy(np.stack([s - second, second], axis=1), s).sum())
        shares = v.copy()
        if target.ndim == 2:
            shares += s[:, None] * target
        else:
            shares[np.arange(len(v)), target] += s
        return float(minus_entropy(shares, s).sum())

    @staticmethod
    def probabilities(z: Array) -> Matrix:
        """Return P, shape (n, K), for scores (n, K) or for two classes (n,), of the kind of z."""
        if not isinstance(z, np.ndarray):
            return arrays.probabilities(z)
        if z.ndim == 1:
            return np.stack([expit(-z), expit(z)], axis=1)
        p = z - z.max(axis=1)[:, None]
        np.exp(p, out=p)
        p *= (1.0 / p.sum(axis=1))[:, None]
        return np.asarray(p)

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return: convex, nonnegative, curvature at most s/2 (s/4 for one score).

        The range of a row is at most sqrt(2) times its norm, hence the concordance.
        """
        one_score = self.columns(target) is None
        heaviest = 1.0 if weights is None else float(weights.max())
        return Bounds(
            convex=True,
            lower=0.0,
            lowest=0.0,
            highest=heaviest * (0.25 if one_score else 0.5),
            concordance=1.0 if one_score else math.sqrt(2.0),
        )


def _two_classes(z: Vector, y: Vector, weights: Vector | None) -> tuple[float, Vector]:
    """Return the loss and its derivative for one column of scores, from one exponential."""
    small = np.exp(-np.abs(z))
    value = _total(np.maximum(z, 0.0) + np.log1p(small) - y * z, weights)
    gradient = np.where(z >= 0, 1.0, small) / (1.0 + small)
    gradient -= y
    if weights is not None:
        gradient *= weights
    return value, gradient


def _second(target: Array) -> Vector:
    """Return the share of the second class, (n,), from labels 0/1 or shares (n, 2)."""
    return np.asarray(target[:, 1] if target.ndim == 2 else target, dtype=np.float64)


def _own_scores(z: Matrix, target: Array) -> Vector:
    """Return sum_k Y_ik z_ik, shape (n,)."""
    if target.ndim == 2:
        return np.asarray(np.einsum("ik,ik->i", target, z))
    return np.asarray(z[np.arange(len(z)), target])


def _total(losses: Vector, weights: Vector | None) -> float:
    return float(losses.sum(dtype=np.float64) if weights is None else weights @ losses)

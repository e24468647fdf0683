"""Regressions to run, planted from a seed: the target is drawn from a known x, exact or noisy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._typing import Matrix, Vector
from softunit.bench.generators import rotated_columns
from softunit.bench.regression.objectives import (
    CURVES,
    CurveLoss,
    LeverageLoss,
    Loss,
    SoftmaxLoss,
    TwoLayerLoss,
)

OUTPUTS = 3
"""Rows of C over columns of A, in two-layer tables."""

SPREAD = {"softmax": 1.5, "exp": 1.0, "cosh": 1.2, "sinh": 1.0, "two-layer": 1.5}
"""Standard deviation of the planted scores."""

NOISE = {"softmax": 0.3, "exp": 0.1, "cosh": 0.1, "sinh": 0.1, "two-layer": 0.05, "leverage": 0.01}
"""Of noisy tables: on the log of the target, on its part of 1 + |b|, or on the logit of sigma."""


@dataclass(frozen=True)
class Planted:
    """A table: the loss, what our estimator takes of it, the planted x, and the start.

    Attributes
    ----------
    A : ndarray of shape (n, d)
    loss : Loss
    target : dict
    x, start : ndarray of shape (d,)
    """

    A: Matrix
    loss: Loss
    target: dict[str, Any]
    x: Vector
    start: Vector


def planted(
    family: str, shape: tuple[int, int], condition: float, *, noisy: bool, seed: int
) -> Planted:
    """Return a table of n rows of rotated Gaussian columns, and a target drawn from a known x.

    Parameters
    ----------
    family : {"softmax", "exp", "cosh", "sinh", "two-layer", "leverage"}
    shape : tuple of int
        n and d.
    condition : float
        Of A'A.
    noisy : bool
        Whether the target is moved off what any x gives.
    seed : int
    """
    rng = np.random.default_rng(seed)
    A = rotated_columns(*shape, condition, rng)
    x = rng.standard_normal(shape[1])
    noise = NOISE[family] if noisy else 0.0
    if family == "leverage":
        return _leverage(A, x, noise, rng)
    x *= SPREAD[family] / (A @ x).std()
    if family == "two-layer":
        return _two_layer(A, x, noise, rng)
    z = A @ x
    eps = noise * rng.standard_normal(len(A))
    zero = np.zeros(len(x))
    if family == "softmax":
        e = np.exp(z + eps - z.max())
        b = e / e.sum()
        return Planted(A, SoftmaxLoss(b), {"b": b}, x, zero)
    b = CURVES[family][0](z)
    b = b * np.exp(eps) if family == "exp" else b + eps * (1 + np.abs(b))
    # cosh is flat at zero: its start is on the planted side.
    return Planted(A, CurveLoss(family, b), {"b": b}, x, 0.5 * x if family == "cosh" else zero)


def _two_layer(A: Matrix, x: Vector, noise: float, rng: np.random.Generator) -> Planted:
    """Return C with entries such that C softmax(A x) is of size one, tanh of it the target."""
    n, d = A.shape
    z = A @ x
    f = np.exp(z - z.max())
    f /= f.sum()
    C = rng.standard_normal((OUTPUTS * d, n)) / np.linalg.norm(f)
    b = np.tanh(C @ f) + noise * rng.standard_normal(len(C))
    return Planted(A, TwoLayerLoss(C, b), {"b": b, "C": C}, x, np.zeros(d))


def _leverage(A: Matrix, x: Vector, noise: float, rng: np.random.Generator) -> Planted:
    """Return scores of an interior point, s > 0, and a start that keeps these signs."""
    x *= 0.4 / np.abs(A @ x).max()
    s = rng.uniform(0.5, 1.5, len(A))
    b = A @ x - s
    q = np.linalg.qr(A / s[:, None])[0]
    sigma = np.einsum("ij,ij->i", q, q)
    odds = sigma / (1 - sigma) * np.exp(noise * rng.standard_normal(len(A)))
    sigma = odds / (1 + odds)
    away = rng.standard_normal(len(x))
    start = x + away * (0.2 / np.abs(A @ away).max())
    return Planted(A, LeverageLoss(A, b, sigma), {"b": b, "sigma": sigma}, x, start)

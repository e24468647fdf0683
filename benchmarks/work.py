"""The work: tables of known size and condition, and the judge of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_digits

REACHED = 1e-6
"""Largest entry of the gradient of the mean objective at which an answer counts."""


@dataclass(frozen=True)
class Work:
    """A table, and the C to fit it with."""

    name: str
    X: np.ndarray
    y: np.ndarray
    C: float
    condition: float | None  # of the columns drawn; None where nobody chose it


def digits(C: float) -> Work:
    """Return scikit-learn's handwritten digits, as they come."""
    X, y = load_digits(return_X_y=True)
    return Work("digits", X, y, C, None)


def drawn(n: int, d: int, k: int, C: float, condition: float) -> Work:
    """Return n rows of d Gaussian columns with sizes from 1 down to 1/condition, k classes."""
    rng = np.random.default_rng([n, d, k])
    X = rng.normal(size=(n, d))
    mixed, _ = np.linalg.qr(rng.normal(size=(d, d)))
    W = rng.normal(size=(d, k)) / np.sqrt(d)
    probabilities = softmax(2 * X @ W, axis=1)
    y = (probabilities.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, k - 1)
    X = (X * np.geomspace(1, 1 / condition, d)) @ mixed
    return Work(f"drawn {n} x {d}", X, y, C, condition)


def all_work(*, quick: bool) -> Iterator[Work]:
    """Yield the work of a whole run, or of a quick one."""
    yield digits(1.0)
    if quick:
        yield drawn(2_000, 20, 3, 1.0, 10.0)
        return
    yield digits(100.0)
    yield drawn(20_000, 20, 2, 1.0, 1.0)
    yield drawn(20_000, 50, 5, 1.0, 100.0)
    yield drawn(5_000, 200, 10, 1.0, 10.0)
    yield drawn(100_000, 30, 4, 1e3, 1e3)


def judged(work: Work, coef: np.ndarray, intercept: np.ndarray) -> tuple[float, float]:
    """Return mean objective and largest entry of its gradient, in float64, from the definition."""
    W = np.asarray(coef, dtype=np.float64)
    Z = work.X @ W.T + intercept
    if len(W) == 1:
        Z = np.column_stack([np.zeros(len(Z)), Z])
    n, rows = len(Z), np.arange(len(Z))
    codes = np.searchsorted(np.unique(work.y), work.y)
    ridge = 1.0 / (work.C * n)
    value = float((logsumexp(Z, axis=1) - Z[rows, codes]).mean() + 0.5 * ridge * (W**2).sum())
    G = softmax(Z, axis=1)
    G[rows, codes] -= 1.0
    G = G[:, 1:] if len(W) == 1 else G
    gradient = np.column_stack([G.T @ work.X / n + ridge * W, G.mean(axis=0)])
    return value, float(np.abs(gradient).max())


def one_gradient(work: Work) -> float:
    """Return the seconds of one gradient by the plainest code, the best of five."""
    k = len(np.unique(work.y))
    W, b = np.zeros((1 if k == 2 else k, work.X.shape[1])), np.zeros(1 if k == 2 else k)
    seconds = []
    for _ in range(5):
        begin = perf_counter()
        judged(work, W, b)
        seconds.append(perf_counter() - begin)
    return min(seconds)

"""The judge of an answer: value and gradient in float64, from the definition, by plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from softunit._typing import Array, Matrix, Vector

BAR = 1e-6
"""Largest entry of the gradient of the mean objective at which an answer counts."""

_ROWS = 4096  # of a block: its scores stay in the cache


class AnyTask(Protocol):
    """What a peer is given, as the harness sees it: something to judge answers by."""

    @property
    def bar(self) -> float:
        """What an answer's gradient must come down to."""

    @property
    def threads(self) -> int:
        """What a peer is told to use."""

    @property
    def nbytes(self) -> int:
        """Bytes of the design."""

    def judged(self, W: Array, b: Array) -> tuple[float, float]:
        """Return value and size of the gradient of an answer."""

    def one_gradient(self) -> None:
        """Compute one value and gradient by plain numpy: the unit in which costs are counted."""


@dataclass(frozen=True)
class Task:
    """What a peer is given.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    y : ndarray of shape (n,)
        Classes 0 to k - 1.
    k : int
    ridge : float
        Of the mean objective: mean log loss + ridge/2 |W|^2.
    intercept : bool
        Whether scores have an unpenalised intercept.
    threads : int
    """

    X: Any
    y: Array
    k: int
    ridge: float
    intercept: bool
    threads: int = 1

    @property
    def n(self) -> int:
        """Rows."""
        return int(self.X.shape[0])

    @property
    def d(self) -> int:
        """Columns of the design."""
        return int(self.X.shape[1])

    @property
    def columns(self) -> int:
        """Columns of the scores: one for two classes, else one for each class."""
        return 1 if self.k == 2 else self.k

    @property
    def inverse_ridge(self) -> float:
        """The same ridge in scikit-learn's terms: C = 1 / (ridge n)."""
        return 1.0 / (self.ridge * self.n) if self.ridge > 0 else np.inf

    @property
    def is_sparse(self) -> bool:
        """Whether the design is a sparse matrix."""
        return bool(sparse.issparse(self.X))

    @property
    def bar(self) -> float:
        """The largest entry of the gradient at which an answer counts."""
        return BAR

    @property
    def nbytes(self) -> int:
        """Bytes of the design."""
        parts = (self.X.data, self.X.indices, self.X.indptr) if self.is_sparse else (self.X,)
        return sum(int(part.nbytes) for part in parts)

    def judged(self, W: Array, b: Array) -> tuple[float, float]:
        """Return the mean objective and the largest entry of its gradient, as `judged` does."""
        return judged(self, W, b)

    def one_gradient(self) -> None:
        """Compute one value and gradient at zero."""
        gradient_of(self, np.zeros((self.d, self.columns)), np.zeros(self.columns))


def gradient_of(task: Task, W: Array, b: Array) -> tuple[float, Matrix, Vector]:
    """Return the mean objective, its gradient in W (d, columns) and in the intercepts (columns,).

    Rows go through in blocks, all arithmetic is in float64.

    Parameters
    ----------
    task : Task
    W : ndarray of shape (d, columns)
    b : ndarray of shape (columns,)
        Zeros where the task has no intercept.
    """
    W, b = np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64)
    loss, G, g = 0.0, np.zeros_like(W), np.zeros_like(b)
    step = 16 * _ROWS if task.is_sparse else _ROWS
    for start in range(0, task.n, step):
        X, y = task.X[start : start + step], task.y[start : start + step]
        X = X if X.dtype == np.float64 else X.astype(np.float64)
        Z = X @ W + b
        if task.columns == 1:
            Z = np.column_stack([np.zeros(len(Z)), Z])
        rows = np.arange(len(y))
        Z -= Z.max(axis=1, keepdims=True)
        own = Z[rows, y].sum()
        np.exp(Z, out=Z)
        sums = Z.sum(axis=1, keepdims=True)
        loss += float(np.log(sums).sum() - own)
        Z /= sums
        Z[rows, y] -= 1.0
        Z = Z[:, 1:] if task.columns == 1 else Z
        G += X.T @ Z
        g += Z.sum(axis=0)
    value = loss / task.n + 0.5 * task.ridge * float((W * W).sum())
    return value, G / task.n + task.ridge * W, g / task.n


def judged(task: Task, W: Array, b: Array) -> tuple[float, float]:
    """Return the mean objective and the largest entry of its gradient.

    A point of the wrong shape, or that is not finite, has a gradient of infinity.

    Parameters
    ----------
    task : Task
    W : ndarray of shape (d, columns)
    b : ndarray of shape (columns,)
    """
    right = np.shape(W) == (task.d, task.columns) and np.shape(b) == (task.columns,)
    # Without an intercept in the problem, one in the answer is another problem's.
    if not right or not (np.isfinite(W).all() and np.isfinite(b).all()):
        return np.inf, np.inf
    if not task.intercept and np.any(b):
        return np.inf, np.inf
    with np.errstate(all="ignore"):
        value, G, g = gradient_of(task, W, b)
    entries = np.abs(G).max(initial=0.0)
    largest = float(max(entries, np.abs(g).max())) if task.intercept else float(entries)
    return value, largest if np.isfinite(largest) else np.inf


def gradient_seconds(task: AnyTask, repeats: int = 5) -> float:
    """Return the time of one value and gradient by plain numpy, the best of several.

    This is the unit in which a gradient-equivalent is counted.

    Parameters
    ----------
    task : AnyTask
    repeats : int, default 5
        Fewer where one takes more than half a second.
    """
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < 2.0:
        begin = perf_counter()
        task.one_gradient()
        seconds.append(perf_counter() - begin)
    return min(seconds)

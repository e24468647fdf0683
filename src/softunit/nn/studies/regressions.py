"""Linear regressions in context: the tasks, and what heads and gradient steps make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention import attend

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Regressions:
    """Tasks y_i = <b, x_i> + noise with x_i from N(0, I) and b from N(0, I / d), a new b each.

    A task is `length` tokens (x_i, y_i) and a query x whose y is to be predicted.

    Parameters
    ----------
    dimension : int, default 5
        d.
    length : int, default 40
        Tokens of a task, L.
    noise : float, default 0.1
        Variance of the noise; the query's answer has it too.

    Raises
    ------
    InputError
        If a size is below one, or the noise below zero.
    """

    dimension: int = 5
    length: int = 40
    noise: float = 0.1

    def __post_init__(self) -> None:
        for name in ("dimension", "length"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1; got {getattr(self, name)!r}.")
        if not self.noise >= 0.0:
            raise InputError(f"`noise` is a variance and must be >= 0; got {self.noise!r}.")

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (count, 1, L, d + 1), queries (count, d) and answers (count,)."""
        d, rows = self.dimension, self.length + 1
        x = torch.randn(count, rows, d, generator=generator)
        truth = torch.randn(count, d, 1, generator=generator) / math.sqrt(d)
        y = x @ truth + math.sqrt(self.noise) * torch.randn(count, rows, 1, generator=generator)
        return torch.cat((x, y), -1)[:, None, :-1], x[:, -1], y[:, -1, 0]

    def sample(self, count: int, seed: int = 0) -> tuple[Array, Array, Array]:
        """Return tokens (count, L, d + 1), queries (count, d) and answers (count,) as arrays.

        Parameters
        ----------
        count : int
            Tasks.
        seed : int, default 0
        """
        tokens, queries, answers = self.draw(count, torch.Generator().manual_seed(seed))
        parts = (tokens[:, 0], queries, answers)
        tokens_, queries_, answers_ = (np.asarray(part.numpy(), dtype=float) for part in parts)
        return tokens_, queries_, answers_


def ridge_risk(tasks: Regressions, count: int = 20_000, seed: int = 0) -> float:
    """Return the mean squared error of the posterior mean, the least that any model can have.

    Parameters
    ----------
    tasks : Regressions
    count : int, default 20_000
    seed : int, default 0
        As in `risk`: the same tasks.
    """
    generator, d, total = torch.Generator().manual_seed(seed), tasks.dimension, 0.0
    for size in pieces(count):
        tokens, queries, answers = tasks.draw(size, generator)
        x, y = tokens[:, 0, :, :d].double(), tokens[:, 0, :, d:].double()
        gram = x.mT @ x + tasks.noise * d * torch.eye(d, dtype=torch.float64)
        found = queries.double()[:, None] @ torch.linalg.solve(gram, x.mT @ y)
        total += float((found[:, 0, 0] - answers).square().sum())
    return total / count


def head(weight: float, x: Array, y: Array, queries: Array) -> Array:
    """Return h(w) = sum_i p_i y_i with p = softmax(w <x_i, x>), one softmax head, (t,).

    Parameters
    ----------
    weight : float
        w.
    x : ndarray of shape (t, L, d)
    y : ndarray of shape (t, L)
    queries : ndarray of shape (t, d)
    """
    q, k, v = (torch.as_tensor(np.asarray(part, dtype=float)) for part in (queries, x, y))
    mixed = attend(weight * q[:, None, None], k[:, None], v[:, None, :, None], scale=1.0)
    return np.asarray(mixed[:, 0, 0, 0].numpy(), dtype=float)


def debiased_step(x: Array, y: Array, queries: Array) -> Array:
    """Return (1/L) sum_i (y_i - mean y) <x_i, x>, the debiased gradient step of rate one, (t,).

    Parameters
    ----------
    x : ndarray of shape (t, L, d)
    y : ndarray of shape (t, L)
    queries : ndarray of shape (t, d)
    """
    centred = y - y.mean(axis=1, keepdims=True)
    return np.asarray(np.einsum("tl,tld,td->t", centred, x, queries) / y.shape[1])


def pieces(count: int) -> list[int]:
    """Return sizes of at most 2,000 that sum to count."""
    return [min(2000, count - start) for start in range(0, count, 2000)]

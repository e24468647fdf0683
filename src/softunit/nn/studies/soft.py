"""SOFT: its inverse, its approximation, its norm and its time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from softunit.nn.attention import Soft, attend, weights
from softunit.nn.attention._landmarks import segment_means
from softunit.nn.attention._newton_inverse import Start, newton_inverse
from softunit.nn.studies.one_thread import least_seconds

RIDGE = 1e-6
"""So small that the approximation is that of the pseudo-inverse; the definition solves with it."""


def _normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return exp(-|x_i - y_j|^2 / (2 sqrt(d))), as the unit with its exact kernel has it."""
    exact = Soft(landmarks=None, normalisation="none")
    return weights(x[None, None], y[None, None], unit=exact)[0, 0]


def inverse(
    n: int, d: int, landmarks: int, iterations: int, start: Start, rng: np.random.Generator
) -> tuple[float, tuple[float, ...]]:
    """Return the condition of a kernel A of landmarks, and |A X A - A| / |A| after each iteration.

    Parameters
    ----------
    n, d : int
        Standard normal keys, and their width.
    landmarks : int
        Means of runs of keys.
    iterations : int
        How many.
    start : {"identity", "matrix"}
        Of `newton_inverse`.
    rng : Generator
        What the keys are drawn from.
    """
    marks, _ = segment_means(_normal(rng, 1, 1, n, d), None, landmarks)
    a = _kernel(marks[0, 0], marks[0, 0])
    values = torch.linalg.eigvalsh(a)
    size = torch.linalg.matrix_norm(a)
    left = tuple(
        float(torch.linalg.matrix_norm(a @ newton_inverse(a, count, start) @ a - a) / size)
        for count in range(1, iterations + 1)
    )
    return float(values[-1] / values[0]), left


def approximation_errors(
    n: int, d: int, landmarks: Sequence[int], rng: np.random.Generator
) -> list[float]:
    """Return |S - C A^+ C'| / |S| in Frobenius norms for each number of landmarks.

    Parameters
    ----------
    n, d : int
        Tokens and their width; queries are keys, as in the paper.
    landmarks : sequence of int
        Numbers of landmarks.
    rng : Generator
        What the tokens are drawn from.
    """
    x = _normal(rng, n, d)
    exact = _kernel(x, x)
    size = torch.linalg.matrix_norm(exact)
    found = []
    for count in landmarks:
        unit = Soft(landmarks=count, normalisation="none", ridge=RIDGE)
        near = weights(x[None, None], x[None, None], unit=unit)[0, 0]
        found.append(float(torch.linalg.matrix_norm(exact - near) / size))
    return found


def spectral_norm(n: int, m: int, d: int, same: bool, rng: np.random.Generator) -> float:
    """Return the largest singular value of the exact kernel normalised on both sides.

    Parameters
    ----------
    n, m, d : int
        Queries, keys and their width.
    same : bool
        Whether the queries are the first n keys.
    rng : Generator
        What queries and keys are drawn from.
    """
    k = _normal(rng, 1, 1, m, d)
    q = k[:, :, :n] if same else _normal(rng, 1, 1, n, d)
    return float(torch.linalg.matrix_norm(weights(q, k, unit=Soft(landmarks=None)), 2))


def times(
    lengths: Sequence[int], d: int, rounds: int, rng: np.random.Generator
) -> dict[str, list[float]]:
    """Return the least seconds for each length of SOFT with 49 landmarks and of softmax, float32.

    Parameters
    ----------
    lengths : sequence of int
        Numbers of tokens.
    d : int
        Width of one head.
    rounds : int
        Of which the least counts.
    rng : Generator
        What tokens are drawn from.
    """
    units: dict[str, Soft | str] = {"soft": Soft(landmarks=49), "softmax": "softmax"}

    def call(unit: Soft | str, n: int) -> Callable[[], Tensor]:
        q, k, v = (_normal(rng, 1, 1, n, d).float() for _ in range(3))
        return lambda: attend(q, k, v, unit=unit)

    calls = [call(unit, n) for unit in units.values() for n in lengths]
    seconds = least_seconds(calls, rounds)
    many = len(lengths)
    return {name: seconds[i * many : (i + 1) * many] for i, name in enumerate(units)}


def proven_condition(iterations: int, bar: float) -> float:
    """Return the |A|_1 |A^-1| from which on the paper's start may not reach a residual.

    From X_0 = (2 / |A|_1^2) A the least eigenvalue begins with the residual 1 - 2 / t^2.

    Parameters
    ----------
    iterations : int
        How many.
    bar : float
        The residual.
    """
    return math.sqrt(2.0 * 2.0**iterations / -math.log(bar))

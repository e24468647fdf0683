"""How the entropy of attention follows the norm of the query, and what NaLaFormer costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from softunit.nn.attention import NaLaFormer, attend, reference, weights
from softunit.nn.attention._kernel_weights import kernel_weights
from softunit.nn.attention._pattern import Pattern
from softunit.nn.studies.one_thread import least_seconds

UNIT = NaLaFormer()


@dataclass(frozen=True)
class Entropies:
    """Row entropies over norms of the query, of shape (norms, rows), for three kinds of attention.

    Parameters
    ----------
    softmax, norm_aware, relu : ndarray of shape (norms, rows)
        Entropy -sum_j w_ij log w_ij.
    least : float
        Smallest weight of the norm-aware rows.
    off_one : float
        Largest distance of their sums from one.
    """

    softmax: np.ndarray
    norm_aware: np.ndarray
    relu: np.ndarray
    least: float
    off_one: float


def entropies(
    norms: Sequence[float], rows: int, keys: int, d: int, rng: np.random.Generator
) -> Entropies:
    """Return entropies of the same random directions at each norm, over standard normal keys.

    Parameters
    ----------
    norms : sequence of float
        Norms |q|, the same for all rows.
    rows, keys, d : int
        Numbers of queries and keys, and their width.
    rng : Generator
        What directions and keys are drawn from.
    """
    directions = rng.standard_normal((rows, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    k = torch.tensor(rng.standard_normal((1, 1, keys, d)))
    found: dict[str, list[np.ndarray]] = {"softmax": [], "aware": [], "relu": []}
    least, off_one = np.inf, 0.0
    for norm in norms:
        q = torch.tensor(norm * directions)[None, None]
        aware = weights(q, k, unit=UNIT)
        least = min(least, float(aware.min()))
        off_one = max(off_one, float((aware.sum(-1) - 1).abs().max()))
        found["aware"].append(_entropy(aware))
        found["softmax"].append(_entropy(weights(q, k, unit="softmax", scale=1.0)))
        found["relu"].append(_entropy(_relu_weights(q, k)))
    stacked = {name: np.stack(rows) for name, rows in found.items()}
    return Entropies(stacked["softmax"], stacked["aware"], stacked["relu"], least, off_one)


def _relu_weights(q: Tensor, k: Tensor) -> Tensor:
    """Return the weights of linear attention with the feature map max(x, 0)."""
    pattern = Pattern(q.shape[-2], k.shape[-2], q.device)
    return kernel_weights(q.clamp_min(0.0), k.clamp_min(0.0), pattern)


def _entropy(w: Tensor) -> np.ndarray:
    # A weight below zero has no entropy, and a finding of its own.
    found: np.ndarray = torch.special.entr(w.clamp_min(0.0)).sum(-1).flatten().numpy()
    return found


def _normal(rng: np.random.Generator, *shape: int) -> list[Tensor]:
    """Return queries, keys and values in float32."""
    return [torch.tensor(rng.standard_normal(shape), dtype=torch.float32) for _ in range(3)]


def linear_form_error(lengths: Sequence[int], d: int, rng: np.random.Generator) -> float:
    """Return the largest error of the linear form in float32, relative to the largest value.

    Against the explicit n-by-n form in float64, causal or not.

    Parameters
    ----------
    lengths : sequence of int
        Numbers of tokens.
    d : int
        Width.
    rng : Generator
        What queries, keys and values are drawn from.
    """
    worst = 0.0
    for n in lengths:
        given = _normal(rng, 2, 2, n, d)
        wide = [x.double() for x in given]
        for causal in (False, True):
            wanted = reference(*wide, unit=UNIT, causal=causal)
            off = attend(*given, unit=UNIT, causal=causal).double() - wanted
            worst = max(worst, float(off.abs().max() / wanted.abs().max()))
    return worst


def times(
    lengths: Sequence[int], d: int, rounds: int, causal: bool, rng: np.random.Generator
) -> list[float]:
    """Return the least seconds of the linear form for each length, in float32 on one thread.

    Parameters
    ----------
    lengths : sequence of int
        Numbers of tokens.
    d : int
        Width.
    rounds : int
        How often all are timed.
    causal : bool
        Whether a query sees the past alone.
    rng : Generator
        What queries, keys and values are drawn from.
    """
    given = [_normal(rng, 1, 1, n, d) for n in lengths]
    return least_seconds([partial(attend, *x, unit=UNIT, causal=causal) for x in given], rounds)

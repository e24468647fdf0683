"""Kernelised attention with biases of distance: its exactness, its time and its features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from softunit.nn.attention import Kernelized, RelativeBias, attend, reference, weights
from softunit.nn.studies.one_thread import least_seconds

FEATURES = 32


def by_fft(**settings: int | bool) -> Kernelized:
    """Return the unit that transforms at every length."""
    return Kernelized(direct=0, **settings)  # type: ignore[arg-type]


def _given(
    rng: np.random.Generator, heads: int, n: int, d: int, dtype: torch.dtype
) -> list[Tensor]:
    """Return q, k, v and the values of a relative bias."""
    shapes = [(1, heads, n, d)] * 3 + [(heads, 2 * n - 1)]
    return [torch.tensor(rng.standard_normal(shape), dtype=dtype) for shape in shapes]


def fft_error(lengths: Sequence[int], d: int, rng: np.random.Generator) -> float:
    """Return the largest error of the FFT route in float64, in outputs and all gradients.

    Relative to the largest entry, or to one, against the dense Toeplitz route; causal or not, with
    standard normal biases.

    Parameters
    ----------
    lengths : sequence of int
        Numbers of tokens.
    d : int
        Width.
    rng : Generator
        What all tensors are drawn from.
    """
    worst, unit = 0.0, by_fft(features=FEATURES)
    for n in lengths:
        given = [x.requires_grad_() for x in _given(rng, 2, n, d, torch.float64)]
        mix = torch.tensor(rng.standard_normal((1, 2, n, d)))
        for causal in (False, True):
            routes = []
            for route in (attend, reference):
                bias = RelativeBias(given[3])
                out = route(*given[:3], unit=unit, causal=causal, bias=bias)
                routes.append([out, *torch.autograd.grad((out * mix).sum(), given)])
            for found, wanted in zip(*routes, strict=True):
                off = (found - wanted).abs().max() / wanted.abs().max().clamp_min(1.0)
                worst = max(worst, float(off.detach()))
    return worst


def times(
    lengths: Sequence[int], against: int, d: int, rounds: int, rng: np.random.Generator
) -> dict[str, list[float]]:
    """Return the least seconds of the FFT route for each length, and of softmax at one length.

    In float32 on one thread. Softmax: "dense", with its weights in memory and no bias; "fused with
    the bias", PyTorch's kernel with the same bias of distance; and "fused without a bias".

    Parameters
    ----------
    lengths : sequence of int
        Numbers of tokens of the FFT route.
    against : int
        Number of tokens of softmax.
    d : int
        Width.
    rounds : int
        How often all are timed.
    rng : Generator
        What all tensors are drawn from.
    """
    unit = by_fft(features=FEATURES)
    q, k, v, values = _given(rng, 1, against, d, torch.float32)
    peers = {
        "dense": lambda: torch.softmax(q @ k.mT / d**0.5, -1) @ v,
        "fused with the bias": lambda: attend(q, k, v, bias=RelativeBias(values)),
        "fused without a bias": lambda: attend(q, k, v),
    }
    ours = [_fft_call(unit, _given(rng, 1, n, d, torch.float32)) for n in lengths]
    seconds = least_seconds([*ours, *peers.values()], rounds)
    rest = seconds[len(lengths) :]
    return {"fft": seconds[: len(lengths)]} | {
        name: [taken] for name, taken in zip(peers, rest, strict=True)
    }


def _fft_call(unit: Kernelized, given: list[Tensor]) -> Callable[[], Tensor]:
    q, k, v, values = given
    return lambda: attend(q, k, v, unit=unit, bias=RelativeBias(values))


def feature_errors(
    draws: int, n: int, d: int, features: int, rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """Return errors of the weights for draws of the features: normalised, and not normalised.

    The error is the mean over rows of sum_j |w_ij - softmax_ij|, at most two, where softmax has
    the scores that the features stand for: cos(q, k), or <q, k> / sqrt(d). Queries and keys are
    standard normal and drawn anew each time.

    Parameters
    ----------
    draws, n, d, features : int
        Numbers of draws, tokens, entries and features.
    rng : Generator
        What queries, keys and the seeds of features are drawn from.
    """
    errors: tuple[list[float], list[float]] = ([], [])
    for _ in range(draws):
        q, k, *_ = _given(rng, 1, n, d, torch.float64)
        seed = int(rng.integers(1 << 31))
        for normalise, found in zip((True, False), errors, strict=True):
            unit = Kernelized(features=features, seed=seed, normalise=normalise)
            exact_q, exact_k = (_unit_length(q), _unit_length(k)) if normalise else (q, k)
            scale = unit.default_scale(d)
            exact = weights(exact_q, exact_k, unit="softmax", scale=scale)
            off = (weights(q, k, unit=unit, scale=scale) - exact).abs().sum(-1)
            found.append(float(off.mean()))
    return errors


def _unit_length(x: Tensor) -> Tensor:
    length: Tensor = x.norm(dim=-1, keepdim=True)
    return x / length

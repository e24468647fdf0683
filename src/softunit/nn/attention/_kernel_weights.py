"""Weights of a feature map by their plain definition: the reference, and its blocks of rows."""

from __future__ import annotations

import torch
from torch import Tensor

from softunit.nn.attention._pattern import Pattern

Normaliser = bool | tuple[Tensor, Tensor]
"""True: the features' own sums. False: none. A pair: features of queries and keys of its own."""


def smallest(dtype: torch.dtype) -> float:
    """Return the sum of weights at or below which a row counts as zero: 1e-31 in float32.

    Its reciprocal, times a gradient, must still be a number.
    """
    info = torch.finfo(dtype)
    return info.tiny / info.eps


def kernel_weights(
    phi_q: Tensor, phi_k: Tensor, pattern: Pattern, normalise: Normaliser = True
) -> Tensor:
    """Return w_ij = <phi_q_i, phi_k_j> exp(b_ij) over its sum in row i: (batch, heads, n, m).

    Rows that see no key, or whose sum is zero, are zeros.

    Parameters
    ----------
    phi_q : Tensor of shape (batch, heads, n, r)
    phi_k : Tensor of shape (batch, heads, m, r)
    pattern : Pattern
        What each query sees, and what is added.
    normalise : bool or pair of Tensor, default True
        Whether to divide; a pair gives the features that make the sum instead.
    """
    factors = _factors(pattern, phi_q.dtype, shift=normalise is not False)
    weights = _times(phi_q @ phi_k.mT, factors, pattern)
    if normalise is False:
        return weights
    sums = weights
    if isinstance(normalise, tuple):
        sums = _times(normalise[0] @ normalise[1].mT, factors, pattern)
    return divided(weights, sums.sum(-1, keepdim=True), smallest(weights.dtype))


def divided(above: Tensor, below: Tensor, floor: float | Tensor) -> Tensor:
    """Return above / below, with zeros where |below| <= floor, in the gradient too."""
    nothing = below.abs() <= floor
    return (above / below.masked_fill(nothing, 1.0)).masked_fill(nothing, 0.0)


def _times(products: Tensor, factors: Tensor | None, pattern: Pattern) -> Tensor:
    """Return the products times exp(bias), with zeros where nothing is seen."""
    if factors is not None:
        return products * factors
    seen = pattern.visible()
    return products if seen is None else products.masked_fill(~seen, 0.0)


def _factors(pattern: Pattern, dtype: torch.dtype, *, shift: bool) -> Tensor | None:
    """Return exp(bias - its largest in the row) where seen and zero elsewhere; None for ones."""
    added, seen = pattern.added(), pattern.visible()
    if added is None:
        return None
    added = added.to(dtype)
    if seen is not None:
        added = added.masked_fill(~seen, float("-inf"))
    return torch.exp(added - largest(added, -1) if shift else added)


def largest(exponents: Tensor, axis: int) -> Tensor:
    """Return the maximum along an axis as a constant, and a finite number where all are -inf."""
    return exponents.detach().amax(axis, keepdim=True).clamp_min(torch.finfo(exponents.dtype).min)

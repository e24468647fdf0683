"""Attention with a feature map: sums over keys are made once, not once for each query."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softunit.nn.attention._causal_sums import past_sums
from softunit.nn.attention._kernel_weights import (
    Normaliser,
    divided,
    kernel_weights,
    largest,
    smallest,
)
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._relative import RelativeBias
from softunit.nn.attention._row_blocks import in_row_blocks
from softunit.nn.attention._toeplitz import distance_sums

DIRECT = 1 << 18
"""Largest n m at which a relative bias is spread over blocks of rows rather than transformed."""


def kernel_mix(
    phi_q: Tensor,
    phi_k: Tensor,
    v: Tensor,
    pattern: Pattern,
    *,
    normalise: Normaliser = True,
    direct: int = DIRECT,
) -> Tensor:
    """Return the values mixed by weights <phi_q_i, phi_k_j> exp(b_ij): (batch, heads, n, e).

    out_i = sum_j <phi_q_i, phi_k_j> exp(b_ij) v_j / sum_j <phi_q_i, phi_k_j> exp(b_ij), over the
    keys j that query i sees, at the cost of the pattern:

    - all keys, masks and biases of keys: n r e, through the r-by-e array sum_j phi_k_j v_j';
    - causal: n r e, by chunks and a running state;
    - a `RelativeBias`, causal or not: n log n r e, by FFT; n m (r + e) while that is quicker;
    - a mask or a bias with a row for each query: n m (r + e), by blocks of rows.

    Rows that see nothing, or whose normaliser is zero or lost in rounding, are zeros.

    Parameters
    ----------
    phi_q : Tensor of shape (batch, heads, n, r)
        Features of the queries. A factor for each row changes nothing but `normalise=False`.
    phi_k : Tensor of shape (batch, heads, m, r)
        Features of the keys.
    v : Tensor of shape (batch, heads, m, e)
        Values.
    pattern : Pattern
        What each query sees, and what is added.
    normalise : bool or pair of Tensor, default True
        False leaves the sums undivided, and exp(b) unshifted. A pair (phi_q, phi_k) gives the
        features of the normaliser where it has its own.
    direct : int, default 262144
        Largest n m at which a relative bias is spread over rows; 0: always the FFT.

    Notes
    -----
    Biases are shifted by their maximum over keys (or distances that the pattern allows), which
    cancels. A row all of whose keys lie 1e-31 (float32; 1e-292 in float64) below that is zeros.
    The FFT errs by about 1e-15 |phi_q_i| |t| |phi_k| with t = exp(b), so a row is right to 1e-10 if
    its normaliser is above 1e-5 of that product of norms: if not all biases that it sees lie far
    below others. Rows below about 1e-14 of it are zeros.
    """
    if pattern.dense or (pattern.relative is not None and pattern.n * pattern.m <= direct):
        return _by_rows(phi_q, phi_k, v, pattern, normalise)
    shift = normalise is not False
    phi_k = _weighed(phi_k, pattern, shift=shift)
    t = _by_distance(pattern, shift=shift)
    if normalise is False:
        return _sums(phi_q, phi_k, v, pattern, t)
    ones = v.new_ones(*v.shape[:-1], 1)
    if normalise is True:
        below_q, below_k = phi_q, phi_k
        both = _sums(phi_q, phi_k, torch.cat([v, ones], -1), pattern, t)
        above, below = both[..., :-1], both[..., -1:]
    else:
        below_q, below_k = normalise[0], _weighed(normalise[1], pattern, shift=shift)
        above = _sums(phi_q, phi_k, v, pattern, t)
        below = _sums(below_q, below_k, ones, pattern, t)
    return divided(above, below, _floor(below_q, below_k, t))


def _by_rows(
    phi_q: Tensor, phi_k: Tensor, v: Tensor, pattern: Pattern, normalise: Normaliser
) -> Tensor:
    """Return the mixed values from blocks of rows of the weights."""
    if not isinstance(normalise, tuple):
        return in_row_blocks(
            lambda q, k, part: kernel_weights(q, k, part, normalise), phi_q, phi_k, v, pattern
        )
    r = phi_q.shape[-1]
    # The features of the normaliser travel beside the others, so that blocks cut both.
    both_q, both_k = torch.cat([phi_q, normalise[0]], -1), torch.cat([phi_k, normalise[1]], -1)

    def weigh(q: Tensor, k: Tensor, part: Pattern) -> Tensor:
        return kernel_weights(q[..., :r], k[..., :r], part, (q[..., r:], k[..., r:]))

    return in_row_blocks(weigh, both_q, both_k, v, pattern)


def _weighed(phi_k: Tensor, pattern: Pattern, *, shift: bool) -> Tensor:
    """Return the features of the keys times exp(bias of the key), zeros for masked keys."""
    if pattern.bias is not None:
        added = pattern.bias.mT.to(phi_k.dtype)
        if pattern.keys is not None:
            added = added.masked_fill(~pattern.keys.mT, float("-inf"))
        phi_k = phi_k * torch.exp(added - largest(added, -2) if shift else added)
    if pattern.keys is not None:
        phi_k = phi_k.masked_fill(~pattern.keys.mT, 0.0)
    return phi_k


def _by_distance(pattern: Pattern, *, shift: bool) -> Tensor | None:
    """Return exp(bias of a distance), zero for distances in the future: (., ., n + m - 1)."""
    if pattern.relative is None:
        return None
    values = _led(pattern.relative).double()
    if pattern.offset is not None:
        distance = torch.arange(pattern.n + pattern.m - 1, device=pattern.device) - (pattern.n - 1)
        values = values.masked_fill(distance > pattern.offset, float("-inf"))
    return torch.exp(values - largest(values, -1) if shift else values)


def _led(relative: RelativeBias) -> Tensor:
    """Return the values with two leading axes."""
    values = relative.values
    return values.reshape((1,) * (3 - values.ndim) + tuple(values.shape))


def _sums(phi_q: Tensor, phi_k: Tensor, v: Tensor, pattern: Pattern, t: Tensor | None) -> Tensor:
    """Return sum_j <phi_q_i, phi_k_j> t_{j-i} v_j over what is seen: (batch, heads, n, e)."""
    if t is not None:
        sums = distance_sums(phi_q, phi_k, v, t)
        # A transform leaves rounding where nothing is seen.
        return sums if pattern.sees_all else sums.masked_fill(pattern.counts() == 0, 0.0)
    if pattern.offset is not None:
        return past_sums(phi_q, phi_k, v, pattern.offset)
    return phi_q @ (phi_k.mT @ v)


def _floor(phi_q: Tensor, phi_k: Tensor, t: Tensor | None) -> float | Tensor:
    """Return what a normaliser must exceed: a number, or for transforms their error in a row."""
    least = smallest(phi_q.dtype)
    if t is None:
        return least
    error = 4.0 * torch.finfo(t.dtype).eps * math.log2(t.shape[-1] + 1)
    norms = phi_k.detach().double().square().sum(-2, keepdim=True).sqrt()
    sizes = (phi_q.detach().double().abs() * norms).sum(-1, keepdim=True)
    size = error * t.detach().square().sum(-1)[..., None, None].sqrt()
    return (sizes * size).clamp_min(least).to(phi_q.dtype)

"""Tensor attention: every query attends to pairs of keys, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from softunit.nn.attention._pair_unit import (
    Pair,
    PairUnit,
    level_bias,
    pair_pattern,
    pair_scores,
)
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._scores import shown

HELD = 1 << 22
"""Scores of a block of queries, each of which has m m of them."""


@dataclass(frozen=True)
class TensorAttention(PairUnit):
    """Weights on pairs of keys, p_i(j, l) ~ exp(scale <q_i, k1_j * k2_l>), * entry by entry.

    out_i = sum_{j,l} p_i(j, l) v1_j * v2_l, where k = (k1, k2) and v = (v1, v2); one tensor stands
    for both. A pair is seen where both keys are, and its bias is that of both, b_ij + b_il.

    Time is n m^2 (d + e). Memory is that of the scores of some queries at a time, m^2 for at least
    one, made anew in the backward pass; `PolynomialTensor` is near linear in time.

    Notes
    -----
    The default scale is 1 / d. For one query and the first key fixed this is softmax attention
    of the query q_i * k1_j to the keys k2 and values v2, and over j softmax attention with its
    logarithms of sums as scores: that is how it is computed.

    A layer of it detects triples of tokens, as i, j, l with x_i + x_j + x_l = 0, which a layer of
    attention to single keys cannot.

    Source: 2.26 (arXiv 2310.04064).
    """

    name: ClassVar[str] = "tensor"

    def pair_weights(self, q: Tensor, k: Pair, pattern: Pattern, scale: float) -> Tensor:
        """Return all weights by their plain definition: (batch, heads, n, m, m)."""
        scores = pair_scores(q, k, scale)
        added, seen = pair_pattern(pattern)
        if added is not None:
            scores = scores + added.to(scores.dtype)
        if seen is None:
            return torch.softmax(scores.flatten(-2), -1).view_as(scores)
        pairs = shown(scores.flatten(-2), seen.flatten(-2))
        return torch.softmax(pairs, -1).view_as(scores).masked_fill(~seen, 0.0)

    def forward(
        self, q: Tensor, k: Pair, v: Pair, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the output by blocks of queries: (batch, heads, n, e)."""
        each = q.shape[0] * q.shape[1] * pattern.m**2
        height = max(1, HELD // each)
        anew = torch.is_grad_enabled() and pattern.n > height

        def block(q: Tensor, k1: Tensor, k2: Tensor, v1: Tensor, v2: Tensor, at: slice) -> Tensor:
            seen = pattern.visible(at.start, at.stop)
            added = level_bias(pattern.added(at.start, at.stop), seen)
            return _nested(q * scale, (k1, k2), (v1, v2), (added, seen), dropout)

        parts = []
        for start in range(0, pattern.n, height):
            at = slice(start, min(start + height, pattern.n))
            given = (q[..., at, :], *k, *v, at)
            parts.append(checkpoint(block, *given, use_reentrant=False) if anew else block(*given))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -2)


def _nested(
    q: Tensor,
    k: Pair,
    v: Pair,
    where: tuple[Tensor | None, Tensor | None],
    dropout: float,
) -> Tensor:
    """Return softmax attention over j of softmax attention over l: (batch, heads, rows, e)."""
    added, seen = where
    scores = (q[..., :, None, :] * k[0][..., None, :, :]) @ k[1].mT[..., None, :, :]
    if added is not None:
        scores = scores + added[..., None, :].to(scores.dtype)
    if seen is not None:
        scores = shown(scores, seen[..., None, :])
    sums = torch.logsumexp(scores, -1)
    inner = torch.exp(scores - sums[..., None])
    if dropout:
        inner = torch.dropout(inner, dropout, train=True)
    if added is not None:
        sums = sums + added.to(sums.dtype)
    if seen is not None:
        sums = shown(sums, seen)
    outer = torch.softmax(sums, -1)
    if seen is not None:
        outer = outer.masked_fill(~seen, 0.0)
    values = (inner @ v[1][..., None, :, :]) * v[0][..., None, :, :]
    return (outer[..., None, :] @ values).squeeze(-2)

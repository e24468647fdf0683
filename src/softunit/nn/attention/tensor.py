"""Tensor attention: every query attends to pairs of keys, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._unit import AttentionUnit

Pair = tuple[Tensor, Tensor]

HELD = 1 << 22
"""Scores of a block of queries, each of which has m m of them."""
UNSEEN = -1e30


@dataclass(frozen=True)
class TensorAttention(AttentionUnit):
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
    pairs: ClassVar[bool] = True

    def default_scale(self, d: int) -> float:
        """Return 1 / d."""
        return 1.0 / d

    def reference_weights(self, q: Tensor, k: Pair, pattern: Pattern, scale: float) -> Tensor:
        """Return the weight of each key over its partners, as the mean of its two places.

        Shape (batch, heads, n, m); w_ij = sum_l (p_i(j, l) + p_i(l, j)) / 2, which sums to one.
        """
        return of_single_keys(self.pair_weights(q, k, pattern, scale))

    def reference(self, q: Tensor, k: Pair, v: Pair, pattern: Pattern, scale: float) -> Tensor:
        """Return the output from all n m^2 weights: (batch, heads, n, e)."""
        return mixed_pairs(self.pair_weights(q, k, pattern, scale), v)

    def pair_weights(self, q: Tensor, k: Pair, pattern: Pattern, scale: float) -> Tensor:
        """Return all weights by their plain definition, of shape (batch, heads, n, m, m).

        Parameters
        ----------
        q : Tensor of shape (batch, heads, n, d)
        k : pair of Tensor of shape (batch, heads, m, d)
        pattern : Pattern
        scale : float
        """
        scores = pair_scores(q, k, scale)
        added, seen = pair_pattern(pattern)
        if added is not None:
            scores = scores + added.to(scores.dtype)
        if seen is None:
            return torch.softmax(scores.flatten(-2), -1).view_as(scores)
        shown = scores.masked_fill(~seen, UNSEEN).flatten(-2)
        return torch.softmax(shown, -1).view_as(scores).masked_fill(~seen, 0.0)

    def forward(
        self, q: Tensor, k: Pair, v: Pair, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the output by blocks of queries: (batch, heads, n, e)."""
        each = q.shape[0] * q.shape[1] * pattern.m**2
        height = max(1, HELD // each)
        anew = torch.is_grad_enabled() and pattern.n > height

        def block(q: Tensor, k1: Tensor, k2: Tensor, v1: Tensor, v2: Tensor, at: slice) -> Tensor:
            added, seen = pattern.added(at.start, at.stop), pattern.visible(at.start, at.stop)
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
        scores = scores.masked_fill(~seen[..., None, :], UNSEEN)
    sums = torch.logsumexp(scores, -1)
    inner = torch.exp(scores - sums[..., None])
    if dropout:
        inner = torch.dropout(inner, dropout, train=True)
    if added is not None:
        sums = sums + added.to(sums.dtype)
    if seen is not None:
        sums = sums.masked_fill(~seen, UNSEEN)
    outer = torch.softmax(sums, -1)
    if seen is not None:
        outer = outer.masked_fill(~seen, 0.0)
    values = (inner @ v[1][..., None, :, :]) * v[0][..., None, :, :]
    return (outer[..., None, :] @ values).squeeze(-2)


def pair_scores(q: Tensor, k: Pair, scale: float) -> Tensor:
    """Return scale <q_i, k1_j * k2_l>, of shape (batch, heads, n, m, m).

    Parameters
    ----------
    q : Tensor of shape (batch, heads, n, d)
    k : pair of Tensor of shape (batch, heads, m, d)
    scale : float
    """
    return torch.einsum("...id,...jd,...ld->...ijl", scale * q, *k)


def pair_pattern(pattern: Pattern) -> tuple[Tensor | None, Tensor | None]:
    """Return the bias of pairs and which are seen, broadcasting to (batch, heads, n, m, m).

    Parameters
    ----------
    pattern : Pattern
        Of single keys.
    """
    added, seen = pattern.added(), pattern.visible()
    if added is not None:
        added = added[..., :, None] + added[..., None, :]
    if seen is not None:
        seen = seen[..., :, None] & seen[..., None, :]
    return added, seen


def mixed_pairs(weights: Tensor, v: Pair) -> Tensor:
    """Return sum_{j,l} w_i(j, l) v1_j * v2_l, of shape (batch, heads, n, e).

    Parameters
    ----------
    weights : Tensor of shape (batch, heads, n, m, m)
    v : pair of Tensor of shape (batch, heads, m, e)
    """
    return torch.einsum("...ijl,...je,...le->...ie", weights, *v)


def of_single_keys(weights: Tensor) -> Tensor:
    """Return the weight of each key, the mean of its sums in both places: (batch, heads, n, m).

    Parameters
    ----------
    weights : Tensor of shape (batch, heads, n, m, m)
    """
    return 0.5 * (weights.sum(-1) + weights.sum(-2))

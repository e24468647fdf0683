"""Softmax: weights exp(s_ij) / sum_j exp(s_ij), through PyTorch's fused kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._row_blocks import outputs_in_row_blocks
from softunit.nn.attention._unit import AttentionUnit


@dataclass(frozen=True)
class Softmax(AttentionUnit):
    """Weights exp(s_ij) / sum_j exp(s_ij) over the keys that query i sees.

    The efficient form is ``torch.nn.functional.scaled_dot_product_attention``, with zeros for
    queries that see no key.
    """

    name: ClassVar[str] = "softmax"
    fused: ClassVar[bool] = True

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return exp(s - max) / sum exp(s - max) over visible keys: (batch, heads, n, m)."""
        scores = (q * scale) @ k.mT
        added, seen = pattern.added(), pattern.visible()
        if added is not None:
            scores = scores + added
        if seen is None:
            return torch.softmax(scores, -1)
        blind = ~seen.any(-1, keepdim=True)
        weights = torch.softmax(scores.masked_fill(~(seen | blind), float("-inf")), -1)
        return weights.masked_fill(~seen, 0.0)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return PyTorch's scaled dot product attention: (batch, heads, n, e)."""
        out = self._mixed(q, k, v, pattern, scale, dropout)
        # PyTorch's kernel for CPUs turns queries that are nan into zeros: a fault must show.
        return out + (0.0 * q).sum(-1, keepdim=True) if q.device.type == "cpu" else out

    def _mixed(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        plain = pattern.adds_nothing and pattern.keys is None and pattern.entries is None
        if plain and pattern.offset in (None, 0):
            return scaled_dot_product_attention(
                q, k, v, dropout_p=dropout, is_causal=pattern.offset == 0, scale=scale
            )

        def mixed(q: Tensor, k: Tensor, v: Tensor, part: Pattern) -> Tensor:
            return _masked(q, k, v, part, scale, dropout)

        # Fused kernels give no gradient for what is added: PyTorch then makes n-by-m arrays.
        learned = pattern.bias is not None and pattern.bias.requires_grad
        if pattern.offset is None and pattern.relative is None and not learned:
            return mixed(q, k, v, pattern)  # the caller's own arrays: nothing is spread out
        return outputs_in_row_blocks(mixed, q, k, v, pattern)


def _masked(
    q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
) -> Tensor:
    """Return the mixed values of some rows, zeros for those that see no key."""
    mask, added = pattern.visible(), pattern.added()
    blind = None
    if mask is not None:
        # A query that sees nothing sees all for a moment: no kernel then divides by zero.
        blind = ~mask.any(-1, keepdim=True)
        mask = mask | blind
    if added is not None:
        added = added.to(q.dtype)
        mask = added if mask is None else torch.where(mask, added, float("-inf"))
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale)
    return out if blind is None else out.masked_fill(blind, 0.0)

"""Softmax: weights exp(s_ij) / sum_j exp(s_ij), through PyTorch's fused kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from softunit.nn.attention._pattern import Pattern
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
        weights = torch.softmax(scores.masked_fill(~seen, -1e30), -1)
        return weights.masked_fill(~seen, 0.0)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return PyTorch's scaled dot product attention: (batch, heads, n, e)."""
        if pattern.adds_nothing and pattern.keys is None and pattern.entries is None:
            causal = pattern.offset is not None
            if pattern.offset == 0 or not causal:
                return torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, dropout_p=dropout, is_causal=causal, scale=scale
                )
        seen, added = pattern.visible(), pattern.added()
        if seen is None:
            assert added is not None
            return self._masked(q, k, v, added.to(q.dtype), scale, dropout)
        # A query that sees nothing sees all for a moment: no kernel then divides by zero.
        blind = ~seen.any(-1, keepdim=True)
        mask = seen | blind
        if added is not None:
            mask = torch.where(mask, added.to(q.dtype), float("-inf"))
        return self._masked(q, k, v, mask, scale, dropout).masked_fill(blind, 0.0)

    def _masked(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, dropout: float
    ) -> Tensor:
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale
        )

"""StableMax: weights s(z) / sum s(z) with s linear above zero and 1 / (1 - z) below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._row_blocks import in_row_blocks
from softunit.nn.attention._scores import hidden, over_sums, plain_scores, seen_scores
from softunit.nn.attention._unit import AttentionUnit


@dataclass(frozen=True)
class StableMax(AttentionUnit):
    """Weights s(z_ij) / sum_j s(z_ij), with s(z) = z + 1 for z >= 0 and 1 / (1 - z) below.

    s grows like z instead of exp(z), so nothing overflows and no key is ever rounded away: a score
    of -1e4 still has the weight of 1e-4 of a score of zero. Attention is flatter than softmax's.
    Scores below -8e28 (float32), which only a bias makes, count as that.

    Notes
    -----
    s has the slope 1 from both sides at zero. Source: 1.3 (arXiv 2501.04697), where it stands in
    the loss; here it weighs keys.
    """

    name: ClassVar[str] = "stablemax"

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return s(z) / sum s(z) over visible keys: (batch, heads, n, m)."""
        scores = plain_scores(q, k, pattern, scale)
        scores = scores.clamp(min=_lowest(scores))
        grown = torch.where(scores >= 0, scores + 1, 1 / (1 - scores.clamp(max=0)))
        return over_sums(hidden(grown, pattern))

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the values mixed block by block: (batch, heads, n, e)."""

        def weigh(q: Tensor, k: Tensor, pattern: Pattern) -> Tensor:
            scores = seen_scores(q, k, pattern, scale)
            biased = not pattern.adds_nothing
            if biased:
                scores = scores.clamp(min=_lowest(scores))
            above = torch.relu(scores)
            # The last term is one above zero, so both sides have one formula and one slope.
            grown = above + ((above - scores) + 1).reciprocal()
            return over_sums(hidden(grown, pattern) if biased else grown)

        return in_row_blocks(weigh, q, k, v, pattern, dropout)


def _lowest(scores: Tensor) -> float:
    """Return a score whose weight has a reciprocal that a gradient can still be multiplied by."""
    return -float(torch.finfo(scores.dtype).max ** 0.75)

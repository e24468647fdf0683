"""Softplus over its sum, with scores scaled by the log of the length; and its re-weighting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from softunit.nn._checks import check_number, check_switch
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._row_blocks import in_row_blocks
from softunit.nn.attention._scores import hidden, over_sums, plain_scores, seen_scores, shown
from softunit.nn.attention._unit import AttentionUnit

STRAIGHT = 40.0
"""softplus(z) is z from here on, in float64 too."""


@dataclass(frozen=True)
class Softplus(AttentionUnit):
    """LSSA: weights A_ij = softplus(s_ij) / sum_j softplus(s_ij), with softplus(s) = log(1 + e^s).

    The scores are s_ij = scale log(N_i) <q_i, k_j> + bias_ij, where N_i is the number of keys that
    query i sees and the scale is log(d) / sqrt(d): attention stays as sharp as sequences grow. A
    query that sees one key has weight one on it.

    Parameters
    ----------
    by_length : bool, default True
        Multiply the products by log N_i. A `scale` given to `attend` replaces log(d) / sqrt(d)
        alone; with False it is all that multiplies them, and 1 / sqrt(d) is its default.

    Raises
    ------
    InputError
        If the switch is neither True nor False.

    Notes
    -----
    At width d = 1 the default scale is zero, as log d is: give a `scale`. Where all scores of a
    row lie so low that softplus is exp to the last digit, they are shifted up together, which
    changes no weight and keeps the sum above zero. Source: 1.24 (arXiv 2501.13428).
    """

    by_length: bool = True

    name: ClassVar[str] = "softplus"

    def __post_init__(self) -> None:
        check_switch("by_length", self.by_length)

    def default_scale(self, d: int) -> float:
        """Return log(d) / sqrt(d); or 1 / sqrt(d) where scores do not grow with the length."""
        return (math.log(d) if self.by_length else 1.0) / math.sqrt(d)

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return softplus(s) / sum softplus(s) over visible keys: (batch, heads, n, m).

        As exp(l) / sum exp(l) with l = log softplus(s), which is s where s is far below zero.
        """
        scores = plain_scores(q, k, pattern, scale * self._lengths(q, pattern))
        low = -_depth(scores)
        soft = torch.nn.functional.softplus(scores.clamp(min=low), threshold=STRAIGHT)
        logs = torch.where(scores < low, scores, soft.log())
        return hidden(torch.softmax(shown(logs, pattern.visible()), -1), pattern)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the values mixed block by block: (batch, heads, n, e)."""

        def weigh(q: Tensor, k: Tensor, pattern: Pattern) -> Tensor:
            return self._weights(q, k, pattern, scale)

        return in_row_blocks(weigh, q, k, v, pattern, dropout)

    def _weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        scores = seen_scores(q * self._lengths(q, pattern), k, pattern, scale)
        # Rows deep below zero go up to where softplus is still exp, and can still be summed: first
        # to zero, where the depth is not lost in rounding, however low they are.
        top, depth = scores.detach().amax(-1, keepdim=True), _depth(scores)
        deep = top < -depth
        scores.sub_(top.clamp(min=torch.finfo(scores.dtype).min).masked_fill(~deep, 0.0))
        scores.sub_(depth * deep)
        return over_sums(torch.nn.functional.softplus(scores, threshold=STRAIGHT))

    def _lengths(self, q: Tensor, pattern: Pattern) -> Tensor:
        """Return log N_i, of shape (..., n or 1, 1)."""
        if not self.by_length:
            return q.new_ones(1, 1)
        return pattern.counts().clamp(min=1).to(q.dtype).log()


@dataclass(frozen=True)
class ReweightedSoftplus(Softplus):
    """LSSAR: weights r_ij / sum_j r_ij with r_ij = relu(N_i A_ij - threshold)^power.

    A are the weights of `Softplus`. Keys below the average weight 1 / N_i get nothing, keys above
    it more than before: a trained model attends to few keys at lengths that it never saw, without
    being trained again.

    Parameters
    ----------
    by_length : bool, default True
        As in `Softplus`.
    power : float, default 3.0
        At least one; the higher, the sharper.
    threshold : float, default 1.0
        In averages: a key needs more than `threshold` / N_i. At 0.0 with power one this is
        `Softplus` again.

    Raises
    ------
    InputError
        If the power is below one, or the threshold is not a finite number of at least zero.

    Notes
    -----
    Where no key of a query is above the threshold (it sees one key, or all have the same weight),
    nothing stands out and the row keeps A. Equal to 64 roundings counts as equal.
    Source: 1.24 (arXiv 2501.13428).
    """

    power: float = 3.0
    threshold: float = 1.0

    name: ClassVar[str] = "softplus_reweighted"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("power", 1.0), ("threshold", 0.0)):
            object.__setattr__(self, name, check_number(name, getattr(self, name), least=least))

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return l1norm(relu(N A - threshold)^power), or A where that is nothing.

        The shape is (batch, heads, n, m).
        """
        weights = super().reference_weights(q, k, pattern, scale)
        rest = torch.relu(pattern.counts() * weights - self.threshold)
        peak = rest.detach().amax(-1, keepdim=True)
        flat = peak <= _nothing(rest)
        # Over the largest of the row, so that no power overflows: the sum takes it out again.
        sharp = (rest / peak.masked_fill(flat, 1.0)) ** self.power
        sums = sharp.sum(-1, keepdim=True).masked_fill(flat, 1.0)
        return torch.where(flat, weights, sharp / sums)

    def _weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        weights = super()._weights(q, k, pattern, scale)
        rest = (weights * pattern.counts()).sub_(self.threshold).relu_()
        peak = rest.detach().amax(-1, keepdim=True)
        flat = peak <= _nothing(rest)
        sharp = over_sums((rest / peak.masked_fill(flat, 1.0)) ** self.power)
        return torch.where(flat, weights, sharp)


def _depth(scores: Tensor) -> float:
    """Return how far below zero softplus is exp to rounding: log(1 + x) = x there."""
    return -math.log(torch.finfo(scores.dtype).eps / 4)


def _nothing(rest: Tensor) -> float:
    """Return what is left of N A - 1 by rounding alone."""
    return 64 * torch.finfo(rest.dtype).eps

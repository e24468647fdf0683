"""Sigmoid: weights sigma(s_ij + b) with b = -log n, and no sum over the keys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._row_blocks import in_row_blocks
from softunit.nn.attention._scores import hidden, plain_scores, seen_scores
from softunit.nn.attention._unit import AttentionUnit


@dataclass(frozen=True)
class Sigmoid(AttentionUnit):
    """Weights sigma(s_ij + b) = 1 / (1 + exp(-s_ij - b)): each key by itself.

    The weights of a query do not sum to one. With b = -log n the sum stays near one at small
    scores, whatever n is; without it the sum grows like n.

    Parameters
    ----------
    bias : float, optional
        b. By default -log of the number of keys that the query sees, row by row, so that padding
        changes nothing.

    Raises
    ------
    InputError
        If the bias is not a finite number.

    Notes
    -----
    No row needs its maximum or its sum, so blocks of rows go through one product, one sigmoid in
    place and one product; they are made anew in the backward pass. Train with small values at
    first (a small scale on the output, or a norm behind it): early weights are not an average.
    Source: 1.43 (arXiv 2409.04431).
    """

    bias: float | None = None

    name: ClassVar[str] = "sigmoid"
    sums_to_one: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.bias is not None and not math.isfinite(self.bias):
            raise InputError(
                "`bias` must be a finite number, or None for -log of the number of visible keys;"
                f" got {self.bias!r}."
            )

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return sigma(s + b) at visible keys: (batch, heads, n, m)."""
        scores = plain_scores(q, k, pattern, scale) + self._start(q, pattern)
        return hidden(torch.sigmoid(scores), pattern)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the values mixed block by block: (batch, heads, n, e)."""

        def weigh(q: Tensor, k: Tensor, pattern: Pattern) -> Tensor:
            return seen_scores(q, k, pattern, scale, self._start(q, pattern)).sigmoid_()

        return in_row_blocks(weigh, q, k, v, pattern, dropout)

    def _start(self, q: Tensor, pattern: Pattern) -> Tensor:
        """Return b of each row, of shape (..., n or 1, 1)."""
        if self.bias is not None:
            return q.new_full((1, 1), self.bias)
        return -pattern.counts().clamp(min=1).to(q.dtype).log()

"""Sigmoid: weights sigma(s_ij + b) with b = -log n, and no sum over the keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from softunit.nn._checks import check_number
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._row_blocks import in_row_blocks
from softunit.nn.attention._scores import hidden, plain_scores, seen_scores
from softunit.nn.attention._unit import AttentionUnit

ROWS, KEYS = 256, 512
"""A tile of weights: small enough for the cache of a core, large enough for a good product."""
LEAST = 1 << 15
"""Weights of a head below which its tiles would be too small."""


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
    place and one product; they are made anew in the backward pass. Without a gradient, calls on a
    CPU go over tiles of rows and keys that stay in its cache. Train with small values at first (a
    small scale on the output, or a norm behind it): early weights are not an average.
    Source: 1.43 (arXiv 2409.04431).
    """

    bias: float | None = None

    name: ClassVar[str] = "sigmoid"
    sums_to_one: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.bias is not None:
            object.__setattr__(self, "bias", check_number("bias", self.bias))

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return sigma(s + b) at visible keys: (batch, heads, n, m)."""
        scores = plain_scores(q, k, pattern, scale) + self._start(q, pattern)
        return hidden(torch.sigmoid(scores), pattern)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the values mixed block by block: (batch, heads, n, e)."""
        if _tiled(q, pattern, dropout):
            return _mix_in_tiles(q, k, v, pattern, scale, self._start(q, pattern))

        def weigh(q: Tensor, k: Tensor, pattern: Pattern) -> Tensor:
            return seen_scores(q, k, pattern, scale, self._start(q, pattern)).sigmoid_()

        return in_row_blocks(weigh, q, k, v, pattern, dropout)

    def _start(self, q: Tensor, pattern: Pattern) -> Tensor:
        """Return b of each row, of shape (..., n or 1, 1)."""
        if self.bias is not None:
            return q.new_full((1, 1), self.bias)
        return -pattern.counts().clamp(min=1).to(q.dtype).log()


def _tiled(q: Tensor, pattern: Pattern, dropout: float) -> bool:
    """Whether a call can go over tiles, and gains by it."""
    plain = pattern.adds_nothing and pattern.entries is None and not dropout
    if not plain or torch.compiler.is_compiling() or torch.is_grad_enabled():
        return False
    return q.device.type == "cpu" and pattern.n * pattern.m >= LEAST


def _mix_in_tiles(
    q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, start: Tensor
) -> Tensor:
    """Return sigma(start + scale q k') v: tiles of keys add up, with no maximum carried along."""
    (batch, heads, n, _), m, e = q.shape, k.shape[-2], v.shape[-1]
    if pattern.keys is not None:
        # Weights of other keys do not change where one is hidden: its value alone goes.
        v = v.masked_fill(~pattern.keys.mT, 0.0)
    q, k, v = (x.reshape(batch * heads, -1, x.shape[-1]) for x in (q, k, v))
    start = start.expand(batch, heads, *start.shape[-2:]).reshape(batch * heads, -1, 1)
    out = q.new_zeros(batch * heads, n, e)
    for head in range(batch * heads):
        for row in range(0, n, ROWS):
            rows = slice(row, min(row + ROWS, n))
            first = start[head] if start.shape[1] == 1 else start[head, rows]
            last = m if pattern.offset is None else min(m, rows.stop + pattern.offset)
            for key in range(0, last, KEYS):
                keys = slice(key, min(key + KEYS, last))
                tile = torch.addmm(first, q[head, rows], k[head, keys].T, alpha=scale).sigmoid_()
                if pattern.offset is not None and keys.stop > row + pattern.offset + 1:
                    tile.tril_(row + pattern.offset - key)
                out[head, rows].addmm_(tile, v[head, keys])
    return out.view(batch, heads, n, e)

"""Scores of dense units with their masks and biases, and weights over their sums."""

from __future__ import annotations

import torch
from torch import Tensor

from softunit.nn.attention._pattern import Pattern


def plain_scores(q: Tensor, k: Tensor, pattern: Pattern, scale: float | Tensor) -> Tensor:
    """Return scale <q_i, k_j> + bias_ij, of shape (batch, heads, n, m), as it is written."""
    scores = (q * scale) @ k.mT
    added = pattern.added()
    return scores if added is None else scores + added


def hidden(weights: Tensor, pattern: Pattern) -> Tensor:
    """Return the weights with zeros at the keys that a query does not see, (batch, heads, n, m)."""
    seen = pattern.visible()
    return weights if seen is None else weights.masked_fill(~seen, 0.0)


def shown(scores: Tensor, seen: Tensor | None) -> Tensor:
    """Return the scores, minus infinity where nothing is seen; rows that see nothing keep theirs.

    A softmax of them is then finite with its gradients, and zero at unseen keys but in blind rows.

    Parameters
    ----------
    scores : Tensor of shape (..., m)
    seen : Tensor or None
        Bool, broadcasting to the scores; None: all.
    """
    if seen is None:
        return scores
    blind = ~seen.any(-1, keepdim=True)
    return scores.masked_fill(~(seen | blind), float("-inf"))


def seen_scores(
    q: Tensor, k: Tensor, pattern: Pattern, scale: float = 1.0, start: Tensor | None = None
) -> Tensor:
    """Return the scores plus `start`, minus infinity at unseen keys, (batch, heads, n, m).

    One product writes start + scale q k' at once; what follows is in place.

    Parameters
    ----------
    q, k : Tensor of shape (batch, heads, n or m, d)
        Queries and keys of a block.
    pattern : Pattern
        Of the block.
    scale : float, default 1.0
        What the products are multiplied by.
    start : Tensor of shape (..., n or 1, 1), optional
        Added to the scores of a row.

    Returns
    -------
    Tensor of shape (batch, heads, n, m)
        The scores.
    """
    shape = (*q.shape[:-1], k.shape[-2])
    added = pattern.added()
    if added is not None:
        added = added.to(q.dtype)
        if added.shape[-2] == 1:
            start, added = (added if start is None else start + added), None
    scores = _product(q, k, scale, start, shape)
    if added is not None:
        scores.add_(added)
    seen = pattern.visible()
    return scores if seen is None else scores.masked_fill_(~seen, float("-inf"))


def _product(
    q: Tensor, k: Tensor, scale: float, start: Tensor | None, shape: tuple[int, ...]
) -> Tensor:
    """Return start + scale q k' from one batched product."""
    count = shape[0] * shape[1]
    left, right = q.reshape(count, *q.shape[2:]), k.reshape(count, *k.shape[2:]).mT
    if start is None:
        rows, beta = q.new_zeros(1, 1, 1), 0
    else:
        rows = start.expand(*shape[:2], *start.shape[-2:]).reshape(count, *start.shape[-2:])
        beta = 1
    return torch.baddbmm(rows, left, right, beta=beta, alpha=scale).reshape(shape)


def over_sums(weights: Tensor) -> Tensor:
    """Return weights over the sum of their row; rows of zeros stay zeros."""
    sums = weights.sum(-1, keepdim=True)
    return weights / sums.masked_fill(sums == 0.0, 1.0)

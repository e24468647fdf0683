"""What units of attention to pairs of keys share: scores, patterns and values of pairs."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._unit import AttentionUnit

Pair = tuple[Tensor, Tensor]


class PairUnit(AttentionUnit):
    """A unit with weights p_i(j, l) on pairs of keys: out_i = sum_{j,l} p_i(j, l) v1_j * v2_l."""

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

    @abstractmethod
    def pair_weights(self, q: Tensor, k: Pair, pattern: Pattern, scale: float) -> Tensor:
        """Return all weights by their plain definition, of shape (batch, heads, n, m, m).

        Parameters
        ----------
        q : Tensor of shape (batch, heads, n, d)
        k : pair of Tensor of shape (batch, heads, m, d)
        pattern : Pattern
        scale : float
        """


def pair_scores(q: Tensor, k: Pair, scale: float) -> Tensor:
    """Return scale <q_i, k1_j * k2_l>, of shape (batch, heads, n, m, m).

    Parameters
    ----------
    q : Tensor of shape (batch, heads, n, d)
    k : pair of Tensor of shape (batch, heads, m, d)
    scale : float
    """
    return torch.einsum("...id,...jd,...ld->...ijl", scale * q, *k)


def level_bias(added: Tensor | None, seen: Tensor | None) -> Tensor | None:
    """Return a bias less the largest that its row sees, zero at keys that it does not see.

    That changes no weight, and two of the lowest numbers that there are can then be added.

    Parameters
    ----------
    added : Tensor or None
        Of shape (..., n or 1, m).
    seen : Tensor or None
        Bool, broadcasting with it.
    """
    if added is None:
        return None
    if seen is None:
        return added - added.detach().amax(-1, keepdim=True)
    top = added.detach().masked_fill(~seen, float("-inf")).amax(-1, keepdim=True)
    return (added - top.masked_fill(top.isneginf(), 0.0)).masked_fill(~seen, 0.0)


def pair_pattern(pattern: Pattern) -> tuple[Tensor | None, Tensor | None]:
    """Return the bias of pairs and which are seen, broadcasting to (batch, heads, n, m, m).

    The bias is that of `level_bias`, for either key.

    Parameters
    ----------
    pattern : Pattern
        Of single keys.
    """
    seen = pattern.visible()
    added = level_bias(pattern.added(), seen)
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

"""Which keys each query sees, and what is added to their scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from softunit.nn.attention._relative import RelativeBias


@dataclass(frozen=True)
class Pattern:
    """Masks and biases of one call, in the parts that units treat differently.

    Parameters
    ----------
    n, m : int
        Numbers of queries and keys.
    device : torch.device
        Where the tensors of the call are.
    keys : Tensor or None
        Bool, of shape (..., 1, m): the keys that any query may see. None: all.
    entries : Tensor or None
        Bool, of shape (..., n, m): what a mask allows that tells queries apart. None: all.
    offset : int or None
        Query i sees keys j <= i + offset; None is not causal.
    bias : Tensor or None
        Added to the scores, of shape (..., n or 1, m).
    relative : RelativeBias or None
        Added to the scores, by distance.
    """

    n: int
    m: int
    device: torch.device
    keys: Tensor | None = None
    entries: Tensor | None = None
    offset: int | None = None
    bias: Tensor | None = None
    relative: RelativeBias | None = None

    @property
    def dense(self) -> bool:
        """Whether the caller gave an array of n rows: no form of linear time exists."""
        tall = self.bias is not None and self.bias.shape[-2] > 1
        return self.entries is not None or tall

    @property
    def sees_all(self) -> bool:
        """Whether every query sees every key."""
        return self.keys is None and self.entries is None and self.offset is None

    @property
    def adds_nothing(self) -> bool:
        """Whether no bias of any kind is added."""
        return self.bias is None and self.relative is None

    def visible(self, start: int = 0, stop: int | None = None) -> Tensor | None:
        """Return which keys rows start to stop see: bool, broadcasting to (..., rows, m).

        None says that they see all.
        """
        stop = self.n if stop is None else stop
        seen = self.keys
        if self.entries is not None:
            rows = self.entries[..., start:stop, :]
            seen = rows if seen is None else seen & rows
        if self.offset is None:
            return seen
        i = torch.arange(start, stop, device=self.device)[:, None]
        past = torch.arange(self.m, device=self.device) <= i + self.offset
        return past if seen is None else seen & past

    def added(self, start: int = 0, stop: int | None = None) -> Tensor | None:
        """Return what is added to the scores of rows start to stop, or None for nothing.

        The shape broadcasts to (..., rows, m).
        """
        stop = self.n if stop is None else stop
        added = self.bias
        if added is not None and added.shape[-2] > 1:
            added = added[..., start:stop, :]
        if self.relative is None:
            return added
        rows = self.relative.rows(start, stop, self.n, self.m)
        return rows if added is None else added + rows

    def counts(self) -> Tensor:
        """Return how many keys each query sees: int64, of shape (..., n or 1, 1).

        Only a mask of n rows is summed as such; all others cost O(n + m).
        """
        if self.entries is not None:
            seen = self.visible()
            assert seen is not None
            return seen.sum(-1, keepdim=True)
        keys = torch.ones(1, self.m, dtype=torch.bool, device=self.device)
        if self.keys is not None:
            keys = self.keys
        if self.offset is None:
            return keys.sum(-1, keepdim=True)
        # Entry t counts the visible ones among the first t keys.
        before = torch.nn.functional.pad(keys.cumsum(-1), (1, 0))
        ends = torch.arange(self.n, device=self.device) + self.offset + 1
        return before[..., 0, ends.clamp(0, self.m)].unsqueeze(-1)

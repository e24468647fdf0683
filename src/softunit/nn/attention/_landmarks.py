"""Landmarks: the means of runs of keys that stand for all keys in a Nystroem approximation."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_means(k: Tensor, seen: Tensor | None, count: int) -> tuple[Tensor, Tensor | None]:
    """Return the means of `count` runs of keys, and which of them there are.

    Key j of the m that are seen belongs to run floor(j count / m): the runs are in order and
    differ by at most one in length. Keys that are not seen are left out before counting, as if
    they had not been given. Where fewer than `count` are seen, each is a landmark of its own.

    Parameters
    ----------
    k : Tensor of shape (batch, heads, m, d)
        Keys.
    seen : Tensor or None
        Bool, broadcasting to (batch, heads, 1, m): None means all.
    count : int
        At most m.

    Returns
    -------
    tuple of Tensor of shape (batch, heads, count, d) and Tensor or None
        The landmarks; and 1 for each that there is, 0 for each that there is not, of shape
        (batch or 1, heads or 1, count, 1), or None if there are all.
    """
    m = k.shape[-2]
    numbers = torch.arange(count, device=k.device)[:, None]
    if seen is None:
        # One matrix of shares for all of the batch.
        member = numbers == torch.arange(m, device=k.device) * count // m
        return _means(member, k), None
    total = seen.sum(-1, keepdim=True)
    runs = total.clamp(1, count)
    rank = seen.cumsum(-1) - 1
    member = (numbers == rank * runs // total.clamp(min=1)) & seen
    return _means(member, k), (numbers < total).to(k.dtype)


def _means(member: Tensor, k: Tensor) -> Tensor:
    shares = member.to(k.dtype)
    found: Tensor = (shares / shares.sum(-1, keepdim=True).clamp(min=1.0)) @ k
    return found

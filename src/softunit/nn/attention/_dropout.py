"""Dropout for units without an array of weights: whole values are dropped."""

from __future__ import annotations

import torch
from torch import Tensor


def thinned(v: Tensor, dropout: float) -> Tensor:
    """Return the values, of which each is dropped with probability `dropout`, of shape (..., m, e).

    What stays is divided by 1 - dropout, so that the mean is kept. All queries of a call miss the
    same values, which is what a linear unit can do without an array of weights.

    Parameters
    ----------
    v : Tensor of shape (..., m, e)
        Values.
    dropout : float
        In [0, 1); at 0 the values themselves come back.
    """
    if dropout == 0.0:
        return v
    return v * torch.nn.functional.dropout(v.new_ones(*v.shape[:-1], 1), dropout)

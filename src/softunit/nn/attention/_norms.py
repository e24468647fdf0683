"""Norms and directions whose values and gradients are finite at zero and far from it."""

from __future__ import annotations

import torch
from torch import Tensor


def directions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x / |x|, of the shape of x, and |x| with a last axis of one.

    The direction of a zero vector is zero, and so are the gradients there. Entries are divided by
    the largest first, so that no square overflows or vanishes.

    Parameters
    ----------
    x : Tensor of shape (..., d)
    """
    size = x.detach().abs().amax(-1, keepdim=True)
    zero = size == 0
    size = size.masked_fill(zero, 1.0)
    scaled = x / size
    norm = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True).masked_fill(zero, 1.0)
    return scaled / norm, (norm * size).masked_fill(zero, 0.0)

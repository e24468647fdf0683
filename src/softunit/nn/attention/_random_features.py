"""Orthogonal random directions, the same for every call of one width."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def random_directions(like: Tensor, count: int, seed: int) -> Tensor:
    """Return directions w_1 to w_count, each of them standard normal, of shape (count, d).

    Blocks of d rows are orthogonal, which lowers the variance of the features. Nothing but count,
    seed and d decides them.

    Parameters
    ----------
    like : Tensor of shape (..., d)
        Whose width, dtype and device they have.
    count : int
        How many.
    seed : int
        What they are drawn from.
    """
    found: Tensor = _directions(like.detach(), count, seed)
    return found


# An operator of its own: compiled code calls it, and does not look into NumPy.
@torch.library.custom_op(
    "softunit::random_directions",
    mutates_args=(),
    schema="(Tensor like, int count, int seed) -> Tensor",
)
def _directions(like: Tensor, count: int, seed: int) -> Tensor:
    # A copy, kept as an array: a tensor made in inference mode could not be used outside of it.
    return torch.tensor(_drawn(count, like.shape[-1], seed), dtype=like.dtype, device=like.device)


@_directions.register_fake
def _shape(like: Tensor, count: int, seed: int) -> Tensor:
    return like.new_empty(count, like.shape[-1])


@lru_cache(maxsize=64)
def _drawn(count: int, width: int, seed: int) -> np.ndarray:
    """Return the directions, of shape (count, width), in float64."""
    rng = np.random.default_rng(seed)
    blocks = []
    for _ in range(-(-count // width)):
        q, r = np.linalg.qr(rng.standard_normal((width, width)))
        lengths = np.linalg.norm(rng.standard_normal((width, width)), axis=1)
        # With the signs of the diagonal of r, q is uniform among rotations.
        blocks.append(lengths[:, None] * (q * np.sign(np.diag(r))).T)
    return np.concatenate(blocks)[:count]

"""Attention with a feature map token after token: a state of r e numbers that does not grow."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from softunit.nn.attention._causal_sums import past_sums
from softunit.nn.attention._kernel_weights import Normaliser, divided, smallest
from softunit.nn.attention._states import Parts


class KernelState(NamedTuple):
    """What is kept of the tokens before.

    Parameters
    ----------
    values : Tensor of shape (batch, heads, r, e)
        sum_j phi_k_j v_j'.
    weights : Tensor of shape (batch, heads, r)
        sum_j phi_k_j, with the features of the normaliser.
    """

    values: Tensor
    weights: Tensor


def state_parts(start: str, state: object, shape: tuple[int, ...]) -> Parts:
    """Return the tensors of a state for `check_state`, with the shapes that they must have.

    Parameters
    ----------
    start : str
        What stands before their names.
    state : KernelState
        Anything else has no tensors to show.
    shape : tuple of int
        (batch, heads, r, e).
    """
    shapes = {"values": shape, "weights": shape[:-1]}
    return {start + name: (getattr(state, name, None), want) for name, want in shapes.items()}


def kernel_step(
    phi_q: Tensor,
    phi_k: Tensor,
    v: Tensor,
    state: KernelState | None,
    *,
    normalise: Normaliser = True,
) -> tuple[Tensor, KernelState]:
    """Return the outputs for the next t tokens, (batch, heads, t, e), and the state after them.

    Steps from the first token to the last give what `kernel_mix` gives for a causal pattern.

    Parameters
    ----------
    phi_q, phi_k : Tensor of shape (batch, heads, t, r)
        Features of the next queries and keys.
    v : Tensor of shape (batch, heads, t, e)
        Values.
    state : KernelState or None
        What the last step returned; None before the first token.
    normalise : bool or pair of Tensor, default True
        As in `kernel_mix`.
    """
    below_q, below_k = normalise if isinstance(normalise, tuple) else (phi_q, phi_k)
    ones = v.new_ones(*v.shape[:-1], 1)
    above = past_sums(phi_q, phi_k, v, 0)
    below = past_sums(below_q, below_k, ones, 0)
    values, weights = phi_k.mT @ v, below_k.sum(-2)
    if state is not None:
        above = above + phi_q @ state.values
        below = below + below_q @ state.weights.unsqueeze(-1)
        values, weights = values + state.values, weights + state.weights
    out = above if normalise is False else divided(above, below, smallest(above.dtype))
    return out, KernelState(values, weights)

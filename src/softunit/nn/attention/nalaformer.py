"""NaLaFormer: linear attention whose sharpness follows the norm of the query, as in softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from softunit.nn._checks import check_number, check_switch
from softunit.nn.attention._dropout import thinned
from softunit.nn.attention._kernel_state import KernelState, kernel_step, state_parts
from softunit.nn.attention._kernel_sums import kernel_mix
from softunit.nn.attention._kernel_weights import Normaliser, kernel_weights
from softunit.nn.attention._norms import directions
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._row_blocks import outputs_by_heads
from softunit.nn.attention._states import Parts, check_state
from softunit.nn.attention._unit import AttentionUnit

BASE = 10000.0
"""Ratio of the fastest and the slowest rotation."""


class NaLaFormerState(NamedTuple):
    """What a step hands to the next.

    Parameters
    ----------
    position : int
        How many tokens there were.
    sums : KernelState
        Their sums.
    """

    position: int
    sums: KernelState


@dataclass(frozen=True)
class NaLaFormer(AttentionUnit):
    """Weights <phi(q_i), psi(k_j)> over their sum, with a map phi that knows the norm of q.

    With d_i = s q_i / |s q_i| (s is the scale) and p_i = power (1/2 + tanh |s q_i|)::

        phi(q_i) = [max(d_i, 0)^p_i, max(-d_i, 0)^p_i]
        psi(k_j) = [max(k_j^3, 0), max(-k_j^3, 0)]

    The longer a query, the higher the power and the fewer keys it attends to. A query and its keys
    without a coordinate of one sign in common have weights of zero, and then so is the row.

    Parameters
    ----------
    power : float, default 3.0
        The lambda of the paper, above zero.
    rotary : bool, default False
        Turn both maps by their positions, as RoPE does, above the line but not below it: weights
        then may be negative and no longer sum to one.

    Raises
    ------
    InputError
        If the power is not a finite number above zero, or the switch neither True nor False.

    Notes
    -----
    Costs n d e in time and memory n (d + e), causal too; a step keeps 2 d (e + 1) numbers. The
    default scale is one, as the map has none. Query i stands at position i, or i + m - n with
    causal="bottom-right". Gradients at a zero entry of a query, where the map has a kink, are zero.
    Source: 1.5, NaLaFormer (arXiv 2506.21137), and the authors' code.
    """

    power: float = 3.0
    rotary: bool = False
    name: ClassVar[str] = "nalaformer"
    linear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", check_number("power", self.power, above=0.0))
        check_switch("rotary", self.rotary)
        # Of this one, not of the class: turned weights do not sum to one.
        object.__setattr__(self, "sums_to_one", not self.rotary)

    def default_scale(self, d: int) -> float:
        """Return 1: the map has no temperature but the norm of the query."""
        return 1.0

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return the weights of all pairs, of shape (batch, heads, n, m)."""
        at = (pattern.offset or 0, 0)
        phi_q, phi_k, below = self._features(q * scale, k, at)
        return kernel_weights(phi_q, phi_k, pattern, below)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the mixed values through sums over keys: (batch, heads, n, e)."""

        def mixed(q: Tensor, k: Tensor, v: Tensor, part: Pattern) -> Tensor:
            at = (part.offset or 0, 0)
            phi_q, phi_k, below = self._features(q * scale, k, at)
            return kernel_mix(phi_q, phi_k, v, part, normalise=below)

        return outputs_by_heads(mixed, q, k, thinned(v, dropout), pattern, 2 * q.shape[-1])

    def step(
        self, q: Tensor, k: Tensor, v: Tensor, state: NaLaFormerState | None, scale: float
    ) -> tuple[Tensor, NaLaFormerState]:
        """Return the outputs for the next tokens, (batch, heads, t, e), and the state."""
        lead = (*q.shape[:2], 2 * q.shape[-1])

        def parts(state: NaLaFormerState) -> Parts:
            return state_parts("sums.", state.sums, (*lead, v.shape[-1]))

        check_state(self.name, state, NaLaFormerState, parts, v)
        seen = 0 if state is None else state.position
        phi_q, phi_k, below = self._features(q * scale, k, (seen, seen))
        out, sums = kernel_step(
            phi_q, phi_k, v, None if state is None else state.sums, normalise=below
        )
        return out, NaLaFormerState(seen + q.shape[-2], sums)

    def _features(
        self, q: Tensor, k: Tensor, at: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Normaliser]:
        """Return the features of queries and keys from positions `at`, and the normaliser's."""
        phi_q, phi_k = query_features(q, self.power), key_features(k)
        if not self.rotary:
            return phi_q, phi_k, True
        return turned(phi_q, at[0]), turned(phi_k, at[1]), (phi_q, phi_k)


def query_features(q: Tensor, power: float) -> Tensor:
    """Return the powers of the two signs of the direction of q, of shape (..., 2 d).

    Parameters
    ----------
    q : Tensor of shape (..., d)
    power : float
        The lambda of the paper.
    """
    direction, norm = directions(q)
    # Zeros are kept out of the power, whose slope there may be infinite.
    sizes = direction.abs().masked_fill(direction == 0, 1.0) ** (power * (0.5 + torch.tanh(norm)))
    # Asked this way round, a query that is no number stays none.
    return torch.cat(
        [torch.where(direction <= 0, 0.0, sizes), torch.where(direction >= 0, 0.0, sizes)], -1
    )


def key_features(k: Tensor) -> Tensor:
    """Return the two signs of k cubed, of shape (..., 2 d).

    Parameters
    ----------
    k : Tensor of shape (..., d)
    """
    cube = k * k * k
    return torch.cat([cube.clamp_min(0.0), (-cube).clamp_min(0.0)], -1)


def turned(features: Tensor, start: int) -> Tensor:
    """Return features whose pairs of coordinates are turned by angles that grow with position.

    Coordinates 2 t and 2 t + 1 of either sign are turned by position * 10000^(-t / (d/2 - 1)); an
    odd last coordinate stays.

    Parameters
    ----------
    features : Tensor of shape (..., n, 2 d)
    start : int
        Position of the first row.
    """
    n, half = features.shape[-2], features.shape[-1] // 2
    pairs = half // 2
    if pairs == 0:
        return features
    speeds = BASE ** -torch.linspace(0, 1, pairs, dtype=torch.float64, device=features.device)
    places = torch.arange(start, start + n, dtype=torch.float64, device=features.device)
    angles = places[:, None, None] * speeds
    cos, sin = angles.cos().to(features.dtype), angles.sin().to(features.dtype)
    signs = features.unflatten(-1, (2, half))
    even, odd = signs[..., 0 : 2 * pairs : 2], signs[..., 1 : 2 * pairs : 2]
    moved = torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2)
    return torch.cat([moved, signs[..., 2 * pairs :]], -1).flatten(-2)

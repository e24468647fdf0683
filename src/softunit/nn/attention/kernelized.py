"""Kernelised attention: softmax's kernel by positive random features, with biases of distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn._checks import check_count, check_switch
from softunit.nn.attention._dropout import thinned
from softunit.nn.attention._kernel_state import KernelState, kernel_step, state_parts
from softunit.nn.attention._kernel_sums import DIRECT, kernel_mix
from softunit.nn.attention._kernel_weights import kernel_weights, largest
from softunit.nn.attention._norms import directions
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._random_features import random_directions
from softunit.nn.attention._row_blocks import outputs_by_heads
from softunit.nn.attention._states import Parts, check_state
from softunit.nn.attention._unit import AttentionUnit


class KernelizedState(NamedTuple):
    """What a step hands to the next.

    Parameters
    ----------
    peaks : Tensor of shape (batch, heads, 1, r)
        Largest exponent of each feature so far, which the sums are relative to.
    sums : KernelState
        Sums over the tokens before.
    width : int
        The d of queries and keys, which the features belong to.
    """

    peaks: Tensor
    sums: KernelState
    width: int


@dataclass(frozen=True)
class Kernelized(AttentionUnit):
    """Weights <phi(q_i), phi(k_j)> exp(b_ij) over their sum, with positive random features.

    phi_a(x) = exp(w_a' x - |x|^2 / 2) with standard normal w_a, orthogonal in blocks of d, of
    x = sqrt(scale) q / |q| and sqrt(scale) k / |k|. In the mean over w this is softmax attention
    with the scores scale cos(q, k) + b.

    Parameters
    ----------
    features : int, default 64
        Number r of features.
    seed : int, default 0
        What the directions w are drawn from: the same in every call of one width d.
    normalise : bool, default True
        Divide queries and keys by their norms. Without it the scores are scale <q, k>, and the
        error of the features grows like exp(|x|^2).
    direct : int, default 262144
        Largest n m at which a `RelativeBias` is spread over blocks of rows; 0: always the FFT.

    Raises
    ------
    InputError
        If a number is not an integer of its range, or the switch neither True nor False.

    Notes
    -----
    Costs n r (d + e); with a `RelativeBias` n log n r e, without an array of n rows. The default
    scale is 1 with normalised queries and keys, else 1 / sqrt(d). Exponents are shifted by the
    largest of each feature over the keys, which cancels; without `normalise`, causal rows all of
    whose keys lie e^-87 (float32) below a later key are zeros. A zero vector has direction zero.
    Source: 1.11 (arXiv 2106.12566).
    """

    features: int = 64
    seed: int = 0
    normalise: bool = True
    direct: int = DIRECT
    name: ClassVar[str] = "kernelized"
    linear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, least in (("features", 1), ("seed", 0), ("direct", 0)):
            object.__setattr__(self, name, check_count(name, getattr(self, name), least))
        check_switch("normalise", self.normalise)

    def default_scale(self, d: int) -> float:
        """Return 1 for normalised queries and keys, else 1 / sqrt(d)."""
        return 1.0 if self.normalise else 1.0 / math.sqrt(d)

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return the weights of all pairs, of shape (batch, heads, n, m)."""
        phi_q, phi_k = self._maps(q, k, pattern, scale)
        return kernel_weights(phi_q, phi_k, pattern)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the mixed values through sums over keys: (batch, heads, n, e)."""

        def mixed(q: Tensor, k: Tensor, v: Tensor, part: Pattern) -> Tensor:
            phi_q, phi_k = self._maps(q, k, part, scale)
            return kernel_mix(phi_q, phi_k, v, part, direct=self.direct)

        return outputs_by_heads(mixed, q, k, thinned(v, dropout), pattern, self.features)

    def step(
        self, q: Tensor, k: Tensor, v: Tensor, state: KernelizedState | None, scale: float
    ) -> tuple[Tensor, KernelizedState]:
        """Return the outputs for the next tokens, (batch, heads, t, e), and the state."""
        lead = (*q.shape[:2], self.features)

        def parts(state: KernelizedState) -> Parts:
            peaks = {"peaks": (state.peaks, (*lead[:2], 1, self.features))}
            return peaks | state_parts("sums.", state.sums, (*lead, v.shape[-1]))

        check_state(self.name, state, KernelizedState, parts, v)
        if state is not None and state.width != q.shape[-1]:
            raise InputError(
                f"The state of a step with the unit 'kernelized' is of width d = {state.width},"
                f" but q and k of {q.shape[-1]}: their features have nothing in common."
            )
        keys = self._exponents(k, scale)
        peaks, sums = largest(keys, -2), None
        if state is not None:
            peaks = torch.maximum(peaks, state.peaks)
            fall = torch.exp(state.peaks - peaks)
            sums = KernelState(state.sums.values * fall.mT, state.sums.weights * fall.squeeze(-2))
        phi_q, phi_k = self._shifted(self._exponents(q, scale), keys, peaks)
        out, sums = kernel_step(phi_q, phi_k, v, sums)
        return out, KernelizedState(peaks, sums, q.shape[-1])

    def _maps(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> tuple[Tensor, Tensor]:
        """Return the features of queries and keys, up to factors that cancel."""
        keys = self._exponents(k, scale)
        if pattern.keys is not None:
            # What is masked must neither be the largest nor overflow.
            keys = keys.masked_fill(~pattern.keys.mT, float("-inf"))
        peaks = largest(keys, -2)
        return self._shifted(self._exponents(q, scale), keys, peaks)

    def _exponents(self, x: Tensor, scale: float) -> Tensor:
        """Return w_a' x - |x|^2 / 2 for all features, of shape (..., r)."""
        x = (directions(x)[0] if self.normalise else x) * math.sqrt(scale)
        w = random_directions(x, self.features, self.seed)
        return x @ w.mT - 0.5 * x.square().sum(-1, keepdim=True)

    def _shifted(self, q: Tensor, k: Tensor, peaks: Tensor) -> tuple[Tensor, Tensor]:
        """Return both maps: what each key feature is divided by, the queries are multiplied by."""
        peaks = peaks.clamp_min(-1e30)
        q = q + peaks
        return torch.exp(q - largest(q, -1)), torch.exp(k - peaks)

"""The Hydra layer: a quasiseparable mixer with decays that the tokens choose, in both directions.

Source: 2.18 (arXiv 2407.09941).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from softunit.errors import InputError
from softunit.nn._checks import check_count, check_switch
from softunit.nn.attention._module_inputs import check_dtype, check_padding, check_tokens
from softunit.nn.attention._semiseparable import (
    CHUNK,
    semiseparable,
    semiseparable_matrix,
    semiseparable_step,
)
from softunit.nn.attention.quasiseparable import quasiseparable, quasiseparable_matrix

SHORTEST, LONGEST = 0.001, 0.1  # time steps of the heads at the start
EPS = 1e-5


class HydraState(NamedTuple):
    """What a causal layer remembers between steps; its size does not grow.

    Parameters
    ----------
    window : Tensor of shape (batch, convolution - 1, channels)
        The last inputs of the short convolution.
    memory : Tensor of shape (batch, heads, state, inner / heads)
        The state of the recurrence.
    """

    window: Tensor
    memory: Tensor


class Way(NamedTuple):
    """One recurrence: c and b (batch, 1, n, s), log decays and time steps (batch, heads, n)."""

    c: Tensor
    b: Tensor
    log_decay: Tensor
    dt: Tensor


class Parts(NamedTuple):
    """What is mixed: values (batch, heads, n, width), and the diagonal (batch, heads, n)."""

    values: Tensor
    directions: tuple[Way, ...]
    diagonal: Tensor


class Hydra(nn.Module):
    """A layer that mixes tokens in both directions in linear time, in place of attention.

    With inner = expand * dim channels in heads of width inner / heads::

        z, u, steps      = x W_in                      gate, channels, time steps
        x', B, C, B', C' = silu(convolution(u))        B and C of each direction, shared by heads
        dt, dt'          = softplus(steps + bias)      one for each token, head and direction
        y                = shift(SS(dt x')) + flip(shift(SS'(flip dt' x'))) + (d + x' W_d) x'
        out              = (RMS norm(y) * g * silu(z)) W_out

    SS has c = C, b = B and log decays -exp(a) dt. The diagonal (d + x' W_d) is its own, free
    parameter: the shifts leave it empty.

    Parameters
    ----------
    dim : int
        Width of the tokens.
    state : int, default 64
        Width s of B and C: the rank of the blocks off the diagonal.
    heads : int, default 4
        Must divide expand * dim.
    expand : int, default 2
        Inner channels over `dim`.
    convolution : int, default 7
        Tokens that the short convolution sees. In both directions it is odd and centred; causal,
        it sees the tokens before. 1 sees the token itself.
    causal : bool, default False
        The one-directional sibling: y = SS(dt x') + (d + x' W_d) x', with `step`.
    chunk : int, default 64
        Tokens that are multiplied as a dense block.
    device : torch.device, optional
        Where the parameters are.
    dtype : torch.dtype, optional
        Of the parameters. In half precision the recurrences are summed in float32.

    Raises
    ------
    InputError
        If a size is below one, the heads do not divide the channels, or a convolution in both
        directions is even.

    Notes
    -----
    About dim (3 inner + 4 state) parameters, and time linear in n. Weights start from PyTorch's
    generator, as in all its modules; a dt starts between 0.001 and 0.1, evenly in its logarithm
    over heads.
    """

    def __init__(
        self,
        dim: int,
        *,
        state: int = 64,
        heads: int = 4,
        expand: int = 2,
        convolution: int = 7,
        causal: bool = False,
        chunk: int = CHUNK,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = {"dim": dim, "state": state, "heads": heads, "expand": expand}
        _check_sizes(sizes, convolution, causal)
        check_count("chunk", chunk, 2)
        check_dtype(dtype)
        self.dim, self.state, self.heads, self.inner = map(int, (dim, state, heads, expand * dim))
        self.convolution, self.causal, self.chunk = int(convolution), causal, int(chunk)
        self._make(device, dtype)

    def _make(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        """Make the parameters."""
        inner, ways = self.inner, 1 if self.causal else 2
        channels = inner + ways * 2 * self.state
        self.sizes = (inner, channels, ways * self.heads)
        self.into = nn.Linear(self.dim, sum(self.sizes), bias=False, device=device, dtype=dtype)
        bound = 1.0 / math.sqrt(self.convolution)
        taps = torch.empty(channels, 1, self.convolution, device=device, dtype=dtype)
        self.taps = nn.Parameter(nn.init.uniform_(taps, -bound, bound))
        self.taps_bias = nn.Parameter(torch.zeros_like(taps[:, 0, 0]))
        share = torch.linspace(0.0, 1.0, self.heads, dtype=torch.float64)
        dt = SHORTEST * (LONGEST / SHORTEST) ** share
        # The inverse of softplus.
        start = (dt + torch.log(-torch.expm1(-dt))).repeat(ways)
        self.step_bias = nn.Parameter(start.to(self.taps))
        self.log_rate = nn.Parameter(torch.zeros_like(start[: self.heads]).to(self.taps))
        self.skip = nn.Linear(inner, self.heads, device=device, dtype=dtype)
        nn.init.ones_(self.skip.bias)
        self.gain = nn.Parameter(torch.ones(inner, device=device, dtype=dtype))
        self.out = nn.Linear(inner, self.dim, bias=False, device=device, dtype=dtype)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Return the mixed tokens, of shape (batch, n, dim).

        Parameters
        ----------
        x : Tensor of shape (batch, n, dim)
            The tokens.
        key_padding_mask : Tensor of shape (batch, n), optional
            Bool, True where a token is padding, as in `torch.nn.MultiheadAttention`: it neither
            gives nor takes anything, no time passes at it, and its output is zeros. A padded
            sequence gives what it gives without its padding before or after.

        Returns
        -------
        Tensor of shape (batch, n, dim)
            The mixed tokens.

        Raises
        ------
        InputError
            If shapes or dtypes do not fit.
        """
        return self._forward(x, key_padding_mask, dense=False)

    def reference(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Return what the layer returns, through the dense n-by-n matrices of its heads.

        Parameters
        ----------
        x : Tensor of shape (batch, n, dim)
            The tokens.
        key_padding_mask : Tensor of shape (batch, n), optional
            As in `forward`.

        Returns
        -------
        Tensor of shape (batch, n, dim)
            The mixed tokens.
        """
        return self._forward(x, key_padding_mask, dense=True)

    def step(self, x: Tensor, state: HydraState | None = None) -> tuple[Tensor, HydraState]:
        """Return the outputs for the next tokens of a causal layer, and the state after them.

        Parameters
        ----------
        x : Tensor of shape (batch, t, dim)
            The next t tokens; t is usually one.
        state : HydraState, optional
            What the last step returned; None before the first token.

        Returns
        -------
        tuple of Tensor of shape (batch, t, dim) and HydraState
            The outputs and the state.

        Raises
        ------
        InputError
            If the layer looks in both directions, or shapes, dtypes or the state do not fit.
        """
        if not self.causal:
            raise InputError(
                "A layer that looks in both directions has no steps: a token's output needs the"
                " tokens after it. Build it with causal=True."
            )
        _check(x, None, self.dim, self.into.weight)
        gate, channels, steps = self.into(x).split(self.sizes, -1)
        _check_state(state, (len(x), self.convolution - 1, channels.shape[-1]), channels)
        before = None if state is None else state.window
        parts = self._parts(channels, steps, None, before)
        (way,) = parts.directions
        memory = None if state is None else state.memory
        taken = parts.values * way.dt[..., None]
        y, memory = semiseparable_step(way.c, way.b, way.log_decay, taken, memory, chunk=self.chunk)
        y = y + parts.diagonal[..., None] * parts.values
        window = self._windowed(channels, before)[:, channels.shape[1] :]
        return self._leave(y, gate), HydraState(window, memory)

    def _forward(self, x: Tensor, padding: Tensor | None, *, dense: bool) -> Tensor:
        _check(x, padding, self.dim, self.into.weight)
        gate, channels, steps = self.into(x).split(self.sizes, -1)
        parts = self._parts(channels, steps, padding, None)
        mixed = self._leave(self._mix_densely(parts) if dense else self.mix(parts), gate)
        return mixed if padding is None else mixed.masked_fill(padding[..., None], 0.0)

    def _parts(
        self, channels: Tensor, steps: Tensor, padding: Tensor | None, before: Tensor | None
    ) -> Parts:
        """Return what the recurrences need, after the short convolution."""
        if padding is not None:
            channels = channels.masked_fill(padding[..., None], 0.0)
        seen = silu(
            torch.nn.functional.conv1d(
                self._windowed(channels, before).mT,
                self.taps,
                self.taps_bias,
                groups=self.taps.shape[0],
            ).mT
        )
        x, *read = seen.split([self.inner, *(self.state,) * (2 if self.causal else 4)], -1)
        diagonal = self.skip(x).mT
        # Half precision would lose what a long sequence adds up.
        wide = torch.promote_types(x.dtype, torch.float32)
        dt = softplus((steps + self.step_bias).to(wide)).mT
        if padding is not None:
            x = x.masked_fill(padding[..., None], 0.0)
            dt = dt.masked_fill(padding[:, None], 0.0)
        values = x.unflatten(-1, (self.heads, -1)).transpose(1, 2).to(wide)
        rate = self.log_rate.to(wide).exp()[:, None]
        directions = tuple(
            Way(c[:, None].to(wide), b[:, None].to(wide), -rate * t, t)
            for t, b, c in zip(dt.split(self.heads, 1), read[::2], read[1::2], strict=True)
        )
        return Parts(values, directions, diagonal.to(wide))

    def _windowed(self, channels: Tensor, before: Tensor | None) -> Tensor:
        """Return the inputs of the convolution with what stands before and after them."""
        reach = self.convolution - 1
        if before is not None:
            return torch.cat([before, channels], 1)
        left = reach if self.causal else reach // 2
        return pad(channels, (0, 0, left, reach - left))

    def mix(self, parts: Parts) -> Tensor:
        """Return the mixed values, (batch, heads, n, width), in linear time."""
        taken = [parts.values * way.dt[..., None] for way in parts.directions]
        onward = parts.directions[0]
        if self.causal:
            y = semiseparable(*onward[:3], taken[0], chunk=self.chunk)
        else:
            back = parts.directions[1][:3]
            y = quasiseparable(*onward[:3], taken[0], back=back, x_back=taken[1], chunk=self.chunk)
        return y + parts.diagonal[..., None] * parts.values

    def _mix_densely(self, parts: Parts) -> Tensor:
        """Return the same through the matrices of the heads, (batch, heads, n, n)."""
        maps = [(w.c, w.b * w.dt[..., None], w.log_decay) for w in parts.directions]
        if self.causal:
            mixer = semiseparable_matrix(*maps[0]) + torch.diag_embed(parts.diagonal)
        else:
            mixer = quasiseparable_matrix(*maps[0], back=maps[1], diagonal=parts.diagonal)
        return mixer @ parts.values

    def _leave(self, y: Tensor, gate: Tensor) -> Tensor:
        """Return the mixed values normalised, gated and projected, (batch, n, dim)."""
        y = y.transpose(1, 2).flatten(2)
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + EPS)
        gated = y.to(gate.dtype) * self.gain * silu(gate)
        left: Tensor = self.out(gated)
        return left


def _check_sizes(sizes: dict[str, int], convolution: int, causal: bool) -> None:
    """Refuse sizes that are none, or do not divide one another."""
    for name, size in {**sizes, "convolution": convolution}.items():
        check_count(name, size)
    check_switch("causal", causal)
    if not causal and convolution % 2 == 0:
        raise InputError(
            "`convolution` must be odd in both directions, to be centred on its token; got"
            f" {convolution}."
        )
    inner = sizes["expand"] * sizes["dim"]
    if inner % sizes["heads"]:
        raise InputError(
            f"`heads` must divide expand * dim = {inner} channels; got {sizes['heads']}."
        )


def _check(x: Tensor, padding: Tensor | None, dim: int, weight: Tensor) -> None:
    """Refuse tokens and masks that do not fit."""
    check_tokens(x, dim, weight)
    if x.shape[1] < 1:
        raise InputError(f"`x` must have at least one token; got shape {tuple(x.shape)}.")
    check_padding(padding, x)


def _check_state(state: object, wanted: tuple[int, int, int], channels: Tensor) -> None:
    """Refuse what is not what the last step of this layer and batch returned."""
    if state is None:
        return
    if not isinstance(state, HydraState):
        raise InputError(
            "`state` must be None or the HydraState that the last step returned; got"
            f" {type(state).__name__}."
        )
    window: object = state.window
    like = (wanted, channels.dtype, channels.device)
    got: object = type(window).__name__
    if isinstance(window, Tensor):
        got = (tuple(window.shape), window.dtype, window.device)
    if got != like:
        raise InputError(
            f"`state.window` must be {wanted}, {channels.dtype} on {channels.device}, as the last"
            f" step of this layer and batch returned it; got {got}."
        )

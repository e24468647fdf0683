"""Quasiseparable maps, two recurrences and a diagonal; and the unit whose scores fade so."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn._checks import check_count
from softunit.nn.attention._dropout import thinned
from softunit.nn.attention._kernel_sums import kernel_mix
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._relative import RelativeBias
from softunit.nn.attention._semiseparable import (
    CHUNK,
    broadcasts,
    check_decays,
    check_same,
    semiseparable,
    semiseparable_matrix,
    semiseparable_step,
    shifted,
)
from softunit.nn.attention._states import Parts, check_state
from softunit.nn.attention._unit import AttentionUnit

Rates = float | tuple[float, ...] | Tensor
Direction = tuple[Tensor, Tensor, Tensor]
"""What a direction has of its own: c, b and the logarithms of decays."""


def quasiseparable(
    c: Tensor,
    b: Tensor,
    log_decay: Tensor,
    x: Tensor,
    *,
    back: Direction,
    x_back: Tensor | None = None,
    diagonal: Tensor | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """Return shift(SS x) + flip(shift(SS' flip x)) + D x, of shape (..., n, e), in linear time.

    ``shift`` moves a sequence one token on and starts it with zeros; ``flip`` turns it around.
    Below the diagonal entry (i, j) is that of SS at (i - 1, j), above it that of SS', which runs
    from the last token to the first; on the diagonal is D alone.

    Parameters
    ----------
    c, b, log_decay, x : Tensor
        As in `semiseparable`.
    back : tuple of Tensor
        c, b and log_decay of the other direction, in the order of the tokens.
    x_back : Tensor of shape (..., n, e), optional
        What the other direction takes in place of x; None for x itself.
    diagonal : Tensor of shape (..., n), optional
        D; None for zeros.
    chunk : int, default 64
        As in `semiseparable`.

    Returns
    -------
    Tensor of shape (..., n, e)
        Of the dtype of x.

    Raises
    ------
    InputError
        As `semiseparable`, for either direction; or if `x_back` or `diagonal` does not fit.
    """
    turned = _flipped(back)
    onward = shifted(semiseparable(c, b, log_decay, x, chunk=chunk))
    _check_beside(x, x_back=x_back, diagonal=diagonal)
    other = x if x_back is None else x_back
    behind = semiseparable(*turned, other.flip(-2), chunk=chunk)
    y = _both(onward, shifted(behind).flip(-2))
    return y if diagonal is None else y + diagonal[..., None] * x


def quasiseparable_matrix(
    c: Tensor,
    b: Tensor,
    log_decay: Tensor,
    *,
    back: Direction,
    diagonal: Tensor | None = None,
) -> Tensor:
    """Return the matrix of `quasiseparable` by its definition, of shape (..., n, n).

    Parameters
    ----------
    c, b, log_decay : Tensor
        As in `semiseparable`.
    back : tuple of Tensor
        As in `quasiseparable`.
    diagonal : Tensor of shape (..., n), optional
        As in `quasiseparable`.

    Returns
    -------
    Tensor of shape (..., n, n)
        Blocks strictly below or strictly above the diagonal have rank at most s.

    Raises
    ------
    InputError
        As `quasiseparable`.
    """
    turned = _flipped(back)
    below = shifted(semiseparable_matrix(c, b, log_decay))
    above = shifted(semiseparable_matrix(*turned)).flip(-2, -1)
    mixer = _both(below, above)
    _check_beside(mixer, diagonal=diagonal)
    return mixer if diagonal is None else mixer + torch.diag_embed(diagonal)


def _both(onward: Tensor, behind: Tensor) -> Tensor:
    """Return the sum of both directions."""
    if onward.shape[-2:] != behind.shape[-2:] or not broadcasts(onward.shape, behind.shape):
        raise InputError(
            "Both directions must have as many tokens, and leading axes that broadcast; they are"
            f" {tuple(onward.shape)} and, by `back`, {tuple(behind.shape)}."
        )
    return onward + behind


def _check_beside(
    x: Tensor, *, x_back: Tensor | None = None, diagonal: Tensor | None = None
) -> None:
    """Refuse another sequence, (..., n, e), or diagonal, (..., n), that do not fit x."""
    for name, given, shape in (
        ("x_back", x_back, x.shape),
        ("diagonal", diagonal, x.shape[:-1]),
    ):
        if given is None:
            continue
        check_same({"x": x, name: given})
        axes = 1 if name == "diagonal" else 2
        fits = given.ndim >= axes and given.shape[-axes:] == shape[-axes:]
        if not (fits and broadcasts(given.shape, shape)):
            raise InputError(
                f"`{name}` must have the shape {tuple(shape)} beside x of shape {tuple(x.shape)},"
                f" or leading axes that broadcast with it; got {tuple(given.shape)}."
            )


def _flipped(direction: Any) -> Direction:
    if not isinstance(direction, tuple | list) or len(direction) != 3:
        got = f"{len(direction)} of them" if isinstance(direction, tuple | list) else "no tuple"
        raise InputError(f"`back` must be a tuple of c, b and log_decay; got {got}.")
    c, b, log_decay = direction
    check_same({"c of back": c, "b of back": b, "log_decay of back": log_decay})
    if min(c.ndim, b.ndim, log_decay.ndim + 1) < 2:
        raise InputError(
            "`back` must be c and b of shape (..., n, s) and log_decay (..., n); got"
            f" {tuple(c.shape)}, {tuple(b.shape)} and {tuple(log_decay.shape)}."
        )
    return c.flip(-2), b.flip(-2), log_decay.flip(-1)


@dataclass(frozen=True, eq=False)
class Quasiseparable(AttentionUnit):
    """Weights w_ij = scale <q_i, k_j> decay^|i - j|, with no normalisation.

    The matrix of weights is quasiseparable: its blocks strictly below or strictly above the
    diagonal have rank at most d. In both directions it is the sum of two recurrences, SS q-k-v and
    the same from the last token to the first, less the diagonal <q_i, k_i> that both have;
    causal, it is the lower triangle alone.

    Parameters
    ----------
    log_decay : float, tuple of float, or Tensor of shape (heads,) or (1,), optional
        Logarithm of the decay for one token of distance, finite and at most zero, one for all
        heads or one for each; a tensor may be learned. None: 1 - 2^(-5 - h) for head h = 0, 1, ...,
        the rates of retention, so that heads look 32, 64, 128, ... tokens far.
    log_decay_back : float, tuple of float, or Tensor of shape (heads,) or (1,), optional
        The same for keys after the query. None: as `log_decay`.
    chunk : int, default 64
        Tokens that are multiplied as a dense block.

    Raises
    ------
    InputError
        If a rate is above zero or not finite, or the chunk is shorter than two tokens.

    Notes
    -----
    Queries and keys are tokens of one sequence: n must be m. Masked keys write nothing to the
    state, but time passes. A bias multiplies weights by exp(bias); one with a row for each query,
    as a mask with one, costs n m, and a `RelativeBias` n log n, by FFT.

    The paper's layer shifts the recurrences by a token and gives the diagonal parameters of its
    own; that form is `quasiseparable`, and the layer is `Hydra`. Here row i is the query i, as for
    every unit. Source: 2.18 (arXiv 2407.09941), decays of retention (arXiv 2307.08621).
    """

    log_decay: Rates | None = None
    log_decay_back: Rates | None = None
    chunk: int = CHUNK
    name: ClassVar[str] = "quasiseparable"
    linear: ClassVar[bool] = True
    sums_to_one: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the settings."""
        object.__setattr__(self, "chunk", check_count("chunk", self.chunk, 2))
        _check_rates("log_decay", self.log_decay)
        _check_rates("log_decay_back", self.log_decay_back)

    def check(self, q: Tensor, k: Tensor, pattern: Pattern) -> None:
        """Refuse queries of another sequence than the keys, and rates for other heads."""
        if pattern.n != pattern.m:
            raise InputError(
                "The unit 'quasiseparable' needs as many queries as keys: its weights fade with"
                " the distance of two tokens in one sequence; got"
                f" {pattern.n} queries and {pattern.m} keys."
            )
        for rates in self._rates(q):
            if rates.shape[0] not in (1, q.shape[1]):
                raise InputError(
                    f"There are {rates.shape[0]} log decays for {q.shape[1]} heads: give one for"
                    " all, or one for each."
                )
            if rates.is_meta or torch.compiler.is_compiling():
                continue  # there is nothing to look at
            check_decays(rates)
            if not bool(torch.isfinite(rates).all()):
                raise InputError(
                    f"Log decays must be finite; got {rates.tolist()}. For no memory at all mask"
                    " all other keys."
                )

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return scale <q_i, k_j> exp(log decay |i - j| + bias_ij): (batch, heads, n, m)."""
        i = torch.arange(pattern.n, device=q.device)
        apart = i[:, None] - i
        onward, back = (rates[:, None, None] for rates in self._rates(q))
        fading = torch.where(apart >= 0, onward * apart, -back * apart)
        added, seen = pattern.added(), pattern.visible()
        if added is not None:
            fading = fading + added.to(q.dtype)
        weights = (q * scale) @ k.mT * fading.exp()
        return weights if seen is None else weights.masked_fill(~seen, 0.0)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the values mixed by two recurrences, or by one if causal: (batch, heads, n, e)."""
        q, v = q * scale, thinned(v, dropout)
        if pattern.dense or pattern.relative is not None:
            return kernel_mix(q, k, v, self._by_distance(q, pattern), normalise=False)
        if pattern.bias is not None:
            k = k * pattern.bias.mT.to(k.dtype).exp()
        if pattern.keys is not None:
            k = k.masked_fill(~pattern.keys.mT, 0.0)
        onward, back = (rates[:, None].expand(-1, pattern.n) for rates in self._rates(q))
        y = semiseparable(q, k, onward, v, chunk=self.chunk)
        if pattern.offset is not None:
            return y
        turned = (given.flip(-2) for given in (q, k, v))
        c, b, x = turned
        behind = semiseparable(c, b, back, x, chunk=self.chunk).flip(-2)
        # Both have the diagonal.
        return y + behind - (q * k).sum(-1, keepdim=True) * v

    def step(
        self, q: Tensor, k: Tensor, v: Tensor, state: Tensor | None, scale: float
    ) -> tuple[Tensor, Tensor]:
        """Return the outputs for the next tokens and the state (batch, heads, d, e)."""
        shape = (*q.shape[:2], q.shape[-1], v.shape[-1])

        def parts(state: Tensor) -> Parts:
            return {"its numbers": (state, shape)}

        check_state(self.name, state, Tensor, parts, v)
        rates = self._rates(q)[0][:, None].expand(-1, q.shape[-2])
        return semiseparable_step(q * scale, k, rates, v, state, chunk=self.chunk)

    def _rates(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log decays of both directions, (heads,) or (1,), as q is."""
        onward = _spread(self.log_decay, q)
        if self.log_decay_back is None:
            return onward, onward
        return onward, _spread(self.log_decay_back, q)

    def _by_distance(self, q: Tensor, pattern: Pattern) -> Pattern:
        """Return the pattern with the decays as part of its relative bias."""
        distance = torch.arange(1 - pattern.n, pattern.n, device=q.device)
        onward, back = (rates[:, None] for rates in self._rates(q))
        values = torch.where(distance <= 0, -onward * distance, back * distance)
        if pattern.relative is not None:
            values = values + pattern.relative.values.to(q.dtype)
        return replace(pattern, relative=RelativeBias(values))


def _check_rates(name: str, given: Rates | None) -> None:
    """Refuse numbers that are no log decays; those of a tensor are looked at in each call."""
    if given is None:
        return
    if isinstance(given, Tensor):
        if given.ndim != 1 or not given.dtype.is_floating_point:
            raise InputError(
                f"`{name}` as a tensor must be floating, of shape (heads,) or (1,); got"
                f" {given.dtype} of shape {tuple(given.shape)}."
            )
        return
    rates = given if isinstance(given, tuple) else (given,)
    if not rates or not all(_is_rate(rate) for rate in rates):
        raise InputError(
            f"`{name}` must be finite and at most zero, the logarithm of a decay of at most one: a"
            f" number, a tuple of numbers or a tensor; got {given!r}."
        )


def _is_rate(given: object) -> bool:
    real = isinstance(given, numbers.Real) and not isinstance(given, bool)
    return real and -math.inf < given <= 0  # type: ignore[operator]


def _spread(given: Rates | None, q: Tensor) -> Tensor:
    """Return log decays (heads,) or (1,), of the dtype and device of q."""
    if isinstance(given, Tensor):
        return given.to(q)
    if given is None:
        given = tuple(math.log1p(-(2.0 ** (-5 - head))) for head in range(q.shape[1]))
    return q.new_tensor(given).reshape(-1)

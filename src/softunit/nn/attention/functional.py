"""Attention with any unit, under one signature: efficient, by the plain definition, in steps."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention._inputs import (
    Causal,
    check_dropout,
    check_tensors,
    pattern_of,
    scale_of,
)
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._relative import RelativeBias
from softunit.nn.attention._unit import AttentionUnit, Many
from softunit.nn.attention.registry import unit_of

Bias = Tensor | RelativeBias


def attend(
    q: Tensor,
    k: Many,
    v: Many,
    *,
    unit: str | AttentionUnit = "softmax",
    mask: Tensor | None = None,
    causal: Causal = False,
    bias: Bias | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Return the values mixed by the weights of a unit, of shape (batch, heads, n, e).

    out_i = sum_j w_ij v_j, where the weights w_i come from the scores
    s_ij = scale <q_i, k_j> + bias_ij over the keys that query i sees.

    Parameters
    ----------
    q : Tensor of shape (batch, heads, n, d)
        Queries, of any floating dtype.
    k : Tensor of shape (batch, heads, m, d)
        Keys; batch and heads may be one. A pair of tensors for the tensor units.
    v : Tensor of shape (batch, heads, m, e)
        Values; as the keys.
    unit : str or AttentionUnit, default "softmax"
        A name of `UNITS`, or a unit with settings of its own.
    mask : Tensor, optional
        Bool, broadcasting to (batch, heads, n, m): True where a query sees a key. A query that
        sees no key gets zeros.
    causal : bool or {"top-left", "bottom-right"}, default False
        True and "top-left": query i sees keys 0 to i, as in PyTorch, whatever m is.
        "bottom-right": the last query sees the last key, so query i sees keys up to i + m - n.
    bias : Tensor or RelativeBias, optional
        Added to the scores: broadcasting to (batch, heads, n, m), or by distance. Units with a
        feature map multiply their kernel by exp(bias). Minus infinity hides a key, as a mask does.
    scale : float, optional
        Above zero; by default the unit's own, mostly 1 / sqrt(d).
    dropout : float, default 0.0
        Share of weights dropped, in [0, 1); linear units drop whole values instead.

    Returns
    -------
    Tensor of shape (batch, heads, n, e)
        Of the dtype of q. Half precision is computed and summed in float32.

    Raises
    ------
    InputError
        If shapes, dtypes, the mask, the bias or a setting do not fit, or the unit cannot do what
        is asked.

    Notes
    -----
    A mask or a bias with a row for each query is an n-by-m array already: linear units then go
    over blocks of rows, in time n m. Masks of keys, `causal` and a `RelativeBias` keep their cost.
    """
    call = _call(q, k, v, unit, (mask, causal, bias), scale)
    check_dropout(dropout)
    if call.empty:
        return _nothing(*call.tensors).to(q.dtype)
    with call.precision():
        out = call.unit.forward(*call.tensors, call.pattern, call.scale, dropout)
    return out.to(q.dtype)


def reference(
    q: Tensor,
    k: Many,
    v: Many,
    *,
    unit: str | AttentionUnit = "softmax",
    mask: Tensor | None = None,
    causal: Causal = False,
    bias: Bias | None = None,
    scale: float | None = None,
) -> Tensor:
    """Return what `attend` returns, by the plain definition: slow, with all weights in memory.

    Parameters
    ----------
    q : Tensor of shape (batch, heads, n, d)
        Queries.
    k : Tensor of shape (batch, heads, m, d)
        Keys, or a pair of them.
    v : Tensor of shape (batch, heads, m, e)
        Values, or a pair of them.
    unit : str or AttentionUnit, default "softmax"
        As in `attend`, as all that follow.
    mask : Tensor, optional
        Bool.
    causal : bool or {"top-left", "bottom-right"}, default False
        Which keys are of the future.
    bias : Tensor or RelativeBias, optional
        Added to the scores.
    scale : float, optional
        Above zero.

    Returns
    -------
    Tensor of shape (batch, heads, n, e)
        Of the dtype of q.

    Raises
    ------
    InputError
        As `attend`.
    """
    call = _call(q, k, v, unit, (mask, causal, bias), scale)
    if call.empty:
        return _nothing(*call.tensors).to(q.dtype)
    with call.precision():
        out = call.unit.reference(*call.tensors, call.pattern, call.scale)
    return out.to(q.dtype)


def weights(
    q: Tensor,
    k: Many,
    *,
    unit: str | AttentionUnit = "softmax",
    mask: Tensor | None = None,
    causal: Causal = False,
    bias: Bias | None = None,
    scale: float | None = None,
) -> Tensor:
    """Return the weights w with out = w v, of shape (batch, heads, n, m).

    For pairs of keys: the weight of key j summed over its partners.

    Parameters
    ----------
    q : Tensor of shape (batch, heads, n, d)
        Queries.
    k : Tensor of shape (batch, heads, m, d)
        Keys, or a pair of them.
    unit : str or AttentionUnit, default "softmax"
        As in `attend`, as all that follow.
    mask : Tensor, optional
        Bool.
    causal : bool or {"top-left", "bottom-right"}, default False
        Which keys are of the future.
    bias : Tensor or RelativeBias, optional
        Added to the scores.
    scale : float, optional
        Above zero.

    Returns
    -------
    Tensor of shape (batch, heads, n, m)
        Of the dtype of q; n m numbers for each head, whatever the unit.

    Raises
    ------
    InputError
        As `attend`.
    """
    call = _call(q, k, k, unit, (mask, causal, bias), scale)
    if call.empty:
        return q.new_zeros((*q.shape[:3], call.pattern.m))
    with call.precision():
        found = call.unit.reference_weights(*call.tensors[:2], call.pattern, call.scale)
    return found.to(q.dtype)


def step(
    q: Tensor,
    k: Many,
    v: Many,
    state: Any = None,
    *,
    unit: str | AttentionUnit,
    scale: float | None = None,
) -> tuple[Tensor, Any]:
    """Return the outputs for the next tokens of a causal sequence, and the state after them.

    Steps from the first token to the last give what ``attend(..., causal=True)`` gives at once.

    Parameters
    ----------
    q : Tensor of shape (batch, heads, t, d)
        Queries of the next t tokens; t is usually one.
    k : Tensor of shape (batch, heads, t, d)
        Their keys.
    v : Tensor of shape (batch, heads, t, e)
        Their values.
    state : optional
        What the last step returned; None before the first token. Its size does not grow.
    unit : str or AttentionUnit
        A unit with a recurrent form.
    scale : float, optional
        As in `attend`; the same in every step.

    Returns
    -------
    tuple of Tensor of shape (batch, heads, t, e) and state
        The outputs, of the dtype of q, and what the next step needs.

    Raises
    ------
    InputError
        If the unit has no recurrent form, or as many queries as keys were not given.
    """
    call = _call(q, k, v, unit, (None, True, None), scale)
    if call.pattern.n != call.pattern.m:
        raise InputError(
            f"A step takes as many queries as keys; got {call.pattern.n} and {call.pattern.m}."
        )
    if call.empty:
        return _nothing(*call.tensors).to(q.dtype), state
    with call.precision():
        out, state = call.unit.step(*call.tensors, state, call.scale)
    return out.to(q.dtype), state


@dataclass(frozen=True)
class _Call:
    unit: AttentionUnit
    tensors: tuple[Tensor, Any, Any]
    pattern: Pattern
    scale: float

    @property
    def empty(self) -> bool:
        """Whether there is nothing to mix: units never see a tensor without entries."""
        values = self.tensors[2]
        values = values[0] if isinstance(values, tuple) else values
        return 0 in (*self.tensors[0].shape, *values.shape)

    def precision(self) -> AbstractContextManager[Any]:
        """Return a context that keeps autocast from narrowing what was widened."""
        device = self.pattern.device.type
        if device == "meta" or (self.unit.fused and device == "cuda"):
            return nullcontext()
        return torch.autocast(device, enabled=False)


def _call(
    q: Tensor,
    k: Many,
    v: Many,
    unit: str | AttentionUnit,
    where: tuple[Tensor | None, Causal, Bias | None],
    scale: float | None,
) -> _Call:
    """Return what a unit works on, after all checks."""
    chosen = unit_of(unit)
    q, k, v = check_tensors(chosen, q, k, v)
    tensors = (_wide(chosen, q), _each(chosen, k), _each(chosen, v))
    factor = scale_of(chosen, scale, tensors[0])
    call = _Call(chosen, tensors, pattern_of(tensors[0], k, *where), factor)
    if not call.empty:
        chosen.check(*call.tensors[:2], call.pattern)
    return call


def _nothing(q: Tensor, k: Many, v: Many) -> Tensor:
    """Return the output where there is nothing to mix: zeros, which gradients go through."""
    given = [q, *(k if isinstance(k, tuple) else (k,)), *(v if isinstance(v, tuple) else (v,))]
    out = q.new_zeros((*q.shape[:-1], given[-1].shape[-1]))
    for tensor in given:
        out = out + tensor[..., :0].sum()
    return out


def _each(unit: AttentionUnit, given: Many) -> Many:
    if isinstance(given, tuple):
        return _wide(unit, given[0]), _wide(unit, given[1])
    return _wide(unit, given)


def _wide(unit: AttentionUnit, given: Tensor) -> Tensor:
    """Return float16 and bfloat16 as float32, but where fused kernels sum in float32 themselves."""
    if given.dtype in (torch.float32, torch.float64) or (unit.fused and given.is_cuda):
        return given
    return given.float()

"""The door of attention: shapes, dtypes, masks and biases, checked once with sentences."""

from __future__ import annotations

import numbers
from typing import Any, Literal

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn._checks import check_number
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._relative import RelativeBias
from softunit.nn.attention._unit import AttentionUnit, Many

Causal = bool | Literal["top-left", "bottom-right"]
AXES = "(batch, heads, tokens, width)"


def check_tensors(unit: AttentionUnit, q: Tensor, k: Any, v: Any) -> tuple[Tensor, Many, Many]:
    """Return q, k and v with equal batch and heads, refusing shapes that do not fit."""
    _check_tensor("q", q)
    if not unit.pairs:
        for name, given in (("k", k), ("v", v)):
            if isinstance(given, tuple):
                raise InputError(
                    f"`{name}` is a tuple of {len(given)}, but the unit {unit.name!r} attends to"
                    " single keys: pairs are for unit='tensor' and unit='tensor_polynomial'."
                )
        k, v = _fitting(q, k, v)
        return q, k, v
    k = k if isinstance(k, tuple) else (k, k)
    v = v if isinstance(v, tuple) else (v, v)
    for name, given in (("k", k), ("v", v)):
        if len(given) != 2:
            raise InputError(f"`{name}` must be a tensor or a pair of them; got {len(given)}.")
    first, second = _fitting(q, k[0], v[0]), _fitting(q, k[1], v[1])
    if first[0].shape != second[0].shape or first[1].shape != second[1].shape:
        raise InputError(
            "Both members of a pair must have one shape; got keys"
            f" {tuple(k[0].shape)} and {tuple(k[1].shape)}, values {tuple(v[0].shape)} and"
            f" {tuple(v[1].shape)}."
        )
    return q, (first[0], second[0]), (first[1], second[1])


def _check_tensor(name: str, given: object) -> None:
    if not isinstance(given, Tensor):
        raise InputError(f"`{name}` must be a torch tensor; got {type(given).__name__}.")
    _check_layout(name, given)
    if given.ndim != 4:
        raise InputError(f"`{name}` must have four axes {AXES}; got shape {tuple(given.shape)}.")
    if not given.dtype.is_floating_point:
        raise InputError(f"`{name}` must be of a floating dtype; got {given.dtype}.")


def _check_layout(name: str, given: Tensor) -> None:
    if given.layout != torch.strided or given.is_nested:
        kind = "nested" if given.is_nested else str(given.layout)
        raise InputError(
            f"`{name}` must be a dense tensor; got a {kind} one. Pad its sequences to one length,"
            " and hide the padding by `mask`."
        )


def _fitting(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    _check_tensor("k", k)
    _check_tensor("v", v)
    for name, given in (("k", k), ("v", v)):
        if given.dtype != q.dtype or given.device != q.device:
            raise InputError(
                f"q, k and v must have one dtype and one device; got q {q.dtype} on {q.device}"
                f" and {name} {given.dtype} on {given.device}."
            )
        if any(
            have not in (1, want) for have, want in zip(given.shape[:2], q.shape[:2], strict=True)
        ):
            raise InputError(
                f"`{name}` must have the batch and heads of q, {tuple(q.shape[:2])}, or one;"
                f" got {tuple(given.shape[:2])} of shape {tuple(given.shape)}."
            )
    if q.shape[-1] == 0:
        raise InputError(f"q and k must be at least one wide; got q of shape {tuple(q.shape)}.")
    if k.shape[-1] != q.shape[-1]:
        raise InputError(f"q and k must have one width d; got {q.shape[-1]} and {k.shape[-1]}.")
    if k.shape[-2] != v.shape[-2]:
        raise InputError(
            f"k and v must have as many tokens; got {k.shape[-2]} keys and {v.shape[-2]} values."
        )
    batch = q.shape[:2]
    return k.expand(*batch, *k.shape[2:]), v.expand(*batch, *v.shape[2:])


def pattern_of(
    q: Tensor, k: Many, mask: Tensor | None, causal: Causal, bias: Tensor | RelativeBias | None
) -> Pattern:
    """Return the pattern of a call, with biases in the dtype of q, refusing what does not fit."""
    key = k[0] if isinstance(k, tuple) else k
    shape = (*q.shape[:2], q.shape[-2], key.shape[-2])
    n, m = shape[-2:]
    relative = added = None
    masks = [] if mask is None else [_checked_mask(mask, shape, q.device)]
    if isinstance(bias, RelativeBias):
        _check_relative(bias, shape, q.device)
        relative = RelativeBias(bias.values.to(q.dtype))
    elif bias is not None:
        added = _checked_bias(bias, shape, q)
        # A bias of minus infinity hides a key, as a mask does, and has no derivative.
        masks.append(~added.isneginf())
        added = added.masked_fill(~masks[-1], 0.0)
    keys = _both([mask for mask in masks if mask.shape[-2] == 1])
    entries = _both([mask for mask in masks if mask.shape[-2] > 1])
    return Pattern(n, m, q.device, keys, entries, _offset(causal, n, m), added, relative)


def _both(masks: list[Tensor]) -> Tensor | None:
    """Return what all masks allow, or None where there are none."""
    if not masks:
        return None
    return masks[0] if len(masks) == 1 else masks[0] & masks[1]


def _offset(causal: Causal, n: int, m: int) -> int | None:
    if isinstance(causal, bool):
        return 0 if causal else None
    if causal == "top-left":
        return 0
    if causal == "bottom-right":
        return m - n
    raise InputError(
        "`causal` must be True, False, 'top-left' (query i sees keys 0 to i, as True) or"
        " 'bottom-right' (the last query sees the last key, as after a cache of keys);"
        f" got {causal!r}."
    )


def _checked_mask(mask: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    if not isinstance(mask, Tensor):
        raise InputError(f"`mask` must be a torch tensor; got {type(mask).__name__}.")
    if mask.dtype != torch.bool:
        raise InputError(
            f"`mask` must be of dtype bool, True where a query sees a key; got {mask.dtype}. Pass"
            " what is added to the scores as `bias`."
        )
    _check_device("mask", mask, device)
    return _rows_and_keys("mask", mask, shape)


def _checked_bias(bias: Tensor, shape: tuple[int, ...], q: Tensor) -> Tensor:
    if not isinstance(bias, Tensor):
        raise InputError(
            f"`bias` must be a torch tensor or a RelativeBias; got {type(bias).__name__}."
        )
    if not bias.dtype.is_floating_point:
        hint = " A mask goes to `mask`." if bias.dtype == torch.bool else ""
        raise InputError(f"`bias` must be of a floating dtype; got {bias.dtype}.{hint}")
    _check_device("bias", bias, q.device)
    bias = _rows_and_keys("bias", bias, shape).to(q.dtype)
    if values_are_at_hand(bias) and bool((bias.isnan() | bias.isposinf()).any()):
        raise InputError(
            f"`bias` must be finite in {q.dtype}, or minus infinity where a key is hidden; it has"
            " nan or plus infinity."
        )
    return bias


def _check_relative(bias: RelativeBias, shape: tuple[int, ...], device: torch.device) -> None:
    _check_device("bias", bias.values, device)
    _check_leading("bias", bias.values.shape[:-1], shape)
    bias.rows(0, 0, *shape[-2:])
    if values_are_at_hand(bias.values) and not bool(bias.values.isfinite().all()):
        raise InputError(
            "A relative bias must be finite; got"
            f" {bias.values[~bias.values.isfinite()][0].item()}. Hide keys by `mask`."
        )


def values_are_at_hand(given: Tensor) -> bool:
    """Whether values may be looked at: not in a graph, on no other device, and there are some."""
    return not torch.compiler.is_compiling() and given.device.type == "cpu"


def _check_device(name: str, given: Tensor, device: torch.device) -> None:
    if given.device != device:
        raise InputError(f"`{name}` is on {given.device}, but q, k and v are on {device}.")


def _rows_and_keys(name: str, given: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return an array that broadcasts to (batch, heads, n, m), with its m keys spread out."""
    fits = given.ndim <= 4 and all(
        have in (1, want)
        for have, want in zip(reversed(given.shape), reversed(shape), strict=False)
    )
    if not fits or given.ndim == 0:
        raise InputError(
            f"`{name}` of shape {tuple(given.shape)} does not broadcast to (batch, heads, n, m) ="
            f" {shape}; for one row of keys for each of the batch give (batch, 1, 1, m)."
        )
    given = given.reshape((1,) * (4 - given.ndim) + tuple(given.shape))
    return given.expand(*given.shape[:-1], shape[-1])


def _check_leading(name: str, have: tuple[int, ...], shape: tuple[int, ...]) -> None:
    fits = len(have) <= 2 and all(
        h in (1, want) for h, want in zip(reversed(have), reversed(shape[:2]), strict=False)
    )
    if not fits:
        raise InputError(
            f"The leading axes of `{name}`, {tuple(have)}, do not broadcast to (batch, heads) ="
            f" {shape[:2]}."
        )


def scale_of(unit: AttentionUnit, scale: object, q: Tensor) -> float:
    """Return the scale of the scores, refusing what is not above zero or overflows."""
    if scale is None:
        return unit.default_scale(q.shape[-1])
    factor = check_number("scale", scale)
    if factor <= 0:
        raise InputError(
            f"`scale` must be a finite number above zero; got {scale!r}. To turn keys around,"
            " negate them; None means the unit's own scale."
        )
    if factor > torch.finfo(q.dtype).max:
        raise InputError(f"`scale` = {factor!r} is beyond the range of {q.dtype}.")
    return factor


def check_dropout(dropout: object) -> None:
    """Refuse a share of weights that is not in [0, 1)."""
    number = isinstance(dropout, numbers.Real) and not isinstance(dropout, bool)
    if not number or not 0.0 <= float(dropout) < 1.0:  # type: ignore[arg-type]
        raise InputError(f"`dropout` must be in [0, 1); got {dropout!r}.")

"""What modules of attention are given: sentences for dtypes, devices, tokens and padding."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention._inputs import Causal, pattern_of
from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.soft import Soft


def check_dtype(dtype: object, name: str = "dtype") -> None:
    """Refuse what parameters cannot have; None is PyTorch's default."""
    if dtype is None or (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        return
    raise InputError(f"`{name}` must be a floating torch.dtype, or None; got {dtype!r}.")


def check_causal(causal: Causal) -> None:
    """Refuse what is no alignment, as every call would."""
    one = torch.zeros(1, 1, 1, 1)
    pattern_of(one, one, None, causal, None)


def check_like(name: str, given: object, weight: Tensor) -> None:
    """Refuse what parameters cannot be multiplied by: other things, dtypes and devices.

    Under autocast, which narrows both, dtypes may differ, but for float64, which it leaves.
    """
    if not isinstance(given, Tensor):
        raise InputError(f"`{name}` must be a torch tensor; got {type(given).__name__}.")
    if given.device != weight.device:
        raise InputError(
            f"`{name}` is on {given.device}, but the parameters of the module are on"
            f" {weight.device}: move either, by `.to`."
        )
    if given.dtype == weight.dtype:
        return
    wide = torch.float64 in (given.dtype, weight.dtype)
    narrowed = not (wide or given.is_meta) and torch.is_autocast_enabled(given.device.type)
    if not (narrowed and given.dtype.is_floating_point):
        raise InputError(
            f"`{name}` must be of {weight.dtype}, as the parameters of the module; got"
            f" {given.dtype}. Convert either, by `.to`."
        )


def check_tokens(x: object, dim: int, weight: Tensor) -> None:
    """Refuse what is not (batch, n, dim) tokens for the parameters."""
    check_like("x", x, weight)
    assert isinstance(x, Tensor)
    if x.ndim != 3 or x.shape[-1] != dim:
        raise InputError(f"`x` must be (batch, n, dim) with dim = {dim}; got {tuple(x.shape)}.")


def check_projections(query: object, key: object) -> None:
    """Refuse what are not the weights of two projections, of one dtype and device."""
    for name, given in (("query", query), ("key", key)):
        if isinstance(given, torch.nn.Module):
            raise InputError(f"`{name}` must be a torch tensor: give the `weight` of a layer.")
        if not isinstance(given, Tensor):
            raise InputError(f"`{name}` must be a torch tensor; got {type(given).__name__}.")
        check_dtype(given.dtype, f"{name}.dtype")
    assert isinstance(query, Tensor)
    assert isinstance(key, Tensor)
    if key.dtype != query.dtype or key.device != query.device:
        raise InputError(
            "`key` must have the dtype and device of `query`; got"
            f" {key.dtype} on {key.device} and {query.dtype} on {query.device}."
        )


def check_padding(padding: object, x: Tensor) -> None:
    """Refuse padding that is not one bool for each token."""
    if padding is None:
        return
    if not isinstance(padding, Tensor):
        raise InputError(
            f"`key_padding_mask` must be a torch tensor; got {type(padding).__name__}."
        )
    if padding.dtype != torch.bool or padding.shape != x.shape[:2]:
        raise InputError(
            "`key_padding_mask` must be bool, True where a token is padding, of shape (batch, n) ="
            f" {tuple(x.shape[:2])}; got {padding.dtype} of shape {tuple(padding.shape)}."
        )
    if padding.device != x.device:
        raise InputError(f"`key_padding_mask` is on {padding.device}, but `x` is on {x.device}.")


def padded_both_ways(
    unit: AttentionUnit, mask: Tensor | None, there: Tensor | None, more_keys: bool = False
) -> tuple[AttentionUnit, Tensor | None]:
    """Return the unit and mask of self-attention in which padding moves no token.

    The unit 'soft' divides by sums over all queries, so padded ones must not count in them. A mask
    with rows is no mask of tokens for the unit: padded queries then see nothing.

    Parameters
    ----------
    unit : AttentionUnit
        The unit.
    mask : Tensor or None
        What is seen, padding and all: (..., n or 1, n).
    there : Tensor of shape (batch, 1, 1, n) or None
        Which tokens are no padding; None where nobody said.
    more_keys : bool, default False
        Whether the module adds keys that are no tokens.
    """
    if there is None or not isinstance(unit, Soft) or unit.normalisation != "symmetric":
        return unit, mask
    if more_keys:
        raise InputError(
            "The unit 'soft' with normalisation='symmetric' takes no `key_padding_mask` in"
            " self-attention beside keys that the module adds: padded queries would count in the"
            " sums over queries. Take Soft(normalisation='rows'), or leave out add_bias_kv and"
            " add_zero_attn."
        )
    if mask is not None and mask.shape[-2] > 1:
        mask = mask & there.mT
    return replace(unit, padding="both"), mask

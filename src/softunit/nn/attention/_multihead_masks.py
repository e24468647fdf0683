"""What the masks of PyTorch's multi-head attention say, in the words of `attend`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention._module_inputs import check_like

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Seen:
    """Which keys the queries of a call see: `mask`, `bias` and `causal` as `attend` takes them.

    `there` is the part of the mask that is of the keys alone: False where one is padding.
    """

    mask: Tensor | None = None
    bias: Tensor | None = None
    causal: bool | Literal["bottom-right"] = False
    there: Tensor | None = None


def is_batched(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Return whether there is an axis for the batch, refusing other numbers of axes."""
    for name, given in (("query", query), ("key", key), ("value", value)):
        if not isinstance(given, Tensor):
            raise InputError(f"`{name}` must be a torch tensor; got {type(given).__name__}.")
        if given.is_nested:
            raise InputError(
                f"`{name}` is a nested tensor: pad it, and tell its padding by key_padding_mask."
                " torch.nn.TransformerEncoder makes nested tensors by itself in eval mode, unless"
                " it is built with enable_nested_tensor=False."
            )
    axes = query.ndim
    if axes not in (2, 3):
        raise InputError(
            "`query` must have two axes (tokens, dim) or three with a batch; got shape"
            f" {tuple(query.shape)}."
        )
    if key.ndim != axes or value.ndim != axes:
        raise InputError(
            f"`query` has {axes} axes, so `key` and `value` must have {axes}; got shapes"
            f" {tuple(key.shape)} and {tuple(value.shape)}."
        )
    return axes == 3


def check_fit(
    query: Tensor, key: Tensor, value: Tensor, widths: tuple[int, int, int], weight: Tensor
) -> None:
    """Refuse inputs (batch, tokens, width) that do not fit the projections or one another."""
    for name, given in (("query", query), ("key", key), ("value", value)):
        check_like(name, given, weight)
    for name, given, width in zip(
        ("query", "key", "value"), (query, key, value), widths, strict=True
    ):
        if given.shape[-1] != width:
            raise InputError(
                f"`{name}` must have width {width}, as this module was built; got"
                f" {given.shape[-1]}."
            )
    if not query.shape[0] == key.shape[0] == value.shape[0]:
        raise InputError(
            "`query`, `key` and `value` must have one batch; got"
            f" {query.shape[0]}, {key.shape[0]} and {value.shape[0]}: see `batch_first`."
        )
    if key.shape[1] != value.shape[1]:
        raise InputError(
            f"`key` and `value` must have as many tokens; got {key.shape[1]} and {value.shape[1]}."
        )


def what_is_seen(
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    is_causal: bool,
    shape: Shape,
    batched: bool,
    device: torch.device,
) -> Seen:
    """Return what both masks say together, for scores of shape (batch, heads, n, m).

    True hides an entry; floats are added, and -inf among them hides, so that a query whose
    entries are all -inf sees nothing.
    """
    batch, heads, n, m = shape
    keys = entries = Seen()
    if key_padding_mask is not None:
        wanted = (batch, m) if batched else (m,)
        keys = _read("key_padding_mask", key_padding_mask, [wanted], device)
        keys = _reshaped(keys, (batch, 1, 1, m))
    if attn_mask is not None:
        entries = _read("attn_mask", attn_mask, [(n, m), (batch * heads, n, m)], device)
        if attn_mask.ndim == 3:
            entries = _reshaped(entries, shape)
    if is_causal and attn_mask is not None:
        _check_hint(entries, n, m)
        entries = Seen()
    mask, bias = _both(keys.mask, entries.mask), _sum(keys.bias, entries.bias)
    return Seen(mask, bias, is_causal, keys.mask)


def _read(name: str, given: Tensor, shapes: list[tuple[int, ...]], device: torch.device) -> Seen:
    if not isinstance(given, Tensor):
        raise InputError(f"`{name}` must be a torch tensor; got {type(given).__name__}.")
    if tuple(given.shape) not in shapes:
        raise InputError(
            f"`{name}` must have shape {' or '.join(map(str, shapes))}; got {tuple(given.shape)}."
        )
    if given.device != device:
        raise InputError(f"`{name}` is on {given.device}, but the queries are on {device}.")
    if given.dtype == torch.bool:
        return Seen(~given)
    if not given.dtype.is_floating_point:
        raise InputError(
            f"`{name}` must be bool, True where a key is hidden, or floats, added to the scores;"
            f" got {given.dtype}."
        )
    seen = given != float("-inf")
    added = given.masked_fill(~seen, 0.0)
    if torch.compiler.is_compiling() or given.is_meta:
        return Seen(seen, added)
    # PyTorch's own layers turn bool masks into floats: those add nothing.
    idle = not given.requires_grad and not bool(added.any())
    return Seen(None if bool(seen.all()) else seen, None if idle else added)


def _reshaped(seen: Seen, shape: tuple[int, ...]) -> Seen:
    mask = None if seen.mask is None else seen.mask.reshape(shape)
    bias = None if seen.bias is None else seen.bias.reshape(shape)
    return Seen(mask, bias)


def _check_hint(entries: Seen, n: int, m: int) -> None:
    """Refuse `is_causal` beside a mask that is not the causal one, where values can be read."""
    seen = torch.ones((), dtype=torch.bool) if entries.mask is None else entries.mask
    if torch.compiler.is_compiling() or seen.is_meta:
        return
    causal = torch.ones(n, m, dtype=torch.bool, device=seen.device).tril()
    if entries.bias is not None or not bool((seen == causal).all()):
        raise InputError(
            "is_causal=True says that `attn_mask` is the causal mask, hiding key j from query i"
            " where j > i, and it is not. Leave out is_causal to have the mask read, or leave out"
            " the mask."
        )


def with_more_keys(
    seen: Seen, lengths: tuple[int, int], more: int, device: torch.device
) -> tuple[Seen, bool]:
    """Return the pattern with more keys that all queries see, and whether they come first.

    They come last, as in PyTorch. But under `causal` they come first, where the alignment
    "bottom-right" lets every query see them without a mask of n rows.
    """
    n, m = lengths
    if seen.causal and n != m:
        past = torch.ones(n, m, dtype=torch.bool, device=device).tril()
        seen = Seen(_both(seen.mask, past), seen.bias)
    sides = (more, 0) if seen.causal else (0, more)
    pad = torch.nn.functional.pad
    mask = None if seen.mask is None else pad(seen.mask, sides, value=True)
    bias = None if seen.bias is None else pad(seen.bias, sides)
    return Seen(mask, bias, "bottom-right" if seen.causal else False), bool(seen.causal)


def _both(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return a if b is None else b if a is None else a & b


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return a if b is None else b if a is None else a + b

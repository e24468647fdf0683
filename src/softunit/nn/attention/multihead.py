"""Multi-head attention with any unit, in the place of PyTorch's module."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import linear

from softunit.errors import InputError
from softunit.nn._checks import check_count, check_switch
from softunit.nn.attention._inputs import check_dropout
from softunit.nn.attention._learned import HoldsUnit
from softunit.nn.attention._module_inputs import check_dtype, padded_both_ways
from softunit.nn.attention._multihead_masks import (
    Seen,
    check_fit,
    is_batched,
    what_is_seen,
    with_more_keys,
)
from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.functional import attend, weights


class MultiheadAttention(HoldsUnit, torch.nn.MultiheadAttention):
    """Multi-head attention whose weights come from any unit.

    A ``torch.nn.MultiheadAttention`` in parameters, their names and their first values, in what
    it takes and in what it gives. Only the unit between the projections is chosen::

        head_h = attend(q W_h^Q, k W_h^K, v W_h^V),   out = [head_1, ..., head_H] W^O

    Parameters
    ----------
    dim : int
        Width of the queries and of the output.
    heads : int
        Number of heads, each of width dim / heads.
    dropout : float, default 0.0
        Share of weights dropped in training, in [0, 1); linear units drop whole values.
    bias : bool, default True
        Whether the projections add a bias.
    add_bias_kv : bool, default False
        Whether one learned key and value is added, which every query sees.
    add_zero_attn : bool, default False
        Whether a key and value of zeros is added, which every query sees.
    kdim : int, default None
        Width of the keys; None is `dim`.
    vdim : int, default None
        Width of the values; None is `dim`.
    batch_first : bool, default False
        Whether inputs are (batch, tokens, width), not (tokens, batch, width).
    device : torch.device, default None
        Where the parameters are made.
    dtype : torch.dtype, default None
        Of the parameters.
    unit : str or AttentionUnit, default "softmax"
        A name of `UNITS`, or a unit with settings of its own; those that are a
        ``torch.nn.Parameter`` become parameters of the module, as ``unit_<setting>``.
    embed_dim : int, default None
        PyTorch's name for `dim`.
    num_heads : int, default None
        PyTorch's name for `heads`.

    Raises
    ------
    InputError
        If `heads` does not divide `dim`, or a setting is out of its range or given by both names.

    Notes
    -----
    Differences from PyTorch: a query that sees no key gets zeros before the output projection,
    where PyTorch gives nan; ``is_causal`` needs no ``attn_mask``; the weights returned in training
    are those before dropout. The shortcuts of PyTorch's Transformer layers for inference, which
    compute softmax whatever the unit, are not taken.

    With the unit "soft" a `key_padding_mask` in self-attention, where query is key, hides padded
    tokens as queries too: padding="both" of `Soft`, whatever the unit says.
    """

    def __init__(
        self,
        dim: int | None = None,
        heads: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        unit: str | AttentionUnit = "softmax",
        embed_dim: int | None = None,
        num_heads: int | None = None,
    ) -> None:
        width = _named("dim", dim, "embed_dim", embed_dim)
        count = _named("heads", heads, "num_heads", num_heads)
        if width % count:
            raise InputError(
                "`heads` must divide `dim`, since every head has width dim / heads; got dim"
                f" {width} and {count} heads."
            )
        check_dropout(dropout)
        check_dtype(dtype)
        switches = {"bias": bias, "add_bias_kv": add_bias_kv, "add_zero_attn": add_zero_attn}
        for name, switch in {**switches, "batch_first": batch_first}.items():
            check_switch(name, switch)
        super().__init__(
            width,
            count,
            dropout=dropout,
            bias=bias,
            add_bias_kv=add_bias_kv,
            add_zero_attn=add_zero_attn,
            kdim=None if kdim is None else check_count("kdim", kdim),
            vdim=None if vdim is None else check_count("vdim", vdim),
            batch_first=batch_first,
            device=device,
            dtype=dtype,
        )
        self.unit = unit

    def _reset_parameters(self) -> None:
        self._qkv_same_embed_dim = self.in_proj_weight is not None
        super()._reset_parameters()
        # PyTorch's Transformer layers read this before they go around `forward`.
        self._qkv_same_embed_dim = False

    def extra_repr(self) -> str:
        """Return the settings, as they stand in the text of a model."""
        return f"dim={self.embed_dim}, heads={self.num_heads}, unit={self.unit!r}"

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the output, shaped as `query` with width dim, and the weights if wanted.

        Parameters
        ----------
        query : Tensor of shape (n, batch, dim), (batch, n, dim) or (n, dim)
            By `batch_first`, or without a batch.
        key : Tensor of shape (m, batch, kdim), (batch, m, kdim) or (m, kdim)
            Keys, before their projection.
        value : Tensor of shape (m, batch, vdim), (batch, m, vdim) or (m, vdim)
            Values, before their projection.
        key_padding_mask : Tensor of shape (batch, m) or (m,), default None
            Bool, True where a key is hidden from all queries; or floats, added to their scores.
        need_weights : bool, default True
            Whether to return the weights too: n m numbers for each head, by the plain definition.
        attn_mask : Tensor of shape (n, m) or (batch * heads, n, m), default None
            Bool, True where a key is hidden from a query; or floats, added to the score.
        average_attn_weights : bool, default True
            Whether the weights are averaged over the heads.
        is_causal : bool, default False
            Whether query i sees keys 0 to i only. `attn_mask` may be left out, and should be for
            units of linear cost; where given, it must be the causal mask.

        Returns
        -------
        tuple of Tensor and Tensor or None
            The output, and weights of shape (batch, n, m), or (batch, heads, n, m) if not
            averaged, without the batch where there was none; keys that the module adds are last.

        Raises
        ------
        InputError
            If shapes or dtypes do not fit, or the unit cannot do what is asked.
        """
        batched = is_batched(query, key, value)
        swap = (0, 1) if batched and not self.batch_first else None
        q, k, v = self._heads(*_batch_first(query, key, value, batched, swap))
        shape = (*q.shape[:3], k.shape[2])
        seen = what_is_seen(key_padding_mask, attn_mask, is_causal, shape, batched, q.device)
        unit = self.unit
        if query is key:
            more_keys = self.bias_k is not None or self.add_zero_attn
            unit, mask = padded_both_ways(unit, seen.mask, seen.there, more_keys)
            seen = replace(seen, mask=mask)
        k, v, seen, in_front = self._with_own_keys(k, v, seen, shape)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(
            q, k, v, unit=unit, mask=seen.mask, causal=seen.causal, bias=seen.bias,
            dropout=dropout,
        )  # fmt: skip
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        out = out if batched else out[0]
        out = out if swap is None else out.transpose(*swap)
        if not need_weights:
            return out, None
        found = weights(q, k, unit=unit, mask=seen.mask, causal=seen.causal, bias=seen.bias)
        found = found.roll(-in_front, -1) if in_front else found
        found = found.mean(1) if average_attn_weights else found
        return out, found if batched else found[0]

    def _heads(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the projected inputs, each of shape (batch, heads, tokens, dim / heads)."""
        widths = (self.embed_dim, self.kdim, self.vdim)
        check_fit(query, key, value, widths, self.out_proj.weight)
        biases: tuple[Tensor | None, ...] = (None, None, None)
        if self.in_proj_bias is not None:
            biases = self.in_proj_bias.chunk(3)
        if self.in_proj_weight is None:
            matrices = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        elif query is key and key is value:
            q, k, v = linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
            return self._split(q), self._split(k), self._split(v)
        else:
            matrices = self.in_proj_weight.chunk(3)
        given = zip((query, key, value), matrices, biases, strict=True)
        q, k, v = (self._split(linear(x, matrix, bias)) for x, matrix, bias in given)
        return q, k, v

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
        return split

    def _with_own_keys(
        self, k: Tensor, v: Tensor, seen: Seen, shape: tuple[int, int, int, int]
    ) -> tuple[Tensor, Tensor, Seen, int]:
        """Return keys, values and the pattern with the module's own, and how many come first."""
        more: list[tuple[Tensor, Tensor]] = []
        if self.bias_k is not None and self.bias_v is not None:
            more.append((self._split(self.bias_k), self._split(self.bias_v)))
        if self.add_zero_attn:
            more.append((k.new_zeros(1, 1, 1, k.shape[-1]), v.new_zeros(1, 1, 1, v.shape[-1])))
        if not more:
            return k, v, seen, 0
        seen, first = with_more_keys(seen, (shape[2], shape[3]), len(more), k.device)
        size = (*shape[:2], 1, self.head_dim)
        own_k = [key.to(k.dtype).expand(size) for key, _ in more]
        own_v = [value.to(v.dtype).expand(size) for _, value in more]
        k = torch.cat([*own_k, k] if first else [k, *own_k], 2)
        v = torch.cat([*own_v, v] if first else [v, *own_v], 2)
        return k, v, seen, len(more) if first else 0


def _named(name: str, value: int | None, alias: str, other: int | None) -> int:
    """Return a size that has two names, of which one is given."""
    if (value is None) == (other is None):
        raise InputError(
            f"`{name}` and `{alias}`, PyTorch's name for it, are one setting: give one of them;"
            f" got {value!r} and {other!r}."
        )
    return check_count(name, value) if other is None else check_count(alias, other)


def _batch_first(
    query: Tensor, key: Tensor, value: Tensor, batched: bool, swap: tuple[int, int] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the inputs as (batch, tokens, width); one tensor stays one tensor."""

    def turned(x: Tensor) -> Tensor:
        if not batched:
            return x[None]
        return x if swap is None else x.transpose(*swap)

    if query is key and key is value:
        x = turned(query)
        return x, x, x
    return turned(query), turned(key), turned(value)

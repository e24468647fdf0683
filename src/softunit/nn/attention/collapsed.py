"""Attention with fewer matrices: query and key collapsed into one, or symmetric; values bare.

Source: 2.22 (arXiv 2410.13732).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from softunit.errors import InputError
from softunit.nn._checks import check_count, check_number
from softunit.nn.attention._inputs import Causal, check_dropout, pattern_of
from softunit.nn.attention._learned import HoldsUnit
from softunit.nn.attention._module_inputs import (
    check_dtype,
    check_padding,
    check_projections,
    check_tokens,
    padded_both_ways,
)
from softunit.nn.attention._multihead_masks import Seen
from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.functional import Bias, attend

QueryKey = Literal["full", "collapsed", "symmetric"]
ValueOutput = Literal["full", "collapsed", "omitted"]


class CollapsedAttention(HoldsUnit):
    """Self-attention out = unit(X W X' / sqrt(d)) X V with as few matrices as are asked for.

    With d = dim / heads, for each head:

    - ``query_key="full"``: W = W_Q W_K', two dim-by-d matrices, as in a transformer; 2 dim^2
      parameters over all heads;
    - ``"collapsed"``: W itself, any dim-by-dim matrix; heads dim^2;
    - ``"symmetric"``: W = L L', with L dim-by-rank and zero above its diagonal, which any such W
      allows; heads (dim rank - rank (rank - 1) / 2), for one head of full rank dim (dim + 1) / 2;
    - ``value_output="full"``: V = W_V W_O, two matrices; 2 dim^2 over all heads;
    - ``"collapsed"``: V itself, dim-by-dim; heads dim^2;
    - ``"omitted"``: no matrix; head h mixes its d columns of X as they are.

    Parameters
    ----------
    dim : int
        Width of the tokens.
    heads : int, default 1
        Must divide `dim`.
    query_key : {"full", "collapsed", "symmetric"}, default "collapsed"
        What gives the scores.
    value_output : {"full", "collapsed", "omitted"}, default "omitted"
        What is mixed.
    rank : int, optional
        Columns of L, at most `dim`; None: `dim`. Only for "symmetric".
    unit : str or AttentionUnit, default "softmax"
        Turns scores into weights, as in `attend`; settings that are a ``torch.nn.Parameter`` become
        parameters of the module.
    scale : float, optional
        Of the scores; None: 1 / sqrt(dim / heads), whatever form they have.
    dropout : float, default 0.0
        Share of weights dropped in training, in [0, 1); linear units drop whole values.
    device : torch.device, optional
        Where the parameters are.
    dtype : torch.dtype, optional
        Of the parameters.

    Raises
    ------
    InputError
        If a setting is none of the above, heads do not divide `dim`, the rank is out of range, or
        the unit attends to pairs of keys.

    Notes
    -----
    Collapsed scores cost n dim^2 for each head and have queries of width dim, so they pay with few
    heads: one head saves half of the parameters of the scores, two none. There are no biases: a
    bias of the queries adds a term for each key that no W has.
    """

    def __init__(
        self,
        dim: int,
        heads: int = 1,
        *,
        query_key: QueryKey = "collapsed",
        value_output: ValueOutput = "omitted",
        rank: int | None = None,
        unit: str | AttentionUnit = "softmax",
        scale: float | None = None,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(dim, heads, rank, query_key)
        check_dropout(dropout)
        check_dtype(dtype)
        _check_choice("query_key", query_key, get_args(QueryKey))
        _check_choice("value_output", value_output, get_args(ValueOutput))
        self.unit = unit
        if self.unit.pairs:
            raise InputError(
                f"The unit {self.unit.name!r} attends to pairs of keys, which one sequence does not"
                " have: call `attend` with two sets of keys."
            )
        self.dim, self.heads, self.rank = int(dim), int(heads), int(dim if rank is None else rank)
        self.query_key, self.value_output = query_key, value_output
        own = math.sqrt(heads / dim)
        self.scale = own if scale is None else check_number("scale", scale, above=0.0)
        self.dropout = dropout
        self._make(device, dtype)

    def _make(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        """Make the parameters: entries of W with a variance that keeps scores of size one."""
        dim, heads = self.dim, self.heads

        def drawn(*shape: int, deviation: float) -> nn.Parameter:
            return nn.Parameter(deviation * torch.randn(*shape, device=device, dtype=dtype))

        width = 1.0 / math.sqrt(dim)
        if self.query_key == "full":
            self.query = drawn(dim, dim, deviation=width)
            self.key = drawn(dim, dim, deviation=width)
        elif self.query_key == "collapsed":
            # As the product of two of the above.
            self.similarity = drawn(heads, dim, dim, deviation=math.sqrt(1.0 / (heads * dim)))
        else:
            row, column = torch.tril_indices(dim, self.rank, device=device)
            self.places: Tensor
            self.register_buffer("places", row * self.rank + column, persistent=False)
            self.lower = drawn(heads, len(row), deviation=width)
        if self.value_output == "full":
            self.value = drawn(dim, dim, deviation=width)
            self.output = drawn(dim, dim, deviation=width)
        elif self.value_output == "collapsed":
            self.mixing = drawn(heads, dim, dim, deviation=1.0 / math.sqrt(heads * dim))

    @classmethod
    def from_projections(
        cls,
        query: Tensor,
        key: Tensor,
        heads: int = 1,
        *,
        value_output: ValueOutput = "omitted",
        unit: str | AttentionUnit = "softmax",
        scale: float | None = None,
    ) -> CollapsedAttention:
        """Return the collapsed attention with the scores of two projections, W = W_Q W_K'.

        Parameters
        ----------
        query, key : Tensor of shape (dim, dim)
            Weights of the projections as `torch.nn.Linear` has them: queries are X @ query.T, and
            head h has its rows h d to (h + 1) d. Projections with a bias cannot be collapsed.
        heads : int, default 1
            Of the projections.
        value_output, unit, scale
            As in the class.

        Returns
        -------
        CollapsedAttention
            With ``query_key="collapsed"``; other parameters are fresh.

        Raises
        ------
        InputError
            If the projections are not both (dim, dim), of one floating dtype and device.
        """
        check_projections(query, key)
        if query.ndim != 2 or query.shape[0] != query.shape[1] or key.shape != query.shape:
            raise InputError(
                "`query` and `key` must both be (dim, dim); got"
                f" {tuple(query.shape)} and {tuple(key.shape)}."
            )
        dim = len(query)
        made = cls(
            dim,
            heads,
            query_key="collapsed",
            value_output=value_output,
            unit=unit,
            scale=scale,
            device=query.device,
            dtype=query.dtype,
        )
        by_head = (given.detach().reshape(heads, -1, dim) for given in (query, key))
        first, second = by_head
        with torch.no_grad():
            made.similarity.copy_(first.mT @ second)
        return made

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        causal: Causal = False,
        bias: Bias | None = None,
    ) -> Tensor:
        """Return the mixed tokens, of shape (batch, n, dim).

        Parameters
        ----------
        x : Tensor of shape (batch, n, dim)
            The tokens.
        mask : Tensor, optional
            Bool, broadcasting to (batch, heads, n, n): True where a token sees another.
        key_padding_mask : Tensor of shape (batch, n), optional
            Bool, True where a token is padding, as in `torch.nn.MultiheadAttention`. With the unit
            "soft" it hides padded tokens as queries too, whatever the `padding` of the unit.
        causal : bool, default False
            Whether token i sees tokens 0 to i only.
        bias : Tensor or RelativeBias, optional
            As in `attend`.

        Returns
        -------
        Tensor of shape (batch, n, dim)
            Zeros in the heads of a token that sees nothing.

        Raises
        ------
        InputError
            If shapes or dtypes do not fit.
        """
        q, k = self._queries_keys(x)
        seen = _kept(mask, key_padding_mask, x, q)
        unit, mask = padded_both_ways(self.unit, seen.mask, seen.there)
        mixed = attend(
            q, k.to(q.dtype), self._values(x).to(q.dtype), unit=unit, mask=mask, causal=causal,
            bias=bias, scale=self.scale, dropout=self.dropout if self.training else 0.0,
        )  # fmt: skip
        if self.value_output == "collapsed":
            return mixed.sum(1)
        joined = mixed.transpose(1, 2).flatten(2)
        return joined @ self.output if self.value_output == "full" else joined

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores scale X W X', of shape (batch, heads, n, n).

        Parameters
        ----------
        x : Tensor of shape (batch, n, dim)
            The tokens.
        """
        q, k = self._queries_keys(x)
        return self.scale * (q @ k.mT)

    def similarity_matrix(self) -> Tensor:
        """Return W of each head, of shape (heads, dim, dim); symmetric for "symmetric"."""
        if self.query_key == "collapsed":
            return self.similarity
        if self.query_key == "symmetric":
            lower = self._lower()
            return lower @ lower.mT
        return self._headed(self.query) @ self._headed(self.key).mT

    def extra_repr(self) -> str:
        """Return the settings, for the text of a module."""
        return (
            f"{self.dim}, heads={self.heads}, query_key={self.query_key!r},"
            f" value_output={self.value_output!r}, unit={self.unit.name!r}"
        )

    def _queries_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries (batch, heads, n, d, dim or rank) and keys, for all heads or for each."""
        forms = {"full": "query", "collapsed": "similarity", "symmetric": "lower"}
        check_tokens(x, self.dim, getattr(self, forms[self.query_key]))
        tokens = x[:, None]
        if self.query_key == "full":
            return tokens @ self._headed(self.query), tokens @ self._headed(self.key)
        if self.query_key == "collapsed":
            return tokens @ self.similarity, tokens
        both = tokens @ self._lower()
        return both, both

    def _values(self, x: Tensor) -> Tensor:
        if self.value_output == "collapsed":
            mixed: Tensor = x[:, None] @ self.mixing
            return mixed
        if self.value_output == "full":
            return x[:, None] @ self._headed(self.value)
        return _split(x, self.heads).transpose(1, 2)

    def _headed(self, weight: Tensor) -> Tensor:
        """Return the columns of each head, (heads, dim, d)."""
        return _split(weight, self.heads).transpose(0, 1)

    def _lower(self) -> Tensor:
        """Return L of each head, (heads, dim, rank)."""
        flat = self.lower.new_zeros(self.heads, self.dim * self.rank)
        return flat.index_copy(1, self.places, self.lower).view(-1, self.dim, self.rank)


def _split(given: Tensor, heads: int) -> Tensor:
    """Return the columns by head, (..., heads, columns / heads)."""
    return given.reshape(*given.shape[:-1], heads, given.shape[-1] // heads)


def _check_sizes(dim: int, heads: int, rank: int | None, query_key: str) -> None:
    check_count("dim", dim)
    check_count("heads", heads)
    if dim % heads:
        raise InputError(f"`heads` must divide `dim`; got dim = {dim} and heads = {heads}.")
    if rank is None:
        return
    if query_key != "symmetric":
        raise InputError(
            f"`rank` is for query_key='symmetric'; got rank = {rank} with {query_key!r}."
        )
    if check_count("rank", rank) > dim:
        raise InputError(f"`rank` must be from 1 to dim = {dim}; got {rank}.")


def _check_choice(name: str, given: object, known: tuple[str, ...]) -> None:
    if given not in known:
        raise InputError(f"`{name}` must be one of {', '.join(map(repr, known))}; got {given!r}.")


def _kept(mask: Tensor | None, padding: Tensor | None, x: Tensor, q: Tensor) -> Seen:
    """Return what may be seen, where padding is not."""
    check_padding(padding, x)
    if padding is None:
        return Seen(mask)
    there = ~padding[:, None, None]
    if mask is None:
        return Seen(there, there=there)
    pattern_of(q, x[:, None], mask, False, None)  # Refuses a mask that does not fit.
    return Seen(there & mask, there=there)

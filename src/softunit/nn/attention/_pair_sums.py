"""Causal sums over pairs of keys: products of two running sums, a chunk of tokens at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from softunit.nn.attention._causal_sums import square_of
from softunit.nn.attention._gradient_op import differentiated_by
from softunit.nn.attention._pair_unit import Pair

CHUNK = 64
"""Tokens whose running sums are made at once."""
ENTRIES = 1 << 21
"""Numbers of running sums that are held at a time."""


def past_pairs(a: Tensor, b: Pair, c: Pair, offset: int, state: Pair | None = None) -> Tensor:
    """Return out_i = sum_r a_ir P1_ir * P2_ir, of shape (batch, heads, n, e).

    P_i is the sum of b_jr c_j over keys j <= i + offset, of shape (r, e), and * goes entry by
    entry over e. Time is n r e; no more than one chunk of running sums is in memory, forth or back.

    Parameters
    ----------
    a : Tensor of shape (batch, heads, n, r)
    b : pair of Tensor of shape (batch, heads, m, r)
    c : pair of Tensor of shape (batch, heads, m, e)
    offset : int
        0: row i sees keys up to i; m - n: the last row sees the last key.
    state : pair of Tensor of shape (batch, heads, r, e), optional
        Sums over keys before all of these.
    """
    head, blind, rest = square_of(a.shape[-2], (*b, *c), offset)
    starts = [x[..., :head, :].mT @ y[..., :head, :] for x, y in zip(b, c, strict=True)]
    if state is not None:
        starts = [x + y for x, y in zip(starts, state, strict=True)]
    out: Tensor = pair_sums(a[..., blind:, :], *rest, *starts)
    return pad(out, (0, 0, blind, 0)) if blind else out


@torch.library.custom_op(
    "softunit::pair_sums",
    mutates_args=(),
    schema="(Tensor a, Tensor b1, Tensor b2, Tensor c1, Tensor c2, Tensor s1, Tensor s2) -> Tensor",
)
def pair_sums(
    a: Tensor, b1: Tensor, b2: Tensor, c1: Tensor, c2: Tensor, s1: Tensor, s2: Tensor
) -> Tensor:
    """Return the sums for as many rows as keys, with the sums s before the first."""
    out = torch.zeros_like(c1)
    for group in _groups(a, c1):
        sums = s1[..., group, :], s2[..., group, :]
        for at in _chunks(a):
            rows = a[..., at, group]
            keys = (b1[..., at, group], b2[..., at, group])
            values = (c1[..., at, :], c2[..., at, :])
            first, second = _running(keys, values, sums)
            out[..., at, :] += torch.einsum("...tr,...tre->...te", rows, first.mul_(second))
            sums = _after(keys, values, sums)
    return out


@pair_sums.register_fake
def _shape(a: Tensor, b1: Tensor, b2: Tensor, c1: Tensor, *rest: Tensor) -> Tensor:
    return torch.empty_like(c1)


@torch.library.custom_op(
    "softunit::pair_gradients",
    mutates_args=(),
    schema="(Tensor a, Tensor b1, Tensor b2, Tensor c1, Tensor c2, Tensor s1, Tensor s2,"
    " Tensor grad) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def pair_gradients(*given: Tensor) -> tuple[Tensor, ...]:
    """Return the gradients of all seven: those of keys and values are running sums from the end."""
    *inputs, grad = given
    a, b1, b2, c1, c2, s1, s2 = inputs
    found = [torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in inputs]
    for group in _groups(a, c1):
        before: list[Pair] = [(s1[..., group, :], s2[..., group, :])]
        cuts = [
            (at, (b1[..., at, group], b2[..., at, group]), (c1[..., at, :], c2[..., at, :]))
            for at in _chunks(a)
        ]
        for _, keys, values in cuts[:-1]:
            before.append(_after(keys, values, before[-1]))
        later = [torch.zeros_like(before[0][0]) for _ in range(2)]
        for (at, keys, values), sums in zip(reversed(cuts), reversed(before), strict=True):
            running = _running(keys, values, sums)
            rows, back = a[..., at, group], grad[..., at, :]
            both = running[0] * running[1]
            found[0][..., at, group] = torch.einsum("...tre,...te->...tr", both, back)
            outer = rows[..., :, None] * back[..., None, :]
            for side in range(2):
                each = outer * running[1 - side]
                behind = _from_end(each) + later[side].unsqueeze(-3)
                found[1 + side][..., at, group] = torch.einsum(
                    "...tre,...te->...tr", behind, values[side]
                )
                found[3 + side][..., at, :] += torch.einsum(
                    "...tre,...tr->...te", behind, keys[side]
                )
                later[side] = behind[..., 0, :, :]
        for side in range(2):
            found[5 + side][..., group, :] = later[side]
    return tuple(found)


@pair_gradients.register_fake
def _shapes(*given: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in given[:-1])


def _chunks(a: Tensor) -> Iterator[slice]:
    n = a.shape[-2]
    return (slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))


def _groups(a: Tensor, c: Tensor) -> Iterator[slice]:
    """Return groups of features, so few that the running sums of a chunk fit `ENTRIES`."""
    many = a.shape[:-2].numel() * min(CHUNK, a.shape[-2]) * c.shape[-1]
    width = max(1, ENTRIES // max(1, many))
    return (slice(start, start + width) for start in range(0, a.shape[-1], width))


def _running(keys: Pair, values: Pair, before: Pair) -> Pair:
    """Return the sums up to each token of a chunk: two of shape (..., t, r, e)."""
    t = keys[0].shape[-2]
    past = torch.ones(t, t, dtype=keys[0].dtype, device=keys[0].device).tril_()
    first, second = (
        (past @ (b[..., :, None] * c[..., None, :]).flatten(-2)).unflatten(-1, s.shape[-2:])
        + s.unsqueeze(-3)
        for b, c, s in zip(keys, values, before, strict=True)
    )
    return first, second


def _from_end(x: Tensor) -> Tensor:
    """Return the sums from each token to the last of its chunk, of shape (..., t, r, e)."""
    t = x.shape[-3]
    coming = torch.ones(t, t, dtype=x.dtype, device=x.device).triu_()
    found: Tensor = (coming @ x.flatten(-2)).unflatten(-1, x.shape[-2:])
    return found


def _after(keys: Pair, values: Pair, before: Pair) -> Pair:
    first, second = (s + b.mT @ c for b, c, s in zip(keys, values, before, strict=True))
    return first, second


differentiated_by(pair_sums, pair_gradients)

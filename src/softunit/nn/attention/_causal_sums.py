"""Sums over the past, sum_{j <= i + offset} <a_i, b_j> c_j, by chunks and a running state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

CHUNK = 64
"""Tokens of a chunk: inside it a square of products, between chunks a state of r e numbers."""
ENTRIES = 1 << 21
"""Numbers of squares and states that are held at a time, if that takes at most `GROUPS` turns."""
GROUPS = 32


def past_sums(a: Tensor, b: Tensor, c: Tensor, offset: int) -> Tensor:
    """Return out_i = sum_{j <= i + offset} <a_i, b_j> c_j, of shape (..., n, e).

    Rows that see nothing are exact zeros. Beyond inputs and outputs the memory does not grow with
    n, up to n r e / 2048; the backward recomputes and stores nothing.

    Parameters
    ----------
    a : Tensor of shape (..., n, r)
    b : Tensor of shape (..., m, r)
    c : Tensor of shape (..., m, e)
    offset : int
        0: row i sees keys up to i; m - n: the last row sees the last key.
    """
    seen_by_all, blind, (keys, values) = square_of(a.shape[-2], (b, c), offset)
    rows = a[..., blind:, :]
    out: Tensor = causal_sums(rows, keys, values, False)
    if seen_by_all:
        head = b[..., :seen_by_all, :].mT @ c[..., :seen_by_all, :]
        out = out + rows @ head
    return pad(out, (0, 0, blind, 0)) if blind else out


def square_of(n: int, keys: Sequence[Tensor], offset: int) -> tuple[int, int, list[Tensor]]:
    """Return how many keys all rows see, how many rows see none, and the square that is left.

    The square is the keys after those: cut, or filled up with zeros, to as many as there are rows
    after the blind ones. In it row i sees keys up to i.

    Parameters
    ----------
    n : int
        Rows.
    keys : sequence of Tensor of shape (..., m, width)
        Keys, and what else there is of them.
    offset : int
        Row i sees keys up to i + offset.
    """
    m = keys[0].shape[-2]
    seen_by_all, blind = min(max(offset, 0), m), min(max(-offset, 0), n)
    fill = (n - blind) - (m - seen_by_all)
    return seen_by_all, blind, [_fitted(x[..., seen_by_all:, :], fill) for x in keys]


def _fitted(x: Tensor, fill: int) -> Tensor:
    """Return x with `fill` more rows of zeros, or with so many fewer rows."""
    if fill > 0:
        return pad(x, (0, 0, 0, fill))
    return x[..., : x.shape[-2] + fill, :] if fill else x


@torch.library.custom_op(
    "softunit::causal_sums",
    mutates_args=(),
    schema="(Tensor a, Tensor b, Tensor c, bool reverse) -> Tensor",
)
def causal_sums(a: Tensor, b: Tensor, c: Tensor, reverse: bool) -> Tensor:
    """Return out_i = sum_{j <= i} <a_i, b_j> c_j over as many rows as keys; reverse: j >= i."""
    n, r, e = a.shape[-2], a.shape[-1], c.shape[-1]
    out = c.new_zeros(*c.shape[:-2], n, e)
    state = c.new_zeros(*c.shape[:-2], r, e)
    runs = _runs(n, c.shape[:-2].numel() * max(CHUNK * CHUNK, r * e))
    for start, stop, chunk in reversed(runs) if reverse else runs:
        rows, keys, values = (x[..., start:stop, :].unflatten(-2, (-1, chunk)) for x in (a, b, c))
        part, state = _run(rows, keys, values, state, reverse)
        out[..., start:stop, :] = part.flatten(-3, -2)
    return out


def _runs(n: int, each: int) -> list[tuple[int, int, int]]:
    """Return (start, stop, length of a chunk): runs of whole chunks, and the short chunk left."""
    whole = n // CHUNK
    many = max(1, ENTRIES // each, -(-whole // GROUPS)) * CHUNK
    last = whole * CHUNK
    runs = [(start, min(start + many, last), CHUNK) for start in range(0, last, many)]
    return runs + [(last, n, n - last)] * (last < n)


def _run(a: Tensor, b: Tensor, c: Tensor, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    """Return the sums of a run of chunks (..., G, C, .) after `state`, and the state after it."""
    square = a @ b.mT
    square = square.triu_() if reverse else square.tril_()
    each = b.mT @ c
    each = each.flip(-3) if reverse else each
    # Entry g is the state before chunk g; summed this way nothing is ever taken off again.
    before = torch.cat([state.unsqueeze(-3), each], -3).cumsum(-3)
    after, before = before[..., -1, :, :], before[..., :-1, :, :]
    out = square @ c
    out += a @ (before.flip(-3) if reverse else before)
    return out, after


@causal_sums.register_fake
def _shape(a: Tensor, b: Tensor, c: Tensor, reverse: bool) -> Tensor:
    return c.new_empty(*c.shape[:-2], a.shape[-2], c.shape[-1])


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
    *tensors, ctx.reverse = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Return the gradients, which are sums of the same kind with the parts exchanged."""
    a, b, c = ctx.saved_tensors
    need, back = ctx.needs_input_grad, not ctx.reverse
    return (
        causal_sums(grad, c, b, ctx.reverse) if need[0] else None,
        causal_sums(c, grad, a, back) if need[1] else None,
        causal_sums(b, a, grad, back) if need[2] else None,
        None,
    )


causal_sums.register_autograd(_backward, setup_context=_keep)

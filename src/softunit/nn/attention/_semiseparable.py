"""Semiseparable maps: linear recurrences over a sequence, as lower triangular matrices.

Source: 2.18 (arXiv 2407.09941), with the chunks of Mamba-2 (arXiv 2405.21060).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from softunit.errors import InputError
from softunit.nn._checks import check_count

CHUNK = 64
SPAN = 1 << 14  # tokens of all batch and heads that are worked on at once: what caches hold


def semiseparable(
    c: Tensor, b: Tensor, log_decay: Tensor, x: Tensor, *, chunk: int = CHUNK
) -> Tensor:
    """Return SS x, of shape (..., n, e), in time and memory linear in n.

    SS_ij = <c_i, b_j> exp(sum_{t=j+1..i} log_decay_t) for j <= i, and 0 above the diagonal: the
    outputs y_i = h_i' c_i of the recurrence h_i = exp(log_decay_i) h_{i-1} + b_i x_i'.

    Parameters
    ----------
    c, b : Tensor of shape (..., n, s)
        How a token reads the state, and how it writes to it. The leading axes of all four tensors
        broadcast; all have one floating dtype and one device.
    log_decay : Tensor of shape (..., n)
        Logarithms of decays, at most zero; minus infinity forgets all before. The first of them
        has no effect.
    x : Tensor of shape (..., n, e)
        The sequence.
    chunk : int, default 64
        Tokens that are multiplied as a dense block. Time grows like n (chunk (s + e) + s e).

    Returns
    -------
    Tensor of shape (..., n, e)
        Of the dtype of x. Half precision is computed in float32.

    Raises
    ------
    InputError
        If shapes or dtypes do not fit, there is no token, a decay is above one, or the chunk is
        shorter than two tokens.

    Notes
    -----
    1. Inside a chunk: the dense matrix of its own tokens. 2. What each chunk adds to the state
    after it. 3. The states between chunks are a semiseparable map too, of one token for each
    chunk with c = b = 1: the same function again. 4. Each token reads the state before its chunk.
    Only sums of log decays over segments are exponentiated, never their negatives, so nothing
    overflows.
    """
    check_map(c, b, log_decay, x, chunk)
    return _run(c, b, log_decay, x, None, int(chunk))[0]


def semiseparable_step(
    c: Tensor,
    b: Tensor,
    log_decay: Tensor,
    x: Tensor,
    state: Tensor | None = None,
    *,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """Return SS x for the next t tokens of a sequence, and the state after them.

    Parameters
    ----------
    c, b, log_decay, x : Tensor
        As in `semiseparable`, with t tokens; t is usually one.
    state : Tensor of shape (..., s, e), optional
        What the last step returned; None before the first token.
    chunk : int, default 64
        As in `semiseparable`.

    Returns
    -------
    tuple of Tensor of shape (..., t, e) and Tensor of shape (..., s, e)
        The outputs, of the dtype of x, and the state h, in float32 or float64.

    Raises
    ------
    InputError
        As `semiseparable`, or if the state is none of such a sequence.
    """
    check_map(c, b, log_decay, x, chunk)
    if state is not None:
        _check_state(state, b, log_decay, x)
    y, after = _run(c, b, log_decay, x, state, int(chunk))
    assert after is not None
    return y, after


def semiseparable_matrix(c: Tensor, b: Tensor, log_decay: Tensor) -> Tensor:
    """Return the matrix SS of `semiseparable` by its definition, of shape (..., n, n).

    Parameters
    ----------
    c, b, log_decay : Tensor
        As in `semiseparable`.

    Returns
    -------
    Tensor of shape (..., n, n)
        Lower triangular; a block on or below the diagonal has rank at most s.

    Raises
    ------
    InputError
        As `semiseparable`.
    """
    # The map of nothing: x has no columns.
    check_map(c, b, log_decay, log_decay[..., None][..., :0], CHUNK)
    return (c @ b.mT) * _decays(log_decay)


def check_map(c: Tensor, b: Tensor, log_decay: Tensor, x: Tensor, chunk: int) -> None:
    """Refuse with a sentence what is not a semiseparable map of x."""
    check_same({"c": c, "b": b, "log_decay": log_decay, "x": x})
    deep = min(c.ndim, b.ndim, x.ndim, log_decay.ndim + 1) >= 2
    n = x.shape[-2] if deep else 0
    fits = deep and c.shape[-1] == b.shape[-1]
    fits = fits and c.shape[-2] == b.shape[-2] == log_decay.shape[-1] == n
    if not (fits and broadcasts(c.shape[:-2], b.shape[:-2], log_decay.shape[:-1], x.shape[:-2])):
        raise InputError(
            "c and b must be (..., n, s), log_decay (..., n) and x (..., n, e), with leading axes"
            f" that broadcast; got {tuple(c.shape)}, {tuple(b.shape)}, {tuple(log_decay.shape)} and"
            f" {tuple(x.shape)}."
        )
    if n < 1:
        raise InputError(f"A sequence has at least one token; got x of shape {tuple(x.shape)}.")
    check_count("chunk", chunk, 2)
    check_decays(log_decay)


def check_same(given: dict[str, Tensor]) -> None:
    """Refuse tensors that are not floating, of one dtype and on one device."""
    for name, each in given.items():
        if not isinstance(each, Tensor):
            raise InputError(f"`{name}` must be a torch tensor; got {type(each).__name__}.")
        if not each.dtype.is_floating_point:
            raise InputError(f"`{name}` must be of a floating dtype; got {each.dtype}.")
    kinds = {(each.dtype, each.device) for each in given.values()}
    if len(kinds) > 1:
        got = ", ".join(f"{name} {each.dtype} on {each.device}" for name, each in given.items())
        raise InputError(f"{', '.join(given)} must have one dtype and one device; got {got}.")


def broadcasts(*shapes: torch.Size) -> bool:
    """Return whether shapes broadcast."""
    axes = zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1)
    return all(len(set(sizes) - {1}) <= 1 for sizes in axes)


def check_decays(log_decay: Tensor) -> None:
    """Refuse decays above one, where values may be read at all."""
    if torch.compiler.is_compiling() or log_decay.is_meta or log_decay.numel() == 0:
        return
    largest = float(log_decay.detach().max())
    if not largest <= 0.0:
        raise InputError(
            f"`log_decay` must be at most zero, a decay of at most one; its largest is {largest!r}."
            " Above it a recurrence grows without bound. One that is learned can be kept there:"
            " clamp it after each step of the optimizer, `log_decay.data.clamp_(max=0.0)`, or let"
            " it be -softplus of a free parameter, as by torch.nn.utils.parametrize."
        )


def _check_state(state: object, b: Tensor, log_decay: Tensor, x: Tensor) -> None:
    """Refuse a state that no step of such a sequence returned."""
    if not isinstance(state, Tensor):
        raise InputError(
            f"`state` must be None or the tensor of the last step; got {type(state).__name__}."
        )
    leading = torch.broadcast_shapes(b.shape[:-2], log_decay.shape[:-1], x.shape[:-2])
    wanted = (*leading, b.shape[-1], x.shape[-1])
    wide = torch.promote_types(x.dtype, torch.float32)
    if tuple(state.shape) != wanted or state.dtype != wide or state.device != x.device:
        raise InputError(
            f"`state` must be {wanted}, {wide} on {x.device}, as the last step of this sequence"
            f" returned it; got {tuple(state.shape)}, {state.dtype} on {state.device}."
        )


def _run(
    c: Tensor, b: Tensor, log_decay: Tensor, x: Tensor, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor | None]:
    """Return SS x after a state, and the state after it, span after span of tokens."""
    n = x.shape[-2]
    wide = torch.promote_types(x.dtype, torch.float32)
    c, b, log_decay, reals = c.to(wide), b.to(wide), log_decay.to(wide), x.to(wide)
    others = max(1, log_decay.shape[:-1].numel(), x.shape[:-2].numel())
    # A compiler fuses the passes that a cache would have to hold; a loop would only be unrolled.
    span = n if torch.compiler.is_compiling() else max(8 * chunk, SPAN // others)
    # `split`, not slices: the gradient of a slice is an array as long as the whole.
    tall = (t.split(span, -2) for t in (c, b, reals))
    outputs = []
    with _precision(x.device.type):
        for c_, b_, x_, log_decay_ in zip(*tall, log_decay.split(span, -1), strict=True):
            y, after = _scan(c_, b_, log_decay_, x_, chunk)
            if state is not None:
                kept = log_decay_.cumsum(-1).exp()
                y = y + (c_ * kept[..., None]) @ state
                after = after + kept[..., -1, None, None] * state
            outputs.append(y)
            state = after
    y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -2)
    return y.to(x.dtype), state


def _precision(device: str) -> AbstractContextManager[Any]:
    """Return a context that keeps autocast from narrowing what was widened."""
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)


def _scan(c: Tensor, b: Tensor, log_decay: Tensor, x: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """Return SS x and the state after the last token, (..., s, e)."""
    n = x.shape[-2]
    if n <= chunk:
        decays = _decays(log_decay)
        return ((c @ b.mT) * decays) @ x, (b * decays[..., -1:, :].mT).mT @ x
    missing = -n % chunk
    c, b, x = (pad(t, (0, 0, 0, missing)).unflatten(-2, (-1, chunk)) for t in (c, b, x))
    log_decay = pad(log_decay, (0, missing)).unflatten(-1, (-1, chunk))
    # 1. and 2. Each chunk by itself.
    inside, added = _scan(c, b, log_decay, x, chunk)
    # 3. The states between chunks.
    one = c.new_ones(added.shape[-3], 1)
    states, last = _scan(one, one, log_decay.sum(-1), added.flatten(-2), chunk)
    before = shifted(states).unflatten(-1, added.shape[-2:])
    # 4. What is read of the state before the chunk.
    read = (c * log_decay.cumsum(-1).exp()[..., None]) @ before
    y = (inside + read).flatten(-3, -2)[..., :n, :]
    return y, last.squeeze(-2).unflatten(-1, added.shape[-2:])


def _decays(log_decay: Tensor) -> Tensor:
    """Return exp(sum_{t=j+1..i} log_decay_t) for j <= i and zeros above, (..., n, n).

    Each segment is summed by itself: in a difference of two sums from the start, a small segment
    behind a large one would lose its digits.
    """
    n = log_decay.shape[-1]
    lower = torch.ones(n, n, dtype=torch.bool, device=log_decay.device).tril()
    steps = log_decay[..., None].expand(*log_decay.shape, n)
    segments = steps.masked_fill(~lower.tril(-1), 0.0).cumsum(-2)
    return segments.masked_fill(~lower, float("-inf")).exp()


def shifted(x: Tensor) -> Tensor:
    """Return x one row on, with a row of zeros first."""
    return pad(x[..., :-1, :], (0, 0, 1, 0))

"""Dense attention a block of rows at a time: the n-by-m weights are never all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._relative import RelativeBias

Weigh = Callable[[Tensor, Tensor, Pattern], Tensor]
"""Takes queries (b, h, rows, d), keys (b, h, m, d) and their pattern; returns their weights."""

Mix = Callable[[Tensor, Tensor, Tensor, Pattern], Tensor]
"""Takes queries, keys, values (b, h, m, e) and their pattern; returns outputs (b, h, rows, e)."""

Lead = tuple[slice, slice]
"""Which of the batch, and which of the heads."""

CACHED = 1 << 19
"""Weights of a block on a CPU: what stays in its cache between two products is read for free."""
HELD = 1 << 22
"""Weights of a block elsewhere; and how many of a call are kept for the gradient, not made anew."""
SMALL = 1 << 20
"""Numbers of an array that a CPU's allocator hands out again, instead of asking for new pages."""
LEAST_ROWS = 64
"""Products with fewer rows leave most of a core idle."""
CAUSAL_BLOCKS = 8
"""Blocks that a causal call is cut into at least: later keys than its last row are left out."""


def in_row_blocks(
    weigh: Weigh, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, dropout: float = 0.0
) -> Tensor:
    """Return the values mixed by the weights that `weigh` gives, of shape (batch, heads, n, e).

    out = weigh(q, k, pattern) @ v, block by block as in `outputs_in_row_blocks`.

    Parameters
    ----------
    weigh : callable
        Takes (q, k, pattern) of a block and returns weights (b, h, rows, keys); the weight of a
        key that is not visible is zero.
    q, k, v : Tensor of shape (batch, heads, n or m, d or e)
        Queries and keys, or features of them, and values.
    pattern : Pattern
        Of the whole call.
    dropout : float, default 0.0
        Share of the weights that are dropped; the others grow by 1 / (1 - dropout).

    Returns
    -------
    Tensor of shape (batch, heads, n, e)
        The mixed values.
    """

    def mix(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> Tensor:
        weights = weigh(q, k, pattern)
        if dropout:
            weights = torch.dropout(weights, dropout, train=True)
        return weights @ v

    return outputs_in_row_blocks(mix, q, k, v, pattern)


def outputs_in_row_blocks(mix: Mix, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> Tensor:
    """Return what `mix` makes of every block, put together: (batch, heads, n, e).

    A block has some heads, or some rows of one head. Blocks of a causal pattern get only the keys
    up to the last one that they may see. Calls with more than `HELD` weights make each block anew
    in the backward pass instead of keeping it.

    Parameters
    ----------
    mix : callable
        Takes (q, k, v, pattern) of a block, where the pattern is that of the block alone: its
        `visible()`, `added()` and `counts()` have the rows and keys of the tensors beside it.
        Returns outputs (b, h, rows, e).
    q : Tensor of shape (batch, heads, n, d)
        Queries, or features of them.
    k : Tensor of shape (batch, heads, m, d)
        Keys, or features of them.
    v : Tensor of shape (batch, heads, m, e)
        Values.
    pattern : Pattern
        Of the whole call.

    Returns
    -------
    Tensor of shape (batch, heads, n, e)
        The outputs.
    """
    batch, heads = q.shape[:2]
    if 0 in (*q.shape[:3], k.shape[-2]):
        return q.new_zeros(*q.shape[:3], v.shape[-1])
    anew = torch.is_grad_enabled() and batch * heads * pattern.n * pattern.m > HELD

    def block(at: _Cut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        parts = (q, at.keys_of(k), at.keys_of(v), at.of(pattern))
        if not anew:
            return mix(*parts)
        out: Tensor = checkpoint(mix, *parts, use_reentrant=False)
        return out

    def rows_of(lead: Lead, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cuts = zip(_cuts(lead, rows, pattern), q.split(rows, 2), strict=True)
        return _joined([block(at, some, k, v) for at, some in cuts], 2)

    width, height, rows = _sizes(batch, heads, pattern, q.device)
    return _over_heads(rows_of, (q, k, v), width, height)


def _over_heads(
    mix: Callable[[Lead, Tensor, Tensor, Tensor], Tensor],
    given: tuple[Tensor, Tensor, Tensor],
    width: int,
    height: int,
) -> Tensor:
    """Return what `mix` makes of `width` of the batch and `height` heads at a time, joined.

    By `split`, not slices: the gradient of a slice is an array as long as the whole.
    """
    lines = []
    for b, some in enumerate(zip(*(t.split(width) for t in given), strict=True)):
        groups = []
        for h, parts in enumerate(zip(*(t.split(height, 1) for t in some), strict=True)):
            at = (slice(b * width, (b + 1) * width), slice(h * height, (h + 1) * height))
            groups.append(mix(at, *parts))
        lines.append(_joined(groups, 1))
    return _joined(lines, 0)


def outputs_by_heads(
    mix: Mix, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, width: int
) -> Tensor:
    """Return what `mix` makes of some heads at a time, put together: (batch, heads, n, e).

    What a mix of linear cost makes on the way has tokens times `width` numbers for each head. On a
    CPU arrays beyond some megabytes are new pages each time: fewer heads at once keep time linear.

    Parameters
    ----------
    mix : callable
        As in `outputs_in_row_blocks`; its blocks have all rows of some heads.
    q, k, v, pattern
        As in `outputs_in_row_blocks`.
    width : int
        Numbers for each token and head.
    """
    batch, heads = q.shape[:2]
    some = max(1, SMALL // (max(pattern.n, pattern.m) * width))
    if some >= batch * heads or q.device.type != "cpu" or torch.compiler.is_compiling():
        return mix(q, k, v, pattern)

    def whole(lead: Lead, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return mix(q, k, v, _Cut(lead, 0, pattern.n, pattern.m).of(pattern))

    return _over_heads(whole, (q, k, v), max(1, some // heads), min(some, heads))


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _sizes(batch: int, heads: int, pattern: Pattern, device: torch.device) -> tuple[int, int, int]:
    """Return how many of the batch, of the heads and of the rows a block has."""
    here = device.type == "cpu" and not torch.compiler.is_compiling()
    limit = CACHED if here else HELD
    n, m = pattern.n, pattern.m
    rows = n if pattern.offset is None else min(n, max(LEAST_ROWS, -(-n // CAUSAL_BLOCKS)))
    if heads * rows * m <= limit:
        return max(1, limit // (heads * rows * m)), heads, rows
    if rows * m <= limit:
        return 1, limit // (rows * m), rows
    return 1, 1, min(rows, max(LEAST_ROWS, limit // m))


def _cuts(lead: Lead, rows: int, pattern: Pattern) -> Iterator[_Cut]:
    for start in range(0, pattern.n, rows):
        stop = min(start + rows, pattern.n)
        keys = pattern.m
        if pattern.offset is not None:
            # A block that sees nothing keeps one key, so that no sum or maximum is of nothing.
            keys = min(pattern.m, max(1, stop + pattern.offset))
        yield _Cut(lead, start, stop, keys)


@dataclass(frozen=True)
class _Cut:
    """One block: which of the batch and of the heads, which rows, and the first `keys` keys."""

    lead: Lead
    start: int
    stop: int
    keys: int

    def keys_of(self, given: Tensor) -> Tensor:
        return given if self.keys == given.shape[2] else given[:, :, : self.keys]

    def of(self, pattern: Pattern) -> Pattern:
        """Return the pattern of this block."""
        offset, relative = pattern.offset, pattern.relative
        return Pattern(
            self.stop - self.start,
            self.keys,
            pattern.device,
            self._array(pattern.keys),
            self._array(pattern.entries),
            None if offset is None else offset + self.start,
            self._array(pattern.bias),
            None if relative is None else self._relative(relative, pattern.n),
        )

    def _array(self, given: Tensor | None) -> Tensor | None:
        """Return the block of a mask or a bias (b or 1, h or 1, n or 1, m)."""
        if given is None:
            return None
        given = self._led(given)[..., : self.keys]
        return given if given.shape[-2] == 1 else given[..., self.start : self.stop, :]

    def _led(self, given: Tensor) -> Tensor:
        """Return the part for these of the batch and of the heads; an axis of one is kept."""
        if given.shape[0] > 1:
            given = given[self.lead[0]]
        return given if given.shape[1] == 1 else given[:, self.lead[1]]

    def _relative(self, relative: RelativeBias, n: int) -> RelativeBias:
        values = relative.values
        values = values.reshape((1,) * (3 - values.ndim) + tuple(values.shape))
        # Entry t of the whole is for distance t - n + 1, entry t of the part for t - rows + 1,
        # where distances are counted from row `start`.
        first = n - self.stop
        width = self.stop - self.start + self.keys - 1
        return RelativeBias(self._led(values)[..., first : first + width])

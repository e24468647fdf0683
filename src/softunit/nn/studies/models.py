"""A small model of sequences on `attend`, with any unit."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from softunit.errors import InputError
from softunit.nn.attention import AttentionUnit, attend
from softunit.nn.attention.registry import unit_of
from softunit.nn.studies.training import Curve, Score, Training, loss_of, score, train

__all__ = [
    "Block",
    "Curve",
    "Mixing",
    "Positions",
    "Score",
    "SequenceModel",
    "Training",
    "loss_of",
    "score",
    "start",
    "train",
    "turned",
]

Positions = Literal["rotary", "learned", "none"]


class Mixing(nn.Module):
    """Attention of a sequence to itself: q, k and v by linear maps, `attend`, one map more.

    Parameters
    ----------
    width, heads : int
    unit : str or AttentionUnit
        A unit for pairs of keys gets a second map for keys and one for values. Where a unit has a
        `bound` on the entries of q and k, they become bound tanh(x / bound).
    causal : bool
    rotary : bool, default False
        Whether queries and keys are turned by their place (arXiv 2104.09864).
    """

    def __init__(
        self, width: int, heads: int, unit: str | AttentionUnit, causal: bool, rotary: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.unit, self.causal, self.rotary = heads, unit_of(unit), causal, rotary
        self.maps = 5 if self.unit.pairs else 3
        self.bound: float | None = getattr(self.unit, "bound", None)
        self.inward = nn.Linear(width, self.maps * width)
        self.outward = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed tokens, of the shape (rows, n, width) of x."""
        rows, n, width = x.shape
        split = self.inward(x).view(rows, n, self.maps, self.heads, width // self.heads)
        q, *rest = split.permute(2, 0, 3, 1, 4)
        half = len(rest) // 2
        keys, values = tuple(rest[:half]), tuple(rest[half:])
        if self.rotary:
            q, keys = turned(q), tuple(turned(key) for key in keys)
        if self.bound is not None:
            q, keys = self._bounded(q), tuple(map(self._bounded, keys))
        k, v = (keys, values) if self.unit.pairs else (keys[0], values[0])
        mixed = attend(q, k, v, unit=self.unit, causal=self.causal)
        found: Tensor = self.outward(mixed.transpose(1, 2).reshape(rows, n, width))
        return found

    def _bounded(self, x: Tensor) -> Tensor:
        assert self.bound is not None
        # A little inside, so that rounding stays inside too.
        return 0.999 * self.bound * torch.tanh(x / self.bound)


def turned(x: Tensor) -> Tensor:
    """Return x (..., n, d) with each pair of its d entries turned by an angle that its place sets.

    Entries i and i + d/2 of token t are turned by t / 10000^(2i/d): products of a query and a key
    then depend on their distance alone.
    """
    n, d = x.shape[-2:]
    exponent = torch.arange(d // 2, device=x.device, dtype=x.dtype) * (2.0 / d)
    place = torch.arange(n, device=x.device, dtype=x.dtype)[:, None]
    angle = place * torch.pow(10000.0, -exponent)
    first, second, odd = x.split((d // 2, d // 2, d % 2), -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((first * cos - second * sin, first * sin + second * cos, odd), -1)


class Block(nn.Module):
    """One layer: tokens mixed, then each by itself, both added to what came in.

    Parameters
    ----------
    mixing : Mixing
    width : int
    """

    def __init__(self, mixing: nn.Module, width: int) -> None:
        super().__init__()
        self.before, self.mixing, self.between = nn.LayerNorm(width), mixing, nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens after this layer, of the shape of x."""
        x = x + self.mixing(self.before(x))
        added: Tensor = self.narrow(nn.functional.gelu(self.wide(self.between(x))))
        return x + added


class SequenceModel(nn.Module):
    """A small transformer of any unit: tokens (rows, n) to scores (rows, n, vocabulary).

    Parameters
    ----------
    vocabulary : int
    width : int, default 64
    depth : int, default 2
        Layers.
    heads : int, default 4
    unit : str or AttentionUnit, default "softmax"
    causal : bool, default True
        Whether each place sees the past alone.
    length : int, default 256
        Most tokens of a sequence where positions are learned; elsewhere it may be longer.
    positions : {"rotary", "learned", "none"}, default "rotary"
    shifted : bool, default False
        Whether each token brings the one before it along, so that one layer can recall pairs.
    seed : int, default 0
        All parameters follow from it; PyTorch's own random state stays as it was.

    Raises
    ------
    InputError
        If heads do not divide the width, or a size is below one.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        *,
        unit: str | AttentionUnit = "softmax",
        causal: bool = True,
        length: int = 256,
        positions: Positions = "rotary",
        shifted: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check_sizes(vocabulary, width, depth, heads, length, positions)
        self.length, self.positions, self.shifted = length, positions, shifted
        rotary = positions == "rotary"
        with torch.random.fork_rng(devices=[]):
            self.tokens = nn.Embedding(vocabulary, width)
            self.before = nn.Embedding(vocabulary, width) if shifted else None
            self.places = nn.Embedding(length, width) if positions == "learned" else None
            self.blocks = nn.ModuleList(
                Block(Mixing(width, heads, unit, causal, rotary), width) for _ in range(depth)
            )
            self.last = nn.LayerNorm(width)
            self.scores = nn.Linear(width, vocabulary)
        start(self, seed)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the scores of the next token, or of hidden ones: (rows, n, vocabulary).

        Raises
        ------
        InputError
            If positions are learned and the sequence is longer than they are.
        """
        n = tokens.shape[-1]
        x: Tensor = self.tokens(tokens)
        if self.before is not None:
            x = x + nn.functional.pad(self.before(tokens[:, :-1]), (0, 0, 1, 0))
        if self.places is not None:
            if n > self.length:
                raise InputError(
                    f"Places are learned up to length={self.length}; got a sequence of {n} tokens."
                    " Give a larger length, or positions='rotary'."
                )
            x = x + self.places.weight[:n]
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.scores(self.last(x))
        return found


def _check_sizes(
    vocabulary: int, width: int, depth: int, heads: int, length: int, positions: str
) -> None:
    for name, size in (
        ("vocabulary", vocabulary), ("width", width), ("depth", depth), ("heads", heads),
        ("length", length),
    ):  # fmt: skip
        if size < 1:
            raise InputError(f"`{name}` must be at least one; got {size!r}.")
    if width % heads:
        raise InputError(f"`heads` must divide `width`; got {heads} heads and width {width}.")
    if positions not in ("rotary", "learned", "none"):
        raise InputError(f"`positions` must be 'rotary', 'learned' or 'none'; got {positions!r}.")


@torch.no_grad()
def start(model: nn.Module, seed: int) -> None:
    """Draw all parameters anew: matrices N(0, 1 / columns), embeddings N(0, 0.02), the rest plain.

    Parameters
    ----------
    model : Module
        Of linear maps, embeddings and layer norms; biases become zero.
    seed : int
    """
    generator = torch.Generator().manual_seed(seed)
    for part in model.modules():
        if isinstance(part, nn.Embedding):
            part.weight.copy_(0.02 * torch.randn(part.weight.shape, generator=generator))
        elif isinstance(part, nn.Linear):
            drawn = torch.randn(part.weight.shape, generator=generator)
            part.weight.copy_(drawn / math.sqrt(part.in_features))
            if part.bias is not None:
                part.bias.zero_()

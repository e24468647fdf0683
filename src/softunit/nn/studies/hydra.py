"""The quasiseparable mixer measured: against its matrix, over lengths, and on hidden tokens."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from softunit.nn.attention import Hydra, quasiseparable, quasiseparable_matrix, semiseparable
from softunit.nn.attention.hydra import Parts
from softunit.nn.studies.models import Training, score, train
from softunit.nn.studies.one_thread import one_thread
from softunit.nn.studies.sequences import IGNORED, Batch

Kind = Literal["hydra", "sum", "forward"]
KINDS: tuple[Kind, ...] = ("hydra", "sum", "forward")
HEADS = 4


class SumOfTwo(Hydra):
    """Two recurrences that both have the diagonal, added: Hydra without its shifts."""

    def mix(self, parts: Parts) -> Tensor:
        """Return SS x + flip(SS' flip x) + D x, of shape (batch, heads, n, width)."""
        onward, back = parts.directions
        y = semiseparable(*onward[:3], parts.values * onward.dt[..., None], chunk=self.chunk)
        turned = (back.c.flip(-2), back.b.flip(-2), back.log_decay.flip(-1))
        taken = (parts.values * back.dt[..., None]).flip(-2)
        y = y + semiseparable(*turned, taken, chunk=self.chunk).flip(-2)
        return y + parts.diagonal[..., None] * parts.values


@dataclass(frozen=True)
class HiddenTokens:
    """Walks on a graph with some of their tokens hidden: each of those is asked for.

    A hidden token is one of the successors of the token before it and one of the predecessors of
    the token after it; who sees one side alone must guess among more.

    Attributes
    ----------
    states : int, default 16
        Nodes of the graph; one more token says that a token is hidden.
    branches : int, default 4
        Successors of a node, all as likely.
    length : int, default 48
        Tokens of a sequence.
    hidden : float, default 0.15
        Share of the tokens that are hidden.
    rule : int, default 0
        Seed of the graph.
    """

    states: int = 16
    branches: int = 4
    length: int = 48
    hidden: float = 0.15
    rule: int = 0

    @property
    def vocabulary(self) -> int:
        """The states, and the sign for a hidden one."""
        return self.states + 1

    def successors(self) -> Tensor:
        """Return the graph: int64, of shape (states, branches)."""
        rule = torch.Generator().manual_seed(self.rule)
        order = torch.rand(self.states, self.states, generator=rule).argsort(1)
        return order[:, : self.branches]

    def draw(self, rows: int, generator: torch.Generator, *, held_out: bool = False) -> Batch:
        """Return walks drawn anew: tokens and targets of shape (rows, length).

        Parameters
        ----------
        rows : int
            How many.
        generator : torch.Generator
            On the CPU.
        held_out : bool, default False
            Changes nothing: there are so many walks that none comes twice.
        """
        graph = self.successors()
        turns = torch.randint(self.branches, (self.length, rows), generator=generator)
        at = torch.randint(self.states, (rows,), generator=generator)
        walks = []
        for turn in turns:
            walks.append(at)
            at = graph[at, turn]
        walk = torch.stack(walks, 1)
        hide = torch.rand(rows, self.length, generator=generator) < self.hidden
        return Batch(walk.masked_fill(hide, self.states), walk.masked_fill(~hide, IGNORED))


class TokenModel(nn.Module):
    """Two layers of one kind of mixer on tokens, and scores of what stands at each place.

    Parameters
    ----------
    kind : {"hydra", "sum", "forward"}
        The mixer: `Hydra`, `SumOfTwo`, or Hydra's one-directional sibling.
    vocabulary : int
        Different tokens.
    width : int, default 32
        Of a token.
    """

    def __init__(self, kind: Kind, vocabulary: int, width: int = 32) -> None:
        super().__init__()
        layer = SumOfTwo if kind == "sum" else Hydra
        self.tokens = nn.Embedding(vocabulary, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mixers = nn.ModuleList(
            layer(width, state=16, heads=HEADS, convolution=3, causal=kind == "forward")
            for _ in range(2)
        )
        self.last, self.scores = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores (rows, n, vocabulary) of tokens (rows, n)."""
        x = self.tokens(tokens)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x))
        found: Tensor = self.scores(self.last(x))
        return found


@one_thread()
def hidden_tokens(
    kind: Kind, seed: int, steps: int, task: HiddenTokens | None = None
) -> tuple[float, tuple[float, ...]]:
    """Return the accuracy on hidden tokens after some steps, and the loss of each step.

    Parameters
    ----------
    kind : {"hydra", "sum", "forward"}
        As in `TokenModel`.
    seed : int
        Of the parameters and the sequences, the same for all kinds.
    steps : int
        Of training.
    task : HiddenTokens, optional
        By default `HiddenTokens()`.
    """
    asked = task or HiddenTokens()
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        model = TokenModel(kind, asked.vocabulary)
    curve = train(model, asked, Training(steps=steps, seed=seed))
    held_out = score(model, asked, rows=256, batches=8, seed=seed + 1_000_000)
    return held_out.accuracy, curve.losses


def best_accuracy(rows: int, seed: int, task: HiddenTokens | None = None) -> float:
    """Return the share of hidden tokens that the likeliest state given all others is.

    No model does better but by chance: sums over all walks, from both ends.

    Parameters
    ----------
    rows : int
        Walks.
    seed : int
        Of the walks.
    task : HiddenTokens, optional
        By default `HiddenTokens()`.
    """
    asked = task or HiddenTokens()
    batch = asked.draw(rows, torch.Generator().manual_seed(seed))
    states, branches = asked.states, asked.branches
    moves = torch.zeros(states, states).scatter(1, asked.successors(), 1.0 / branches)
    told = nn.functional.one_hot(batch.tokens, states + 1)[..., :states].float()
    told = torch.where(batch.tokens[..., None] == states, 1.0, told)
    before, after = [told[:, 0]], [torch.ones_like(told[:, 0])]
    for t in range(1, asked.length):
        before.append(_normalised(before[-1] @ moves) * told[:, t])
        after.append(_normalised((after[-1] * told[:, -t]) @ moves.mT))
    likely = torch.stack(before, 1) * torch.stack(after[::-1], 1)
    hidden = batch.targets != IGNORED
    right = likely.argmax(-1)[hidden] == batch.targets[hidden]
    return float(right.float().mean())


def _normalised(x: Tensor) -> Tensor:
    return x / x.sum(-1, keepdim=True)


def two_scan_errors(n: int, state: int, seed: int) -> tuple[float, float, int]:
    """Return how far two scans are from the dense matrix, and the rank of their blocks.

    Parameters
    ----------
    n : int
        Tokens.
    state : int
        Width of c and b.
    seed : int
        Of all numbers.

    Returns
    -------
    tuple of float, float and int
        The largest error of the map and of a whole layer, each over its largest entry, in double
        precision; and the largest rank of a block strictly below or above the diagonal in the
        matrix that the two scans apply.
    """
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    onward, back = (
        (drawn(1, n, state), drawn(1, n, state), -drawn(HEADS, n).abs()) for _ in range(2)
    )
    diagonal = drawn(HEADS, n)
    unit = torch.eye(n, dtype=torch.float64)
    scanned = quasiseparable(*onward, unit, back=back, diagonal=diagonal, chunk=16)
    dense = quasiseparable_matrix(*onward, back=back, diagonal=diagonal)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        layer = Hydra(32, state=state, heads=HEADS, chunk=16, dtype=torch.float64)
    x = drawn(2, n, 32)
    with torch.no_grad():
        found = _off(layer(x), layer.reference(x))
    return _off(scanned, dense), found, _largest_rank(scanned)


def _off(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


def _largest_rank(matrices: Tensor) -> int:
    """Return the largest rank of blocks below and above the diagonal, at eight cuts."""
    n = matrices.shape[-1]
    ranks = []
    for cut in np.linspace(n / 9, n - n / 9, 8).astype(int).tolist():
        for block in (matrices[..., cut:, :cut], matrices[..., :cut, cut:]):
            ranks.append(int(torch.linalg.matrix_rank(block, rtol=1e-10).max()))
    return max(ranks)


@one_thread()
def scan_seconds(lengths: Sequence[int], rounds: int, seed: int) -> list[float]:
    """Return the least processor time of two scans at each length, on one thread.

    Parameters
    ----------
    lengths : sequence of int
        Tokens.
    rounds : int
        Times that each length is measured, in turn, so that what else the machine does meets all
        lengths alike.
    seed : int
        Of all numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    given = [
        (_random_way(n, generator), _random_way(n, generator), _random_values(n, generator))
        for n in lengths
    ]
    seconds = [math.inf] * len(given)
    for _ in range(rounds):
        for place, (onward, back, x) in enumerate(given):
            start = time.process_time()
            quasiseparable(*onward, x, back=back)
            seconds[place] = min(seconds[place], time.process_time() - start)
    return seconds


def _random_way(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return c, b and log decays of one direction, with a state of 32."""
    c, b = (torch.randn(1, 1, n, 32, generator=generator) for _ in range(2))
    return c, b, -torch.rand(1, HEADS, n, generator=generator)


def _random_values(n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(1, HEADS, n, 32, generator=generator)

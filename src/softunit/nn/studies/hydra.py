"""The quasiseparable mixer measured: against its matrix, over lengths, and on hidden tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from softunit.nn.attention import Hydra, quasiseparable, quasiseparable_matrix, semiseparable
from softunit.nn.attention.hydra import Parts
from softunit.nn.studies.models import Training, score, train
from softunit.nn.studies.sequences import IGNORED, Batch

Kind = Literal["hydra", "forward", "sum"]


class SumOfTwo(Hydra):
    """Two recurrences that both have the diagonal, added: Hydra without its shifts."""

    def mix(self, parts: Parts) -> Tensor:
        """Return SS x + flip(SS' flip x) + D x."""
        onward, back = parts.directions
        y = semiseparable(*onward[:3], parts.values * onward.dt[..., None], chunk=self.chunk)
        turned = (back.c.flip(-2), back.b.flip(-2), back.log_decay.flip(-1))
        taken = (parts.values * back.dt[..., None]).flip(-2)
        y = y + semiseparable(*turned, taken, chunk=self.chunk).flip(-2)
        return y + parts.diagonal[..., None] * parts.values


@dataclass(frozen=True)
class HiddenTokens:
    """A walk on a graph with some of its tokens hidden: each is asked for.

    Every state has `branches` successors, drawn once from `rule`; a hidden token follows from the tokens on both
    sides far better than from those before it alone.
    """

    states: int = 16
    branches: int = 4
    length: int = 48
    hidden: float = 0.15
    rule: int = 0

    @property
    def vocabulary(self) -> int:
        return self.states + 1

    def draw(self, rows: int, generator: torch.Generator, *, held_out: bool = False) -> Batch:
        rule = torch.Generator().manual_seed(self.rule)
        nexts = torch.stack([torch.randperm(self.states, generator=rule)[: self.branches] for _ in range(self.states)])
        walk = torch.randint(self.states, (rows, 1), generator=generator)
        for _ in range(self.length - 1):
            turn = torch.randint(self.branches, (rows,), generator=generator)
            walk = torch.cat([walk, nexts[walk[:, -1], turn][:, None]], 1)
        hide = torch.rand(rows, self.length, generator=generator) < self.hidden
        return Batch(walk.masked_fill(hide, self.states), walk.masked_fill(~hide, IGNORED))

@dataclass(frozen=True)
class HiddenPairs:
    """Keys with values, each pair twice; some values hidden."""

    keys: int = 16
    values: int = 8
    pairs: int = 8
    hidden: float = 0.3

    @property
    def vocabulary(self) -> int:
        return self.keys+self.values + 1
    @property
    def length(self): return 4*self.pairs

    def draw(self, rows: int, generator: torch.Generator, *, held_out: bool = False) -> Batch:
        K=self.keys
        keys=torch.rand(rows,K,generator=generator).argsort(1)[:,:self.pairs].repeat(1,2)
        vals=torch.randint(self.values,(rows,self.pairs),generator=generator).repeat(1,2)+K
        # hide one of the two for a share of pairs
        hp=torch.rand(rows,self.pairs,generator=generator)<self.hidden
        hide=torch.cat([hp,torch.zeros_like(hp)],1)
        order=torch.rand(rows,2*self.pairs,generator=generator).argsort(1)
        keys,vals,hide=(t.gather(1,order) for t in (keys,vals,hide))
        tok=torch.stack([keys,vals.masked_fill(hide,K+self.values)],-1).flatten(1)
        tgt=torch.stack([torch.full_like(keys,IGNORED),vals.masked_fill(~hide,IGNORED)],-1).flatten(1)
        return Batch(tok,tgt)


class TokenModel(nn.Module):
    """Layers of one kind of mixer on tokens, with scores for each place."""

    def __init__(self, kind: Kind, vocabulary: int, width: int, depth: int, state:int=16,heads=4,conv=3) -> None:
        super().__init__()
        layer = SumOfTwo if kind == "sum" else Hydra
        self.tokens = nn.Embedding(vocabulary, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.mixers = nn.ModuleList(
            layer(width, state=state, heads=heads, convolution=conv, causal=kind == "forward") for _ in range(depth)
        )
        self.last, self.scores = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores (rows, n, vocabulary)."""
        x = self.tokens(tokens)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x))
        found: Tensor = self.scores(self.last(x))
        return found


def accuracy(kind: Kind, seed: int, task, steps: int, width=32, depth=2, rate=3e-3,conv=3,state=16) -> tuple[float, tuple[float, ...]]:
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        model = TokenModel(kind, task.vocabulary, width, depth,conv=conv,state=state)
    curve = train(model, task, Training(steps=steps, rate=rate, seed=seed))
    return score(model, task, rows=256, batches=4, seed=seed + 1000).accuracy, curve.losses

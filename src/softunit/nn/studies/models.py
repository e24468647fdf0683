"""A small model of sequences on `attend`, with any unit, and the trainer that all of them share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from softunit.errors import InputError
from softunit.nn.attention import AttentionUnit, attend
from softunit.nn.attention.registry import unit_of
from softunit.nn.studies.sequences import IGNORED, Batch, Task

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


@dataclass(frozen=True)
class Training:
    """How a model is trained: the same for every unit.

    AdamW (decay 0.01 on matrices and embeddings) with steps that rise over the first tenth and
    fall to zero like a cosine; gradients are cut to norm one.

    Attributes
    ----------
    steps : int, default 300
    rows : int, default 32
        Sequences of a batch.
    rate : float, default 3e-3
        The largest step.
    seed : int, default 0
        Of the batches: all units see the same ones in the same order.
    seconds : float, default inf
        After which training stops, and says so.
    """

    steps: int = 300
    rows: int = 32
    rate: float = 3e-3
    seed: int = 0
    seconds: float = math.inf

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rows < 1 or self.rate <= 0:
            raise InputError(
                f"`steps` and `rows` must be at least one, `rate` above 0; got {self}."
            )

    def factor(self, step: int) -> float:
        """Return the share of the rate at a step, from 0."""
        rise = max(1, self.steps // 10)
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))


@dataclass(frozen=True)
class Curve:
    """What training did.

    Attributes
    ----------
    losses : tuple of float
        Mean cross-entropy of each step's batch, in nats, before the step.
    seconds : float
    stopped : str
        Why it ended before its last step; empty where it did not.
    """

    losses: tuple[float, ...]
    seconds: float
    stopped: str = ""


@dataclass(frozen=True)
class Score:
    """How well a model does on what it was not trained on.

    Attributes
    ----------
    loss : float
        Mean cross-entropy in nats.
    accuracy : float
        Share of asked places where the largest score is right.
    """

    loss: float
    accuracy: float


def loss_of(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of what a batch asks, in nats.

    Parameters
    ----------
    model : Module
    batch : Batch
    """
    return nn.functional.cross_entropy(
        model(batch.tokens).flatten(0, -2), batch.targets.flatten(), ignore_index=IGNORED
    )


def train(
    model: nn.Module,
    task: Task,
    training: Training | None = None,
    *,
    watch: Callable[[int, float], None] | None = None,
) -> Curve:
    """Train a model in place.

    Parameters
    ----------
    model : Module
        Of tokens to scores, on any device.
    task : Task
    training : Training, optional
        By default `Training()`.
    watch : callable, optional
        Told the step and its loss.

    Returns
    -------
    Curve
        It ends early, and says why, where the loss is not finite or the unit refuses its input.
    """
    plan = training or Training()
    generator = torch.Generator().manual_seed(plan.seed)
    device = next(model.parameters()).device
    optimizer = _optimizer(model, plan)
    losses: list[float] = []
    begin, stopped = time.perf_counter(), ""
    for step in range(plan.steps):
        batch = task.draw(plan.rows, generator).to(device)
        try:
            losses.append(_step(model, batch, optimizer, plan.rate * plan.factor(step)))
        except InputError as error:
            stopped = f"at step {step + 1} the unit refused its input: {error}"
            break
        if watch is not None:
            watch(step, losses[-1])
        if not math.isfinite(losses[-1]):
            stopped = f"the loss of step {step + 1} is not finite"
            break
        if time.perf_counter() - begin > plan.seconds and step + 1 < plan.steps:
            stopped = f"after step {step + 1} the {plan.seconds:g} seconds were used up"
            break
    return Curve(tuple(losses), time.perf_counter() - begin, stopped)


def _optimizer(model: nn.Module, plan: Training) -> torch.optim.Optimizer:
    thick = [p for p in model.parameters() if p.ndim > 1]
    thin = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": thick, "weight_decay": 0.01}, {"params": thin, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.95))


def _step(model: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer, rate: float) -> float:
    """Take one step and return the loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of(model, batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def score(
    model: nn.Module, task: Task, *, rows: int = 64, batches: int = 4, seed: int = 1
) -> Score:
    """Return how well a model does on held out sequences.

    Parameters
    ----------
    model : Module
    task : Task
    rows : int, default 64
        Sequences of a batch.
    batches : int, default 4
    seed : int, default 1
        Of the sequences.

    Returns
    -------
    Score
        Means over all places that are asked about.
    """
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    total = right = asked = 0.0
    for _ in range(batches):
        batch = task.draw(rows, generator, held_out=True).to(device)
        places = batch.targets != IGNORED
        scores, targets = model(batch.tokens)[places], batch.targets[places]
        total += float(nn.functional.cross_entropy(scores, targets, reduction="sum"))
        right += float((scores.argmax(-1) == targets).sum())
        asked += len(targets)
    return Score(total / asked, right / asked)

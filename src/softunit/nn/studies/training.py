"""The trainer that all models of sequences share: one budget, one order of batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softunit.errors import InputError
from softunit.nn.studies.sequences import IGNORED, Batch, Task


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

"""Addition modulo a prime without weight decay: what stops a network, and what frees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from softunit.nn.losses import softmax_collapse, stablemax_cross_entropy
from softunit.nn.optim import PerpendicularGradient
from softunit.nn.studies.one_thread import one_thread

Loss = Literal["cross_entropy", "stablemax"]
WIDTH = 200
BETAS, EPS = (0.9, 0.99), 1e-25
"""Of AdamW. Losses that fall towards zero take their gradients with them: steps keep their size
only where the mean of squares forgets as fast, and nothing is added to its root."""


@dataclass(frozen=True)
class Setting:
    """One way to train.

    Parameters
    ----------
    loss : {"cross_entropy", "stablemax"}
    learning_rate : float
        Of AdamW without weight decay.
    start : float
        What the initial weights of torch are multiplied by.
    perpendicular : bool
        Whether gradients lose their part along their tensor.
    steps : int
        At most.
    enough : float
        Stop when so large a share of the test pairs is right.
    """

    loss: Loss
    learning_rate: float
    start: float
    perpendicular: bool
    steps: int
    enough: float


@dataclass
class Course:
    """What a training went through, looked at every so many steps.

    Parameters
    ----------
    steps, train, test : list
        Steps made, and the shares of training and test pairs that are right then.
    zero_loss : list of float
        Share of training pairs whose softmax cross-entropy is exactly zero.
    zero_gradient : list of float
        Share of them whose loss has a gradient of exactly zero in every score.
    along : float
        The largest |<theta, g'>| / (|theta| |g|) of a tensor in the steps that were looked at, with
        g its gradient before the projection and g' after.
    """

    steps: list[int] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    zero_loss: list[float] = field(default_factory=list)
    zero_gradient: list[float] = field(default_factory=list)
    along: float = 0.0


@one_thread()
def train(
    setting: Setting,
    prime: int,
    share: float,
    seed: int,
    tick: Callable[[str], None],
    every: int = 200,
) -> Course:
    """Return the course of training a network of two hidden layers on (a + b) mod p.

    Parameters
    ----------
    setting : Setting
    prime : int
        Numbers are 0 to prime - 1, each one-hot: 2 prime inputs, prime classes.
    share : float
        Share of all prime^2 pairs that is trained on; the rest is tested.
    seed : int
        Of the split and the weights.
    tick : callable
        Told where it stands.
    every : int, default 200
        Steps between two looks.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, sums = pairs(prime)
    order = torch.randperm(len(sums), generator=generator)
    seen, unseen = order.tensor_split([int(share * len(sums))])
    model = _network(prime, setting.start, seed)
    base = torch.optim.AdamW(
        model.parameters(), lr=setting.learning_rate, betas=BETAS, eps=EPS, weight_decay=0.0
    )
    optimizer = PerpendicularGradient(base) if setting.perpendicular else base
    course = Course()
    rows, targets = inputs[seen], sums[seen]
    for step in range(setting.steps + 1):
        looking = step % every == 0 or step == setting.steps
        if looking:
            _look(course, model, (rows, targets), (inputs[unseen], sums[unseen]), step)
            tick(f"step {step}: {course.test[-1]:.0%} of the test right")
        if course.test[-1] >= setting.enough or step == setting.steps:
            break
        optimizer.zero_grad()
        _loss(setting.loss, model(rows), targets).backward()
        if looking and isinstance(optimizer, PerpendicularGradient):
            course.along = max(course.along, _along(model, optimizer))
        optimizer.step()
    return course


def pairs(prime: int) -> tuple[Tensor, Tensor]:
    """Return all pairs as two one-hots (p^2, 2p), and their sums modulo p (p^2,)."""
    a, b = (each.flatten() for each in torch.meshgrid(*[torch.arange(prime)] * 2, indexing="ij"))
    hot = torch.eye(prime)
    return torch.cat([hot[a], hot[b]], 1), (a + b) % prime


def _network(prime: int, start: float, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(2 * prime, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, prime),
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(start)
    return model


def _loss(name: Loss, scores: Tensor, sums: Tensor) -> Tensor:
    if name == "stablemax":
        return stablemax_cross_entropy(scores, sums)
    return nn.functional.cross_entropy(scores, sums)


def _right(scores: Tensor, sums: Tensor) -> float:
    return float((scores.argmax(1) == sums).double().mean())


@torch.no_grad()
def _look(
    course: Course,
    model: nn.Module,
    seen: tuple[Tensor, Tensor],
    unseen: tuple[Tensor, Tensor],
    step: int,
) -> None:
    scores = model(seen[0])
    report = softmax_collapse(scores, seen[1])
    course.steps.append(step)
    course.train.append(_right(scores, seen[1]))
    course.test.append(_right(model(unseen[0]), unseen[1]))
    course.zero_loss.append(report.zero_loss)
    course.zero_gradient.append(report.zero_gradient)


def _along(model: nn.Module, optimizer: PerpendicularGradient) -> float:
    """Project, and return the largest share of a gradient that is still along its tensor."""
    before = [_gradient(p).norm() for p in model.parameters()]
    optimizer.project()
    left = [
        float((p.detach() * _gradient(p)).sum().abs() / (p.detach().double().norm() * size))
        for p, size in zip(model.parameters(), before, strict=True)
        if size > 0
    ]
    return max(left, default=0.0)


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad.double()

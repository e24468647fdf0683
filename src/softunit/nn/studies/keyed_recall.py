"""Recall by key, trained at one length and judged at others: which weights survive more keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softunit.errors import InputError
from softunit.nn.attention import AttentionUnit, attend, weights
from softunit.nn.attention.registry import unit_of
from softunit.nn.studies.one_thread import one_thread


@dataclass(frozen=True)
class KeyedRecall:
    """Sequences of different keys, each with a value; some keys are asked for again.

    Parameters
    ----------
    keys : int, default 2048
        Different keys that exist; a sequence cannot be longer.
    values : int, default 32
        Different values.
    asked : int, default 32
        Questions to a sequence.
    noise : float, default 0.02
        Share of the answers that are drawn at random. So no loss is near zero, where any change
        would be a large share of it.

    Raises
    ------
    InputError
        If a size is below one, or the noise is not in [0, 1].
    """

    keys: int = 2048
    values: int = 32
    asked: int = 32
    noise: float = 0.02

    def __post_init__(self) -> None:
        for name in ("keys", "values", "asked"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1; got {getattr(self, name)!r}.")
        if not 0.0 <= self.noise <= 1.0:
            raise InputError(f"`noise` must be in [0, 1]; got {self.noise!r}.")

    @property
    def least_loss(self) -> float:
        """Cross-entropy, in nats, of who knows every value but not which answers are random."""
        other = self.noise / self.values
        right = 1.0 - self.noise + other
        rest = (self.values - 1) * other
        return -right * math.log(right) - (rest * math.log(other) if rest else 0.0)

    def draw(self, rows: int, length: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return keys and values (rows, length), asked keys and their answers (rows, asked)."""
        order = torch.rand(rows, self.keys, generator=generator).argsort(-1)
        keys = order[:, :length]
        values = torch.randint(self.values, (rows, length), generator=generator)
        where = torch.randint(length, (rows, self.asked), generator=generator)
        random = torch.randint(self.values, (rows, self.asked), generator=generator)
        wrong = torch.rand(rows, self.asked, generator=generator) < self.noise
        answers = torch.where(wrong, random, values.gather(1, where))
        return keys, values, keys.gather(1, where), answers


@dataclass(frozen=True)
class RecallTraining:
    """How a model of recall is trained: Adam on fresh sequences.

    Parameters
    ----------
    length : int, default 64
        Keys of a sequence.
    steps : int, default 1500
    rows : int, default 32
        Sequences of a step.
    rate : float, default 3e-3
        It rises over the first 50 steps and falls to zero along half a cosine.
    width, heads : int, default 32 and 2
        Of the model.

    Raises
    ------
    InputError
        If a count is below one, the rate is not above zero, or the heads do not divide the width.
    """

    length: int = 64
    steps: int = 1500
    rows: int = 32
    rate: float = 3e-3
    width: int = 32
    heads: int = 2

    def __post_init__(self) -> None:
        for name in ("length", "steps", "rows", "width", "heads"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1; got {getattr(self, name)!r}.")
        if not self.rate > 0.0:
            raise InputError(f"`rate` must be above zero; got {self.rate!r}.")
        if self.width % self.heads:
            raise InputError(
                f"`heads` must divide `width`; got {self.heads} heads and width {self.width}."
            )


class _Recaller(nn.Module):
    """One layer of attention from asked keys to the sequence, and one layer that reads it."""

    def __init__(self, task: KeyedRecall, plan: RecallTraining) -> None:
        super().__init__()
        width, self.heads = plan.width, plan.heads
        self.key, self.value = nn.Embedding(task.keys, width), nn.Embedding(task.values, width)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.after = nn.Linear(width, width)
        self.read = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.scores = nn.Linear(width, task.values)

    def forward(self, keys: Tensor, values: Tensor, asked: Tensor, unit: AttentionUnit) -> Tensor:
        """Return the scores of the answers, (rows, asked, values)."""
        q, k = self._split(self.to_q(self.key(asked))), self._split(self.to_k(self.key(keys)))
        mixed = attend(q, k, self._split(self.to_v(self.value(values))), unit=unit)
        x = self.after(mixed.transpose(1, 2).flatten(-2))
        found: Tensor = self.scores(x + self.read(x))
        return found

    def _split(self, x: Tensor) -> Tensor:
        rows, n, width = x.shape
        return x.view(rows, n, self.heads, width // self.heads).transpose(1, 2)


@one_thread()
def recall_losses(
    trained: str | AttentionUnit,
    judged: Mapping[str, str | AttentionUnit],
    lengths: Sequence[int] = (64, 128, 256, 512, 1024),
    *,
    task: KeyedRecall | None = None,
    plan: RecallTraining | None = None,
    batches: int = 8,
    seed: int = 0,
    tick: Callable[[str], None] | None = None,
) -> dict[str, list[float]]:
    """Return the losses of a model, trained once with one unit, with other units in its place.

    Parameters
    ----------
    trained : str or AttentionUnit
        The unit of the training.
    judged : mapping of str to str or AttentionUnit
        The units that are judged, by a name.
    lengths : sequence of int
        Keys of the sequences they are judged on.
    task : KeyedRecall, optional
        By default `KeyedRecall()`.
    plan : RecallTraining, optional
        By default `RecallTraining()`.
    batches : int, default 8
        Of `plan.rows` sequences, for each length; the same for every unit.
    seed : int, default 0
        Parameters and sequences follow from it.
    tick : callable, optional
        Called with a few words now and then.

    Returns
    -------
    dict of str to list of float
        For each name the mean cross-entropy in nats at each length.

    Raises
    ------
    InputError
        If a sequence is longer than there are keys.
    """
    task, plan = task or KeyedRecall(), plan or RecallTraining()
    longest = max(*lengths, plan.length)
    if longest > task.keys:
        raise InputError(f"A sequence of {longest} needs as many keys; there are {task.keys}.")
    model = _started(task, plan, seed)
    _train(model, unit_of(trained), task, plan, seed, tick or (lambda what: None))
    return {
        name: [_loss(model, unit_of(unit), task, plan, n, batches, seed) for n in lengths]
        for name, unit in judged.items()
    }


def _started(task: KeyedRecall, plan: RecallTraining, seed: int) -> _Recaller:
    with torch.random.fork_rng(devices=[]):
        model = _Recaller(task, plan)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Embedding):
                part.weight.copy_(torch.randn(part.weight.shape, generator=generator))
            elif isinstance(part, nn.Linear):
                drawn = 2.0 * torch.rand(part.weight.shape, generator=generator) - 1.0
                part.weight.copy_(drawn / math.sqrt(part.in_features))
                if part.bias is not None:
                    part.bias.zero_()
    return model


def _train(
    model: _Recaller,
    unit: AttentionUnit,
    task: KeyedRecall,
    plan: RecallTraining,
    seed: int,
    tick: Callable[[str], None],
) -> None:
    generator = torch.Generator().manual_seed(seed + 1)
    adam = torch.optim.Adam(model.parameters(), lr=plan.rate)
    for step in range(plan.steps):
        if step % 250 == 0:
            tick(f"recall with {unit.name}: step {step} of {plan.steps}")
        falling = 0.5 * (1.0 + math.cos(math.pi * step / plan.steps))
        adam.param_groups[0]["lr"] = plan.rate * min(1.0, (step + 1) / 50) * falling
        keys, values, asked, answers = task.draw(plan.rows, plan.length, generator)
        found = model(keys, values, asked, unit)
        adam.zero_grad()
        nn.functional.cross_entropy(found.flatten(0, 1), answers.flatten()).backward()
        adam.step()


@torch.no_grad()
def _loss(
    model: _Recaller,
    unit: AttentionUnit,
    task: KeyedRecall,
    plan: RecallTraining,
    length: int,
    batches: int,
    seed: int,
) -> float:
    generator = torch.Generator().manual_seed(seed + 2)
    total = 0.0
    for _ in range(batches):
        keys, values, asked, answers = task.draw(plan.rows, length, generator)
        found = model(keys, values, asked, unit)
        total += float(nn.functional.cross_entropy(found.flatten(0, 1), answers.flatten()))
    return total / batches


@dataclass(frozen=True)
class Extremes:
    """What a unit does at huge scores in float32.

    Attributes
    ----------
    off : float
        Largest distance of a row sum from one.
    broken : int
        Numbers that are not finite, in the weights and in the gradients of q, k and v.
    """

    off: float
    broken: int


def extremes(unit: str | AttentionUnit, size: float = 1e4, n: int = 256, seed: int = 0) -> Extremes:
    """Return row sums and numbers that are not finite, at scores up to `size` in float32.

    A quarter of the queries each have their scores as they fall, all above zero, all below zero,
    and all alike.

    Parameters
    ----------
    unit : str or AttentionUnit
    size : float, default 1e4
        Largest absolute score of each query.
    n : int, default 256
        Queries and keys.
    seed : int, default 0
    """
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(1, 1, n, 8, generator=generator).requires_grad_() for _ in range(3))
    scores = torch.randn(n, n, generator=generator)
    quarter = n // 4
    scores[:quarter] = scores[:quarter].abs()
    scores[quarter : 2 * quarter] = -scores[quarter : 2 * quarter].abs()
    scores[2 * quarter : 3 * quarter] = -1.0
    bias = size * scores / scores.abs().amax(-1, keepdim=True)
    found = weights(q, k, unit=unit, bias=bias).detach()
    out = attend(q, k, v, unit=unit, bias=bias)
    out.square().sum().backward()
    held = [found, out, *(x.grad for x in (q, k, v) if x.grad is not None)]
    broken = sum(int((~x.isfinite()).sum()) for x in held)
    return Extremes(float((found.double().sum(-1) - 1.0).abs().max()), broken)


def difference(one: AttentionUnit, other: AttentionUnit, n: int = 256, seed: int = 0) -> float:
    """Return the largest difference between the weights of two units, in float64.

    Parameters
    ----------
    one, other : AttentionUnit
    n : int, default 256
        Queries and keys; causal, so that queries see 1 to n of them.
    seed : int, default 0
    """
    generator = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(1, 2, n, 16, generator=generator).double() for _ in range(2))
    apart = weights(q, k, unit=one, causal=True) - weights(q, k, unit=other, causal=True)
    return float(apart.abs().max())

"""Attention trained on linear regressions in context: one head, two heads, and linear attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention import attend

Array = np.ndarray[Any, np.dtype[np.float64]]
Kind = Literal["softmax", "linear"]


@dataclass(frozen=True)
class Regressions:
    """Tasks y_i = <b, x_i> + noise with x_i from N(0, I) and b from N(0, I / d), a new b each.

    A task is `length` tokens (x_i, y_i) and a query x whose y is to be predicted.

    Parameters
    ----------
    dimension : int, default 5
        d.
    length : int, default 40
        Tokens of a task, L.
    noise : float, default 0.1
        Variance of the noise; the query's answer has it too.

    Raises
    ------
    InputError
        If a size is below one, or the noise below zero.
    """

    dimension: int = 5
    length: int = 40
    noise: float = 0.1

    def __post_init__(self) -> None:
        for name in ("dimension", "length"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1; got {getattr(self, name)!r}.")
        if not self.noise >= 0.0:
            raise InputError(f"`noise` is a variance and must be >= 0; got {self.noise!r}.")

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (count, 1, L, d + 1), queries (count, d) and answers (count,)."""
        d, rows = self.dimension, self.length + 1
        x = torch.randn(count, rows, d, generator=generator)
        truth = torch.randn(count, d, 1, generator=generator) / math.sqrt(d)
        y = x @ truth + math.sqrt(self.noise) * torch.randn(count, rows, 1, generator=generator)
        return torch.cat((x, y), -1)[:, None, :-1], x[:, -1], y[:, -1, 0]


@dataclass(frozen=True)
class Layers:
    """One-layer models, r of them with h heads each: what training found.

    A head looks from the query x at token z_i = (x_i, y_i) with the score <z_i, KQ x>, and gives
    <ov, mean of the z_i by its weights>; a model sums its heads. Linear attention takes the scores
    themselves over `length` as the weights.

    Attributes
    ----------
    kind : {"softmax", "linear"}
    key_query : ndarray of shape (r, h, d + 1, d)
        KQ, the part that a query without y meets.
    output : ndarray of shape (r, h, d + 1)
        ov, the row of OV that makes the prediction; its last entry is mu.
    length : int
        Tokens of the tasks of the training.
    """

    kind: Kind
    key_query: Array
    output: Array
    length: int

    @property
    def off_diagonal(self) -> Array:
        """Share of the absolute entries of KQ off its diagonal, largest of a model's heads, (r,).

        The row that reads y counts as off the diagonal.
        """
        sizes = np.abs(self.key_query)
        diagonal = np.trace(sizes, axis1=-2, axis2=-1)
        return np.asarray((1.0 - diagonal / sizes.sum(axis=(-2, -1))).max(axis=-1))

    @property
    def imbalance(self) -> Array:
        """|sum of mu| over the sum of |mu|, (r,): zero where the heads cancel on a constant."""
        mu = self.output[..., -1]
        return np.asarray(np.abs(mu.sum(axis=-1)) / np.abs(mu).sum(axis=-1))

    def predict(self, tokens: Array, queries: Array) -> Array:
        """Return the predictions of all models, (t, r).

        Parameters
        ----------
        tokens : ndarray of shape (t, L, d + 1)
            The pairs (x_i, y_i) of t tasks.
        queries : ndarray of shape (t, d)
        """
        model = _Model(self.kind, _tensor(self.key_query), _tensor(self.output), self.length)
        with torch.no_grad():
            found = model.predict(_tensor(tokens)[:, None], _tensor(queries))
        return np.asarray(found.numpy(), dtype=float)


@dataclass(frozen=True)
class Schedule:
    """How layers are trained: Adam on fresh tasks, from several starts of which the best goes on.

    Two heads whose KQ begin with the same sign often end as one head does, at a saddle that noise
    leaves slowly. So each training tries `starts` random ones for a while first.

    Parameters
    ----------
    trainings : int, default 5
        Models that are trained to the end, each from starts of its own.
    starts : int, default 8
    trial : int, default 400
        Steps of each start before the best is chosen by the risk on tasks not met before.
    steps : int, default 6000
        Steps of the training proper.
    batch : int, default 256
        Tasks of a step.
    learning_rate : float, default 0.01
        It falls to zero along half a cosine in the training proper.

    Raises
    ------
    InputError
        If a count is below one, or the learning rate is not above zero.
    """

    trainings: int = 5
    starts: int = 8
    trial: int = 400
    steps: int = 6000
    batch: int = 256
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        for name in ("trainings", "starts", "trial", "steps", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1; got {getattr(self, name)!r}.")
        if not self.learning_rate > 0.0:
            raise InputError(f"`learning_rate` must be > 0; got {self.learning_rate!r}.")


@dataclass(frozen=True)
class Trained:
    """What a training found, and what became of its starts.

    Attributes
    ----------
    layers : Layers
        One model for each training.
    starts : Layers
        All starts after their trial, training by training.
    start_risks : ndarray of shape (trainings, starts)
        Their risks then.
    """

    layers: Layers
    starts: Layers
    start_risks: Array


class _Model:
    """Models side by side: their heads are the heads of one call of `attend`."""

    def __init__(self, kind: Kind, key_query: Tensor, output: Tensor, length: int) -> None:
        self.kind, self.key_query, self.output, self.length = kind, key_query, output, length

    def predict(self, tokens: Tensor, queries: Tensor) -> Tensor:
        r, h = self.output.shape[:2]
        q = torch.einsum("rhij,tj->trhi", self.key_query, queries).flatten(1, 2)[:, :, None]
        if self.kind == "softmax":
            mixed = attend(q, tokens, tokens, scale=1.0)
        else:
            mixed = q @ (tokens.mT @ tokens) / self.length
        per_head = mixed.view(len(queries), r, h, -1) * self.output
        return per_head.sum((-1, -2))

    def chosen(self, index: Tensor) -> _Model:
        return _Model(self.kind, self.key_query[index], self.output[index], self.length)

    def layers(self) -> Layers:
        return Layers(self.kind, _array(self.key_query), _array(self.output), self.length)


def trained(
    heads: int,
    kind: Kind = "softmax",
    tasks: Regressions | None = None,
    schedule: Schedule | None = None,
    *,
    seed: int = 0,
    tick: Callable[[str], None] | None = None,
) -> Trained:
    """Return one-layer models of attention, trained from random starts to predict in context.

    Every entry of KQ and OV starts from N(0, 0.01); nothing else is said about where to go.

    Parameters
    ----------
    heads : int
        Heads of each model.
    kind : {"softmax", "linear"}, default "softmax"
    tasks : Regressions, optional
        By default `Regressions()`.
    schedule : Schedule, optional
        By default `Schedule()`.
    seed : int, default 0
        Starts and tasks follow from it.
    tick : callable, optional
        Called with a few words now and then.

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        If there is no head, or the kind is none of the two.
    """
    if heads < 1:
        raise InputError(f"`heads` must be at least 1; got {heads!r}.")
    if kind not in ("softmax", "linear"):
        raise InputError(f"`kind` must be 'softmax' or 'linear'; got {kind!r}.")
    tasks, schedule = tasks or Regressions(), schedule or Schedule()
    generator = torch.Generator().manual_seed(seed)
    model = _started(heads, kind, tasks, schedule, generator)
    say = tick or (lambda what: None)
    say(f"{schedule.trainings * schedule.starts} starts")
    _descend(model, tasks, schedule, schedule.trial, lambda step: 1.0, generator)
    risks = _risk(model, tasks, 20 * schedule.batch, generator).view(schedule.trainings, -1)
    best = risks.argmin(1) + schedule.starts * torch.arange(schedule.trainings)
    final = model.chosen(best)
    say(f"{schedule.trainings} trainings")
    _descend(
        final,
        tasks,
        schedule,
        schedule.steps,
        lambda step: 0.5 * (1.0 + math.cos(math.pi * step / schedule.steps)),
        generator,
    )
    return Trained(final.layers(), model.layers(), _array(risks))


def risk(layers: Layers, tasks: Regressions, count: int = 20_000, seed: int = 0) -> Array:
    """Return the mean squared error of each model on new tasks, (r,).

    Parameters
    ----------
    layers : Layers
    tasks : Regressions
        Their length may be another than that of the training.
    count : int, default 20_000
        Tasks; the same for all models and for the same seed.
    seed : int, default 0
    """
    model = _Model(layers.kind, _tensor(layers.key_query), _tensor(layers.output), layers.length)
    return _array(_risk(model, tasks, count, torch.Generator().manual_seed(seed)))


def ridge_risk(tasks: Regressions, count: int = 20_000, seed: int = 0) -> float:
    """Return the mean squared error of the posterior mean, the least that any model can have.

    Parameters
    ----------
    tasks : Regressions
    count : int, default 20_000
    seed : int, default 0
        As in `risk`: the same tasks.
    """
    generator, d, total = torch.Generator().manual_seed(seed), tasks.dimension, 0.0
    for size in _pieces(count):
        tokens, queries, answers = tasks.draw(size, generator)
        x, y = tokens[:, 0, :, :d].double(), tokens[:, 0, :, d:].double()
        gram = x.mT @ x + tasks.noise * d * torch.eye(d, dtype=torch.float64)
        found = queries.double()[:, None] @ torch.linalg.solve(gram, x.mT @ y)
        total += float((found[:, 0, 0] - answers).square().sum())
    return total / count


def head(weight: float, x: Array, y: Array, queries: Array) -> Array:
    """Return h(w) = sum_i p_i y_i with p = softmax(w <x_i, x>), one softmax head, (t,).

    Parameters
    ----------
    weight : float
        w.
    x : ndarray of shape (t, L, d)
    y : ndarray of shape (t, L)
    queries : ndarray of shape (t, d)
    """
    q, k, v = (torch.as_tensor(np.asarray(part, dtype=float)) for part in (queries, x, y))
    mixed = attend(weight * q[:, None, None], k[:, None], v[:, None, :, None], scale=1.0)
    return np.asarray(mixed[:, 0, 0, 0].numpy(), dtype=float)


def debiased_step(x: Array, y: Array, queries: Array) -> Array:
    """Return (1/L) sum_i (y_i - mean y) <x_i, x>, the debiased gradient step of rate one, (t,).

    Parameters
    ----------
    x : ndarray of shape (t, L, d)
    y : ndarray of shape (t, L)
    queries : ndarray of shape (t, d)
    """
    centred = y - y.mean(axis=1, keepdims=True)
    return np.asarray(np.einsum("tl,tld,td->t", centred, x, queries) / y.shape[1])


def _started(
    heads: int, kind: Kind, tasks: Regressions, schedule: Schedule, generator: torch.Generator
) -> _Model:
    d, r = tasks.dimension, schedule.trainings * schedule.starts
    key_query = 0.1 * torch.randn(r, heads, d + 1, d, generator=generator)
    return _Model(
        kind, key_query, 0.1 * torch.randn(r, heads, d + 1, generator=generator), tasks.length
    )


def _descend(
    model: _Model,
    tasks: Regressions,
    schedule: Schedule,
    steps: int,
    rate: Callable[[int], float],
    generator: torch.Generator,
) -> None:
    """Take steps of Adam from where the models are; each model follows its own loss alone."""
    parameters = [model.key_query.requires_grad_(), model.output.requires_grad_()]
    adam = torch.optim.Adam(parameters, lr=schedule.learning_rate)
    for step in range(steps):
        adam.param_groups[0]["lr"] = schedule.learning_rate * rate(step)
        tokens, queries, answers = tasks.draw(schedule.batch, generator)
        adam.zero_grad()
        # A sum over models: no model sees another's gradient.
        (model.predict(tokens, queries) - answers[:, None]).square().mean(0).sum().backward()
        adam.step()
    for parameter in parameters:
        parameter.requires_grad_(False)


def _risk(model: _Model, tasks: Regressions, count: int, generator: torch.Generator) -> Tensor:
    total = torch.zeros(len(model.output), dtype=torch.float64)
    with torch.no_grad():
        for size in _pieces(count):
            tokens, queries, answers = tasks.draw(size, generator)
            errors = model.predict(tokens, queries) - answers[:, None]
            total += errors.double().square().sum(0)
    return total / count


def _pieces(count: int) -> list[int]:
    """Return sizes of at most 2,000 that sum to count."""
    return [min(2000, count - start) for start in range(0, count, 2000)]


def _tensor(array: Array) -> Tensor:
    return torch.as_tensor(np.asarray(array, dtype=np.float32))


def _array(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().numpy(), dtype=float)

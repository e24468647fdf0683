"""Attention trained on linear regressions in context: one head, two heads, and linear attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention import attend
from softunit.nn.studies.one_thread import one_thread
from softunit.nn.studies.regressions import Array, Regressions, pieces

Kind = Literal["softmax", "linear"]


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
    trainings : int, default 3
        Models that are trained to the end, each from starts of its own.
    starts : int, default 8
    trial : int, default 200
        Steps of each start before the best is chosen by the risk on tasks not met before.
    steps : int, default 5000
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

    trainings: int = 3
    starts: int = 8
    trial: int = 200
    steps: int = 5000
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


@one_thread()
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
    found = []
    for number in range(schedule.trainings):
        if tick is not None:
            tick(f"{kind} attention, h = {heads}: training {number + 1} of {schedule.trainings}")
        # Tasks of its own for each, so that what two trainings share is no accident of the draws.
        generator = torch.Generator().manual_seed(seed * schedule.trainings + number)
        found.append(
            _training(_started(heads, kind, tasks, schedule, generator), tasks, schedule, generator)
        )
    finals, starts, risks = zip(*found, strict=True)
    return Trained(_joined(finals), _joined(starts), np.stack(risks))


@one_thread()
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


def _started(
    heads: int, kind: Kind, tasks: Regressions, schedule: Schedule, generator: torch.Generator
) -> _Model:
    d, r = tasks.dimension, schedule.starts
    key_query = 0.1 * torch.randn(r, heads, d + 1, d, generator=generator)
    output = 0.1 * torch.randn(r, heads, d + 1, generator=generator)
    return _Model(kind, key_query, output, tasks.length)


def _training(
    starts: _Model, tasks: Regressions, schedule: Schedule, generator: torch.Generator
) -> tuple[_Model, _Model, Array]:
    """Return the best start trained to the end, all starts after their trial, and their risks."""
    _descend(starts, tasks, schedule, schedule.trial, lambda step: 1.0, generator)
    risks = _risk(starts, tasks, 20 * schedule.batch, generator)
    final = starts.chosen(risks.argmin(dim=0, keepdim=True))

    def cosine(step: int) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * step / schedule.steps))

    _descend(final, tasks, schedule, schedule.steps, cosine, generator)
    return final, starts, _array(risks)


def _joined(models: tuple[_Model, ...]) -> Layers:
    first = models[0]
    key_query = torch.cat([model.key_query for model in models])
    output = torch.cat([model.output for model in models])
    return Layers(first.kind, _array(key_query), _array(output), first.length)


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
        for size in pieces(count):
            tokens, queries, answers = tasks.draw(size, generator)
            errors = model.predict(tokens, queries) - answers[:, None]
            total += errors.double().square().sum(0)
    return total / count


def _tensor(array: Array) -> Tensor:
    return torch.as_tensor(np.asarray(array, dtype=np.float32))


def _array(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().numpy(), dtype=float)

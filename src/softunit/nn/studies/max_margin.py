"""Attention trained to pick tokens under a fixed head: which separator its weights turn towards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from softunit.errors import InputError
from softunit.nn.attention import attend
from softunit.nn.studies.one_thread import one_thread

Array = np.ndarray[Any, np.dtype[np.float64]]
Parametrisation = Literal["W", "KQ"]


@dataclass(frozen=True)
class Inputs:
    """Data sets, s of them, of n inputs with T tokens, one query and one score for each token.

    A model with the matrix W looks at the tokens of an input with the weights
    softmax(X W z) and is paid <weights, scores>: the head and the label are in the scores.

    Parameters
    ----------
    tokens : ndarray of shape (s, n, T, d)
        X.
    queries : ndarray of shape (s, n, d)
        z.
    scores : ndarray of shape (s, n, T)
        label times <head, token>.

    Raises
    ------
    InputError
        If the shapes do not fit each other.
    """

    tokens: Array
    queries: Array
    scores: Array

    def __post_init__(self) -> None:
        shape = np.shape(self.tokens)
        wanted = (*shape[:2], *shape[-1:]), shape[:-1]
        if len(shape) != 4 or (np.shape(self.queries), np.shape(self.scores)) != wanted:
            raise InputError(
                "`tokens` must be (s, n, T, d), `queries` (s, n, d) and `scores` (s, n, T); got"
                f" {shape}, {np.shape(self.queries)} and {np.shape(self.scores)}."
            )

    @property
    def best(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """The optimal token of each input, that of the largest score, (s, n)."""
        return np.asarray(self.scores.argmax(axis=-1))


@dataclass(frozen=True)
class Path:
    """What training went through.

    Attributes
    ----------
    marks : tuple of int
        After how many steps the following were kept; the last is the end.
    weights : ndarray of shape (len(marks), s, d, d)
        W, or K Q'.
    attention : ndarray of shape (s, n, T)
        The weights on the tokens at the end.
    losses : ndarray of shape (len(marks), s)
        Mean of log(1 + exp(-pay)) over the inputs.
    """

    marks: tuple[int, ...]
    weights: Array
    attention: Array
    losses: Array

    @property
    def selected(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """The token with the largest weight of each input at the end, (s, n)."""
        return np.asarray(self.attention.argmax(axis=-1))


def loss(W: Tensor, tokens: Tensor, queries: Tensor, scores: Tensor) -> Tensor:
    """Return the mean of log(1 + exp(-pay)) over inputs, (s,), by `attend`.

    Parameters
    ----------
    W : Tensor of shape (s, d, d)
    tokens, queries, scores : Tensor
        As in `Inputs`: inputs stand where heads do.
    """
    asked = (queries @ W.mT)[:, :, None]
    pay = attend(asked, tokens, scores[..., None], scale=1.0)[..., 0, 0]
    return softplus(-pay).mean(-1)


@one_thread()
def trained(
    inputs: Inputs,
    parametrisation: Parametrisation = "W",
    *,
    steps: int = 10_000,
    rate: float = 0.1,
    start: float = 0.1,
    marks: Sequence[int] = (),
    seed: int = 0,
) -> Path:
    """Return the path of normalised gradient descent on `loss`, all data sets side by side.

    Every step is `rate` times the gradient over its norm, so that the weights grow without end and
    only their direction can converge.

    Parameters
    ----------
    inputs : Inputs
    parametrisation : {"W", "KQ"}, default "W"
        What is trained: W itself, or K and Q with W = K Q', all d by d.
    steps : int, default 10_000
    rate : float, default 0.1
    start : float, default 0.1
        Entries of K and Q start from N(0, start^2); W starts from zero.
    marks : sequence of int, default ()
        Steps below `steps` after which the weights are kept too.
    seed : int, default 0
        Of the start of K and Q.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the parametrisation is none of the two, or the steps, rate or start not above zero.
    """
    _check(parametrisation, steps, rate, start)
    tensors = tuple(
        torch.as_tensor(np.asarray(part, dtype=float))
        for part in (inputs.tokens, inputs.queries, inputs.scores)
    )
    now = _started(parametrisation, tensors[0], start, torch.Generator().manual_seed(seed))
    keep = (*sorted({mark for mark in marks if 0 <= mark < steps}), steps)
    kept: list[Tensor] = []
    for step in range(steps + 1):
        if step in keep:
            kept.append(_product(now))
        if step < steps:
            slopes = _slopes(now, tensors)
            size = torch.stack([slope.square().sum((1, 2)) for slope in slopes]).sum(0).sqrt()
            # Nothing to gain: a data set whose gradient is zero stays where it is.
            pace = torch.where(size > 0, rate / size, 0.0)[:, None, None]
            now = [part - pace * slope for part, slope in zip(now, slopes, strict=True)]
    attention = _log_weights(kept[-1], *tensors[:2]).exp()
    losses = torch.stack([loss(W, *tensors) for W in kept])
    return Path(keep, torch.stack(kept).numpy(), attention.numpy(), losses.numpy())


def direction(W: Tensor, tokens: Tensor, queries: Tensor, scores: Tensor) -> Tensor:
    """Return the gradient of `loss` in W over a positive number for each data set, (s, d, d).

    Once weights are next to one and zero, the gradient underflows and its differences cancel. Its
    direction does not, if the small weights are divided by the largest of them before they are
    summed, and the pay of a token is written as its distance to that of the leading one.

    Parameters
    ----------
    W : Tensor of shape (s, d, d)
    tokens, queries, scores : Tensor
        As in `Inputs`.
    """
    logs = _log_weights(W, tokens, queries)
    lead = logs.argmax(-1, keepdim=True)
    others = logs.scatter(-1, lead, -torch.inf)
    small = (others - others.amax((1, 2), keepdim=True)).exp()
    behind = scores.gather(-1, lead) - scores
    pay = scores.gather(-1, lead) - (logs.exp() * behind).sum(-1, keepdim=True)
    # By its score s_t w_t (score_t - pay), and for the leading token what balances the others.
    moves = small * (scores - pay)
    moves = moves.scatter(
        -1, lead, logs.exp().gather(-1, lead) * (small * behind).sum(-1, keepdim=True)
    )
    return -torch.einsum("snt,sntd,sne->sde", torch.sigmoid(-pay) * moves, tokens, queries)


def _log_weights(W: Tensor, tokens: Tensor, queries: Tensor) -> Tensor:
    asked = queries @ W.mT
    return torch.log_softmax((tokens @ asked[..., None])[..., 0], -1)


def _started(
    parametrisation: Parametrisation, tokens: Tensor, start: float, generator: torch.Generator
) -> list[Tensor]:
    shape = (len(tokens), tokens.shape[-1], tokens.shape[-1])
    if parametrisation == "W":
        return [torch.zeros(shape, dtype=torch.float64)]
    return [start * torch.randn(shape, dtype=torch.float64, generator=generator) for _ in "KQ"]


def _product(now: list[Tensor]) -> Tensor:
    return now[0] if len(now) == 1 else now[0] @ now[1].mT


def _slopes(now: list[Tensor], tensors: tuple[Tensor, ...]) -> list[Tensor]:
    slope = direction(_product(now), *tensors)
    return [slope] if len(now) == 1 else [slope @ now[1], slope.mT @ now[0]]


def _check(parametrisation: str, steps: int, rate: float, start: float) -> None:
    if parametrisation not in ("W", "KQ"):
        raise InputError(f"`parametrisation` must be 'W' or 'KQ'; got {parametrisation!r}.")
    for name, value in (("steps", steps), ("rate", rate), ("start", start)):
        if not value > 0:
            raise InputError(f"`{name}` must be above 0; got {value!r}.")

"""Transformers for small pictures, whole and with all left out that can be, trained alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from softunit.nn.attention import CollapsedAttention
from softunit.nn.studies.one_thread import one_thread

Kind = Literal["full", "without mlp", "collapsed", "symmetric"]
KINDS: tuple[Kind, ...] = ("full", "without mlp", "collapsed", "symmetric")


@dataclass(frozen=True)
class Plan:
    """Sizes of the models and of their training, the same for all kinds.

    Attributes
    ----------
    width : int, default 32
        Of the tokens.
    depth : int, default 4
        Layers.
    heads : int, default 4
        Of kinds with projections of their own; collapsed ones have one.
    epochs : int, default 40
        Passes over the pictures.
    rows : int, default 64
        Pictures of a batch.
    rate : float, default 3e-3
        Largest step of AdamW; it falls to zero like a cosine.
    """

    width: int = 32
    depth: int = 4
    heads: int = 4
    epochs: int = 40
    rows: int = 64
    rate: float = 3e-3


@dataclass(frozen=True)
class Trained:
    """What came of one model.

    Attributes
    ----------
    parameters : int
        Numbers that were learned.
    accuracy : float
        Share of the held out pictures that it tells right.
    losses : tuple of float
        Mean cross-entropy of each epoch, in nats.
    """

    parameters: int
    accuracy: float
    losses: tuple[float, ...]


class PatchModel(nn.Module):
    """Patches to classes: tokens with learned places, layers, scores from all tokens side by side.

    Parameters
    ----------
    kind : {"full", "without mlp", "collapsed", "symmetric"}
        "full": W_Q, W_K, W_V, W_O and an MLP four times as wide; "without mlp": the same without
        it; "collapsed": neither MLP nor values and outputs, and one W in place of W_Q W_K';
        "symmetric": the same with W = L L'.
    plan : Plan
        Sizes.
    patches : int
        Tokens of a picture.
    pixels : int
        Numbers of a patch.
    classes : int
        How many there are to tell apart.
    """

    def __init__(self, kind: Kind, plan: Plan, patches: int, pixels: int, classes: int) -> None:
        super().__init__()
        self.tokens = nn.Linear(pixels, plan.width)
        self.places = nn.Parameter(torch.randn(patches, plan.width) / math.sqrt(plan.width))
        self.layers = nn.ModuleList(_Layer(kind, plan) for _ in range(plan.depth))
        self.last = nn.LayerNorm(plan.width)
        self.scores = nn.Linear(patches * plan.width, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the scores (rows, classes) of pictures (rows, patches, pixels)."""
        x = self.tokens(pictures) + self.places
        for layer in self.layers:
            x = layer(x)
        found: Tensor = self.scores(self.last(x).flatten(1))
        return found


class _Layer(nn.Module):
    def __init__(self, kind: Kind, plan: Plan) -> None:
        super().__init__()
        width = plan.width
        self.before = nn.LayerNorm(width)
        if kind in ("collapsed", "symmetric"):
            self.mixing = CollapsedAttention(width, query_key=kind)
        else:
            self.mixing = CollapsedAttention(
                width, plan.heads, query_key="full", value_output="full"
            )
        self.mlp: nn.Module | None = None
        if kind == "full":
            self.mlp = nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 4 * width),
                nn.GELU(),
                nn.Linear(4 * width, width),
            )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mixing(self.before(x))
        return x if self.mlp is None else x + self.mlp(x)


@one_thread()
def train_and_test(
    kind: Kind,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    plan: Plan | None = None,
    seed: int = 0,
) -> Trained:
    """Return what a model of a kind learns of labelled pictures.

    Parameters
    ----------
    kind : {"full", "without mlp", "collapsed", "symmetric"}
        As in `PatchModel`.
    train, test : tuple of ndarray
        Pictures (rows, patches, pixels) and labels (rows,), from 0.
    plan : Plan, optional
        By default `Plan()`.
    seed : int, default 0
        Of the first parameters and the order of the pictures.
    """
    sizes = plan or Plan()
    pictures, labels = _tensors(train)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        patches, pixels = pictures.shape[1:]
        model = PatchModel(kind, sizes, patches, pixels, int(labels.max()) + 1)
    losses = _fit(model, pictures, labels, sizes, torch.Generator().manual_seed(seed))
    shown, right = _tensors(test)
    with torch.no_grad():
        hits = (model(shown).argmax(-1) == right).float().mean()
    return Trained(sum(p.numel() for p in model.parameters()), float(hits), losses)


def _fit(
    model: PatchModel, pictures: Tensor, labels: Tensor, plan: Plan, generator: torch.Generator
) -> tuple[float, ...]:
    """Train the model in place; return the mean loss of each epoch."""
    rows = len(labels)
    batches = -(-rows // plan.rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, weight_decay=0.01)
    # The first twentieth of the steps rises, the rest falls.
    fall = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, total_steps=plan.epochs * batches, pct_start=0.05
    )
    losses = []
    for _ in range(plan.epochs):
        order = torch.randperm(rows, generator=generator)
        total = 0.0
        for batch in order.split(plan.rows):
            loss = nn.functional.cross_entropy(model(pictures[batch]), labels[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            fall.step()
            total += float(loss.detach()) * len(batch)
        losses.append(total / rows)
    return tuple(losses)


def _tensors(given: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
    pictures, labels = given
    return torch.from_numpy(np.asarray(pictures, np.float32)), torch.from_numpy(
        np.asarray(labels, np.int64)
    )


def collapse_error(query: np.ndarray, key: np.ndarray, tokens: np.ndarray, heads: int) -> float:
    """Return how far scores through W = W_Q W_K' are from those through W_Q and W_K.

    Parameters
    ----------
    query, key : ndarray of shape (dim, dim)
        Weights of the projections, as `torch.nn.Linear` has them.
    tokens : ndarray of shape (batch, n, dim)
        A sequence.
    heads : int
        Of the projections.

    Returns
    -------
    float
        The largest difference, over the largest score.
    """
    w_q, w_k, x = (torch.from_numpy(given) for given in (query, key, tokens))
    found = CollapsedAttention.from_projections(w_q, w_k, heads).scores(x).detach()
    # The scores by their definition, in NumPy's products.
    batch, n, dim = tokens.shape
    q, k = (
        (tokens @ w.T).reshape(batch, n, heads, dim // heads).transpose(0, 2, 1, 3)
        for w in (query, key)
    )
    wanted = q @ k.swapaxes(-1, -2) / math.sqrt(dim // heads)
    return float(np.abs(found.numpy() - wanted).max() / np.abs(wanted).max())

"""Sigmoid beside softmax: row sums, tiles, local Lipschitz constants, time, and a small model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from softunit.errors import InputError
from softunit.nn.attention import AttentionUnit, Sigmoid, attend, reference, weights
from softunit.nn.attention.registry import unit_of
from softunit.nn.studies.models import SequenceModel, Training, score, train
from softunit.nn.studies.one_thread import one_thread
from softunit.nn.studies.sequences import CharacterText, library_text

Start = Literal["small", "torch"]
"""How query, key and value maps begin: N(0, 0.02^2), or as torch.nn.MultiheadAttention does."""


def mean_row_sums(
    lengths: Sequence[int], *, biased: bool = True, queries: int = 256, d: int = 64, seed: int = 0
) -> list[float]:
    """Return the mean sum of a row of weights, for each number of keys n.

    Queries and keys are N(0, I).

    Parameters
    ----------
    lengths : sequence of int
        Numbers of keys.
    biased : bool, default True
        With b = -log n; else b = 0.
    queries : int, default 256
    d : int, default 64
    seed : int, default 0
    """
    unit = Sigmoid() if biased else Sigmoid(bias=0.0)
    generator, found = torch.Generator().manual_seed(seed), []
    for n in lengths:
        q, k = (torch.randn(1, 1, t, d, generator=generator) for t in (queries, n))
        found.append(float(weights(q, k, unit=unit).double().sum(-1).mean()))
    return found


def tiles_off(
    lengths: Sequence[int], unit: str | AttentionUnit = "sigmoid", seed: int = 0
) -> float:
    """Return the largest difference between tiles and all weights at once, in float32.

    With and without a gradient (blocks of rows, and tiles of rows and keys), causal and not.

    Parameters
    ----------
    lengths : sequence of int
        Numbers of queries and keys; two heads of width 64.
    unit : str or AttentionUnit, default "sigmoid"
    seed : int, default 0
    """
    generator, worst = torch.Generator().manual_seed(seed), 0.0
    for n in lengths:
        q, k, v = (torch.randn(1, 2, n, 64, generator=generator) for _ in range(3))
        for causal in (False, True):
            with torch.no_grad():
                exact = reference(q, k, v, unit=unit, causal=causal)
                worst = max(worst, _apart(attend(q, k, v, unit=unit, causal=causal), exact))
            worst = max(worst, _apart(attend(q, k, v, unit=unit, causal=causal), exact))
    return worst


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def lipschitz_ratios(
    start: Start, draws: int = 100, *, n: int = 32, d: int = 16, seed: int = 0
) -> list[float]:
    """Return local Lipschitz constants of sigmoid over those of softmax, one for each draw.

    The constant of a layer X -> attention(X Wq, X Wk, X Wv) at X is the spectral norm of its
    Jacobian, an n d by n d matrix. Tokens are N(0, I), as behind a norm; both units have the same
    tokens and maps.

    Parameters
    ----------
    start : {"small", "torch"}
        How the maps are drawn.
    draws : int, default 100
    n, d : int, default 32 and 16
        Tokens and their width; one head.
    seed : int, default 0
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(draws):
        x = torch.randn(n, d, generator=generator, dtype=torch.float64)
        maps = [_map(start, d, generator) for _ in range(3)]
        found.append(_lipschitz("sigmoid", x, maps) / _lipschitz("softmax", x, maps))
    return found


def _map(start: Start, d: int, generator: torch.Generator) -> Tensor:
    if start == "small":
        return 0.02 * torch.randn(d, d, generator=generator, dtype=torch.float64)
    # Xavier's bound for three maps in one matrix, 3 d by d.
    bound = math.sqrt(6.0 / (4.0 * d))
    return bound * (2.0 * torch.rand(d, d, generator=generator, dtype=torch.float64) - 1.0)


def _lipschitz(unit: str, x: Tensor, maps: list[Tensor]) -> float:
    def layer(x: Tensor) -> Tensor:
        q, k, v = ((x @ one)[None, None] for one in maps)
        return attend(q, k, v, unit=unit)[0, 0]

    jacobian: Tensor = torch.autograd.functional.jacobian(layer, x, vectorize=True)
    return float(torch.linalg.matrix_norm(jacobian.reshape(x.numel(), x.numel()), 2))


@one_thread()
def forward_seconds(
    lengths: Sequence[int], units: Sequence[str], *, rounds: int = 10, seed: int = 0
) -> dict[str, list[float]]:
    """Return the least processor time of a forward pass of each unit, at each length.

    One thread, four heads of width 64, float32, no gradient; the mean of a causal and a full
    call. Units take turns, so that what else the machine does meets all of them.

    Parameters
    ----------
    lengths : sequence of int
        Queries and keys.
    units : sequence of str
    rounds : int, default 10
    seed : int, default 0
    """
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[float]] = {unit: [] for unit in units}
    for n in lengths:
        q, k, v = (torch.randn(1, 4, n, 64, generator=generator) for _ in range(3))
        best = {(unit, causal): math.inf for unit in units for causal in (False, True)}
        for _ in range(rounds):
            for unit, causal in best:
                took = _seconds(q, k, v, unit, causal)
                best[unit, causal] = min(best[unit, causal], took)
        for unit in units:
            found[unit].append(0.5 * (best[unit, False] + best[unit, True]))
    return found


@torch.no_grad()
def _seconds(q: Tensor, k: Tensor, v: Tensor, unit: str, causal: bool) -> float:
    begin = time.process_time()
    attend(q, k, v, unit=unit, causal=causal)
    return time.process_time() - begin


class _Scaled(nn.Module):
    """LayerScale: what a layer adds, times a learned number for each channel that starts small."""

    def __init__(self, inner: nn.Module, width: int, start: float) -> None:
        super().__init__()
        self.inner, self.size = inner, nn.Parameter(torch.full((width,), start))

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.inner(x) * self.size
        return scaled


@one_thread()
def text_losses(
    units: Sequence[str],
    *,
    steps: int = 600,
    layer_scale: float = 0.1,
    letters: int = 400_000,
    batches: int = 8,
    seed: int = 0,
    tick: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """Return the loss on text held out of a small model of characters, for each unit.

    Docstrings of the standard library, 64 characters at a time; two layers of four heads, width 48,
    rotary positions, the same parameters at first and the same batches for each unit.

    Parameters
    ----------
    units : sequence of str
    steps : int, default 600
        Of 16 sequences each.
    layer_scale : float, default 0.1
        Where the scale of what attention adds begins, for every unit.
    letters : int, default 400_000
        Characters of the text.
    batches : int, default 8
        Of 64 held out sequences each, which judge it.
    seed : int, default 0
        Parameters and batches follow from it.
    tick : callable, optional
        Called with a few words for each unit.

    Returns
    -------
    dict of str to float
        Cross-entropy in nats.

    Raises
    ------
    InputError
        If the layer scale is not above zero, or a training broke off.
    """
    if not layer_scale > 0.0:
        raise InputError(f"`layer_scale` must be above zero; got {layer_scale!r}.")
    task, found = CharacterText(library_text()[:letters], length=64), {}
    for unit in units:
        if tick is not None:
            tick(f"a model of characters with {unit}, {steps} steps")
        model = SequenceModel(task.vocabulary, 48, 2, 4, unit=unit_of(unit), seed=seed)
        for block in model.blocks:
            inner = block.get_submodule("mixing")
            block.add_module("mixing", _Scaled(inner, 48, layer_scale))
        curve = train(model, task, Training(steps=steps, rows=16, rate=6e-3, seed=seed))
        if curve.stopped:
            raise InputError(f"The training with {unit!r} broke off: {curve.stopped}")
        found[unit] = score(model, task, batches=batches).loss
    return found

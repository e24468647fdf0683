"""The two-pass softmax measured: how right it is, how often it reads, how long it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from softunit._typing import Array
from softunit.nn.softmax import _compiled, two_pass_blocks, two_pass_softmax, two_pass_softmax_numpy
from softunit.nn.studies.one_thread import one_thread

FORMS = ("numpy", "torch", "c")


@dataclass(frozen=True)
class Errors:
    """How right float32 shares are.

    Parameters
    ----------
    ours : dict
        For each form the largest relative error of a share that float32 holds as a normal number.
    torch : float
        The same of ``torch.softmax``.
    not_finite : int
        Shares of ours that are infinite or nan.
    """

    ours: dict[str, float]
    torch: float
    not_finite: int


def errors(scores: Array, compiled: bool) -> Errors:
    """Return how far float32 shares of scores (rows, n) are from softmax in float64."""
    given = torch.from_numpy(scores)
    exact = torch.softmax(given.double(), -1)
    normal = exact >= torch.finfo(torch.float32).tiny
    ours = {
        "numpy": torch.from_numpy(two_pass_softmax_numpy(scores)),
        "torch": two_pass_softmax(given),
    }
    if compiled:
        ours["c"] = two_pass_softmax(given, compiled=True)

    def worst(shares: torch.Tensor) -> float:
        return float(((shares.double() - exact) / exact)[normal].abs().max())

    return Errors(
        {name: worst(shares) for name, shares in ours.items()},
        worst(torch.softmax(given, -1)),
        sum(int((~shares.isfinite()).sum()) for shares in ours.values()),
    )


def sweeps(scores: Array, block: int) -> float:
    """Return how often the softmax of a vector in blocks reads each of its entries."""
    read = 0

    def blocks() -> Iterator[Array]:
        nonlocal read
        for start in range(0, len(scores), block):
            part = scores[start : start + block]
            read += len(part)
            yield part

    for _ in two_pass_blocks(blocks):
        pass
    return read / len(scores)


def has_kernel() -> str:
    """Return nothing where the kernel can be compiled here, else the sentence why not."""
    try:
        _compiled.library()
    except ValueError as error:
        return str(error)
    return ""


@one_thread()
def times(scores: Array, rounds: int, tick: Callable[[str], None]) -> dict[str, float]:
    """Return the least processor seconds of softmax of one vector, by two sweeps, three, and torch.

    All write into one array that is there already, in one thread, in turn round after round.
    """
    given = torch.from_numpy(scores)
    out = torch.zeros_like(given)
    ways: dict[str, Callable[[], object]] = {
        "two sweeps": lambda: _compiled.write_softmax(given, out),
        "three sweeps": lambda: _compiled.write_three_pass(given, out),
        "torch.softmax": lambda: torch.softmax(given, 0, out=out),
    }
    least = dict.fromkeys(ways, math.inf)
    repeats = max(1, (1 << 22) // len(scores))
    for turn in range(rounds):
        tick(f"{len(scores)} scores, round {turn + 1} of {rounds}")
        for name, way in ways.items():
            start = time.process_time()
            for _ in range(repeats):
                way()
            least[name] = min(least[name], (time.process_time() - start) / repeats)
    return least


def drawn(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> Array:
    """Return scores drawn evenly from [-bound, bound] in float32."""
    return rng.uniform(-bound, bound, shape).astype(np.float32)

"""Processor time of functions on one thread, in rounds, the least of each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

LEAST_SECONDS = 0.02
"""Shorter calls are repeated until they have taken so long."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread for a while, and as many as before afterwards.

    Threads gain nothing on arrays as small as those of the studies, and wait for each other at
    full load. As `@one_thread()` it holds for the calls of a function.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def least_seconds(functions: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the least processor time of a call of each function.

    They are called in turn, round after round, so that what else the machine does meets all of
    them alike; the first call of each is not counted.

    Parameters
    ----------
    functions : sequence of callable
        Without arguments.
    rounds : int
        At least one.
    """
    seconds = [math.inf] * len(functions)
    with one_thread(), torch.no_grad():
        again = [_repeats(function) for function in functions]
        for _ in range(rounds):
            for i, function in enumerate(functions):
                seconds[i] = min(seconds[i], _once(function, again[i]))
    return seconds


def _repeats(function: Callable[[], object]) -> int:
    function()
    return max(1, math.ceil(LEAST_SECONDS / max(_once(function, 1), 1e-6)))


def _once(function: Callable[[], object], again: int) -> float:
    start = time.process_time()
    for _ in range(again):
        function()
    return (time.process_time() - start) / again

"""One peer on one task: tolerances tightened until the judge is content, then repeats."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable
from typing import Any

from softunit.bench.judge import BAR, AnyTask
from softunit.bench.peers import Answer, Peer

RUNGS = 5
"""Tolerances that are tried: the peer's first one, and four times a tenth of the last."""

ENOUGH = 2.0
"""Seconds of fits that met the bar, after which none is repeated."""

SHORT = 0.2
"""Seconds of fits that met the bar, up to which more than the asked repeats are made."""

MOST = 20
"""Repeats at most, of the shortest fits."""

Say = Callable[[dict[str, Any]], None]
Clock = Callable[[], float]


def climb(
    peer: Peer,
    task: AnyTask,
    say: Say,
    *,
    budget: float,
    repeats: int = 3,
    clock: Clock = time.perf_counter,
) -> None:
    """Fit, judge and tell, until the bar is met and enough fits are timed, or time is up.

    1. `{"event": "begin"}` is said before each fit, so that whoever listens can stop it. 2. After
    it, the judge's gradient: `{"event": "fit", "tol", "bar", "seconds", "gradient", ...}`.
    3. A miss tightens the tolerance tenfold; its time counts against the budget only. 4. The
    tolerance that meets the bar is repeated, for short fits more often. 5. `{"event": "end"}`.

    Parameters
    ----------
    peer : Peer
    task : AnyTask
    say : callable
        Takes each event.
    budget : float
        Seconds of fits, after which no further one is begun.
    repeats : int, default 3
    clock : callable, default perf_counter
    """
    good: list[float] = []
    tol, misses, spent = peer.first_tol * (task.bar / BAR), 0, 0.0
    gc.collect()
    while spent < budget and misses < RUNGS and not _enough(good, repeats):
        say({"event": "begin", "left": budget - spent})
        begin = clock()
        answer = _fitted(peer, task, tol)
        seconds = clock() - begin
        spent += seconds
        value, gradient = task.judged(answer.W, answer.b)
        say(
            {
                "event": "fit",
                "tol": tol,
                "bar": task.bar,
                "seconds": seconds,
                "gradient": gradient,
                "value": value,
                "n_iter": answer.n_iter,
                "passes": answer.passes,
            }
        )
        if gradient <= task.bar:
            good.append(seconds)
        elif good:
            break  # a solver that draws anew each time; what it reached stands
        else:
            misses, tol = misses + 1, tol / 10
    say({"event": "end"})


def _fitted(peer: Peer, task: AnyTask, tol: float) -> Answer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the judge says whether it got there
        return peer.fit(task, tol)


def _enough(good: list[float], repeats: int) -> bool:
    """Whether the fits that met the bar are enough for a time."""
    if not good:
        return False
    if sum(good) >= ENOUGH or len(good) >= max(repeats, MOST):
        return True
    return len(good) >= repeats and (repeats == 1 or sum(good) >= SHORT)

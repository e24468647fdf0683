"""Peers and results that are made up, for the tests of the harness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from softunit.bench import Answer, AnyCase, Case, CaseRun, Peer, Result, Task
from softunit.bench.peers.base import from_model
from softunit.bench.peers.scikit_learn import SCIKIT_LEARN
from softunit.bench.regression import RegressionCase

SMALL = Case("small-one", "power-law", 80, 3, 3, 0.01, 10.0)

FAMILIES = ("softmax", "exp", "cosh", "sinh", "two-layer", "leverage")


def regression(family: str, *, noisy: bool = True, bar: float = 1e-8) -> RegressionCase:
    """Return a small planted regression, well conditioned."""
    return RegressionCase("small-regression", family, 120, 3, bar, noisy, 10.0)


def peer(fit: Callable[[Task, float], Answer], first_tol: float = 1e-6) -> Peer:
    """Return a peer that fits as told."""
    return Peer("stand-in", fit, "softunit", "softunit", first_tol)


def honest(task: Task, tol: float) -> Answer:
    """Return the optimum."""
    return SCIKIT_LEARN[0].fit(task, 1e-9)


def liar(task: Task, tol: float) -> Answer:
    """Return a point that is none, with the best of consciences."""

    class Model:
        coef_ = np.zeros((task.columns, task.d))
        intercept_ = 0.0
        n_iter_ = 1

    return from_model(Model)


class Clock:
    """A clock that moves on by a fixed time whenever it is read."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def made_up(case: AnyCase, **seconds: float | None) -> CaseRun:
    """Return a run of a case; None is a miss, and underscores of names are hyphens."""
    run = CaseRun(case, 0.5)
    for name, time in seconds.items():
        who = name.replace("_", "-")
        if time is None:
            run.results.append(Result(case.name, who, "missed", gradient=1.0))
        else:
            run.results.append(
                Result(case.name, who, "reached", time, 2 * time, 1e-7, passes=4.0, n_iter=3)
            )
    return run

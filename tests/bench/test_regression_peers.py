"""Every regression peer meets every bar that it can meet, on a small table of each family."""

from __future__ import annotations

import os
import warnings

import pytest

from softunit.bench.regression import REGRESSION_PEERS
from softunit.bench.regression.automatic import unpinned
from softunit.bench.regression.peers import JACOBIAN_LIMIT
from tests.bench.stand_ins import FAMILIES, regression

RUNGS = 5
EXACT_ENOUGH = 1e-10  # the bar of those who have second derivatives; values alone end sooner


def best(peer, task):
    """Return the smallest gradient that a peer comes down to, and the value there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, about their own ways
        for rung in range(RUNGS):
            answer = peer.fit(task, peer.first_tol * task.bar / 1e-6 * 0.1**rung)
            value, gradient = task.judged(answer.W, answer.b)
            if gradient <= task.bar:
                break
    assert answer.n_iter is None or answer.n_iter >= 0
    return gradient, value


@pytest.mark.parametrize("noisy", [True, False], ids=["noisy", "exact"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", REGRESSION_PEERS)
def test_a_tight_tolerance_meets_the_bar(name, family, noisy):
    peer = REGRESSION_PEERS[name]
    ours = peer.is_ours
    task = regression(family, noisy=noisy, bar=EXACT_ENOUGH if ours else 1e-7).task()
    reason = peer.missing() or peer.refuses(task)
    if reason:
        pytest.skip(reason)
    gradient, value = best(peer, task)
    assert gradient <= task.bar
    assert value <= task.ceiling


@pytest.mark.parametrize("name", ["softunit", "softunit-minimize"])
def test_ours_counts_passes_over_the_design(name):
    task = regression("exp").task()
    loose, tight = (REGRESSION_PEERS[name].fit(task, tol).passes for tol in (1e-2, 1e-12))
    assert 1.0 <= loose <= tight


def test_jacobians_too_large_or_too_short_are_refused():
    trf, lsmr = REGRESSION_PEERS["scipy-trf"], REGRESSION_PEERS["scipy-trf-lsmr"]
    task = regression("softmax").task()
    assert trf.refuses(task) == ""
    rows = int(JACOBIAN_LIMIT / (8 * task.d)) + 1
    task.target["b"] = range(rows)
    assert "its Jacobian would take 1.7 GB" in trf.refuses(task)
    assert lsmr.refuses(task) == ""
    task.target["b"] = range(2)
    assert trf.refuses(task) == "fewer residuals than columns"


def test_jax_runs_only_where_threads_are_all_the_cores(monkeypatch):
    task = regression("exp").task(threads=2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: {0, 1}, raising=False)
    assert unpinned(task) == ""
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: {0, 1, 2, 3}, raising=False)
    assert "cannot be told to use fewer" in unpinned(task)

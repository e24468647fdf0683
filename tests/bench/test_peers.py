"""Every peer that is installed meets the judge's bar on a small table of its kind."""

from __future__ import annotations

import warnings

import pytest

from softunit.bench import PEERS, Case, judged

TWO = Case("two", "power-law", 300, 4, 2, 1e-2, 10.0)
PLAIN = Case("three", "power-law", 300, 4, 3, 1e-2, 10.0, intercept=True)
NO_RIDGE = Case("free", "power-law", 300, 4, 3, 0.0, 10.0, intercept=True)
TEXT = Case("text", "text", 300, 80, 3, 1e-2, intercept=True, words=20)


@pytest.mark.parametrize("case", [TWO, PLAIN, NO_RIDGE, TEXT], ids=lambda case: case.name)
@pytest.mark.parametrize("name", PEERS)
def test_a_tight_tolerance_meets_the_bar(name, case):
    peer, task = PEERS[name], case.task()
    reason = peer.missing() or peer.refuses(task)
    if reason:
        pytest.skip(reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, about their own ways
        answers = (peer.fit(task, peer.first_tol * 0.1**rung) for rung in range(5))
        gradients = [judged(task, answer.W, answer.b)[1] for answer in answers]
    assert min(gradients) <= 1e-6
    assert peer.version()

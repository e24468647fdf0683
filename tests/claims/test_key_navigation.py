"""Claim 1.1: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from softunit.claims import Effort
from softunit.claims.key_navigation import BUDGET, CLAIM, _found

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs PyTorch: pip install 'softunit[nn]'"
)

QUICK = Effort(share=0.4)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    ticks = []
    evidence = CLAIM.measure(Effort(share=0.4, tick=ticks.append))
    assert failing(evidence) == []
    assert len(evidence.findings) == 2
    assert ticks == ["4 vocabularies"]
    assert len(evidence.picture.series) == 4
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_a_query_that_does_not_move_is_found(monkeypatch):
    monkeypatch.setattr(
        "softunit.nn.attention.navigation.navigate", lambda q, keys, explored, strength: q
    )
    (what,) = failing(CLAIM.measure(QUICK))
    assert "more distinct" in what


def test_a_query_pulled_towards_what_it_explored_is_found(monkeypatch):
    monkeypatch.setattr(
        "softunit.nn.attention.navigation.navigate",
        lambda q, keys, explored, strength: q + strength * keys[explored].sum(-2),
    )
    (what,) = failing(CLAIM.measure(QUICK))
    assert "more distinct" in what


def test_keys_without_clusters_are_found(monkeypatch):
    from softunit.nn.studies import navigation

    right = navigation.drawn

    def shuffled(rng, **words):
        one = right(rng, **words)
        return navigation.Vocabulary(one.keys, rng.permutation(one.cluster), one.correct, one.query)

    monkeypatch.setattr(navigation, "drawn", shuffled)
    (what,) = failing(CLAIM.measure(QUICK))
    assert what.startswith("ranks 10 to 100")


def test_a_key_found_twice_counts_once(rng, monkeypatch):
    from softunit.nn.studies.navigation import Vocabulary, drawn

    words = drawn(rng)
    right = np.flatnonzero(words.correct)[:2]
    places = np.concatenate((right, right, np.flatnonzero(~words.correct)))[:BUDGET]
    monkeypatch.setattr(Vocabulary, "ranked", lambda self, count, rounds, strength: places)
    assert _found(words)[:5].tolist() == [1, 2, 2, 2, 2]
    assert _found(words)[-1] == 2

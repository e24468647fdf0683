"""Claim 1.25: what holds and what does not, and what is wrong comes out false."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from softunit.claims import Effort, max_margin_attention
from softunit.claims.max_margin_attention import CLAIM, drawn

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs PyTorch: pip install 'softunit[nn]'"
)

QUICK = Effort(share=0.1)


@pytest.fixture(scope="module")
def paths():
    """The trainings of the quick measurement, done once."""
    from softunit.nn.studies import max_margin

    kept = {}

    def trained(inputs, parametrisation, **words):
        if parametrisation not in kept:
            kept[parametrisation] = right(inputs, parametrisation, **words)
        return kept[parametrisation]

    right = max_margin.trained
    return trained


@pytest.fixture(autouse=True)
def quick(monkeypatch, paths):
    monkeypatch.setattr(max_margin_attention, "SEEDS", 30)
    monkeypatch.setattr("softunit.nn.studies.max_margin.trained", paths)


def broken(monkeypatch, paths, kind, change):
    """Train as ever, and change the path of one parametrisation."""

    def trained(inputs, parametrisation, **words):
        path = paths(inputs, parametrisation, **words)
        return change(path) if parametrisation == kind else path

    monkeypatch.setattr("softunit.nn.studies.max_margin.trained", trained)
    return failing(CLAIM.measure(QUICK))


def failing(evidence):
    return {number for number, found in enumerate(evidence.findings) if not found.holds}


ON_BEST = {0, 1, 5}
"""Findings on the tokens of largest score: descent need not reach them."""


def test_what_holds_whichever_tokens_are_taken():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) <= ON_BEST
    assert len(evidence.findings) == 8
    assert len(evidence.picture.series) == 4
    assert evidence.findings[2].value >= 0.99
    assert evidence.findings[7].value <= 1e-6


def test_untrained_weights_are_found(monkeypatch, paths):
    found = broken(
        monkeypatch,
        paths,
        "W",
        lambda path: replace(
            path,
            weights=path.weights[:3],
            marks=path.marks[:3],
            attention=np.full_like(path.attention, 1 / path.attention.shape[-1]),
        ),
    )
    assert found >= {0, 1, 2, 3}


def test_keys_and_queries_that_follow_the_other_separator_are_found(monkeypatch, paths):
    from softunit.nn.studies import max_margin

    inputs = max_margin.Inputs(*drawn(QUICK, 3))
    of_w = paths(inputs, "W")
    found = broken(
        monkeypatch,
        paths,
        "KQ",
        lambda path: replace(path, weights=of_w.weights, attention=of_w.attention),
    )
    assert 6 in found


def test_a_bad_separator_is_found(monkeypatch):
    right = max_margin_attention.nuclear

    def sloppy(rows):
        found = right(rows)
        return replace(found, gap=found.gap + 1e-3)

    monkeypatch.setattr(max_margin_attention, "nuclear", sloppy)
    assert 7 in failing(CLAIM.measure(QUICK))


def test_where_all_take_their_best_the_claim_holds(monkeypatch):
    """Scores that are equal but for the best leave descent nowhere else to go."""
    right = max_margin_attention.drawn

    def benign(effort, seeds):
        tokens, queries, scores = right(effort, seeds)
        best = scores.max(axis=-1, keepdims=True)
        return tokens, queries, np.where(scores == best, 1.0, 0.0)

    from softunit.nn.studies import max_margin

    monkeypatch.undo()
    monkeypatch.setattr(max_margin_attention, "drawn", benign)
    assert max_margin.trained.__module__.endswith("max_margin")
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == set()
    assert any("smallest cosine of W" in note for note in evidence.notes)

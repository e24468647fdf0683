"""Claim 2.18: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import importlib.util

import pytest

from softunit.claims.base import Effort
from softunit.claims.hydra import CLAIM, LEAST_ROUNDS, LEAST_STEPS, LENGTHS, _doubling

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs PyTorch: pip install 'softunit[nn]'"
)

STUDY = "softunit.nn.studies.hydra"
RIGHT = {"hydra": 0.5, "sum": 0.5, "forward": 0.25}


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


@pytest.fixture(autouse=True)
def no_clock_and_no_training(monkeypatch):
    """No test is judged by a clock; training is tested by itself, below."""
    monkeypatch.setattr(f"{STUDY}.scan_seconds", lambda lengths, rounds, seed: list(LENGTHS))
    monkeypatch.setattr(
        f"{STUDY}.hidden_tokens", lambda kind, seed, steps: (RIGHT[kind], (2.0,) * steps)
    )


def test_it_holds():
    ticks = []
    evidence = CLAIM.measure(Effort(share=0.1, tick=ticks.append))
    assert failing(evidence) == []
    assert len(evidence.findings) == 6
    assert f"one direction, {LEAST_STEPS} steps" in ticks[-1]
    assert evidence.picture.series[0].label == "Hydra"
    assert evidence == CLAIM.measure(Effort(share=0.1)), "the same seed must measure the same"


@pytest.mark.parametrize(("rival", "words"), [("sum", "sum of two"), ("forward", "one direction")])
def test_a_better_rival_is_found(rival, words, monkeypatch):
    right = RIGHT | {rival: 0.51}
    monkeypatch.setattr(
        f"{STUDY}.hidden_tokens", lambda kind, seed, steps: (right[kind], (2.0,) * steps)
    )
    (what,) = failing(CLAIM.measure(Effort(share=0.1)))
    assert words in what


def test_directions_that_are_mixed_up_are_found(monkeypatch):
    from softunit.nn.attention import quasiseparable

    def other_way(*given, back, **more):
        return quasiseparable(*back, given[3], back=given[:3], **more)

    monkeypatch.setattr(f"{STUDY}.quasiseparable", other_way)
    (what,) = failing(CLAIM.measure(Effort(share=0.1)))
    assert "two scans" in what


def test_a_rank_that_is_too_large_is_found(monkeypatch):
    monkeypatch.setattr(f"{STUDY}.two_scan_errors", lambda n, state, seed: (0.0, 0.0, state + 1))
    (what,) = failing(CLAIM.measure(Effort(share=0.1)))
    assert "rank" in what


def test_a_small_share_takes_fewer_rounds_and_draws(monkeypatch):
    seen = []

    def seconds(lengths, rounds, seed):
        seen.append(rounds)
        return list(lengths)

    monkeypatch.setattr(f"{STUDY}.scan_seconds", seconds)
    evidence = CLAIM.measure(Effort(share=0.1))
    assert seen == [LEAST_ROUNDS]
    assert "over 2 draws" in evidence.findings[0].what


def test_quadratic_time_is_found():
    assert _doubling([1.0, 2.0, 4.2, 8.0]).holds
    assert not _doubling([1.0, 2.0, 4.0, 16.0]).holds

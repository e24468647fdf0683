"""Claim 1.11: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from softunit.claims.base import Effort
from softunit.claims.kernelized_attention import CLAIM

pytest.importorskip("torch")

import torch

from softunit.nn.attention import _toeplitz
from softunit.nn.studies import one_thread
from softunit.nn.studies import relative_features as study

QUICK = Effort(share=0.2)


def given_times(power, dense=10.0, fused=10.0):
    """Times of the FFT route that grow like n^power, one second at 8192 tokens."""

    def times(lengths, against, *rest):
        return {
            "fft": [(n / against) ** power for n in lengths],
            "dense": [dense],
            "fused with the bias": [fused],
            "fused without a bias": [0.5],
        }

    return times


@pytest.fixture(autouse=True)
def good_times(monkeypatch):
    """No test is judged by a clock."""
    monkeypatch.setattr(study, "times", given_times(1.1))


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    ticks = []
    evidence = CLAIM.measure(Effort(share=0.2, tick=ticks.append))
    assert failing(evidence) == []
    assert len(evidence.findings) == 5
    assert "n = 100 to 257" in ticks[0]
    assert [len(series.x) for series in evidence.picture.series] == [5, 5, 5, 1, 1, 1]
    assert any("2.0 times as quick" in note for note in evidence.notes)
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_a_transform_that_is_off_by_one_distance_is_found(monkeypatch):
    plain = _toeplitz._circulant
    monkeypatch.setattr(
        _toeplitz, "_circulant", lambda t, m, length: plain(t.roll(1, -1), m, length)
    )
    (what,) = failing(CLAIM.measure(QUICK))
    assert "FFT route in outputs" in what


def test_features_that_gain_nothing_are_found(monkeypatch):
    monkeypatch.setattr(
        study, "feature_errors", lambda draws, *rest: ([1.0] * draws, [0.5, 2.0] * 2)
    )
    (what,) = failing(CLAIM.measure(QUICK))
    assert "nearer to softmax" in what


def test_errors_of_features_are_those_of_the_weights(rng):
    few = study.feature_errors(2, 40, 8, 8, np.random.default_rng(1))
    many = study.feature_errors(2, 40, 8, 4096, np.random.default_rng(1))
    for a, b in zip(few, many, strict=True):
        assert max(b) < min(a)
    assert max(many[0]) < 0.05


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (given_times(2.0), "slope"),
        (given_times(1.1, dense=0.9), "dense softmax"),
        (given_times(1.1, fused=0.9), "fused kernel"),
    ],
    ids=["quadratic", "slower than dense", "slower than fused"],
)
def test_slow_transforms_are_found(monkeypatch, times, words):
    monkeypatch.setattr(study, "times", times)
    (what,) = failing(CLAIM.measure(QUICK))
    assert words in what


def test_times_are_measured(monkeypatch):
    monkeypatch.undo()
    threads = torch.get_num_threads()
    found = study.times((32, 64), 64, 4, 1, np.random.default_rng(0))
    assert {name: len(taken) for name, taken in found.items()} == {
        "fft": 2,
        "dense": 1,
        "fused with the bias": 1,
        "fused without a bias": 1,
    }
    assert all(0 < s < math.inf for taken in found.values() for s in taken)
    assert torch.get_num_threads() == threads


def test_the_least_time_is_kept(monkeypatch):
    given = iter([0.05, 0.05, 3.0, 9.0, 2.0, 1.0])
    monkeypatch.setattr(one_thread, "_once", lambda function, again: next(given))
    assert one_thread.least_seconds([lambda: None, lambda: None], 2) == [2.0, 1.0]

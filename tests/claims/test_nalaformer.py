"""Claim 1.5: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from softunit.claims.base import Effort
from softunit.claims.nalaformer import CLAIM, LEAST_ROUNDS, TIMED, WIDTH

pytest.importorskip("torch")

from softunit.nn.attention import NaLaFormer
from softunit.nn.studies import norm_awareness as study

QUICK = Effort(share=0.05)


@pytest.fixture(autouse=True)
def linear_time(monkeypatch):
    """No test is judged by a clock."""
    monkeypatch.setattr(study, "times", lambda lengths, *rest: [1e-6 * n for n in lengths])


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    ticks = []
    evidence = CLAIM.measure(Effort(share=0.05, tick=ticks.append))
    assert failing(evidence) == []
    assert len(evidence.findings) == 9
    assert "100 rows" in ticks[0]
    assert [series.label for series in evidence.picture.series] == ["NaLaFormer", "softmax", "ReLU"]
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_a_power_that_ignores_the_norm_is_found(monkeypatch):
    """With the exponent of a long query at every norm the entropy stays."""
    plain = study.weights

    def blind(q, k, *, unit, **how):
        if isinstance(unit, NaLaFormer):
            q = 5 * q / q.norm(dim=-1, keepdim=True)
        return plain(q, k, unit=unit, **how)

    monkeypatch.setattr(study, "weights", blind)
    fall, rows = failing(CLAIM.measure(QUICK))
    assert "mean entropy does not fall" in fall
    assert "percent of rows" in rows


def test_turned_weights_are_found(monkeypatch):
    monkeypatch.setattr(study, "UNIT", NaLaFormer(rotary=True))
    assert {"least weight", "largest distance of a sum"} <= {
        what.partition(",")[0].partition(" of weights")[0] for what in failing(CLAIM.measure(QUICK))
    }


def test_a_linear_form_that_differs_is_found(monkeypatch):
    plain = study.attend
    monkeypatch.setattr(study, "attend", lambda *given, **how: 1.001 * plain(*given, **how))
    (what,) = failing(CLAIM.measure(QUICK))
    assert "linear form" in what


def test_a_relu_map_that_knows_the_norm_is_found(monkeypatch):
    monkeypatch.setattr(study, "_relu_weights", lambda q, k: study.weights(q, k, unit="softmax"))
    (what,) = failing(CLAIM.measure(QUICK))
    assert "ReLU" in what


def test_quadratic_time_is_found(monkeypatch):
    monkeypatch.setattr(study, "times", lambda lengths, *rest: [1e-9 * n * n for n in lengths])
    slopes = failing(CLAIM.measure(QUICK))
    assert len(slopes) == 2
    assert all("slope" in what for what in slopes)


def test_a_small_share_keeps_enough_rounds(monkeypatch):
    seen = []

    def times(lengths, d, rounds, *rest):
        seen.append(rounds)
        return [1e-6 * n for n in lengths]

    monkeypatch.setattr(study, "times", times)
    CLAIM.measure(QUICK)
    assert seen == [LEAST_ROUNDS] * 2


def test_times_are_measured(monkeypatch):
    monkeypatch.undo()
    for causal in (False, True):
        seconds = study.times((64, 128), WIDTH, 1, causal, np.random.default_rng(0))
        assert len(seconds) == 2
        assert all(0 <= s < math.inf for s in seconds)
        assert sum(seconds) > 0
    assert TIMED[-1] == 16384

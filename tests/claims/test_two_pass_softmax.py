"""Claim 1.21 at small size: it holds, and comes out false where what it measures is wrong."""

from __future__ import annotations

import pytest

from softunit.claims import two_pass_softmax as claim
from softunit.claims.base import Effort
from softunit.errors import InputError

torch = pytest.importorskip("torch")
study = pytest.importorskip("softunit.nn.studies.two_pass")

QUICK = Effort(share=0.05)
GIVEN = {"two sweeps": 0.9, "three sweeps": 1.0, "torch.softmax": 1.1}


@pytest.fixture(autouse=True)
def given_times(monkeypatch):
    """No test is judged by a clock."""
    monkeypatch.setattr(study, "times", lambda scores, rounds, tick: dict(GIVEN))
    monkeypatch.setattr(claim, "LENGTHS", (1, 63, 5000))
    monkeypatch.setattr(claim, "LARGEST", 16)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    ticks = []
    evidence = claim.CLAIM.measure(Effort(share=0.05, tick=ticks.append))
    assert failing(evidence) == []
    assert len(evidence.findings) == 4
    assert "errors of 1 scores" in ticks[0]
    assert len(evidence.picture.series) == 3
    assert any("+10 percent saved" in note for note in evidence.notes)
    assert evidence == claim.CLAIM.measure(QUICK), "the same seed must measure the same"


def test_a_small_share_still_times_what_no_cache_holds(monkeypatch):
    assert 4 << claim.LARGEST <= 1 << 18, "small here"
    monkeypatch.undo()
    assert 4 << claim.LARGEST >= 1 << 26
    monkeypatch.setattr(study, "drawn", lambda rng, shape, bound: shape)
    monkeypatch.setattr(study, "times", lambda shape, rounds, tick: {"rounds": rounds})
    found = claim._times(QUICK)
    assert max(found) == 1 << claim.LARGEST
    assert {each["rounds"] for each in found.values()} == {claim.LEAST_ROUNDS}


def test_slower_sweeps_are_found(monkeypatch):
    monkeypatch.setattr(study, "times", lambda *given: GIVEN | {"two sweeps": 1.2})
    (what,) = failing(claim.CLAIM.measure(QUICK))
    assert what.startswith("time of two sweeps")


def test_a_subtracted_maximum_is_not_right_enough(monkeypatch):
    def shifted(scores, compiled=False):
        return torch.softmax(scores, -1)

    monkeypatch.setattr(study, "two_pass_softmax", shifted)
    (what,) = failing(claim.CLAIM.measure(QUICK))
    assert what.startswith("largest relative error")


def test_overflow_is_found(monkeypatch):
    def plain(scores):
        with study.np.errstate(all="ignore"):
            powers = study.np.exp(scores)
            return powers / powers.sum(-1, keepdims=True)

    monkeypatch.setattr(study, "two_pass_softmax_numpy", plain)
    wrong = failing(claim.CLAIM.measure(QUICK))
    assert any("infinite or nan" in what for what in wrong)


def test_a_third_sweep_is_found(monkeypatch):
    def greedy(blocks):
        max(block.max() for block in blocks())
        yield from blocks()
        list(blocks())

    monkeypatch.setattr(study, "two_pass_blocks", greedy)
    assert failing(claim.CLAIM.measure(QUICK)) == ["how often each score is read"]


def test_without_a_compiler_nothing_is_timed_and_the_note_says_why(monkeypatch):
    def missing():
        raise InputError("needs a C compiler, and none is found.")

    monkeypatch.setattr(study._compiled, "library", missing)
    evidence = claim.CLAIM.measure(QUICK)
    assert failing(evidence) == ["kernels that could be compiled here"]
    assert "No time was measured" in evidence.notes[-1]
    assert "C compiler" in evidence.notes[-1]
    assert evidence.picture is None


def test_times_are_measured(monkeypatch):
    monkeypatch.undo()
    scores = study.drawn(Effort().rng(2), (1 << 14,), 20.0)
    found = study.times(scores, 1, lambda what: None)
    assert list(found) == list(GIVEN)
    assert all(0 <= seconds < 10 for seconds in found.values())

"""Claim 1.3 at small size: each way of training does what it says, and faults are found."""

from __future__ import annotations

import pytest

from softunit.claims import numerical_stability as claim
from softunit.claims.base import Effort

torch = pytest.importorskip("torch")
grokking = pytest.importorskip("softunit.nn.studies.grokking")

NAMES = [name for name, *_ in claim.SETTINGS]


def course(**given):
    made = grokking.Course(steps=[0, 200], train=[0.1, 1.0], test=[0.0, 0.95])
    made.zero_loss, made.zero_gradient, made.along = [0.0, 0.0], [0.0, 0.0], 1e-8
    for name, value in given.items():
        setattr(made, name, value)
    return made


def as_seen():
    """What a run at full size looks like, by the name of the way of training."""
    lost = course(test=[0.0, 0.06], zero_loss=[0.0, 1.0], zero_gradient=[0.0, 0.2])
    return {NAMES[0]: lost, NAMES[1]: course(), NAMES[2]: course(test=[0.0, 1.0])}


def measured(monkeypatch, courses, effort=None):
    left = iter(courses.values())
    monkeypatch.setattr(grokking, "train", lambda *given: next(left))
    return claim.CLAIM.measure(effort or Effort())


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_what_is_seen_at_full_size_holds(monkeypatch):
    evidence = measured(monkeypatch, as_seen())
    assert failing(evidence) == []
    assert len(evidence.findings) == 5
    assert len(evidence.picture.series) == 4


FAULTS = [
    (0, {"zero_loss": [0.0, 0.8]}, "exactly zero"),
    (0, {"test": [0.0, 0.5], "zero_loss": [0.0, 1.0]}, "right then"),
    (1, {"test": [0.0, 0.85]}, "with StableMax"),
    (2, {"test": [0.0, 0.98]}, "perpendicular gradients"),
    (2, {"test": [0.0, 1.0], "along": 1e-3}, "projected gradient"),
]


@pytest.mark.parametrize(("which", "given", "words"), FAULTS, ids=range(len(FAULTS)))
def test_what_does_not_meet_its_bar_is_found(monkeypatch, which, given, words):
    courses = as_seen()
    base = {"test": [0.0, 0.06]} if which == 0 else {}
    courses[NAMES[which]] = course(**(base | given))
    (what,) = failing(measured(monkeypatch, courses))
    assert words in what


def test_a_small_share_trains_until_losses_can_be_zero(monkeypatch):
    left, seen = iter(as_seen().values()), []

    def train(setting, *rest):
        seen.append(setting.steps)
        return next(left)

    monkeypatch.setattr(grokking, "train", train)
    claim.CLAIM.measure(Effort(share=0.01))
    assert seen == [claim.LEAST_STEPS] * 3


def test_a_short_run_measures_and_comes_out_false(monkeypatch):
    ticks = []
    monkeypatch.setattr(claim, "LEAST_STEPS", 6)
    evidence = claim.CLAIM.measure(Effort(share=0.0005, tick=ticks.append))
    assert any("exactly zero" in what for what in failing(evidence))
    assert evidence.findings[-1].holds, "the projection is right from the first step on"
    assert evidence.findings[-1].value > 0
    assert len([t for t in ticks if t.startswith("StableMax, step")]) >= 2


def small(**given):
    settings = {
        "loss": "cross_entropy",
        "learning_rate": 1e-2,
        "start": 1.0,
        "perpendicular": False,
        "steps": 40,
        "enough": 2.0,
    }
    return grokking.train(
        grokking.Setting(**(settings | given)), 7, 0.7, 0, lambda where: None, every=10
    )


def test_training_learns_its_samples_and_repeats():
    first, again = small(), small()
    assert first == again
    assert first.steps == [0, 10, 20, 30, 40]
    assert first.train[0] < 0.5 < first.train[-1]
    assert small(loss="stablemax").train[-1] > 0.5
    assert small(perpendicular=True).along > 0


def test_a_broken_projection_is_seen(monkeypatch):
    from softunit.nn.optim import perpendicular

    monkeypatch.setattr(perpendicular, "_project_together", lambda weights, gradients: None)
    assert small(perpendicular=True).along > 1e-4


def test_it_stops_when_enough_is_right():
    assert small(enough=0.0).steps == [0]


def test_the_task_is_addition():
    inputs, sums = grokking.pairs(5)
    assert inputs.shape == (25, 10)
    first, second = inputs[:, :5].argmax(1), inputs[:, 5:].argmax(1)
    assert torch.equal((first + second) % 5, sums)
    assert torch.equal(inputs.sum(1), torch.full((25,), 2.0))

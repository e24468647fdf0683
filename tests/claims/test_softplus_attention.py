"""Claim 1.24: its parts at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

from softunit.claims import CLAIMS
from softunit.claims import softplus_attention as claim
from softunit.claims.base import Effort
from softunit.errors import InputError
from softunit.nn.attention import ReweightedSoftplus, Sigmoid, Softplus
from softunit.nn.studies import keyed_recall as study
from softunit.nn.studies.keyed_recall import (
    KeyedRecall,
    RecallTraining,
    difference,
    extremes,
    recall_losses,
)

SMALL = KeyedRecall(keys=64, values=4, asked=8)
PLAN = RecallTraining(length=8, steps=300, rows=16, rate=1e-2, width=16, heads=1)
GIVEN = {
    "softmax": [[0.20, 0.2, 0.2, 0.2, 0.26]],
    "LSSA": [[0.60, 1.0, 2.0, 3.0, 3.20]],
    "LSSAR": [[0.25, 0.2, 0.2, 0.2, 0.26]],
}


@pytest.fixture
def given(monkeypatch):
    """Losses as they are at full size, without the training."""
    losses = {name: [list(one) for one in each] for name, each in GIVEN.items()}
    monkeypatch.setattr(claim, "_losses", lambda effort: losses)
    return losses


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_is_registered():
    assert claim.CLAIM in CLAIMS
    assert claim.CLAIM.id == "1.24"


def test_it_holds_with_losses_as_they_are(given):
    ticks = []
    evidence = claim.CLAIM.measure(Effort(tick=ticks.append))
    assert failing(evidence) == []
    assert len(evidence.findings) == 6
    assert ticks
    assert [one.label for one in evidence.picture.series] == ["softmax", "LSSA", "LSSAR"]
    assert "LSSA without the re-weighting rises 5.33 times." in evidence.notes


def test_a_loss_that_rises_with_lssar_is_found(given):
    given["LSSAR"][0][-1] = 0.28
    (what,) = failing(claim.CLAIM.measure(Effort()))
    assert what.startswith("loss at 1024 keys with LSSAR")


def test_a_softmax_that_keeps_its_loss_is_found(given):
    given["softmax"][0][-1] = 0.21
    (what,) = failing(claim.CLAIM.measure(Effort()))
    assert what.startswith("loss at 1024 keys with softmax")


def test_rows_that_do_not_sum_to_one_are_found(given, monkeypatch):
    broken = study.extremes
    monkeypatch.setattr(
        study, "extremes", lambda unit, size, seed: broken(Sigmoid(), size, seed=seed)
    )
    (what,) = failing(claim.CLAIM.measure(Effort()))
    assert what.startswith("largest distance of a row sum from one")


def test_a_softplus_that_is_not_shifted_up_is_found(given, monkeypatch):
    """Rows far below zero then sum to nothing."""
    monkeypatch.setattr("softunit.nn.attention.softplus._depth", lambda scores: 1e9)
    assert any(
        "not finite" in what or "row sum" in what for what in failing(claim.CLAIM.measure(Effort()))
    )


def test_a_softmax_that_rises_less_is_found(given):
    """Both rise by more than a tenth, LSSAR the more."""
    given["LSSAR"][0][-1] = 0.40
    first, second = failing(claim.CLAIM.measure(Effort()))
    assert first.startswith("loss at 1024 keys with LSSAR")
    assert second.startswith("rise of the loss with softmax over")


def test_a_small_share_trains_long_enough(monkeypatch):
    plans = []

    def losses(trained, judged, lengths, plan, batches, **rest):
        plans.append((plan.steps, batches))
        return {name: [1.0] * len(lengths) for name in judged}

    monkeypatch.setattr(study, "recall_losses", losses)
    claim._losses(Effort(share=0.1))
    assert plans == [(claim.LEAST_STEPS, claim.LEAST_BATCHES)] * 2


def test_the_training_runs_at_a_small_share(monkeypatch):
    monkeypatch.setattr(claim, "LEAST_STEPS", 20)
    monkeypatch.setattr(claim, "LEAST_BATCHES", 1)
    found = claim._losses(Effort(share=0.001))
    assert set(found) == {"softmax", "LSSA", "LSSAR"}
    losses = [loss for each in found.values() for one in each for loss in one]
    assert len(losses) == 15
    # Twenty steps learn little: near the loss of guessing.
    assert all(1.0 < loss < 2 * math.log(32) for loss in losses)
    assert found == claim._losses(Effort(share=0.001)), "the same seed must measure the same"


def test_recall_is_learned():
    found = recall_losses(
        "softplus",
        {"LSSA": "softplus", "LSSAR": ReweightedSoftplus(power=4.0)},
        (8, 32),
        task=SMALL,
        plan=PLAN,
    )
    assert SMALL.least_loss < found["LSSAR"][0] < 0.5 * math.log(SMALL.values)
    assert found["LSSA"][1] > found["LSSA"][0]
    assert found["LSSA"][1] > found["LSSAR"][1]


def test_the_least_loss_is_the_entropy_of_the_noise():
    assert KeyedRecall(noise=0.0).least_loss == 0.0
    assert KeyedRecall(noise=1.0, values=8).least_loss == pytest.approx(math.log(8))


def test_extremes_see_what_is_wrong():
    assert extremes(Softplus()).off < 1e-5
    assert extremes(Softplus()).broken == 0
    assert extremes(Sigmoid()).off > 0.5


def test_units_that_differ_are_apart():
    assert difference(ReweightedSoftplus(power=1.0, threshold=0.0), Softplus()) <= 1e-12
    assert difference(ReweightedSoftplus(), Softplus()) > 0.01


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keys": 0}, "`keys` must be at least 1; got 0"),
        ({"noise": 1.5}, r"`noise` must be in \[0, 1\]; got 1.5"),
    ],
    ids=str,
)
def test_a_task_that_makes_no_sense_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        KeyedRecall(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": 0}, "`steps` must be at least 1; got 0"),
        ({"rate": 0.0}, "`rate` must be above zero; got 0.0"),
        ({"heads": 3}, "`heads` must divide `width`; got 3 heads and width 32"),
    ],
    ids=str,
)
def test_a_training_that_makes_no_sense_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        RecallTraining(**given)


def test_more_keys_than_exist_are_refused():
    with pytest.raises(InputError, match="A sequence of 65 needs as many keys; there are 64"):
        recall_losses("softmax", {"softmax": "softmax"}, (65,), task=SMALL, plan=PLAN)

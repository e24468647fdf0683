"""Claim 1.43: its parts at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

from softunit.claims import CLAIMS
from softunit.claims import sigmoid_attention as claim
from softunit.claims.base import Effort
from softunit.errors import InputError
from softunit.nn.attention import Sigmoid, attend, sigmoid
from softunit.nn.studies import sigmoid_attention as study
from softunit.nn.studies.sigmoid_attention import (
    forward_seconds,
    lipschitz_ratios,
    mean_row_sums,
    text_losses,
    tiles_off,
)

QUICK = Effort(share=0.05)


@pytest.fixture
def given(monkeypatch):
    """No training, no clock, and tokens as few as a test can bear."""
    parts = {
        "losses": {"softmax": [2.0, 2.1], "sigmoid": [2.01, 2.1]},
        "seconds": {"softmax": [1.0, 4.0, 16.0], "sigmoid": [1.0, 4.0, 15.0]},
    }
    monkeypatch.setattr(claim, "_losses", lambda effort: parts["losses"])
    monkeypatch.setattr(claim, "_seconds", lambda effort: parts["seconds"])
    monkeypatch.setattr(claim, "LENGTHS", (64, 256, 1024))
    monkeypatch.setattr(claim, "TILED", (300,))
    ratios = study.lipschitz_ratios
    monkeypatch.setattr(
        study, "lipschitz_ratios", lambda start, draws, seed: ratios(start, 4, n=8, d=4, seed=seed)
    )
    return parts


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def usual(whats):
    """What fails beside the constants at PyTorch's start, which is known not to hold."""
    return [what for what in whats if "as torch.nn.MultiheadAttention" not in what]


def test_it_is_registered():
    assert claim.CLAIM in CLAIMS
    assert claim.CLAIM.id == "1.43"


def test_all_but_the_constants_at_a_usual_start_hold(given):
    ticks = []
    evidence = claim.CLAIM.measure(Effort(share=0.05, tick=ticks.append))
    assert usual(failing(evidence)) == []
    assert len(evidence.findings) == 8
    assert ticks
    assert [one.label for one in evidence.picture.series] == ["b = -log n", "b = 0"]


def test_row_sums_that_grow_are_found(given, monkeypatch):
    monkeypatch.setattr(Sigmoid, "_start", lambda self, q, pattern: q.new_zeros(1, 1))
    found = usual(failing(claim.CLAIM.measure(QUICK)))
    assert found[0].startswith("largest factor between a mean row sum and one")
    assert found[1].startswith("largest mean row sum over the smallest")


def test_row_sums_that_do_not_grow_without_the_bias_are_found(given, monkeypatch):
    sums = study.mean_row_sums
    monkeypatch.setattr(
        study, "mean_row_sums", lambda lengths, biased=True, seed=0: sums(lengths, seed=seed)
    )
    (what,) = usual(failing(claim.CLAIM.measure(QUICK)))
    assert what.startswith("distance from one of the slope")


def test_tiles_that_leave_out_keys_are_found(given, monkeypatch):
    monkeypatch.setattr(sigmoid, "KEYS", 512)
    mix = sigmoid._mix_in_tiles
    monkeypatch.setattr(
        sigmoid,
        "_mix_in_tiles",
        lambda q, k, v, *rest: mix(q, k, v.clone().index_fill_(2, v.new_zeros(1).long(), 0), *rest),
    )
    (what,) = usual(failing(claim.CLAIM.measure(QUICK)))
    assert what.startswith("largest difference, tiles against all")


def test_constants_above_those_of_softmax_are_found(given, monkeypatch):
    monkeypatch.setattr(study, "lipschitz_ratios", lambda start, draws, seed: [0.9] * 9 + [1.1])
    first, second = failing(claim.CLAIM.measure(QUICK))
    assert "N(0, 0.02^2)" in first
    assert "torch.nn.MultiheadAttention" in second


def test_a_worse_loss_and_a_slower_pass_are_found(given):
    given["losses"]["sigmoid"] = [2.1, 2.2]
    given["seconds"]["sigmoid"] = [1.0, 4.0, 17.0]
    loss, time = usual(failing(claim.CLAIM.measure(QUICK)))
    assert loss.startswith("loss on held out text")
    assert time.startswith("processor time of a forward pass")


def test_row_sums_are_near_one_or_half_the_keys():
    for one in mean_row_sums((16, 256)):
        assert 0.5 < one < 2.0
    assert mean_row_sums((16, 256), biased=False) == pytest.approx([8, 128], rel=0.1)


def test_tiles_are_compared_with_all_weights(monkeypatch):
    assert tiles_off((300,)) < 1e-6
    monkeypatch.setattr(study, "reference", lambda q, k, v, **how: attend(q, k, 2 * v, **how))
    assert tiles_off((300,)) > 0.01


def test_a_lipschitz_constant_is_that_of_differences():
    """At small maps both units are the mean, up to n / (n + 1)."""
    assert lipschitz_ratios("small", 2, n=8, d=4) == pytest.approx([8 / 9] * 2, rel=1e-3)
    assert lipschitz_ratios("torch", 3, n=8, d=4) != lipschitz_ratios("small", 3, n=8, d=4)


def test_times_are_measured():
    found = forward_seconds((32, 64), ("softmax", "sigmoid"), rounds=2)
    assert set(found) == {"softmax", "sigmoid"}
    assert all(0 <= s < math.inf for each in found.values() for s in each)
    assert sum(map(sum, found.values())) > 0


def test_a_model_of_text_is_trained_with_each_unit():
    how = {"letters": 20_000, "batches": 1}
    few, more = (text_losses(("softmax", "sigmoid"), steps=steps, **how) for steps in (1, 12))
    for unit in ("softmax", "sigmoid"):
        assert more[unit] < few[unit]
    assert more["softmax"] != more["sigmoid"]
    assert more == text_losses(("softmax", "sigmoid"), steps=12, **how)


def test_the_claim_trains_and_times_at_a_small_share():
    found = claim._losses(Effort(share=0.002))
    assert [len(each) for each in found.values()] == [1, 1]


def test_a_layer_scale_of_zero_is_refused():
    with pytest.raises(InputError, match=r"`layer_scale` must be above zero; got 0\.0"):
        text_losses(("softmax",), layer_scale=0.0)

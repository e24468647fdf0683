"""Softmax collapse: what is counted is what float arithmetic does, and the monitor warns once."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch.nn import functional

from softunit.errors import InputError
from softunit.nn.losses import (
    CollapseMonitor,
    SoftmaxCollapseWarning,
    collapse_margin,
    softmax_collapse,
)

MARGINS = {torch.float16: 7.6, torch.bfloat16: 5.5, torch.float32: 16.6, torch.float64: 36.7}


@pytest.mark.parametrize("dtype", list(MARGINS), ids=str)
def test_the_loss_is_zero_from_the_margin_on(dtype):
    margin = collapse_margin(dtype)
    assert margin == pytest.approx(MARGINS[dtype], abs=0.06)
    step = 0.2  # what bfloat16 can tell apart there
    scores = torch.tensor([[margin + step, 0.0], [margin - step, 0.0]], dtype=dtype)
    losses = functional.cross_entropy(scores, torch.tensor([0, 0]), reduction="none")
    assert float(losses[0]) == 0
    assert float(losses[1]) > 0


def test_every_share_is_counted():
    scores = torch.tensor([[20.0, 0, 0], [1, 2, 3], [200, 0, 0], [0, 0, 19]])
    report = softmax_collapse(scores, torch.tensor([0, 1, 0, 2]))
    assert (report.zero_loss, report.zero_pull, report.zero_gradient) == (0.75, 0.75, 0.25)
    assert report.samples == 4
    assert report.least_lost_margin == pytest.approx(19 - math.log(2))
    assert report.margin < report.least_lost_margin
    assert "75% of 4 samples" in str(report)
    assert "float32" in str(report)


def test_in_float64_the_same_scores_still_teach():
    scores = torch.tensor([[20.0, 0, 0], [30, 2, 3]], dtype=torch.float64)
    report = softmax_collapse(scores, torch.tensor([0, 0]))
    assert report.zero_loss == 0
    assert report.least_lost_margin == math.inf


def test_places_and_ignored_samples():
    scores = torch.zeros(2, 3, 4)
    scores[:, 1] = 50.0
    target = torch.ones(2, 4, dtype=torch.int64)
    target[0, 0] = -100
    target[1, 1] = 0
    report = softmax_collapse(scores, target)
    assert report.samples == 7
    assert report.zero_loss == pytest.approx(6 / 7)
    alone = softmax_collapse(torch.tensor([0.0, 40.0]), torch.tensor(1))
    assert (alone.samples, alone.zero_loss) == (1, 1.0)
    none = softmax_collapse(scores, torch.full((2, 4), -100))
    assert (none.samples, none.zero_loss) == (0, 0.0)
    assert math.isnan(none.median_margin)


def test_the_graph_of_the_scores_is_left_alone():
    scores = torch.tensor([[20.0, 0.0]], requires_grad=True)
    with torch.no_grad():
        report = softmax_collapse(scores, torch.tensor([0]))
    assert report.zero_loss == 1.0
    assert scores.grad is None


def test_the_monitor_warns_once_and_says_what_to_do():
    monitor = CollapseMonitor(0.5, every=2)
    good, bad = torch.tensor([[1.0, 0.0]]), torch.tensor([[99.0, 0.0]])
    target = torch.tensor([0])
    assert monitor(good, target).zero_loss == 0
    assert monitor(bad, target) is None, "it looks at every second batch"
    with pytest.warns(SoftmaxCollapseWarning, match="stablemax_cross_entropy") as caught:
        monitor(bad, target)
    assert caught[0].filename == __file__
    assert monitor.warned
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor(bad, target)
        assert monitor(bad, target).zero_loss == 1.0
    assert monitor.last.zero_loss == 1.0


@pytest.mark.parametrize("guard", [torch.inference_mode, torch.no_grad])
def test_it_works_where_no_gradients_are_kept(guard):
    with guard():
        scores = torch.tensor([[20.0, 0, 0], [1, 2, 3], [200, 0, 0]]) * 1
        target = torch.tensor([0, 1, 0])
        report = softmax_collapse(scores, target)
        with pytest.warns(SoftmaxCollapseWarning, match="66.7% of 3 samples"):
            CollapseMonitor()(scores, target)
    assert (report.zero_loss, report.zero_gradient) == (2 / 3, 1 / 3)


def test_a_healthy_batch_and_an_empty_one_are_told_as_they_are():
    scores, target = torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([0, 0])
    assert str(softmax_collapse(scores, target)) == (
        "None of 2 samples has a cross-entropy of exactly zero. The median margin is -2.0; from"
        " 16.6 on float32 rounds a loss to zero."
    )
    assert str(softmax_collapse(scores, target, ignore_index=0)) == "No samples were counted."


def test_a_single_lost_sample_among_many_is_not_rounded_to_none():
    scores = torch.zeros(2000, 2)
    scores[0, 0] = 99.0
    report = softmax_collapse(scores, torch.zeros(2000, dtype=torch.int64))
    assert str(report).startswith("0.05% of 2000 samples have")


WRONG = [
    (lambda: CollapseMonitor(0.0), "`share` must be.*above 0"),
    (lambda: CollapseMonitor(1.5), "`share` must be above 0 and at most 1; got 1.5"),
    (lambda: CollapseMonitor("a"), "`share` must be.*'a'"),
    (lambda: CollapseMonitor(every=0), "`every` must be an integer of at least 1; got 0"),
    (lambda: CollapseMonitor(every="a"), "`every` must be an integer.*'a'"),
    (lambda: CollapseMonitor(every=1.5), r"`every` must be an integer.*1\.5"),
    (lambda: CollapseMonitor(ignore_index=1.0), r"`ignore_index` must be.*1\.0"),
    (lambda: collapse_margin("float32"), "floating dtype.*got 'float32'"),
    (lambda: softmax_collapse(torch.zeros(2, 3).long(), torch.tensor([0, 1])), "floating dtype"),
    (lambda: softmax_collapse(torch.zeros(2, 0), torch.tensor([0, 1])), "at least one class"),
    (lambda: collapse_margin(torch.int64), "floating dtype.*got torch.int64"),
    (lambda: softmax_collapse(torch.zeros(2, 3), torch.zeros(2, 3)), "got shares"),
    (lambda: softmax_collapse(torch.zeros(2, 3), torch.tensor([0, 3])), "classes 0 to 2.*got 3"),
]


@pytest.mark.parametrize(("call", "words"), WRONG, ids=range(len(WRONG)))
def test_bad_input_is_a_sentence(call, words):
    with pytest.raises(InputError, match=words):
        call()

"""Studies train on one thread, and give back as many as there were."""

from __future__ import annotations

import pytest
import torch

from softunit.nn.studies import grokking, in_context_regression, keyed_recall, sigmoid_attention
from softunit.nn.studies.one_thread import one_thread
from softunit.nn.studies.regressions import Regressions


@pytest.fixture(autouse=True)
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def grok(tick):
    setting = grokking.Setting("cross_entropy", 1e-3, 1.0, False, 1, 1.0)
    grokking.train(setting, 3, 0.5, 0, tick)


def regress(tick):
    schedule = in_context_regression.Schedule(1, 1, 1, 1, 2)
    in_context_regression.trained(1, "softmax", Regressions(2, 3), schedule, tick=tick)


def recall(tick):
    task = keyed_recall.KeyedRecall(keys=4, values=2, asked=1)
    plan = keyed_recall.RecallTraining(length=4, steps=1, rows=2, width=4, heads=1)
    keyed_recall.recall_losses("softmax", {}, (4,), task=task, plan=plan, tick=tick)


def read(tick):
    sigmoid_attention.text_losses(["sigmoid"], steps=1, letters=2000, batches=1, tick=tick)


@pytest.mark.parametrize("train", [grok, regress, recall, read])
def test_training_uses_one_thread_and_gives_back_the_others(train):
    seen = []
    train(lambda what: seen.append(torch.get_num_threads()))
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2


def test_the_others_are_given_back_after_an_error():
    with pytest.raises(ValueError, match="broke"), one_thread():
        raise ValueError(f"broke with {torch.get_num_threads()}")
    assert torch.get_num_threads() == 2

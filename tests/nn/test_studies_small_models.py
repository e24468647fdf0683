"""The models behind the claims on Hydra and on minimal transformers are trained, and differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softunit.nn.studies.hydra import (
    HiddenTokens,
    SumOfTwo,
    TokenModel,
    best_accuracy,
    hidden_tokens,
    scan_seconds,
    two_scan_errors,
)
from softunit.nn.studies.minimal_transformer import Plan, collapse_error, train_and_test
from softunit.nn.studies.sequences import IGNORED


def test_hidden_tokens_follow_the_graph():
    task = HiddenTokens()
    batch = task.draw(50, torch.Generator().manual_seed(3))
    hidden = batch.targets != IGNORED
    assert 0.1 < hidden.float().mean() < 0.2
    assert (batch.tokens[hidden] == 16).all()
    walk = torch.where(hidden, batch.targets, batch.tokens)
    graph = task.successors()
    assert (graph[walk[:, :-1]] == walk[:, 1:, None]).any(-1).all()
    assert (graph.sort(1).values.diff(dim=1) > 0).all()


def test_the_best_accuracy_is_between_one_side_and_certainty():
    best = best_accuracy(500, 0)
    assert 0.5 < best < 0.65
    assert best_accuracy(50, 0, HiddenTokens(branches=1, length=12)) > 0.9
    everything = HiddenTokens(branches=16)
    assert best_accuracy(500, 0, everything) == pytest.approx(1 / 16, abs=0.02)


@pytest.mark.parametrize("kind", ["hydra", "sum", "forward"])
def test_training_learns_something_and_repeats(kind):
    task = HiddenTokens(states=4, branches=1, length=12)
    right, losses = hidden_tokens(kind, 0, 25, task)
    assert right > 0.5, "one of four is told by chance"
    assert losses[-1] < 0.6 * losses[0]
    assert hidden_tokens(kind, 0, 25, task) == (right, losses)


def test_one_direction_sees_the_past_alone():
    for kind, seen in (("forward", False), ("hydra", True), ("sum", True)):
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(0)
            model = TokenModel(kind, 5)
        tokens = torch.zeros(1, 9, dtype=torch.int64)
        later = tokens.clone()
        later[0, -1] = 3
        changed = (model(tokens) - model(later))[0, 0].abs().max() > 0
        assert bool(changed) == seen


def test_a_sum_of_two_lacks_the_shifts_alone(rng):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        layer = SumOfTwo(8, state=3, heads=2, dtype=torch.float64)
    kept = {}
    mix = layer.mix
    layer.mix = lambda parts: kept.setdefault("parts", parts) and mix(parts)
    layer(torch.from_numpy(rng.standard_normal((1, 6, 8))))
    parts = kept["parts"]
    found = mix(parts)
    onward, back = parts.directions
    last = found[0, 0, 5]
    # At the last token all of the other direction is its own diagonal.
    own = (back.c[0, 0, 5] @ back.b[0, 0, 5]) * back.dt[0, 0, 5] * parts.values[0, 0, 5]
    past = sum(
        (onward.c[0, 0, 5] @ onward.b[0, 0, j])
        * torch.exp(onward.log_decay[0, 0, j + 1 :].sum())
        * onward.dt[0, 0, j]
        * parts.values[0, 0, j]
        for j in range(6)
    )
    torch.testing.assert_close(last, own + past + parts.diagonal[0, 0, 5] * parts.values[0, 0, 5])


def test_two_scans_are_their_matrix():
    map_error, layer_error, rank = two_scan_errors(40, 4, 0)
    assert max(map_error, layer_error) < 1e-12
    assert rank == 4


def test_a_scan_that_forgets_its_shift_is_off(monkeypatch):
    from softunit.nn.attention import quasiseparable
    from softunit.nn.studies import hydra

    def other_way(*given, back, **more):
        return quasiseparable(*back, given[3], back=given[:3], **more)

    monkeypatch.setattr(hydra, "quasiseparable", other_way)
    assert two_scan_errors(40, 4, 0)[0] > 0.01


def test_times_are_measured_and_threads_put_back():
    before = torch.get_num_threads()
    seconds = scan_seconds([64, 256], 2, 0)
    assert len(seconds) == 2
    assert 0 < sum(seconds) < np.inf
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("kind", ["full", "without mlp", "collapsed", "symmetric"])
def test_patch_models_learn(kind):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=120)
    pictures = rng.standard_normal((3, 4, 2))[labels] + 0.3 * rng.standard_normal((120, 4, 2))
    halves = ((pictures[:80], labels[:80]), (pictures[80:], labels[80:]))
    plan = Plan(width=8, depth=1, heads=2, epochs=6, rows=16, rate=1e-2)
    found = train_and_test(kind, *halves, plan=plan)
    assert found.accuracy > 0.8
    assert found.losses[-1] < found.losses[0]
    assert found == train_and_test(kind, *halves, plan=plan)
    layer = {"full": 4 * 64 + 8 * 64 + 40 + 16, "without mlp": 4 * 64}
    layer |= {"collapsed": 64, "symmetric": 36}
    around = (2 * 8 + 8) + 4 * 8 + 16 + 16 + (4 * 8 * 3 + 3)
    assert found.parameters == layer[kind] + around


def test_collapsing_is_exact_and_a_wrong_matrix_is_not():
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, 6, 6))
    tokens = rng.standard_normal((2, 5, 6))
    assert collapse_error(query, key, tokens, 3) < 1e-12

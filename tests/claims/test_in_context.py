"""Claim 1.42: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.claims import Effort, _attention_layer, in_context
from softunit.claims.in_context import CLAIM
from softunit.problem import Problem
from softunit.units import SoftmaxSquares

QUICK = Effort(share=0.1)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == []
    assert len(evidence.findings) == 8
    assert len(evidence.picture.series) == 3


def test_an_exponential_in_place_of_the_softmax_is_found(monkeypatch):
    monkeypatch.setattr(in_context, "softmax", np.exp)
    held = [finding.holds for finding in in_context._shifts(QUICK)]
    assert held[2:] == [False] * 4


def test_a_shift_of_the_wrong_sign_is_found(monkeypatch):
    class Wrong(Problem):
        def __init__(self, design, unit, target):
            # b~ = b + f(x) - f(x+), turned round b.
            super().__init__(design, unit, target if target.min() >= 0 else -target)

    monkeypatch.setattr(in_context, "Problem", Wrong)
    *_, identity = in_context._shifts(QUICK)
    assert not identity.holds


def test_a_layer_without_training_is_found(monkeypatch):
    monkeypatch.setattr(in_context, "trained", lambda layer, tasks, watch: layer)
    near, gain = in_context._closeness(in_context._trainings(QUICK))
    assert not near.holds
    assert gain.value == 0.0


def test_a_gradient_step_uphill_is_found(monkeypatch):
    right = _attention_layer.gradient_moves
    for module in (_attention_layer, in_context):
        monkeypatch.setattr(module, "gradient_moves", lambda tasks: -right(tasks))
    near, gain = in_context._closeness(in_context._trainings(QUICK))
    assert not near.holds
    assert not gain.holds


def test_derivative_of_the_layers_loss(rng):
    tasks = _attention_layer.draw_tasks(rng, 6, n=7, d=3)
    layer = np.append(rng.standard_normal(9), 2.0)
    found, h = [], 1e-6
    for move in h * np.eye(10):
        ahead, _ = _attention_layer.layer_loss(layer + move, tasks)
        behind, _ = _attention_layer.layer_loss(layer - move, tasks)
        found.append((ahead - behind) / (2 * h))
    np.testing.assert_allclose(
        _attention_layer.layer_loss(layer, tasks)[1], found, rtol=1e-5, atol=1e-10
    )


def test_a_gradient_step_is_linear_attention(rng):
    tasks = _attention_layer.draw_tasks(rng, 3, n=8, d=4)
    A, b, Q = tasks.rows[1], tasks.answers[1], tasks.queries[1]
    expected = Q @ (A - A.mean(axis=0)).T @ b / 8
    np.testing.assert_allclose(_attention_layer.gradient_moves(tasks)[1], expected, rtol=1e-12)


@pytest.mark.parametrize(("beta", "bound"), [(1e-2, 0.02), (1e-4, 0.0002)])
def test_attention_of_small_scores_is_a_gradient_step(beta, bound, rng):
    tasks, eta = _attention_layer.draw_tasks(rng, 5), 3.0
    layer = np.append(beta * np.eye(5).ravel(), eta / beta)
    by_attention = _attention_layer.predicted(layer, tasks)
    by_step = _attention_layer.softmaxes(eta * _attention_layer.gradient_moves(tasks))
    assert np.abs(by_attention - by_step).max() <= bound
    assert np.abs(by_attention - by_step).max() > 0.0


def test_cosines_leave_the_mean_out():
    one = np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    other = np.array([[0.1, 0.25, 0.65], [0.5, 0.3, 0.2]])
    np.testing.assert_allclose(
        _attention_layer.cosines(one, other),
        [_cosine(a, b) for a, b in zip(one, other, strict=True)],
    )


def _cosine(a, b):
    return np.corrcoef(a, b)[0, 1]


def test_the_update_adds_what_the_rows_look_at(rng):
    A = rng.standard_normal((6, 3))
    updated = in_context.attention_update(A, rng)
    assert updated.shape == A.shape
    assert not np.allclose(updated, A)
    assert Problem(updated, SoftmaxSquares(), np.full(6, 1 / 6)).shape == (3,)

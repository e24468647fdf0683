"""Attention trained on regressions: its models by plain loops, its tasks, its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.studies.in_context_regression import Layers, Schedule, risk, trained
from softunit.nn.studies.regressions import Regressions, debiased_step, head, ridge_risk

SHORT = Schedule(trainings=2, starts=2, trial=3, steps=5, batch=32)
SMALL = Regressions(dimension=2, length=6)


def layers(rng, kind, length=7, d=3, r=2, heads=2):
    return Layers(
        kind, rng.standard_normal((r, heads, d + 1, d)), rng.standard_normal((r, heads, d + 1)),
        length,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["softmax", "linear"])
def test_predictions_by_plain_loops(rng, kind):
    model = layers(rng, kind)
    tokens, queries = rng.standard_normal((4, 7, 4)), rng.standard_normal((4, 3))
    found = model.predict(tokens, queries)
    assert found.shape == (4, 2)
    for t, r in np.ndindex(4, 2):
        expected = 0.0
        for key_query, output in zip(model.key_query[r], model.output[r], strict=True):
            scores = tokens[t] @ key_query @ queries[t]
            if kind == "softmax":
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
            else:
                weights = scores / 7
            expected += output @ (weights @ tokens[t])
        assert found[t, r] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_what_is_off_the_diagonal_and_out_of_balance():
    key_query = np.zeros((1, 2, 3, 2))
    key_query[0, 0] = [[2.0, 0.0], [0.0, -1.0], [0.0, 1.0]]
    key_query[0, 1, :2] = -np.eye(2)
    output = np.array([[[9.0, 9.0, 3.0], [9.0, 9.0, -1.0]]])
    model = Layers("softmax", key_query, output, 4)
    assert model.off_diagonal.tolist() == [0.25]
    assert model.imbalance.tolist() == [0.5]


def test_a_head_and_a_step_by_plain_loops(rng):
    x, y, queries = (rng.standard_normal(shape) for shape in ((3, 5, 2), (3, 5), (3, 2)))
    for t in range(3):
        e = np.exp(0.7 * x[t] @ queries[t])
        assert head(0.7, x, y, queries)[t] == pytest.approx((e / e.sum()) @ y[t], rel=1e-12)
        centred = y[t] - y[t].mean()
        step = sum(c * (row @ queries[t]) for c, row in zip(centred, x[t], strict=True)) / 5
        assert debiased_step(x, y, queries)[t] == pytest.approx(step, rel=1e-12)


def test_risk_is_the_mean_squared_error(rng):
    model = layers(rng, "softmax", length=6, d=2)
    tokens, queries, answers = SMALL.sample(300, seed=4)
    expected = ((model.predict(tokens, queries) - answers[:, None]) ** 2).mean(axis=0)
    np.testing.assert_allclose(risk(model, SMALL, 300, seed=4), expected, rtol=1e-5)


def test_tasks_are_what_they_say():
    tokens, queries, answers = Regressions(dimension=2, length=30, noise=0.0).sample(50, seed=2)
    for rows, query, answer in zip(tokens, queries, answers, strict=True):
        truth, *_ = np.linalg.lstsq(rows[:, :2], rows[:, 2])
        assert np.abs(rows[:, :2] @ truth - rows[:, 2]).max() < 1e-5
        assert query @ truth == pytest.approx(answer, abs=1e-5)
    tokens, _, answers = Regressions(dimension=4, length=3, noise=0.5).sample(20_000, seed=2)
    assert tokens[..., :4].var() == pytest.approx(1.0, abs=0.02)
    assert answers.var() == pytest.approx(1.5, abs=0.05)


def test_the_posterior_mean_cannot_be_beaten(rng):
    # The same tasks as in `ridge_risk`: it draws in pieces of at most 2,000.
    tokens, queries, answers = SMALL.sample(2000, seed=3)
    x, y = tokens[..., :2], tokens[..., 2:]
    risks = {}
    for ridge in (0.002, 0.2, 20.0):
        found = np.linalg.solve(x.mT @ x + ridge * np.eye(2), x.mT @ y)[..., 0]
        risks[ridge] = (((found * queries).sum(axis=1) - answers) ** 2).mean()
    best = ridge_risk(SMALL, 2000, seed=3)
    assert best == pytest.approx(risks[0.2], rel=1e-5), "noise times d is the ridge"
    assert best < min(risks[0.002], risks[20.0])


@pytest.mark.parametrize("kind", ["softmax", "linear"])
def test_training_repeats_itself_and_nothing_else(kind):
    state = torch.get_rng_state()
    first, again, other = (trained(2, kind, SMALL, SHORT, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    assert (first.layers.key_query == again.layers.key_query).all()
    assert not np.allclose(first.layers.key_query, other.layers.key_query)
    assert first.layers.key_query.shape == (2, 2, 3, 2)
    assert first.starts.output.shape == (4, 2, 3)
    assert first.start_risks.shape == (2, 2)
    # The two trainings meet different tasks.
    assert not np.allclose(first.layers.output[0], first.layers.output[1])


def test_the_best_start_goes_on():
    schedule = Schedule(trainings=1, starts=4, trial=2, steps=1, batch=64, learning_rate=1e-9)
    found = trained(1, "softmax", SMALL, schedule, seed=3)
    best = found.start_risks[0].argmin()
    np.testing.assert_allclose(found.layers.output[0], found.starts.output[best], atol=1e-7)


def test_training_lowers_the_risk():
    ticks = []
    schedule = Schedule(trainings=1, starts=2, trial=50, steps=150, batch=64)
    found = trained(1, "softmax", SMALL, schedule, tick=ticks.append)
    assert ticks == ["softmax attention, h = 1: training 1 of 1"]
    assert float(risk(found.layers, SMALL)[0]) < 0.85 * 1.1  # 1.1 is the variance of an answer


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: trained(0), "`heads` must be at least 1; got 0"),
        (lambda: trained(1, "cubic"), "`kind` must be 'softmax' or 'linear'; got 'cubic'"),
        (lambda: Schedule(starts=0), "`starts` must be at least 1; got 0"),
        (lambda: Schedule(learning_rate=0.0), r"`learning_rate` must be > 0; got 0\.0"),
        (lambda: Regressions(dimension=0), "`dimension` must be at least 1; got 0"),
        (lambda: Regressions(noise=-1.0), r"`noise` is a variance and must be >= 0; got -1\.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()

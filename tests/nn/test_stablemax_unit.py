"""StableMax as a unit of attention: linear above zero, a tail that never vanishes below."""

from __future__ import annotations

import pytest
import torch

from softunit.nn.attention import attend, weights


def at(scores, dtype=torch.float64):
    """Weights of one query whose scores are given."""
    k = torch.tensor(scores, dtype=dtype).view(1, 1, -1, 1)
    return weights(torch.ones(1, 1, 1, 1, dtype=dtype), k, unit="stablemax")[0, 0, 0]


def test_weights_are_the_formula():
    found = at([3.0, 0.0, -1.0, -3.0])
    grown = torch.tensor([4.0, 1.0, 0.5, 0.25], dtype=torch.float64)
    torch.testing.assert_close(found, grown / grown.sum())


def test_no_key_is_rounded_away():
    found = at([0.0, -1e4], torch.float32)
    assert float(found[1] / found[0]) == pytest.approx(1 / 10001)


def test_the_slope_at_zero_is_one():
    """Scores of zero are met exactly, as in a query of zeros."""
    q = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    k = torch.tensor([0.0, 1.0], dtype=torch.float64).view(1, 1, 2, 1).requires_grad_()
    v = torch.tensor([1.0, 0.0], dtype=torch.float64).view(1, 1, 2, 1)
    (slope,) = torch.autograd.grad(attend(q, k, v, unit="stablemax").sum(), k)
    # w_0 = s_0 / (s_0 + s_1) at s = (1, 2), s' = 1: 2 / 9 and -1 / 9.
    wanted = torch.tensor([2 / 9, -1 / 9], dtype=torch.float64)
    torch.testing.assert_close(slope.flatten(), wanted)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_large_scores_stay_finite_and_sum_to_one(rng, size):
    q, k, v = (
        torch.from_numpy(rng.standard_normal((1, 2, 9, 4))).float().requires_grad_()
        for _ in range(3)
    )
    bias = size * torch.from_numpy(rng.standard_normal((9, 9))).float()
    bias[0] = -size
    bias.requires_grad_()
    out = attend(q, k, v, unit="stablemax", bias=bias)
    out.sum().backward()
    assert all(x.isfinite().all() for x in (out, q.grad, k.grad, v.grad, bias.grad))
    ones = torch.ones(1, 2, 9, 1)
    torch.testing.assert_close(attend(q, k, ones, unit="stablemax", bias=bias), ones)


def test_it_is_flatter_than_softmax(rng):
    q, k = (4 * torch.from_numpy(rng.standard_normal((1, 1, 30, 8))) for _ in range(2))
    soft, stable = weights(q, k), weights(q, k, unit="stablemax")
    assert (stable.amax(-1) < soft.amax(-1)).all()
    assert (stable.amin(-1) > soft.amin(-1)).all()

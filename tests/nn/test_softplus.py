"""LSSA and LSSAR: rows that sum to one, their scale, their limits, and what stands out."""

from __future__ import annotations

import math

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import ReweightedSoftplus, Softplus, attend, weights

BOTH = ["softplus", "softplus_reweighted"]


def tokens(rng, *shape, dtype=torch.float64):
    return torch.from_numpy(rng.standard_normal(shape)).to(dtype)


def plain(q, k, scale):
    """softplus over its sum, of one query, entry by entry."""
    scores = [scale * float(q @ key) for key in k]
    grown = [math.log1p(math.exp(s)) for s in scores]
    return [g / sum(grown) for g in grown]


def test_the_scale_is_log_d_log_n_over_root_d(rng):
    q, k = tokens(rng, 1, 1, 1, 5), tokens(rng, 1, 1, 7, 5)
    found = weights(q, k, unit="softplus")[0, 0, 0]
    wanted = plain(q[0, 0, 0], k[0, 0], math.log(5) * math.log(7) / math.sqrt(5))
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)


def test_a_scale_of_the_caller_keeps_the_length(rng):
    q, k = tokens(rng, 1, 1, 1, 5), tokens(rng, 1, 1, 7, 5)
    found = weights(q, k, unit="softplus", scale=0.4)[0, 0, 0].tolist()
    assert found == pytest.approx(plain(q[0, 0, 0], k[0, 0], 0.4 * math.log(7)), rel=1e-12)
    fixed = weights(q, k, unit=Softplus(by_length=False), scale=0.4)[0, 0, 0].tolist()
    assert fixed == pytest.approx(plain(q[0, 0, 0], k[0, 0], 0.4), rel=1e-12)
    usual = weights(q, k, unit=Softplus(by_length=False))[0, 0, 0].tolist()
    assert usual == pytest.approx(plain(q[0, 0, 0], k[0, 0], 1 / math.sqrt(5)), rel=1e-12)


def test_reweighting_is_its_formula(rng):
    q, k = tokens(rng, 1, 1, 3, 5), tokens(rng, 1, 1, 7, 5)
    a = weights(q, k, unit="softplus")
    raised = torch.relu(7 * a - 1) ** 3
    found = weights(q, k, unit="softplus_reweighted")
    torch.testing.assert_close(found, raised / raised.sum(-1, keepdim=True), rtol=1e-10, atol=1e-12)
    assert ((found == 0) == (7 * a <= 1)).all()
    assert (found == 0).any()


@pytest.mark.parametrize("causal", [False, True])
def test_power_one_without_threshold_is_lssa(rng, causal):
    q, k, v = (tokens(rng, 2, 2, 33, 6) for _ in range(3))
    unit = ReweightedSoftplus(power=1.0, threshold=0.0)
    found = attend(q, k, v, unit=unit, causal=causal)
    wanted = attend(q, k, v, unit="softplus", causal=causal)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("unit", BOTH)
def test_where_nothing_stands_out_the_row_stays(unit):
    """One key, keys all alike, and a width of one, whose scale is zero."""
    q = torch.ones(1, 1, 4, 3, requires_grad=True)
    k = torch.ones(1, 1, 9, 3, requires_grad=True)
    v = torch.arange(9.0).view(1, 1, 9, 1)
    out = attend(q, k, v, unit=unit)
    torch.testing.assert_close(out, torch.full((1, 1, 4, 1), 4.0))
    out.sum().backward()
    assert q.grad.isfinite().all()
    assert k.grad.isfinite().all()
    one = attend(q, k[:, :, :1], v[:, :, 3:4], unit=unit)
    assert (one == 3.0).all()
    narrow = attend(q[..., :1], 5 * k[..., :1], v, unit=unit)
    torch.testing.assert_close(narrow, torch.full((1, 1, 4, 1), 4.0))


@pytest.mark.parametrize("unit", BOTH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [30.0, 1e4, 1e30])
def test_large_scores_stay_finite_and_sum_to_one(rng, unit, dtype, size):
    q, k, v = (tokens(rng, 1, 1, 12, 4, dtype=dtype).requires_grad_() for _ in range(3))
    bias = size * tokens(rng, 12, 12, dtype=dtype)
    bias[0] = -size * torch.rand(12, generator=torch.Generator().manual_seed(1), dtype=dtype)
    bias[1] = -size
    bias.requires_grad_()
    out = attend(q, k, v, unit=unit, bias=bias)
    out.sum().backward()
    assert all(x.isfinite().all() for x in (out, q.grad, k.grad, v.grad, bias.grad))
    ones = torch.ones(1, 1, 12, 1, dtype=dtype)
    torch.testing.assert_close(attend(q, k, ones, unit=unit, bias=bias), ones)


def test_far_below_zero_it_is_softmax(rng):
    """softplus(s) is exp(s) there, in single precision too, though exp(s) is zero."""
    q, k, v = (tokens(rng, 1, 2, 20, 4, dtype=torch.float32) for _ in range(3))
    bias = torch.full((20, 20), -1000.0)
    plainly = Softplus(by_length=False)
    found = attend(q, k, v, unit=plainly, bias=bias)
    torch.testing.assert_close(found, attend(q, k, v), rtol=1e-3, atol=1e-4)


def test_half_precision_runs_at_any_scores(rng):
    q, k, v = (30 * tokens(rng, 1, 1, 40, 8).half() for _ in range(3))
    for unit in BOTH:
        out = attend(q, k, v, unit=unit, causal=True)
        assert out.dtype == torch.float16
        assert out.isfinite().all()


@pytest.mark.parametrize("power", [0.5, math.nan, math.inf, -1.0])
def test_a_power_below_one_is_refused(power):
    with pytest.raises(InputError, match=f"`power` must be .* at least 1; got {power}"):
        ReweightedSoftplus(power=power)


@pytest.mark.parametrize("threshold", [-0.5, math.nan, math.inf])
def test_a_threshold_below_zero_is_refused(threshold):
    with pytest.raises(InputError, match=f"`threshold` must be .* at least 0; got {threshold}"):
        ReweightedSoftplus(threshold=threshold)

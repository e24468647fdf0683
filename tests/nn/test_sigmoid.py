"""Sigmoid attention: its bias counts visible keys, and no score breaks it."""

from __future__ import annotations

import math

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import Sigmoid, attend, reference, sigmoid, weights


def tokens(rng, *shape, dtype=torch.float64):
    return torch.from_numpy(rng.standard_normal(shape)).to(dtype)


def test_at_zero_scores_a_row_sums_to_almost_one(rng):
    for n in (1, 7, 1000):
        q = torch.zeros(1, 1, 2, 3, dtype=torch.float64)
        k = tokens(rng, 1, 1, n, 3)
        assert weights(q, k, unit="sigmoid").sum(-1).numpy() == pytest.approx(n / (n + 1))
        assert weights(q, k, unit=Sigmoid(bias=0.0)).sum(-1).numpy() == pytest.approx(n / 2)


def test_a_weight_is_the_formula(rng):
    q, k = tokens(rng, 1, 1, 1, 4), tokens(rng, 1, 1, 3, 4)
    found = weights(q, k, unit="sigmoid")[0, 0, 0]
    for j in range(3):
        score = float(q[0, 0, 0] @ k[0, 0, j]) / 2
        assert float(found[j]) == pytest.approx(1 / (1 + 3 * math.exp(-score)))


def test_padding_changes_nothing(rng):
    q, k, v = (tokens(rng, 2, 3, 10, 4) for _ in range(3))
    alone = attend(q, k, v, unit="sigmoid")
    more = torch.cat((k, tokens(rng, 2, 3, 6, 4)), -2), torch.cat((v, tokens(rng, 2, 3, 6, 4)), -2)
    seen = torch.arange(16)[None, None, None] < 10
    padded = attend(q, *more, unit="sigmoid", mask=seen)
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-14)
    fixed = Sigmoid(bias=-math.log(10))
    torch.testing.assert_close(attend(q, k, v, unit=fixed), alone, rtol=0, atol=1e-14)


def test_a_causal_row_counts_what_it_sees(rng):
    q, k, v = (tokens(rng, 1, 2, 9, 4) for _ in range(3))
    found = attend(q, k, v, unit="sigmoid", causal=True)
    for i in range(9):
        row = attend(q[:, :, i : i + 1], k[:, :, : i + 1], v[:, :, : i + 1], unit="sigmoid")
        torch.testing.assert_close(found[:, :, i : i + 1], row, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_large_scores_stay_finite(rng, size):
    q, k, v = (tokens(rng, 1, 1, 6, 4, dtype=torch.float32).requires_grad_() for _ in range(3))
    bias = (size * tokens(rng, 6, 6, dtype=torch.float32)).requires_grad_()
    out = attend(q, k, v, unit="sigmoid", bias=bias)
    out.sum().backward()
    found = weights(q, k, unit="sigmoid", bias=bias)
    assert ((found == 0) | (found == 1)).all()
    assert out.isfinite().all()
    assert all(x.grad.isfinite().all() for x in (q, k, v, bias))


def test_bfloat16_is_summed_in_single_precision(rng):
    q, k, v = (tokens(rng, 1, 1, 300, 8).bfloat16() for _ in range(3))
    out = attend(q, k, v, unit="sigmoid")
    exact = attend(q.double(), k.double(), v.double(), unit="sigmoid")
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("bias", [math.nan, math.inf, -math.inf])
def test_a_bias_that_is_no_number_is_refused(bias):
    with pytest.raises(InputError, match=f"`bias` must be a finite number.* got {bias}"):
        Sigmoid(bias=bias)


@pytest.mark.parametrize("mask", ["none", "keys", "heads"])
@pytest.mark.parametrize("causal", [False, True, "bottom-right"])
@pytest.mark.parametrize(("n", "m"), [(300, 700), (257, 257), (700, 100)])
def test_tiles_without_a_gradient_are_the_definition(rng, n, m, causal, mask):
    q, k, v = tokens(rng, 2, 2, n, 5), tokens(rng, 2, 2, m, 5), tokens(rng, 2, 2, m, 3)
    shape = {"keys": (2, 1, 1, m), "heads": (1, 2, 1, m)}.get(mask)
    seen = None if shape is None else torch.from_numpy(rng.random(shape) < 0.6)
    for unit in (Sigmoid(), Sigmoid(bias=-1.0)):
        with torch.no_grad():
            found = attend(q, k, v, unit=unit, mask=seen, causal=causal)
        wanted = reference(q, k, v, unit=unit, mask=seen, causal=causal)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_tiles_are_what_runs_without_a_gradient(rng, monkeypatch):
    calls = []
    mix = sigmoid._mix_in_tiles
    monkeypatch.setattr(sigmoid, "_mix_in_tiles", lambda *given: calls.append(0) or mix(*given))
    q = tokens(rng, 1, 1, 256, 4)
    attend(q, q, q, unit="sigmoid")
    assert not calls
    with torch.no_grad():
        attend(q, q, q, unit="sigmoid")
        assert len(calls) == 1
        attend(q, q, q, unit="sigmoid", dropout=0.5)
        attend(q, q, q, unit="sigmoid", bias=torch.zeros(256, 256, dtype=torch.float64))
        attend(q[:, :, :9], q, q, unit="sigmoid")
    assert len(calls) == 1

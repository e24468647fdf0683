"""The quasiseparable unit: what the contracts of all units do not ask."""

from __future__ import annotations

import math

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import (
    Quasiseparable,
    RelativeBias,
    attend,
    quasiseparable_matrix,
    reference,
    weights,
)


def drawn(rng, n, heads=3, dtype=torch.float64):
    return [torch.from_numpy(rng.standard_normal((2, heads, n, 5))).to(dtype) for _ in range(3)]


def test_a_weight_is_its_definition(rng):
    q, k, _ = drawn(rng, 9)
    unit = Quasiseparable(log_decay=(-0.1, -0.2, -0.3), log_decay_back=-0.7)
    found = weights(q, k, unit=unit, scale=0.5)
    onward = 0.5 * (q[1, 2, 6] @ k[1, 2, 4]) * math.exp(-0.3 * 2)
    back = 0.5 * (q[1, 2, 4] @ k[1, 2, 6]) * math.exp(-0.7 * 2)
    assert float(found[1, 2, 6, 4]) == pytest.approx(float(onward), rel=1e-12)
    assert float(found[1, 2, 4, 6]) == pytest.approx(float(back), rel=1e-12)
    assert float(found[1, 2, 4, 4]) == pytest.approx(float(0.5 * q[1, 2, 4] @ k[1, 2, 4]))


def test_default_rates_are_those_of_retention(rng):
    ones = torch.ones(1, 4, 2, 1, dtype=torch.float64)
    found = weights(ones, ones, unit="quasiseparable")[0, :, 1, 0]
    assert found.tolist() == pytest.approx([1 - 2.0 ** (-5 - h) for h in range(4)], rel=1e-12)


@pytest.mark.parametrize("n", [63, 130])
def test_blocks_off_the_diagonal_have_the_rank_of_the_keys(n, rng):
    q, k, _ = drawn(rng, n)
    found = weights(q, k, unit=Quasiseparable(-0.05, -0.02))
    half = n // 2
    assert torch.linalg.matrix_rank(found[..., half:, :half], rtol=1e-10).max() == 5
    assert torch.linalg.matrix_rank(found[..., :half, half:], rtol=1e-10).max() == 5
    assert torch.linalg.matrix_rank(found, rtol=1e-10).min() > 5


def test_it_is_the_shifted_form_with_moved_queries(rng):
    q, k, _ = (t[0, :1] for t in drawn(rng, 20))
    rates = torch.full((1, 20), -0.3, dtype=torch.float64)
    # The shift reads c at the token before, and one decay less: both are put right here.
    onward = (q.roll(-1, -2) * math.exp(-0.3), k, rates)
    back = (q.roll(1, -2) * math.exp(-0.3), k, rates)
    shifted = quasiseparable_matrix(*onward, back=back, diagonal=(q * k).sum(-1))
    found = weights(q[None], k[None], unit=Quasiseparable(-0.3), scale=1.0)
    torch.testing.assert_close(found[0], shifted)


@pytest.mark.parametrize("n", [63, 600])
def test_a_relative_bias_keeps_the_decays(n, rng):
    """The longer one goes through the FFT."""
    q, k, v = drawn(rng, n)
    bias = RelativeBias(torch.from_numpy(rng.standard_normal((3, 2 * n - 1))))
    for causal in (False, True):
        found = attend(q, k, v, unit="quasiseparable", bias=bias, causal=causal)
        wanted = reference(q, k, v, unit="quasiseparable", bias=bias, causal=causal)
        assert (found - wanted).abs().max() <= 1e-10 * wanted.abs().max()


def test_rates_can_be_learned(rng):
    q, k, v = drawn(rng, 40)
    grads = []
    for function in (attend, reference):
        rates = torch.tensor([-0.3, -0.2, -0.01], dtype=torch.float64, requires_grad=True)
        back = torch.tensor([-0.1], dtype=torch.float64, requires_grad=True)
        unit = Quasiseparable(rates, back, chunk=8)
        function(q, k, v, unit=unit).square().sum().backward()
        grads.append((rates.grad, back.grad))
    torch.testing.assert_close(*grads)
    assert grads[0][0].abs().min() > 0


def test_masked_keys_give_nothing_and_time_passes(rng):
    q, k, v = drawn(rng, 8)
    mask = torch.ones(2, 1, 1, 8, dtype=torch.bool)
    mask[..., 3:6] = False
    found = attend(q, k, v, unit="quasiseparable", mask=mask)
    kept = weights(q, k, unit="quasiseparable").masked_fill(~mask, 0.0)
    torch.testing.assert_close(found, kept @ v)


def test_dropout_drops_values(rng):
    q, k, _ = drawn(rng, 50)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(3)
        v = torch.ones(2, 3, 50, 1, dtype=torch.float64)
        found = attend(q, k, v, unit="quasiseparable", dropout=0.5)
        torch.random.manual_seed(3)
        kept = torch.nn.functional.dropout(torch.ones_like(v), 0.5)
    torch.testing.assert_close(found, attend(q, k, kept, unit="quasiseparable"))


def test_bad_settings_are_refused(rng):
    q, k, v = drawn(rng, 8)
    for bad in (0.1, (-1.0, 0.5), math.nan, -math.inf, ()):
        with pytest.raises(InputError, match="`log_decay` must be finite and at most zero"):
            Quasiseparable(bad)
    with pytest.raises(InputError, match=r"`log_decay_back` as a tensor.*int64"):
        Quasiseparable(log_decay_back=torch.tensor([-1]))
    with pytest.raises(InputError, match="`chunk` must be an integer of at least 2; got 1"):
        Quasiseparable(chunk=1)
    with pytest.raises(InputError, match="2 log decays for 3 heads"):
        attend(q, k, v, unit=Quasiseparable((-1.0, -2.0)))
    with pytest.raises(InputError, match=r"largest is 0.25"):
        attend(q, k, v, unit=Quasiseparable(torch.tensor([0.25])))
    with pytest.raises(InputError, match="must be finite; got"):
        attend(q, k, v, unit=Quasiseparable(torch.tensor([-torch.inf])))
    with pytest.raises(InputError, match=r"needs as many queries as keys.*8 queries and 5 keys"):
        attend(q, k[:, :, :5], v[:, :, :5], unit="quasiseparable")


def test_shapes_alone_can_be_asked_for():
    q = torch.empty(1, 2, 6, 4, device="meta")
    assert attend(q, q, q, unit="quasiseparable").shape == q.shape

"""Biases as low as numbers go, beside keys that a mask hides: those still get nothing."""

from __future__ import annotations

import pytest
import torch

from softunit.nn.attention import UNITS, Soft, attend, reference

M = 6
SEEN = torch.tensor([True, True, True, True, False, False]).view(1, 1, 1, M)
CASES = {name: name for name in UNITS} | {
    f"soft by {word}": Soft(landmarks=None, normalisation=word)
    for word in ("symmetric", "rows", "none")
}


def drawn(rng, dtype):
    return [
        torch.tensor(rng.uniform(-0.9, 0.9, (2, 2, M, 4))).to(dtype).requires_grad_()
        for _ in range(3)
    ]


@pytest.mark.parametrize("unit", CASES.values(), ids=CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", ["lowest", "-1e31", "one key"])
def test_hidden_keys_get_nothing_beside_keys_of_the_lowest_bias(rng, unit, dtype, size):
    q, k, v = tensors = drawn(rng, dtype)
    low = -1e31 if size == "-1e31" else torch.finfo(dtype).min
    bias = torch.full((1, 1, 1, M), low, dtype=dtype)
    if size == "one key":
        bias[..., 1] = 0.5
    where = {"unit": unit, "mask": SEEN, "bias": bias}
    out, plain = attend(q, k, v, **where), reference(q, k, v, **where)
    close = {"rtol": 0.0, "atol": 1e-10 if dtype == torch.float64 else 1e-5}
    torch.testing.assert_close(out, plain, **close)
    if unit == "softmax" and size != "one key":
        return  # PyTorch's fused gradient goes through a logarithm that is lost in rounding
    grads = torch.autograd.grad(out.square().sum(), tensors)
    torch.testing.assert_close(
        grads,
        torch.autograd.grad(plain.square().sum(), tensors),
        rtol=0.0,
        atol=1e3 * close["atol"],
    )
    for grad in grads[1:]:
        assert not grad[..., 4:, :].any(), "a hidden key moves nothing"


@pytest.mark.parametrize("unit", ["softmax", "softplus", "stablemax", "tensor"])
def test_a_bias_of_one_low_number_changes_nothing_but_shares_by_score(rng, unit):
    """With one bias for all, rows still sum to one over the keys that are seen."""
    q, k, _ = drawn(rng, torch.float32)
    ones = torch.ones(2, 2, M, 1)
    bias = torch.full((1, 1, 1, M), torch.finfo(torch.float32).min)
    torch.testing.assert_close(attend(q, k, ones, unit=unit, mask=SEEN, bias=bias), ones)


def test_pairs_of_low_biases_are_weighed_as_without_them(rng):
    q, k, v = drawn(rng, torch.float64)
    bias = torch.full((M,), torch.finfo(torch.float64).min, dtype=torch.float64)
    for unit in ("tensor", "tensor_polynomial"):
        torch.testing.assert_close(
            attend(q, k, v, unit=unit, mask=SEEN, bias=bias), attend(q, k, v, unit=unit, mask=SEEN)
        )

"""Tensor attention: by blocks as by its definition, and what its weights are."""

from __future__ import annotations

import math

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import TensorAttention, attend, step, weights
from softunit.nn.attention import tensor as tensor_file
from tests.nn.draws import agree, agree_compiled, call, draw, pairs


def test_one_entry_by_hand():
    """Scores <q, k1_j * k2_l> of two keys with d = 1: 0, 0, 0 and log 5."""
    root = math.sqrt(math.log(5.0))
    q = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    k = torch.tensor([0.0, root], dtype=torch.float64).view(1, 1, 2, 1)
    v = torch.tensor([1.0, 10.0], dtype=torch.float64).view(1, 1, 2, 1)
    # (1 1 + 1 10 + 10 1 + 5 10 10) / 8, and weights 2 / 8 and 6 / 8 in either place.
    assert attend(q, k, v, unit="tensor").item() == pytest.approx(521 / 8)
    assert weights(q, k, unit="tensor").flatten().tolist() == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 5), (2, 2, 1), (23, 17, 5), (17, 40, 24)])
@pytest.mark.parametrize("held", [1 << 22, 3000])
def test_blocks_equal_the_definition(rng, monkeypatch, dtype, n, m, d, held):
    monkeypatch.setattr(tensor_file, "HELD", held)
    tensors = pairs(rng, n, m, d)
    entries = torch.from_numpy(rng.random((n, m)) < 0.6)
    entries[0] = False
    keys = torch.from_numpy(rng.random((2, 1, 1, m)) < 0.6)
    of_keys, full, distance = draw(rng, (2, 1, 1, m), (n, m), (n + m - 1,))
    agree(rng, tensors, dtype, unit="tensor")
    agree(rng, tensors, dtype, unit="tensor", mask=keys, bias=of_keys, causal=True)
    agree(rng, tensors, dtype, unit="tensor", mask=entries, bias=full)
    agree(rng, tensors, dtype, unit="tensor", bias=distance, causal="bottom-right")


def test_a_single_tensor_stands_for_both(rng):
    q, k, _, v, _ = pairs(rng, 4, 5, 3)
    found = attend(q, k, v, unit="tensor")
    assert torch.equal(found, attend(q, (k, k), (v, v), unit="tensor"))


def test_weights_mix_values_where_the_partner_is_one(rng):
    """With v2 = 1 the output is that of the first place, with v1 = 1 that of the second."""
    q, k1, k2, v, _ = pairs(rng, 4, 6, 3)
    one = torch.ones_like(v)
    both = attend(q, (k1, k2), (v, one), unit="tensor") + attend(
        q, (k1, k2), (one, v), unit="tensor"
    )
    found = weights(q, (k1, k2), unit="tensor")
    torch.testing.assert_close(found @ v, 0.5 * both)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 2, 4, dtype=torch.float64))


def test_no_gradient_is_kept_for_more_than_a_block(rng, monkeypatch):
    """What autograd saves grows with n m d, not with n m^2: blocks are made anew."""
    monkeypatch.setattr(tensor_file, "HELD", 1)
    n = m = 40
    tensors = [x.requires_grad_() for x in pairs(rng, n, m, 2, 2, (1, 1))]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: saved.append(x.numel()) or x, lambda x: x
    ):
        call(attend, tensors, unit="tensor")
    assert sum(saved) < n * m * m / 2


def test_gradcheck(rng):
    tensors = [x.requires_grad_() for x in pairs(rng, 3, 4, 2, 2, (1, 1))]
    assert torch.autograd.gradcheck(lambda *given: call(attend, given, unit="tensor"), tensors)


def test_large_scores_stay_finite(rng):
    tensors = [x.requires_grad_() for x in pairs(rng, 3, 9, 4, 2)]
    given = [(30 * x).float() for x in tensors[:3]] + [x.float() for x in tensors[3:]]
    out = call(attend, given, unit="tensor", scale=1.0)
    for x in (out, *torch.autograd.grad(out.square().sum(), tensors)):
        assert bool(torch.isfinite(x).all())


def test_it_compiles_whole(rng):
    agree_compiled(pairs(rng, 5, 6, 3), unit="tensor", causal=True)


def test_dropout_drops_pairs(rng):
    q, k1, k2, v, _ = pairs(rng, 3, 9, 3, 1, (1, 1))
    v = torch.ones_like(v)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(4)
        thin = torch.stack(
            [attend(q, (k1, k2), v, unit=TensorAttention(), dropout=0.5) for _ in range(300)]
        )
    assert float(thin.std(0).min()) > 0.01
    torch.testing.assert_close(thin.mean(0), torch.ones_like(thin[0]), rtol=0.05, atol=0.0)


def test_pairs_of_different_shapes_and_steps_are_refused(rng):
    q, k1, k2, v1, v2 = pairs(rng, 4, 5, 3)
    with pytest.raises(InputError, match="Both members of a pair must have one shape"):
        attend(q, (k1, k2), (v1, v2[..., :2]), unit="tensor")
    with pytest.raises(InputError, match="no recurrent form"):
        step(k1, k1, v1, unit="tensor")

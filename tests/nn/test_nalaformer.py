"""NaLaFormer: its map literally, its kinks, its turns and its steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import NaLaFormer, attend, reference, step, weights
from softunit.nn.attention._norms import directions
from softunit.nn.attention.nalaformer import key_features, query_features, turned


def draw(rng, *shape):
    return torch.tensor(rng.standard_normal(shape))


def by_hand(q, k, power):
    """The weights of one query, in plain Python."""
    norm = math.sqrt(sum(x * x for x in q))
    exponent = power * (0.5 + math.tanh(norm))
    found = []
    for key in k:
        plus = [
            max(x / norm, 0.0) ** exponent * max(y**3, 0.0) for x, y in zip(q, key, strict=True)
        ]
        minus = [
            max(-x / norm, 0.0) ** exponent * max(-(y**3), 0.0) for x, y in zip(q, key, strict=True)
        ]
        found.append(sum(plus) + sum(minus))
    return [x / sum(found) for x in found]


@pytest.mark.parametrize("power", [3.0, 1.0])
@pytest.mark.parametrize("scale", [None, 0.5])
def test_weights_are_the_formula(power, scale, rng):
    q, k = draw(rng, 1, 1, 6, 5), draw(rng, 1, 1, 8, 5)
    found = weights(q, k, unit=NaLaFormer(power=power), scale=scale)[0, 0]
    for i, row in enumerate((q * (scale or 1.0))[0, 0].tolist()):
        wanted = by_hand(row, k[0, 0].tolist(), power)
        assert found[i].tolist() == pytest.approx(wanted, rel=1e-12)


def test_longer_queries_attend_to_fewer_keys(rng):
    q, k = draw(rng, 1, 1, 50, 16), draw(rng, 1, 1, 64, 16)
    q = directions(q)[0]
    entropies = [
        float(torch.special.entr(weights(size * q, k, unit="nalaformer")).sum(-1).mean())
        for size in (0.1, 0.5, 1.0, 2.0)
    ]
    assert entropies == sorted(entropies, reverse=True)
    assert entropies[0] - entropies[-1] > 0.2


def test_opposite_signs_leave_nothing():
    q = torch.tensor([[[[1.0, 2.0], [-1.0, 2.0]]]], dtype=torch.float64)
    k = torch.tensor([[[[-1.0, -3.0]]]], dtype=torch.float64)
    out = attend(q, k, torch.ones_like(k), unit="nalaformer")
    assert out[0, 0].tolist() == [[0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("power", [3.0, 0.2])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e15])
def test_zeros_and_sizes_keep_gradients_finite(power, size, rng):
    q, k, v = (draw(rng, 1, 2, 9, 4).float() for _ in range(3))
    q[:, :, 0] = 0.0
    q[:, :, 1, 2] = 0.0
    k[:, :, 3] = 0.0
    q = (q * size).requires_grad_()
    k.requires_grad_()
    out = attend(q, k, v, unit=NaLaFormer(power=power))
    grads = torch.autograd.grad(out.square().sum(), [q, k])
    assert all(x.isfinite().all() for x in (out, *grads))
    assert (out[:, :, 0] == 0).all()
    assert (grads[0][:, :, 0] == 0).all()
    assert (grads[0][:, :, 1, 2] == 0).all()


def test_directions_and_norms(rng):
    x = draw(rng, 3, 5)
    for size in (1e-200, 1.0, 1e200):
        direction, norm = directions(size * x)
        assert torch.allclose(norm[:, 0] / size, x.norm(dim=-1), rtol=1e-14)
        assert torch.allclose(direction, x / x.norm(dim=-1, keepdim=True), rtol=1e-14)
    direction, norm = directions(torch.zeros(1, 3))
    assert not direction.any()
    assert not norm.any()
    given = x.requires_grad_()
    assert torch.autograd.gradcheck(directions, [given])


@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_turns_keep_norms_and_depend_on_distance(d, rng):
    x, y = draw(rng, 1, 1, 1, 2 * d), draw(rng, 1, 1, 1, 2 * d)
    assert turned(x, 7).norm() == pytest.approx(float(x.norm()), rel=1e-12)
    for start in (0, 5, 1000):
        near = (turned(x, start + 3) * turned(y, start)).sum()
        assert float(near) == pytest.approx(float((turned(x, 3) * y).sum()), rel=1e-9)
    assert torch.equal(turned(x, 0), x)
    assert torch.equal(turned(x, 4), x) == (d == 1)
    both = turned(torch.cat([x, x], -2), 4)
    assert (both[..., 1:, :] - turned(x, 5)).abs().max() <= 1e-12


def test_turned_weights_by_hand(rng):
    """Above the line the maps are turned, below they are not."""
    q, k, v = draw(rng, 1, 1, 4, 6), draw(rng, 1, 1, 4, 6), draw(rng, 1, 1, 4, 3)
    phi, psi = query_features(q, 3.0)[0, 0], key_features(k)[0, 0]
    wanted = torch.zeros(4, 3, dtype=torch.float64)
    for i in range(4):
        below = sum(float(phi[i] @ psi[j]) for j in range(4))
        for j in range(4):
            above = turned(phi[i : i + 1], i) @ turned(psi[j : j + 1], j).T
            wanted[i] += above.item() / below * v[0, 0, j]
    found = attend(q, k, v, unit=NaLaFormer(rotary=True))[0, 0]
    assert (found - wanted).abs().max() <= 1e-12


def test_queries_after_a_cache_stand_at_its_end(rng):
    q, k, v = (draw(rng, 1, 2, 12, 6) for _ in range(3))
    unit = NaLaFormer(rotary=True)
    whole = attend(q, k, v, unit=unit, causal=True)
    last = attend(q[:, :, 9:], k, v, unit=unit, causal="bottom-right")
    assert (last - whole[:, :, 9:]).abs().max() <= 1e-12


@pytest.mark.parametrize("rotary", [False, True])
def test_steps_hold_a_state_of_one_size(rotary, rng):
    q, k, v = (draw(rng, 2, 2, 30, w) for w in (5, 5, 3))
    unit = NaLaFormer(rotary=rotary)
    state, outs = None, []
    for i in range(30):
        at = np.s_[:, :, i : i + 1]
        out, state = step(q[at], k[at], v[at], state, unit=unit)
        outs.append(out)
        assert state.position == i + 1
        assert state.sums.values.shape == (2, 2, 10, 3)
    assert (torch.cat(outs, 2) - attend(q, k, v, unit=unit, causal=True)).abs().max() <= 1e-12


def test_only_plain_rows_sum_to_one():
    assert NaLaFormer().sums_to_one
    assert not NaLaFormer(rotary=True).sums_to_one


@pytest.mark.parametrize("power", [0.0, -1.0, math.nan, math.inf])
def test_a_power_that_is_none_is_refused(power):
    with pytest.raises(InputError, match="`power` must be a finite number above 0; got"):
        NaLaFormer(power=power)


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_that_is_no_number_gives_none(rng, rotary, causal):
    q, k, v = (draw(rng, 1, 1, 5, 4) for _ in range(3))
    q[0, 0, 2, 1] = math.nan
    for how in (attend, reference):
        out = how(q, k, v, unit=NaLaFormer(rotary=rotary), causal=causal)
        assert bool(out[0, 0, 2].isnan().all())
        assert bool(out[0, 0, [0, 1, 3, 4]].isfinite().all())

"""Kernelised attention: its features, their mean, their shifts and their steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import Kernelized, RelativeBias, attend, step, weights
from softunit.nn.attention._random_features import random_directions


def draw(rng, *shape):
    return torch.tensor(rng.standard_normal(shape))


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_weights_are_the_formula(normalise, scale, rng):
    q, k, b = draw(rng, 1, 1, 4, 5), draw(rng, 1, 1, 6, 5), draw(rng, 9)
    unit = Kernelized(features=7, seed=3, normalise=normalise)
    w = random_directions(q, 7, 3).numpy()
    factor = scale if scale is not None else 1.0 if normalise else 5**-0.5

    def phi(x):
        x = x / np.linalg.norm(x) if normalise else x
        x = factor**0.5 * x
        return np.exp(w @ x - 0.5 * x @ x)

    wanted = np.zeros((4, 6))
    for i, j in np.ndindex(4, 6):
        kernel = phi(q[0, 0, i].numpy()) @ phi(k[0, 0, j].numpy())
        wanted[i, j] = kernel * np.exp(b.numpy()[j - i + 3])
    wanted /= wanted.sum(1, keepdims=True)
    found = weights(q, k, unit=unit, scale=scale, bias=RelativeBias(b))[0, 0]
    assert found.numpy() == pytest.approx(wanted, rel=1e-11)


def test_many_features_are_softmax(rng):
    """The mean of the features is the kernel of softmax."""
    q, k, b = draw(rng, 1, 1, 20, 8), draw(rng, 1, 1, 30, 8), draw(rng, 49)
    unit_q, unit_k = (x / x.norm(dim=-1, keepdim=True) for x in (q, k))
    bias = RelativeBias(b)
    exact = weights(unit_q, unit_k, scale=1.5, bias=bias)
    errors = [
        float((weights(q, k, unit=Kernelized(r), scale=1.5, bias=bias) - exact).abs().max())
        for r in (16, 256, 8192)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.05


def test_directions_are_the_same_every_time_and_orthogonal():
    like = torch.zeros(2, 6, dtype=torch.float64)
    w = random_directions(like, 15, 4)
    assert torch.equal(w, random_directions(like, 15, 4))
    assert torch.equal(w[:9], random_directions(like, 9, 4))
    assert not torch.equal(w, random_directions(like, 15, 5))
    assert random_directions(like.float(), 15, 4).dtype == torch.float32
    products = w[:6] @ w[:6].T
    assert (products - torch.diag(products.diagonal())).abs().max() <= 1e-12
    w[:] = 0.0
    assert random_directions(like, 15, 4).any(), "what one call does must not reach the next"


def test_directions_are_standard_normal():
    w = random_directions(torch.zeros(1, 8, dtype=torch.float64), 40_000, 0)
    assert float(w.square().sum(-1).mean()) == pytest.approx(8.0, abs=0.1)
    assert float(w.square().sum(-1).var()) == pytest.approx(16.0, rel=0.05)
    covariance = w.T @ w / len(w)
    assert (covariance - torch.eye(8)).abs().max() <= 0.05
    assert w.mean(0).abs().max() <= 0.02


@torch.inference_mode()
def drawn_in_inference_mode(q):
    return attend(q, q, q, unit=Kernelized(features=11, seed=99))


def test_a_call_in_inference_mode_leaves_later_gradients_alone(rng):
    q = draw(rng, 1, 1, 4, 3)
    quiet = drawn_in_inference_mode(q)
    loud = attend(q.requires_grad_(), q, q, unit=Kernelized(features=11, seed=99))
    (grad,) = torch.autograd.grad(loud.sum(), q)
    assert grad.isfinite().all()
    assert (loud - quiet).abs().max() <= 1e-14


@pytest.mark.parametrize("direct", [0, 1 << 18])
def test_factors_of_the_whole_cancel(direct, rng):
    """A bias that all share changes nothing, and neither does the length of normalised vectors."""
    q, k, v, b = (draw(rng, *s) for s in ((1, 2, 40, 6), (1, 2, 40, 6), (1, 2, 40, 3), (79,)))
    unit = Kernelized(features=8, direct=direct)
    plain = attend(q, k, v, unit=unit, bias=RelativeBias(b))
    for moved in (b + 1000.0, b - 1000.0):
        found = attend(1e150 * q, 1e-150 * k, v, unit=unit, bias=RelativeBias(moved))
        assert (found - plain).abs().max() <= 1e-10


@pytest.mark.parametrize("causal", [False, True])
def test_without_norms_large_vectors_stay_finite(causal, rng):
    unit = Kernelized(features=8, normalise=False)
    given = [(100 * draw(rng, 1, 2, 30, 6)).float().requires_grad_() for _ in range(3)]
    out = attend(*given, unit=unit, causal=causal)
    grads = torch.autograd.grad(out.sum(), given)
    assert all(x.isfinite().all() for x in (out, *grads))


def test_masked_keys_set_no_scale(rng):
    """A masked key of huge features must not push the others below what a float holds."""
    unit = Kernelized(features=8, normalise=False)
    q, k, v = draw(rng, 1, 1, 5, 4), draw(rng, 1, 1, 6, 4), draw(rng, 1, 1, 6, 3)
    mask = torch.tensor([True] * 5 + [False])
    plain = attend(q, k[:, :, :5], v[:, :, :5], unit=unit)
    k[:, :, 5] = random_directions(k, 8, 0)[0] * 1e3
    k.requires_grad_()
    found = attend(q, k, v, unit=unit, mask=mask)
    assert (found - plain).abs().max() <= 1e-12
    (grad,) = torch.autograd.grad(found.sum(), k)
    assert grad.isfinite().all()
    assert (grad[:, :, 5] == 0).all()


@pytest.mark.parametrize("normalise", [True, False])
def test_steps_rescale_what_they_hold(normalise, rng):
    """Later keys with larger features move the scale of the sums."""
    q, k, v = (draw(rng, 1, 2, 25, w) for w in (4, 4, 3))
    k = k * torch.linspace(0.1, 4.0, 25)[:, None]
    unit = Kernelized(features=9, normalise=normalise)
    state, outs = None, []
    for i in range(25):
        at = np.s_[:, :, i : i + 1]
        out, state = step(q[at], k[at], v[at], state, unit=unit)
        outs.append(out)
    assert state.peaks.shape == (1, 2, 1, 9)
    whole = attend(q, k, v, unit=unit, causal=True)
    assert (torch.cat(outs, 2) - whole).abs().max() <= 1e-11


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"features": 0}, "`features` must be an integer of at least 1; got 0"),
        ({"features": 2.0}, "`features` must be an integer of at least 1; got 2.0"),
        ({"seed": -1}, "`seed` must be an integer of at least 0; got -1"),
        ({"direct": True}, "`direct` must be an integer of at least 0; got True"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Kernelized(**settings)

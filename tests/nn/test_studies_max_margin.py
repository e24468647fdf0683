"""Training towards separators: its gradient, its start and end, its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import weights
from softunit.nn.studies.max_margin import Inputs, direction, loss, trained


def drawn(rng, s=3, n=4, tokens=5, d=6):
    return Inputs(
        rng.standard_normal((s, n, tokens, d)),
        rng.standard_normal((s, n, d)),
        rng.standard_normal((s, n, tokens)),
    )


def tensors(inputs):
    return [torch.tensor(part) for part in (inputs.tokens, inputs.queries, inputs.scores)]


def unit(x):
    return x / x.square().sum((1, 2), keepdim=True).sqrt()


@pytest.mark.parametrize("size", [0.0, 0.3, 1.0, 3.0])
def test_the_direction_is_that_of_the_gradient(rng, size):
    given = tensors(drawn(rng))
    W = (size * torch.tensor(rng.standard_normal((3, 6, 6)))).requires_grad_()
    (expected,) = torch.autograd.grad(loss(W, *given).sum(), W)
    found = direction(W.detach(), *given)
    torch.testing.assert_close(unit(found), unit(expected), rtol=1e-9, atol=1e-9)


def test_the_direction_outlives_the_gradient(rng):
    given = tensors(drawn(rng, tokens=2))
    W = (1e4 * torch.tensor(rng.standard_normal((3, 6, 6)))).requires_grad_()
    (lost,) = torch.autograd.grad(loss(W, *given).sum(), W)
    assert not lost.any(), "the gradient should have underflowed"
    kept = direction(W.detach(), *given)
    assert torch.isfinite(kept).all()
    assert (kept.square().sum((1, 2)) > 1e-20).all()


def test_the_loss_is_its_definition(rng):
    inputs = drawn(rng, s=1, n=2)
    W = rng.standard_normal((1, 6, 6))
    expected = 0.0
    for X, z, scores in zip(inputs.tokens[0], inputs.queries[0], inputs.scores[0], strict=True):
        e = np.exp(X @ W[0] @ z)
        expected += np.log1p(np.exp(-(e / e.sum()) @ scores)) / 2
    assert float(loss(torch.tensor(W), *tensors(inputs))[0]) == pytest.approx(expected, rel=1e-12)


def test_steps_have_the_given_length(rng):
    path = trained(drawn(rng), "W", steps=3, rate=0.25, marks=(0, 1, 2))
    assert path.marks == (0, 1, 2, 3)
    assert not path.weights[0].any()
    moved = np.linalg.norm(np.diff(path.weights, axis=0), axis=(2, 3))
    np.testing.assert_allclose(moved, 0.25, rtol=1e-12)


@pytest.mark.parametrize("parametrisation", ["W", "KQ"])
def test_training_learns_to_look(rng, parametrisation):
    inputs = drawn(rng)
    path = trained(inputs, parametrisation, steps=400, marks=(0,), seed=1)
    assert (path.losses[-1] < path.losses[0]).all()
    assert (path.attention.max(axis=-1) > 0.9).all()
    W = torch.tensor(path.weights[-1])
    asked = (torch.tensor(inputs.queries) @ W.mT)[:, :, None]
    expected = weights(asked, torch.tensor(inputs.tokens), scale=1.0)[:, :, 0]
    np.testing.assert_allclose(path.attention, expected.numpy(), rtol=1e-9, atol=1e-300)
    assert (path.selected == path.attention.argmax(axis=-1)).all()
    again = trained(inputs, parametrisation, steps=400, marks=(0,), seed=1)
    assert (again.weights == path.weights).all()


def test_one_input_with_orthogonal_tokens_finds_its_best(rng):
    """Nothing competes there: descent cannot end anywhere else."""
    scores = rng.standard_normal((2, 1, 4))
    inputs = Inputs(np.tile(np.eye(4), (2, 1, 1, 1)), np.ones((2, 1, 4)) / 2, scores)
    path = trained(inputs, "W", steps=800)
    assert (path.selected == inputs.best).all()
    assert path.attention.max(axis=-1).min() > 0.99


def test_equal_scores_leave_nothing_to_gain(rng):
    inputs = Inputs(rng.standard_normal((1, 2, 3, 4)), rng.standard_normal((1, 2, 4)),
                    np.ones((1, 2, 3)))  # fmt: skip
    assert not trained(inputs, "W", steps=5).weights[-1].any()


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"parametrisation": "QK"}, "`parametrisation` must be 'W' or 'KQ'; got 'QK'"),
        ({"steps": 0}, "`steps` must be above 0; got 0"),
        ({"rate": -0.1}, "`rate` must be above 0; got -0.1"),
        ({"start": 0.0}, r"`start` must be above 0; got 0\.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(rng, words, match):
    with pytest.raises(InputError, match=match):
        trained(drawn(rng), **words)


def test_shapes_that_do_not_fit_are_refused(rng):
    with pytest.raises(InputError, match=r"got \(2, 3, 4, 5\), \(2, 3, 5\) and \(2, 3, 5\)"):
        Inputs(np.ones((2, 3, 4, 5)), np.ones((2, 3, 5)), np.ones((2, 3, 5)))

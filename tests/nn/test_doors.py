"""What comes to `attend` at its edges: faults that must show, and tensors without entries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import UNITS, RelativeBias, attend, step, weights
from tests.nn.cases import normal


@pytest.fixture
def qkv(rng):
    return [normal(rng, 2, 3, 6, 4, dtype=torch.float32) * 0.2 for _ in range(3)]


def test_a_query_that_is_nan_stays_nan(qkv):
    q, k, v = qkv
    q[0, 0, 0, 0] = math.nan
    out = attend(q, k, v)
    assert out[0, 0, 0].isnan().all()
    assert out[0, 0, 1:].isfinite().all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"bias": torch.full((6, 6), math.nan)}, "it has nan or plus infinity"),
        ({"bias": torch.full((6, 6), 1e300, dtype=torch.float64)}, "finite in torch.float32"),
        ({"scale": 1e300}, "beyond the range of torch.float32"),
        ({"scale": True}, "`scale` must be a finite number; got True"),
        ({"unit": ["softmax"]}, r"`unit` must be one of .* got \['softmax'\]"),
    ],
    ids=["nan", "huge bias", "huge scale", "switch", "list"],
)
def test_faults_get_a_sentence(qkv, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        attend(*qkv, **settings)


def test_numbers_of_numpy_are_numbers(qkv):
    assert torch.equal(attend(*qkv, scale=np.float32(0.5)), attend(*qkv, scale=0.5))


def test_a_bias_that_overflows_downwards_hides(qkv):
    bias = torch.zeros(6, 6, dtype=torch.float64)
    bias[:, 2] = -1e300
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[:, 2] = False
    assert torch.equal(attend(*qkv, bias=bias), attend(*qkv, mask=mask))


@pytest.mark.parametrize("values", [[1.0], torch.tensor(1.0), torch.arange(3)], ids=str)
def test_a_relative_bias_is_checked_when_it_is_made(values):
    with pytest.raises(InputError, match="`values` of a RelativeBias must be"):
        RelativeBias(values)


def test_sparse_tensors_and_no_width_are_refused(qkv):
    q, k, v = qkv
    with pytest.raises(InputError, match=r"`q` must be a dense tensor; got a torch\.sparse_coo"):
        attend(q.to_sparse(), k, v)
    with pytest.raises(InputError, match="at least one wide"):
        attend(q[..., :0], k[..., :0], v)


@pytest.mark.parametrize("name", sorted(UNITS))
@pytest.mark.parametrize("empty", ["batch", "heads"])
def test_nothing_is_mixed_to_nothing_with_gradients(name, empty, qkv):
    at = (slice(0),) if empty == "batch" else (slice(None), slice(0))
    q, k, v = (x[at].requires_grad_() for x in qkv)
    out = attend(q, k, v, unit=name)
    out.sum().backward()
    assert out.shape == q.shape
    assert q.grad.shape == q.shape
    assert weights(q, k, unit=name).shape == (*q.shape[:3], 6)


@pytest.mark.parametrize("name", sorted(UNITS))
def test_shapes_are_told_without_values(name, qkv):
    assert attend(*(x.to("meta") for x in qkv), unit=name).shape == (2, 3, 6, 4)


def test_a_step_of_no_tokens_leaves_the_state(qkv):
    out, state = step(*qkv, unit="nalaformer")
    none, same = step(*(x[:, :, :0] for x in qkv), state, unit="nalaformer")
    assert none.shape == (2, 3, 0, 4)
    assert same is state
    assert out.shape == (2, 3, 6, 4)

"""What does not fit is refused with a sentence that says what, the value and where."""

from __future__ import annotations

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import (
    UNITS,
    Attention,
    RelativeBias,
    attend,
    reference,
    step,
    weights,
)

PAIRED = [name for name, unit in UNITS.items() if unit.pairs]
B, H, N, M, D, E = 2, 3, 4, 5, 6, 2


def given(**changes):
    tensors = {
        "q": torch.ones(B, H, N, D),
        "k": torch.ones(B, H, M, D),
        "v": torch.ones(B, H, M, E),
    }
    return tensors | changes


def ones(*shape, dtype=torch.float32, device=None):
    return torch.ones(*shape, dtype=dtype, device=device)


TENSORS = {
    "no tensor": ({"q": [1.0]}, r"`q` must be a torch tensor; got list"),
    "no tensor of keys": ({"k": None}, r"`k` must be a torch tensor; got NoneType"),
    "three axes": ({"q": ones(H, N, D)}, r"`q` must have four axes .*; got shape \(3, 4, 6\)"),
    "three axes of values": ({"v": ones(H, M, E)}, r"`v` must have four axes"),
    "integers": ({"q": ones(B, H, N, D, dtype=torch.int64)}, r"`q` must be of a floating dtype"),
    "dtypes": (
        {"k": ones(B, H, M, D, dtype=torch.float64)},
        r"one dtype and one device; got q torch.float32 on cpu and k torch.float64 on cpu",
    ),
    "devices": ({"v": ones(B, H, M, E, device="meta")}, r"and v torch.float32 on meta"),
    "batch": ({"k": ones(3, H, M, D)}, r"`k` must have the batch and heads of q, \(2, 3\), or one"),
    "heads": ({"v": ones(B, 2, M, E)}, r"`v` must have the batch and heads of q.* got \(2, 2\)"),
    "widths": ({"k": ones(B, H, M, 7)}, r"q and k must have one width d; got 6 and 7"),
    "tokens": ({"v": ones(B, H, 9, E)}, r"as many tokens; got 5 keys and 9 values"),
    "pair": ({"k": (ones(B, H, M, D),) * 2}, r"`k` is a tuple of 2, but the unit 'softmax'"),
}
WHERE = {
    "mask is no tensor": ({"mask": [True]}, r"`mask` must be a torch tensor; got list"),
    "mask of numbers": ({"mask": ones(N, M)}, r"`mask` must be of dtype bool.* got torch.float32"),
    "mask of integers": ({"mask": ones(N, M, dtype=torch.uint8)}, r"dtype bool.* got torch.uint8"),
    "mask of another shape": (
        {"mask": ones(M, N, dtype=torch.bool)},
        r"`mask` of shape \(5, 4\) does not broadcast to \(batch, heads, n, m\) = \(2, 3, 4, 5\)",
    ),
    "mask of a batch without axes": (
        {"mask": ones(B, M, dtype=torch.bool)},
        r"`mask` of shape \(2, 5\).*give \(batch, 1, 1, m\)",
    ),
    "mask of five axes": ({"mask": ones(1, B, H, N, M, dtype=torch.bool)}, r"does not broadcast"),
    "mask without axes": ({"mask": torch.tensor(True)}, r"does not broadcast"),
    "mask elsewhere": (
        {"mask": ones(N, M, dtype=torch.bool, device="meta")},
        r"`mask` is on meta, but q, k and v are on cpu",
    ),
    "causal word": ({"causal": "left"}, r"`causal` must be True, False, 'top-left'.* got 'left'"),
    "causal number": ({"causal": 1}, r"`causal` must be True, False, .* got 1"),
    "bias is no tensor": (
        {"bias": 0.5},
        r"`bias` must be a torch tensor or a RelativeBias; got f",
    ),
    "bias of bool": (
        {"bias": ones(N, M, dtype=torch.bool)},
        r"`bias` must be of a floating dtype; got torch.bool. A mask goes to `mask`",
    ),
    "bias of integers": ({"bias": ones(N, M, dtype=torch.int32)}, r"floating dtype; got torch.int"),
    "bias of another shape": ({"bias": ones(M, N)}, r"`bias` of shape \(5, 4\) does not broadcast"),
    "bias elsewhere": ({"bias": ones(N, M, device="meta")}, r"`bias` is on meta"),
    "relative of another length": (
        {"bias": RelativeBias(ones(N + M))},
        r"4 queries and 5 keys has n \+ m - 1 = 8 values.* got 9",
    ),
    "relative of other heads": (
        {"bias": RelativeBias(ones(2, N + M - 1))},
        r"leading axes of `bias`, \(2,\), do not broadcast to \(batch, heads\) = \(2, 3\)",
    ),
    "relative of three axes": ({"bias": RelativeBias(ones(1, 2, 3, 8))}, r"leading axes of `bias`"),
    "relative hides": (
        {"bias": RelativeBias(torch.full((8,), -torch.inf))},
        r"relative bias must be finite; got -inf. Hide keys by `mask`",
    ),
    "scale of zero": ({"scale": 0.0}, r"`scale` must be a finite number above zero; got 0.0"),
    "scale below zero": ({"scale": -1.0}, r"got -1.0. To turn keys around, negate them"),
    "scale without end": ({"scale": float("inf")}, r"`scale` must be a finite .* got inf"),
    "scale of nan": ({"scale": float("nan")}, r"`scale` must be a finite .* got nan"),
    "unknown unit": ({"unit": "softmin"}, r"`unit` must be one of .*'softmax'.*; got 'softmin'"),
    "no unit": ({"unit": 3}, r"`unit` must be one of .* got 3"),
}
DROPOUTS = [-0.1, 1.0, 2.0, float("nan"), "half"]


@pytest.mark.parametrize("kind", TENSORS)
@pytest.mark.parametrize("function", [attend, reference], ids=["attend", "reference"])
def test_tensors_that_do_not_fit(function, kind):
    changes, said = TENSORS[kind]
    with pytest.raises(InputError, match=said):
        function(**given(**changes))


@pytest.mark.parametrize("kind", WHERE)
@pytest.mark.parametrize("function", [attend, reference], ids=["attend", "reference"])
def test_settings_that_do_not_fit(function, kind):
    changes, said = WHERE[kind]
    with pytest.raises(InputError, match=said):
        function(**given(), **changes)


@pytest.mark.parametrize("kind", WHERE)
def test_weights_refuse_the_same(kind):
    changes, said = WHERE[kind]
    tensors = given()
    with pytest.raises(InputError, match=said):
        weights(tensors["q"], tensors["k"], **changes)


@pytest.mark.parametrize("dropout", DROPOUTS, ids=str)
def test_dropout_that_is_no_share(dropout):
    with pytest.raises(InputError, match=r"`dropout` must be in \[0, 1\); got"):
        attend(**given(), dropout=dropout)
    with pytest.raises(InputError, match=r"`dropout` must be in \[0, 1\); got"):
        Attention(dropout=dropout)


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_that_do_not_fit(name):
    k, v = ones(B, H, M, D), ones(B, H, M, E)
    with pytest.raises(InputError, match=r"`k` must be a tensor or a pair of them; got 3"):
        attend(**given(k=(k, k, k)), unit=name)
    with pytest.raises(InputError, match=r"`v` must be a tensor or a pair of them; got 1"):
        attend(**given(v=(v,)), unit=name)
    with pytest.raises(InputError, match=r"(?s)Both members of a pair must have one shape"):
        attend(**given(k=(k, ones(B, H, 4, D)), v=(v, ones(B, H, 4, E))), unit=name)


def test_a_step_takes_as_many_queries_as_keys():
    unit = next((unit for unit in UNITS.values() if unit.linear), UNITS["softmax"])
    with pytest.raises(InputError, match=r"as many queries as keys; got 4 and 5"):
        step(**given(), unit=unit)


def test_a_bias_of_minus_infinity_hides(rng):
    tensors = {name: torch.from_numpy(rng.random(x.shape)) for name, x in given().items()}
    mask = torch.from_numpy(rng.random((N, M)) < 0.6)
    mask[1] = False
    bias = torch.zeros(N, M, dtype=torch.float64).masked_fill(~mask, -torch.inf)
    assert torch.equal(attend(**tensors, bias=bias), attend(**tensors, mask=mask))


def test_top_left_is_causal_and_bottom_right_ends_at_the_last_key(rng):
    tensors = {name: torch.from_numpy(rng.random(x.shape)) for name, x in given().items()}
    assert torch.equal(attend(**tensors, causal="top-left"), attend(**tensors, causal=True))
    mask = torch.ones(N, M, dtype=torch.bool).tril(M - N)
    found = attend(**tensors, causal="bottom-right")
    assert (found - attend(**tensors, mask=mask)).abs().max() <= 1e-12

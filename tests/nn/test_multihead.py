"""Multi-head attention with every unit: masks, weights, learned settings and bad input."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from softunit.errors import InputError
from softunit.nn.attention import (
    UNITS,
    Attention,
    MultiheadAttention,
    RelativeBias,
    Softmax,
    attend,
    weights,
)
from tests.nn.cases import CASES, Call, normal

DIM, HEADS, N, M = 12, 3, 6, 8


def module_of(unit="softmax", **settings):
    settings = {"batch_first": True, "dtype": torch.float64} | settings
    return MultiheadAttention(DIM, HEADS, unit=unit, **settings)


def by_hand(module, query, key, value, **how):
    """The formula of the docstring, from the parameters."""
    matrices, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    q, k, v = (
        (x @ matrix.T + bias).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for x, matrix, bias in zip((query, key, value), matrices, biases, strict=True)
    )
    out = attend(q, k, v, unit=module.unit, **how).transpose(1, 2).flatten(2)
    return module.out_proj(out), weights(q, k, unit=module.unit, **how)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_module_is_attend_between_projections(case, rng):
    module = module_of(case.unit)
    n = N
    causal = bool(case.refusal(Call((2, HEADS, n, n, 4, 4))))
    m = n if case.refusal(Call((2, HEADS, n, M, 4, 4), causal=causal)) else M
    query, key = normal(rng, 2, n, DIM) * case.size, normal(rng, 2, m, DIM) * case.size
    value = normal(rng, 2, m, DIM)
    keys = torch.from_numpy(rng.random((2, m)) < 0.4)
    keys[0] = True
    how, said = {"mask": ~keys[:, None, None], "causal": causal}, {"key_padding_mask": keys}
    if case.refusal(Call((2, HEADS, n, m, 4, 4), mask="keys", causal=causal)):
        how, said = {"causal": causal}, {}
    out, found = module(query, key, value, is_causal=causal, **said)
    wanted, wanted_weights = by_hand(module, query, key, value, **how)
    assert (out - wanted).abs().max() <= 1e-12
    assert (found - wanted_weights.mean(1)).abs().max() <= 1e-12
    if said:
        assert (out[0] == module.out_proj.bias).all()
        assert (found[0] == 0).all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_unit_sees_the_keys_of_the_module(case, rng):
    module = module_of(case.unit, add_bias_kv=True, add_zero_attn=True)
    x = normal(rng, 2, N, DIM) * case.size
    causal = bool(case.refusal(Call((2, HEADS, N, N + 2, 4, 4))))
    if case.refusal(Call((2, HEADS, N, N + 2, 4, 4), causal="bottom-right" if causal else False)):
        with pytest.raises(InputError, match=r"."):
            module(x, x, x, is_causal=causal)
        return
    out, found = module(x, x, x, is_causal=causal)
    assert found.shape == (2, N, N + 2)
    assert out.isfinite().all()
    out.square().sum().backward()
    assert module.bias_k.grad.abs().max() > 0
    assert module.bias_v.grad.abs().max() > 0


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_unit_learns_inside_a_layer_of_pytorch(case, rng):
    settings = {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True, "dtype": torch.float64}
    layer = nn.TransformerEncoderLayer(DIM, HEADS, **settings)
    layer.self_attn = module_of(case.unit)
    x = normal(rng, 2, N, DIM) * case.size
    mask = None
    if case.refusal(Call((2, HEADS, N, N, 4, 4))):
        mask = nn.Transformer.generate_square_subsequent_mask(N, dtype=torch.float64)
    layer(x, src_mask=mask, is_causal=mask is not None).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad.isfinite().all(), name
    with torch.no_grad():
        layer.eval()
        still = layer(x, src_mask=mask, is_causal=mask is not None)
        layer.train()
        assert torch.equal(layer(x, src_mask=mask, is_causal=mask is not None), still)


def test_a_unit_by_name_or_with_settings(rng):
    assert module_of("softmax").unit is UNITS["softmax"]
    unit = Softmax()
    assert module_of(unit).unit is unit
    assert "Softmax()" in repr(module_of(unit))
    assert "dim=12, heads=3" in repr(module_of(unit))


def test_a_learned_setting_is_a_parameter_of_the_module(rng):
    decays = nn.Parameter(torch.full((HEADS,), -0.5, dtype=torch.float64))
    unit = type(UNITS["quasiseparable"])(log_decay=decays)
    module = module_of(unit)
    assert dict(module.named_parameters())["unit_log_decay"] is decays
    x = normal(rng, 2, N, DIM)
    module(x, x, x)[0].square().sum().backward()
    assert decays.grad.abs().max() > 0
    twin = copy.deepcopy(module)
    assert twin.unit.log_decay is twin.unit_log_decay
    assert twin.unit.log_decay is not decays
    bare = Attention(unit)
    assert [name for name, _ in bare.named_parameters()] == ["unit_log_decay"]
    module.float()
    assert module.unit.log_decay.dtype == torch.float32


def test_the_bare_module_is_attend(rng):
    (q, k, v), how = Call((2, 3, 5, 7, 4, 6), "keys", bias="relative").tensors(
        CASES[0], rng, torch.float64
    )
    module = Attention("softmax", causal="bottom-right", scale=0.3)
    how.pop("causal")
    wanted = attend(q, k, v, causal="bottom-right", scale=0.3, **how)
    assert torch.equal(module(q, k, v, **how), wanted)
    assert isinstance(how["bias"], RelativeBias)
    assert "unit=Softmax()" in repr(module)
    assert "causal='bottom-right'" in repr(module)


def test_the_bare_module_drops_in_training_only(rng):
    (q, k, v), _ = Call((1, 1, 5, 50, 4, 6)).tensors(CASES[0], rng, torch.float64)
    module = Attention(dropout=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        assert not torch.equal(module(q, k, v), module(q, k, v))
    module.eval()
    assert torch.equal(module(q, k, v), attend(q, k, v))


def test_padding_with_floats_is_padding(rng):
    module = module_of()
    x = normal(rng, 2, N, DIM)
    keys = torch.from_numpy(rng.random((2, N)) < 0.4)
    floats = torch.zeros(2, N, dtype=torch.float64).masked_fill(keys, -torch.inf)
    found, wanted = (module(x, x, x, key_padding_mask=mask) for mask in (floats, keys))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


SETTINGS = {
    "heads": ({"dim": 10, "heads": 4}, r"`heads` must divide `dim`.* got dim 10 and 4 heads"),
    "no heads": ({"dim": 10, "heads": 0}, r"`heads` must be an integer of at least 1; got 0"),
    "no width": ({"dim": 0, "heads": 2}, r"`dim` must be an integer of at least 1; got 0"),
    "dropout": ({"dim": 4, "heads": 2, "dropout": 1.0}, r"`dropout` must be in \[0, 1\); got 1.0"),
    "dim in words": ({"dim": "32", "heads": 4}, r"`dim` must be an integer .*; got '32'"),
    "half a head": ({"dim": 32, "heads": 4.0}, r"`heads` must be an integer .*; got 4.0"),
    "both names": (
        {"dim": 4, "heads": 2, "embed_dim": 4},
        r"`dim` and `embed_dim`.* give one.* got 4 and 4",
    ),
    "no name": ({"dim": 4}, r"`heads` and `num_heads`.* give one of them; got None and None"),
    "kdim": ({"dim": 4, "heads": 2, "kdim": -3}, r"`kdim` must be an integer of .*; got -3"),
    "vdim": ({"dim": 4, "heads": 2, "vdim": 0}, r"`vdim` must be an integer of .*; got 0"),
    "dtype": ({"dim": 4, "heads": 2, "dtype": torch.int64}, r"`dtype` must be a floating.*int64"),
    "words": ({"dim": 4, "heads": 2, "dtype": "float32"}, r"`dtype` must be a.*got 'float32'"),
    "switch": ({"dim": 4, "heads": 2, "batch_first": "yes"}, r"`batch_first` must be True or Fa"),
    "below": ({"dim": 4, "heads": 2, "dropout": -0.1}, r"`dropout` must be in \[0, 1\); got -0.1"),
    "unit": ({"dim": 4, "heads": 2, "unit": "hardmax"}, r"`unit` must be one of .*; got 'hardmax'"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_that_do_not_fit(kind):
    settings, said = SETTINGS[kind]
    with pytest.raises(InputError, match=said):
        MultiheadAttention(**settings)


def ones(*shape, dtype=torch.float64):
    return torch.ones(*shape, dtype=dtype)


X, Z = ones(2, N, DIM), ones(2, M, DIM)
CALLS = {
    "a list": (([1.0], X, X), {}, r"`query` must be a torch tensor; got list"),
    "one axis": ((ones(3), X, X), {}, r"`query` must have two axes .*; got shape \(3,\)"),
    "four axes": ((ones(1, 2, 3, DIM), X, X), {}, r"`query` must have two axes"),
    "keys of two axes": ((X, Z[0], Z), {}, r"`query` has 3 axes, so `key` and `value` must have 3"),
    "values of two axes": ((X, Z, Z[0]), {}, r"`query` has 3 axes.* \(2, 8, 12\) and \(8, 12\)"),
    "keys of three axes": ((X[0], Z, Z[0]), {}, r"`query` has 2 axes"),
    "values of three axes": ((X[0], Z[0], Z), {}, r"`query` has 2 axes"),
    "width": ((X[..., :5], Z, Z), {}, r"`query` must have width 12.* got 5"),
    "width of keys": ((X, Z[..., :5], Z), {}, r"`key` must have width 12.* got 5"),
    "width of values": ((X, Z, Z[..., :5]), {}, r"`value` must have width 12.* got 5"),
    "batch": ((X, Z[:1], Z[:1]), {}, r"must have one batch; got 2, 1 and 1: see `batch_first`"),
    "tokens": ((X, Z, X), {}, r"`key` and `value` must have as many tokens; got 8 and 6"),
    "dtype": ((X.float(), Z, Z), {}, r"`query` must be of torch.float64.*got torch.float32"),
    "integers": ((X.long(), Z, Z), {}, r"`query` must be of torch.float64.*got torch.int64"),
    "mixed": ((X, Z, Z.half()), {}, r"`value` must be of torch.float64.*got torch.float16"),
    "device": ((X.to("meta"), Z, Z), {}, r"`query` is on meta, but the parameters .* on cpu"),
    "padding elsewhere": (
        (X, Z, Z), {"key_padding_mask": (ones(2, M) > 0).to("meta")},
        r"`key_padding_mask` is on meta, but the queries are on cpu",
    ),
    "padding of one axis": (
        (X, Z, Z), {"key_padding_mask": ones(M) > 0},
        r"`key_padding_mask` must have shape \(2, 8\); got \(8,\)",
    ),
    "padding of queries": (
        (X, Z, Z), {"key_padding_mask": ones(2, N) > 0},
        r"`key_padding_mask` must have shape \(2, 8\); got \(2, 6\)",
    ),
    "padding of two axes": (
        (X[0], Z[0], Z[0]), {"key_padding_mask": ones(1, M) > 0},
        r"`key_padding_mask` must have shape \(8,\); got \(1, 8\)",
    ),
    "padding of integers": (
        (X, Z, Z), {"key_padding_mask": ones(2, M, dtype=torch.uint8)},
        r"`key_padding_mask` must be bool, True where a key is hidden.* got torch.uint8",
    ),
    "padding in a list": ((X, Z, Z), {"key_padding_mask": [[0.0]]}, r"torch tensor; got list"),
    "mask of one axis": (
        (X, Z, Z), {"attn_mask": ones(M) > 0},
        r"`attn_mask` must have shape \(6, 8\) or \(6, 6, 8\); got \(8,\)",
    ),
    "mask of other heads": (
        (X[0], Z[0], Z[0]), {"attn_mask": ones(5, N, M) > 0},
        r"`attn_mask` must have shape \(6, 8\) or \(3, 6, 8\); got \(5, 6, 8\)",
    ),
    "mask turned": ((X, Z, Z), {"attn_mask": ones(M, N)}, r"`attn_mask` must have shape"),
    "mask of integers": (
        (X, Z, Z), {"attn_mask": ones(N, M, dtype=torch.int64)}, r"`attn_mask` must be bool.* got"
    ),
    "a false hint": (
        (X, Z, Z), {"attn_mask": ones(N, M) > 0, "is_causal": True},
        r"is_causal=True says that `attn_mask` is the causal mask.* and it is not",
    ),
    "a hint beside floats": (
        (X, Z, Z), {"attn_mask": ones(N, M), "is_causal": True}, r"is_causal=True says"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CALLS)
def test_calls_that_do_not_fit(kind):
    tensors, how, said = CALLS[kind]
    with pytest.raises(InputError, match=said):
        module_of()(*tensors, **how)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_are_refused_with_what_to_do(rng):
    nested = torch.nested.nested_tensor([normal(rng, 3, DIM), normal(rng, 5, DIM)])
    with pytest.raises(InputError, match=r"nested tensor: pad it.*enable_nested_tensor=False"):
        module_of()(nested, nested, nested)


def test_parameters_may_be_made_again():
    module = module_of(kdim=5)
    module._reset_parameters()
    assert module.q_proj_weight.abs().max() > 0
    module = module_of()
    module._reset_parameters()
    assert module.in_proj_weight.abs().max() > 0


def test_it_is_built_as_pytorch_builds_it():
    for theirs in (nn.MultiheadAttention, MultiheadAttention):
        made = (
            theirs(32, 4, 0.1, False, True, True, 5, 7, True),
            theirs(
                embed_dim=32, num_heads=4, dropout=0.1, bias=False, add_bias_kv=True,
                add_zero_attn=True, kdim=5, vdim=7, batch_first=True,
            ),
        )  # fmt: skip
        for module in made:
            assert (module.embed_dim, module.num_heads, module.dropout) == (32, 4, 0.1)
            assert (module.kdim, module.vdim, module.batch_first) == (5, 7, True)
            assert module.in_proj_bias is None
            assert module.bias_k is not None
            assert module.add_zero_attn


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scale": -1}, "`scale` must be a finite number above 0; got -1"),
        ({"scale": "a"}, "`scale` must be a finite number above 0; got 'a'"),
        ({"causal": "x"}, "`causal` must be True, False, 'top-left'.*got 'x'"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\); got 1.0"),
    ],
    ids=str,
)
def test_a_bare_module_checks_its_settings(settings, said):
    with pytest.raises(InputError, match=said):
        Attention(**settings)


def test_shapes_without_values():
    module = MultiheadAttention(DIM, HEADS, batch_first=True, device="meta")
    x = torch.empty(2, N, DIM, device="meta")
    padding = torch.empty(2, N, device="meta")
    out, found = module(x, x, x, key_padding_mask=padding)
    assert out.shape == (2, N, DIM)
    assert found.shape == (2, N, N)


def test_inputs_wider_than_autocast(rng):
    module = module_of(dtype=torch.float32)
    x = normal(rng, 2, N, DIM, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = module(x, x.bfloat16(), x)[0]
        with pytest.raises(InputError, match=r"`query` must be of torch.float32"):
            module(x.double(), x, x)
    torch.testing.assert_close(found.float(), module(x, x, x)[0], rtol=0.05, atol=0.05)

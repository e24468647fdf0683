"""In the place of torch.nn.MultiheadAttention: the same numbers, names and shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from softunit.nn.attention import MultiheadAttention

LIMITS = {torch.float32: 1e-6, torch.float64: 1e-10}
BATCH, N, M, DIM, HEADS = 3, 5, 7, 12, 4

SETTINGS = {
    "plain": {},
    "no bias": {"bias": False},
    "bias_kv": {"add_bias_kv": True},
    "zero_attn": {"add_zero_attn": True},
    "both added": {"add_bias_kv": True, "add_zero_attn": True},
    "kdim vdim": {"kdim": 6, "vdim": 10},
    "kdim vdim, both added": {"kdim": 6, "vdim": 10, "add_bias_kv": True, "add_zero_attn": True},
}


def drawn(rng, *shape, dtype=torch.float64):
    return torch.from_numpy(rng.standard_normal(shape)).to(dtype)


def filled(module, rng):
    """The module with every parameter drawn, so that no bias is zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(drawn(rng, *parameter.shape) * 0.3)
    return module


def pair(rng, dtype=torch.float64, unit="softmax", **settings):
    """PyTorch's module and ours with the same parameters."""
    theirs = filled(nn.MultiheadAttention(DIM, HEADS, dtype=dtype, **settings), rng)
    ours = MultiheadAttention(DIM, HEADS, dtype=dtype, unit=unit, **settings)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def inputs(rng, settings, dtype=torch.float64, n=N, m=M):
    """Query, key and value of a batch, in the order that the settings ask for."""
    widths = (DIM, settings.get("kdim") or DIM, settings.get("vdim") or DIM)
    given = [
        drawn(rng, BATCH, tokens, width, dtype=dtype)
        for tokens, width in zip((n, m, m), widths, strict=True)
    ]
    if not settings.get("batch_first"):
        given = [x.transpose(0, 1) for x in given]
    return [x.contiguous().requires_grad_() for x in given]


def hidden(rng, *shape):
    """A mask, True where hidden, with something left in every row."""
    mask = torch.from_numpy(rng.random(shape) < 0.4)
    mask[..., 0] = False
    return mask


def as_floats(mask, rng, dtype):
    """The mask as numbers to add, with -inf where hidden."""
    return drawn(rng, *mask.shape, dtype=dtype).masked_fill(mask, float("-inf"))


def masks(kind, rng, dtype, n=N, m=M):
    """Masks of a kind, by the names of PyTorch's arguments."""
    keys, rows = hidden(rng, BATCH, m), hidden(rng, n, m)
    each = hidden(rng, BATCH * HEADS, n, m)
    if "floats" in kind:
        keys, rows, each = (as_floats(x, rng, dtype) for x in (keys, rows, each))
    given = {}
    if "keys" in kind:
        given["key_padding_mask"] = keys
    if "rows" in kind:
        given["attn_mask"] = rows
    if "each" in kind:
        given["attn_mask"] = each
    return given


MASKS = ["none", "keys", "rows", "each", "keys rows", "keys each"]
MASKS += [f"floats {kind}" for kind in MASKS[1:]]


def outputs(module, given, **how):
    """Output, weights and all gradients of a seeded mix of both, by name."""
    for x in given:
        x.grad = None
    module.zero_grad()
    out, weights = module(*given, **how)
    rng = np.random.default_rng(5)
    total = (out * drawn(rng, *out.shape, dtype=out.dtype)).sum()
    if weights is not None:
        total = total + (weights * drawn(rng, *weights.shape, dtype=out.dtype)).sum()
    total.backward()
    found = {"out": out, "weights": weights}
    found |= {
        f"grad {name}": x.grad for name, x in zip(("query", "key", "value"), given, strict=True)
    }
    return found | {f"grad {name}": p.grad for name, p in module.named_parameters()}


def assert_same(ours, theirs, limit):
    """Equal to a limit, relative to the largest entry of all where that is above one."""
    assert ours.keys() == theirs.keys()
    scale = max(1.0, *(float(x.detach().abs().max()) for x in theirs.values() if x is not None))
    for name, want in theirs.items():
        if want is None:
            assert ours[name] is None, name
            continue
        assert ours[name].shape == want.shape, name
        assert ours[name].dtype == want.dtype, name
        off = float((ours[name] - want).detach().abs().max()) / scale
        assert off <= limit, f"{name}: {off:.2e}"


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("kind", MASKS)
def test_every_mask_and_setting_gives_the_same(kind, settings, dtype, rng):
    given = SETTINGS[settings]
    theirs, ours = pair(rng, dtype, **given)
    x, how = inputs(rng, given, dtype), masks(kind, rng, dtype)
    assert_same(outputs(ours, x, **how), outputs(theirs, x, **how), LIMITS[dtype])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("need", [False, True])
def test_weights_come_as_asked(need, average, batch_first, rng):
    theirs, ours = pair(rng, batch_first=batch_first, add_bias_kv=True)
    x, how = inputs(rng, {"batch_first": batch_first}), masks("keys rows", rng, torch.float64)
    how |= {"need_weights": need, "average_attn_weights": average}
    assert_same(outputs(ours, x, **how), outputs(theirs, x, **how), 1e-10)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("kind", ["none", "keys", "rows", "each", "floats keys", "floats each"])
def test_without_a_batch(kind, average, rng):
    theirs, ours = pair(rng, add_zero_attn=True)
    x = [drawn(rng, n, DIM).requires_grad_() for n in (N, M, M)]
    how = masks(kind, rng, torch.float64)
    if "keys" in kind:
        how["key_padding_mask"] = how["key_padding_mask"][0]
    if "each" in kind:
        how["attn_mask"] = how["attn_mask"][:HEADS]
    how["average_attn_weights"] = average
    assert_same(outputs(ours, x, **how), outputs(theirs, x, **how), 1e-10)


@pytest.mark.parametrize("batch_first", [False, True])
def test_self_attention_of_one_tensor(batch_first, rng):
    theirs, ours = pair(rng, batch_first=batch_first)
    x = drawn(rng, BATCH, N, DIM).requires_grad_()
    found, wanted = (outputs(module, [x, x, x]) for module in (ours, theirs))
    assert_same(found, wanted, 1e-10)


@pytest.mark.parametrize(("n", "m"), [(6, 6), (4, 6), (6, 4)])
@pytest.mark.parametrize("need", [False, True])
@pytest.mark.parametrize("kind", ["none", "keys", "floats keys"])
def test_the_causal_hint(kind, need, n, m, rng):
    theirs, ours = pair(rng)
    x = inputs(rng, {}, n=n, m=m)
    future = torch.ones(n, m, dtype=torch.bool).triu(1)
    how = masks(kind, rng, torch.float64, n, m) | {"need_weights": need}
    if "floats" in kind:
        future = torch.zeros(n, m, dtype=torch.float64).masked_fill(future, float("-inf"))
    wanted = outputs(theirs, x, attn_mask=future, is_causal=True, **how)
    assert_same(outputs(ours, x, attn_mask=future, is_causal=True, **how), wanted, 1e-10)
    assert_same(outputs(ours, x, is_causal=True, **how), wanted, 1e-10)


@pytest.mark.parametrize(("n", "m"), [(6, 6), (4, 6), (6, 4)])
@pytest.mark.parametrize("settings", [s for s in SETTINGS if "added" in s or "_" in s])
def test_the_causal_hint_hides_no_key_of_the_module(settings, n, m, rng):
    given = SETTINGS[settings]
    theirs, ours = pair(rng, **given)
    x = inputs(rng, given, n=n, m=m)
    future = torch.ones(n, m, dtype=torch.bool).triu(1)
    how = masks("keys", rng, torch.float64, n, m)
    wanted = outputs(theirs, x, attn_mask=future, **how)
    assert_same(outputs(ours, x, is_causal=True, **how), wanted, 1e-10)


def test_both_masks_may_be_of_different_kinds(rng):
    theirs, ours = pair(rng)
    x = inputs(rng, {})
    keys, rows = hidden(rng, BATCH, M), hidden(rng, N, M)
    floats = torch.zeros(N, M, dtype=torch.float64).masked_fill(rows, float("-inf"))
    wanted = outputs(theirs, x, key_padding_mask=keys, attn_mask=rows)
    assert_same(outputs(ours, x, key_padding_mask=keys, attn_mask=floats), wanted, 1e-10)


def test_a_learned_mask_has_a_gradient(rng):
    theirs, ours = pair(rng)
    x = inputs(rng, {})
    learned = as_floats(hidden(rng, N, M), rng, torch.float64)
    grads = []
    for module in (ours, theirs):
        mask = learned.clone().requires_grad_()
        module(*x, attn_mask=mask)[0].square().sum().backward()
        grads.append(mask.grad)
    assert (grads[0] - grads[1]).abs().max() <= 1e-10
    assert grads[0].abs().max() > 1e-4


def test_a_mask_for_each_of_the_batch_is_that_mask_alone(rng):
    _, ours = pair(rng, batch_first=True)
    x = inputs(rng, {"batch_first": True})
    each = hidden(rng, BATCH, N, M)
    together = ours(*x, attn_mask=each.repeat_interleave(HEADS, 0))[0]
    for i in range(BATCH):
        alone = ours(*(t[i : i + 1] for t in x), attn_mask=each[i])[0]
        assert (together[i] - alone[0]).abs().max() <= 1e-12


@pytest.mark.parametrize("settings", SETTINGS)
def test_state_goes_there_and_back(settings, rng):
    theirs, ours = pair(rng, **SETTINGS[settings])
    names = {name: p.shape for name, p in theirs.state_dict().items()}
    assert {name: p.shape for name, p in ours.state_dict().items()} == names
    filled(ours, rng)
    theirs.load_state_dict(ours.state_dict())
    x = inputs(rng, SETTINGS[settings])
    assert (ours(*x)[0] - theirs(*x)[0]).abs().max() <= 1e-10


@pytest.mark.parametrize("settings", SETTINGS)
def test_first_values_are_the_same(settings):
    made = []
    for kind in (nn.MultiheadAttention, MultiheadAttention):
        with torch.random.fork_rng():
            torch.manual_seed(7)
            made.append(kind(DIM, HEADS, **SETTINGS[settings]).state_dict())
    for name, want in made[0].items():
        assert torch.equal(made[1][name], want), name


def test_no_bias_means_neither_projection_has_one():
    module = MultiheadAttention(8, 4, bias=False)
    assert module.in_proj_bias is None
    assert module.out_proj.bias is None


def test_a_query_that_sees_nothing_gets_zeros_where_pytorch_gives_nan(rng):
    theirs, ours = pair(rng)
    x = inputs(rng, {})
    rows = hidden(rng, N, M)
    rows[2] = True
    how = {"attn_mask": rows}
    assert theirs(*x, **how)[0][2].isnan().all()
    for mask in (rows, torch.zeros(N, M).double().masked_fill(rows, float("-inf"))):
        found = outputs(ours, x, attn_mask=mask)
        assert (found["out"][2] - ours.out_proj.bias).abs().max() <= 1e-15
        assert (found["weights"][:, 2] == 0).all()
        for name, value in found.items():
            assert value.isfinite().all(), name
        seen = [i for i in range(N) if i != 2]
        assert (found["out"][seen] - theirs(*x, **how)[0][seen]).abs().max() <= 1e-10


def test_dropout_is_for_training_and_keeps_the_mean(rng):
    _, ours = pair(rng, dropout=0.4)
    x = [drawn(rng, 2, DIM), drawn(rng, 400, DIM), drawn(rng, 400, DIM)]
    ours.eval()
    still = ours(*x)[0]
    assert torch.equal(still, ours(*x)[0])
    ours.train()
    with torch.random.fork_rng():
        torch.manual_seed(11)
        draws = torch.stack([ours(*x, need_weights=False)[0] for _ in range(200)])
    assert (draws.std(0) > 1e-4).all()
    far = (draws.mean(0) - still).abs() / (draws.std(0) / 200**0.5)
    assert far.max() < 5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_comes_back_as_it_came(dtype, rng):
    _, ours = pair(rng, torch.float32)
    x = inputs(rng, {}, torch.float32)
    wanted, _ = ours(*x)
    ours.to(dtype)
    out, weights = ours(*(t.to(dtype) for t in x))
    assert out.dtype == weights.dtype == dtype
    assert (out.float() - wanted).abs().max() <= 0.03 * wanted.abs().max()


LAYER = {"d_model": DIM, "nhead": HEADS, "dim_feedforward": 20, "dropout": 0.0}


def layers(rng, unit="softmax", **settings):
    """A layer of PyTorch, and the same with our attention inside."""
    settings = LAYER | {"batch_first": True, "dtype": torch.float64} | settings
    theirs = filled(nn.TransformerEncoderLayer(**settings), rng)
    ours = nn.TransformerEncoderLayer(**settings)
    ours.load_state_dict(theirs.state_dict())
    inside = MultiheadAttention(
        DIM, HEADS, unit=unit, batch_first=settings["batch_first"], dtype=torch.float64
    )
    inside.load_state_dict(ours.self_attn.state_dict())
    ours.self_attn = inside
    return theirs, ours


@pytest.mark.parametrize(
    ("training", "norm_first", "batch_first"), list(itertools.product([False, True], repeat=3))
)
def test_inside_a_layer_of_pytorch(training, norm_first, batch_first, rng):
    theirs, ours = layers(rng, norm_first=norm_first, batch_first=batch_first)
    theirs.train(training)
    ours.train(training)
    x = drawn(rng, BATCH, N, DIM)
    batch = BATCH if batch_first else N
    tokens = x.numel() // DIM // batch
    keys, rows = hidden(rng, batch, tokens), hidden(rng, tokens, tokens)
    for how in ({}, {"src_key_padding_mask": keys}, {"src_mask": rows}):
        with torch.set_grad_enabled(training):
            assert (ours(x, **how) - theirs(x, **how)).abs().max() <= 1e-10


def test_a_layer_never_goes_around_the_unit(rng):
    """PyTorch's shortcut for inference computes softmax from the parameters of self_attn."""
    seen = []

    class Counted(MultiheadAttention):
        def forward(self, *args, **how):
            seen.append(1)
            return super().forward(*args, **how)

    theirs, ours = layers(rng)
    ours.self_attn = Counted(DIM, HEADS, batch_first=True, dtype=torch.float64)
    ours.self_attn.load_state_dict(theirs.self_attn.state_dict())
    ours.eval()
    with torch.inference_mode():
        ours(drawn(rng, BATCH, N, DIM))
    assert seen == [1]


def test_an_encoder_and_a_decoder_of_pytorch(rng):
    theirs, ours = layers(rng)
    stacks = [
        nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
        for layer in (theirs, ours)
    ]
    x, keys = drawn(rng, BATCH, N, DIM), hidden(rng, BATCH, N)
    causal = nn.Transformer.generate_square_subsequent_mask(N, dtype=torch.float64)
    with torch.no_grad():
        for how in ({"src_key_padding_mask": keys}, {"mask": causal}):
            found, wanted = (stack(x, **how) for stack in stacks)
            assert (found - wanted).abs().max() <= 1e-10

    settings = LAYER | {"batch_first": True, "dtype": torch.float64}
    decoder = filled(nn.TransformerDecoderLayer(**settings), rng)
    memory = drawn(rng, BATCH, M, DIM)
    wanted = decoder(x, memory, tgt_mask=causal, tgt_is_causal=True)
    for name in ("self_attn", "multihead_attn"):
        inside = MultiheadAttention(DIM, HEADS, batch_first=True, dtype=torch.float64)
        inside.load_state_dict(getattr(decoder, name).state_dict())
        setattr(decoder, name, inside)
    found = decoder(x, memory, tgt_mask=causal, tgt_is_causal=True)
    assert (found - wanted).abs().max() <= 1e-10

"""Collapsed and symmetric attention: what it computes, and with how many parameters."""

from __future__ import annotations

import math

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import UNITS, CollapsedAttention, RelativeBias, weights

FORMS = [
    (query_key, value_output)
    for query_key in ("full", "collapsed", "symmetric")
    for value_output in ("full", "collapsed", "omitted")
]


def made(query_key="collapsed", value_output="omitted", heads=2, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        return CollapsedAttention(
            6,
            heads,
            query_key=query_key,
            value_output=value_output,
            dtype=torch.float64,
            **settings,
        )


def tokens(rng, n=7):
    return torch.from_numpy(rng.standard_normal((2, n, 6)))


def by_hand(layer, x, seen=None):
    """Return softmax(X W X' / sqrt(d)) X V, head by head, with V as one matrix."""
    total = 0.0
    for head, similarity in enumerate(layer.similarity_matrix()):
        scores = x @ similarity @ x.mT / math.sqrt(6 / layer.heads)
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        d = 6 // layer.heads
        columns = slice(head * d, (head + 1) * d)
        if layer.value_output == "full":
            mixing = layer.value[:, columns] @ layer.output[columns]
        elif layer.value_output == "collapsed":
            mixing = layer.mixing[head]
        else:
            mixing = torch.zeros(6, 6, dtype=x.dtype)
            mixing[columns, columns] = torch.eye(d, dtype=x.dtype)
        total = total + scores.softmax(-1) @ x @ mixing
    return total


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize(("query_key", "value_output"), FORMS)
def test_it_is_its_formula(query_key, value_output, heads, rng):
    layer, x = made(query_key, value_output, heads), tokens(rng)
    found, wanted = layer(x), by_hand(layer, x)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    mix = torch.from_numpy(rng.standard_normal(found.shape))
    parameters = list(layer.parameters())
    grads = [torch.autograd.grad((out * mix).sum(), parameters) for out in (found, wanted)]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("query_key", "value_output", "heads", "count"),
    [
        ("full", "full", 2, 4 * 36),
        ("collapsed", "omitted", 1, 36),
        ("collapsed", "omitted", 2, 72),
        ("symmetric", "omitted", 1, 21),
        ("symmetric", "collapsed", 2, 2 * 21 + 2 * 36),
    ],
)
def test_parameters_are_as_many_as_documented(query_key, value_output, heads, count):
    layer = made(query_key, value_output, heads)
    assert sum(p.numel() for p in layer.parameters()) == count


def test_a_rank_of_the_symmetric_form(rng):
    layer = made("symmetric", rank=2)
    assert layer.lower.shape == (2, 6 * 2 - 1)
    similarity = layer.similarity_matrix()
    assert torch.equal(similarity, similarity.mT)
    assert torch.linalg.matrix_rank(similarity).tolist() == [2, 2]
    x = tokens(rng)
    torch.testing.assert_close(layer(x), by_hand(layer, x))
    scores = layer.scores(x)
    torch.testing.assert_close(scores, scores.mT)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_collapsed_projections_have_the_same_scores(heads, dtype, rng):
    query, key = (torch.from_numpy(rng.standard_normal((6, 6))).to(dtype) for _ in range(2))
    x = tokens(rng).to(dtype)
    layer = CollapsedAttention.from_projections(query, key, heads)
    q, k = ((x @ w.T).unflatten(-1, (heads, -1)).transpose(1, 2) for w in (query, key))
    wanted = q @ k.mT / math.sqrt(6 / heads)
    found = layer.scores(x)
    assert (found - wanted).abs().max() <= 1e-6 * wanted.abs().max()
    torch.testing.assert_close(weights(q, k), found.softmax(-1), rtol=1e-4, atol=1e-5)


def test_masks_of_all_kinds(rng):
    layer, x = made("symmetric", "full"), tokens(rng)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 4:] = True
    past = torch.ones(7, 7, dtype=torch.bool).tril()
    found = layer(x, causal=True, key_padding_mask=padding)
    torch.testing.assert_close(found, by_hand(layer, x, past & ~padding[:, None]))
    torch.testing.assert_close(layer(x, mask=past, key_padding_mask=padding), found)
    torch.testing.assert_close(layer(x, mask=past), layer(x, causal=True))
    nothing = layer(x, key_padding_mask=torch.ones(2, 7, dtype=torch.bool))
    assert not nothing.any()


def test_a_bias_reaches_the_scores(rng):
    layer, x = made(), tokens(rng)
    values = torch.from_numpy(rng.standard_normal(13))
    spread = values[torch.arange(7) - torch.arange(7)[:, None] + 6]
    torch.testing.assert_close(layer(x, bias=RelativeBias(values)), layer(x, bias=spread))
    assert (layer(x, bias=spread) - layer(x)).abs().max() > 0.01


@pytest.mark.parametrize(
    "unit", sorted(name for name, unit in UNITS.items() if not unit.pairs), ids=str
)
def test_any_unit_of_single_keys(unit, rng):
    layer, x = made(unit=unit), tokens(rng)
    found = layer(x)
    q, k = layer._queries_keys(x)
    share = weights(q, k.expand_as(q), unit=unit, scale=layer.scale)
    wanted = (share @ x.unflatten(-1, (2, 3)).transpose(1, 2)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(("query_key", "value_output"), FORMS[::4])
def test_it_compiles_whole(query_key, value_output, rng):
    torch._dynamo.reset()
    layer, x = made(query_key, value_output), tokens(rng)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=False)
    torch.testing.assert_close(compiled(x), layer(x))


def test_half_precision_and_text(rng):
    layer, x = made("symmetric").bfloat16(), tokens(rng).bfloat16()
    assert layer(x).dtype == torch.bfloat16
    assert "query_key='symmetric'" in repr(layer)


def test_a_saved_state_comes_back(rng):
    layer, other, x = (
        made("symmetric"),
        CollapsedAttention(6, 2, query_key="symmetric"),
        tokens(rng),
    )
    assert set(layer.state_dict()) == {"lower"}
    other.double().load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(x), layer(x))


def test_bad_settings_and_inputs_are_refused(rng):
    with pytest.raises(InputError, match="`heads` must divide `dim`; got dim = 6 and heads = 4"):
        CollapsedAttention(6, 4)
    with pytest.raises(InputError, match=r"`query_key` must be one of 'full'.*got 'none'"):
        CollapsedAttention(6, query_key="none")
    with pytest.raises(InputError, match=r"`value_output` must be one of .*got None"):
        CollapsedAttention(6, value_output=None)
    with pytest.raises(InputError, match="`rank` is for query_key='symmetric'; got rank = 2"):
        CollapsedAttention(6, rank=2)
    with pytest.raises(InputError, match="`rank` must be from 1 to dim = 6; got 7"):
        CollapsedAttention(6, query_key="symmetric", rank=7)
    with pytest.raises(InputError, match="'tensor' attends to pairs of keys"):
        CollapsedAttention(6, unit="tensor")
    with pytest.raises(InputError, match=r"must both be \(dim, dim\).*\(6, 5\)"):
        CollapsedAttention.from_projections(torch.zeros(6, 5), torch.zeros(6, 5))
    layer, x = made(), tokens(rng)
    with pytest.raises(InputError, match=r"dim = 6; got \(2, 7, 5\)"):
        layer(x[..., :5])
    with pytest.raises(InputError, match=r"`key_padding_mask` must be bool.*\(2, 6\)"):
        layer(x, key_padding_mask=torch.zeros(2, 6, dtype=torch.bool))


def test_settings_and_tensors_of_other_kinds_are_refused(rng):
    for settings, said in (
        ({"dim": 12.0}, "`dim` must be an integer of at least 1; got 12.0"),
        ({"rank": 2.5, "query_key": "symmetric"}, "`rank` must be an integer .*; got 2.5"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\); got 1.0"),
        ({"scale": 0.0}, "`scale` must be a finite number above 0; got 0.0"),
        ({"dtype": torch.int64}, "`dtype` must be a floating torch.dtype"),
    ):
        with pytest.raises(InputError, match=said):
            CollapsedAttention(**{"dim": 12} | settings)
    layer, x = made(), tokens(rng)
    for given, said in (
        (x.float(), r"`x` must be of torch.float64.*got torch.float32"),
        (x.long(), r"`x` must be of torch.float64.*got torch.int64"),
        (x.tolist(), "`x` must be a torch tensor; got list"),
    ):
        with pytest.raises(InputError, match=said):
            layer(given)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    with pytest.raises(InputError, match=r"`mask` must be of dtype bool.*float32"):
        layer(x, mask=torch.ones(7, 7), key_padding_mask=padding)
    with pytest.raises(InputError, match=r"`mask` of shape \(5, 7\) does not broadcast"):
        layer(x, mask=torch.ones(5, 7) > 0, key_padding_mask=padding)
    with pytest.raises(InputError, match="`key_padding_mask` must be a torch tensor; got ndarray"):
        layer(x, key_padding_mask=padding.numpy())
    weight = torch.zeros(6, 6)
    for query, key, said in (
        (torch.nn.Linear(6, 6), weight, "`query` must be a torch tensor: give the `weight`"),
        (weight, weight.numpy(), "`key` must be a torch tensor; got ndarray"),
        (weight, weight.double(), r"`key` must have the dtype and device of `query`.*float64"),
        (weight.long(), weight.long(), r"`query.dtype` must be a floating.*int64"),
    ):
        with pytest.raises(InputError, match=said):
            CollapsedAttention.from_projections(query, key)


def test_weights_are_dropped_in_training_only(rng):
    layer, x = made(dropout=0.5), tokens(rng)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(3)
        assert not torch.equal(layer(x), layer(x))
    layer.eval()
    torch.testing.assert_close(layer(x), by_hand(layer, x))


def test_autocast(rng):
    layer, x = made("collapsed", "omitted").float(), tokens(rng).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x)
    torch.testing.assert_close(found.float(), layer(x), rtol=0.05, atol=0.05)

"""In self-attention with the unit "soft", what a padded token holds moves no other token."""

from __future__ import annotations

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import CollapsedAttention, MultiheadAttention, Soft
from tests.nn.cases import normal

DIM, HEADS, N, LENGTH = 12, 3, 8, 5
UNITS = {
    "by name": "soft",
    "landmarks": Soft(landmarks=3),
    "exact": Soft(landmarks=None),
    "rows": Soft(landmarks=None, normalisation="rows"),
}
PADDING = torch.arange(N).expand(2, N) >= LENGTH


def layer(kind, unit, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        if kind == "collapsed":
            return CollapsedAttention(DIM, HEADS, unit=unit, dtype=torch.float64)
        return MultiheadAttention(
            DIM, HEADS, unit=unit, batch_first=True, dtype=torch.float64, **settings
        )


def out(module, x, padding=None, hidden=None):
    if isinstance(module, CollapsedAttention):
        mask = None if hidden is None else ~hidden
        return module(x, key_padding_mask=padding, mask=mask)
    return module(x, x, x, key_padding_mask=padding, attn_mask=hidden)[0]


def twice(rng):
    x = normal(rng, 2, N, DIM)
    other = torch.where(PADDING[..., None], 3.0 * normal(rng, 2, N, DIM), x)
    return x, other


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", ["collapsed", "multihead"])
def test_padding_moves_nothing(kind, unit, rng):
    module, (x, other) = layer(kind, UNITS[unit]), twice(rng)
    found, moved = (out(module, tokens, PADDING)[:, :LENGTH] for tokens in (x, other))
    torch.testing.assert_close(found, moved, rtol=1e-10, atol=1e-12)
    alone = out(module, x[:, :LENGTH].contiguous())
    if unit != "by name":  # Whose landmarks are as many as tokens given.
        torch.testing.assert_close(found, alone, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", ["collapsed", "multihead"])
def test_padding_moves_nothing_beside_a_mask_with_rows(kind, rng):
    module, (x, other) = layer(kind, Soft(landmarks=None)), twice(rng)
    hidden = ~torch.ones(N, N, dtype=torch.bool).tril(2)
    found, moved = (out(module, tokens, PADDING, hidden)[:, :LENGTH] for tokens in (x, other))
    torch.testing.assert_close(found, moved, rtol=1e-10, atol=1e-12)
    assert found.isfinite().all()


def test_queries_of_another_sequence_all_count(rng):
    module, (x, other) = layer("multihead", "soft"), twice(rng)
    found, moved = (module(t, x, x, key_padding_mask=PADDING)[0] for t in (x.clone(), other))
    assert (found - moved)[:, :LENGTH].abs().max() > 1e-4


def test_it_compiles_whole(rng):
    torch.compiler.reset()
    module, (x, _) = layer("multihead", "soft"), twice(rng)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=False)
    torch.testing.assert_close(out(compiled, x, PADDING), out(module, x, PADDING))


@pytest.mark.parametrize("own", ["add_bias_kv", "add_zero_attn"])
def test_keys_of_the_module_beside_padding_are_refused(own, rng):
    module, (x, _) = layer("multihead", "soft", **{own: True}), twice(rng)
    assert out(module, x).isfinite().all()
    with pytest.raises(InputError, match=r"beside keys that the module adds.*normalisation='rows'"):
        out(module, x, PADDING)

"""Row blocks: every block sees its own part of the pattern, and nothing n by m is ever made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softunit.nn.attention import RelativeBias
from softunit.nn.attention import _row_blocks as row_blocks
from softunit.nn.attention._inputs import pattern_of
from softunit.nn.attention._row_blocks import in_row_blocks, outputs_in_row_blocks
from softunit.nn.attention._scores import hidden, plain_scores


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few weights, made anew in the backward pass."""
    monkeypatch.setattr(row_blocks, "CACHED", 90)
    monkeypatch.setattr(row_blocks, "HELD", 90)
    monkeypatch.setattr(row_blocks, "LEAST_ROWS", 4)


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape)).requires_grad_()


def weigh(q, k, pattern):
    """Weights that depend on the scores, the mask and how many keys a query sees."""
    scores = plain_scores(q, k, pattern, 0.3) / (1 + pattern.counts())
    return hidden(torch.tanh(scores), pattern)


MASKS = {"none": None, "keys": (2, 1, 1, -1), "entries": (2, 3, -1, -1), "of heads": (1, 3, -1, -1)}
BIASES = ["none", "keys", "rows", "relative", "relative heads", "relative batch"]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("mask", sorted(MASKS))
@pytest.mark.parametrize("causal", [False, True, "bottom-right"])
@pytest.mark.parametrize(("n", "m"), [(23, 23), (30, 11), (9, 40)])
def test_blocks_are_the_whole(n, m, causal, mask, bias, rng, small_blocks):
    q, k, v = normal(rng, 2, 3, n, 5), normal(rng, 2, 3, m, 5), normal(rng, 2, 3, m, 4)
    sizes = {
        "keys": (2, 1, 1, m),
        "rows": (n, m),
        "relative": (n + m - 1,),
        "relative heads": (3, n + m - 1),
        "relative batch": (2, 1, n + m - 1),
    }
    given = normal(rng, *sizes[bias]) if bias != "none" else None
    added = RelativeBias(given) if bias.startswith("relative") else given
    shape = MASKS[mask]
    seen = None
    if shape is not None:
        shape = (*shape[:2], n if shape[2] < 0 else 1, m)
        seen = torch.from_numpy(rng.random(shape) < 0.6)
    pattern = pattern_of(q, k, seen, causal, added)
    found, wanted = in_row_blocks(weigh, q, k, v, pattern), weigh(q, k, pattern) @ v
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)
    inputs = [q, k, v] if given is None else [q, k, v, given]
    pull = torch.from_numpy(rng.standard_normal(wanted.shape))
    gradients = torch.autograd.grad(found, inputs, pull, retain_graph=True)
    exact = torch.autograd.grad(wanted, inputs, pull)
    for one, other in zip(gradients, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def asked(q, k, v, pattern):
    """Return the shapes of the weights that are asked for, block by block."""
    shapes = []

    def noting(q, k, pattern):
        assert (pattern.n, pattern.m) == (q.shape[-2], k.shape[-2])
        shapes.append((*q.shape[:3], k.shape[-2]))
        return weigh(q, k, pattern)

    in_row_blocks(noting, q, k, v, pattern)
    return shapes


def tokens(rng, batch, heads, n, m, width=2):
    return [torch.from_numpy(rng.standard_normal((batch, heads, t, width))) for t in (n, m, m)]


def test_small_calls_are_one_block(rng):
    q, k, v = tokens(rng, 2, 3, 20, 30)
    assert asked(q, k, v, pattern_of(q, k, None, False, None)) == [(2, 3, 20, 30)]


def test_blocks_are_of_the_batch_then_of_heads_then_of_rows(rng, monkeypatch):
    q, k, v = tokens(rng, 4, 3, 16, 10)
    pattern = pattern_of(q, k, None, False, None)
    monkeypatch.setattr(row_blocks, "LEAST_ROWS", 4)
    monkeypatch.setattr(row_blocks, "CACHED", 1000)
    assert asked(q, k, v, pattern) == [(2, 3, 16, 10)] * 2
    monkeypatch.setattr(row_blocks, "CACHED", 330)
    assert asked(q, k, v, pattern) == [(1, 2, 16, 10), (1, 1, 16, 10)] * 4
    monkeypatch.setattr(row_blocks, "CACHED", 80)
    assert asked(q, k, v, pattern) == [(1, 1, 8, 10)] * 24
    monkeypatch.setattr(row_blocks, "CACHED", 1)
    assert asked(q, k, v, pattern) == [(1, 1, 4, 10)] * 48


def test_causal_blocks_leave_out_the_keys_that_they_cannot_see(rng):
    n = 1024
    q, k, v = tokens(rng, 1, 1, n, n)
    shapes = asked(q, k, v, pattern_of(q, k, None, True, None))
    assert [keys for *_, keys in shapes] == [128 * (i + 1) for i in range(8)]
    work = sum(rows * keys for *_, rows, keys in shapes)
    assert work / n**2 == 9 / 16


def test_blocks_that_see_nothing_are_zeros(rng, small_blocks):
    q, k, v = tokens(rng, 1, 2, 40, 7)
    shapes = asked(q, k, v, pattern_of(q, k, None, "bottom-right", None))
    assert min(keys for *_, keys in shapes) == 1
    found = in_row_blocks(weigh, q, k, v, pattern_of(q, k, None, "bottom-right", None))
    assert (found[:, :, :33] == 0).all()
    assert (found[:, :, 33:] != 0).all()


def test_the_largest_array_is_a_block(rng, monkeypatch):
    """No array of n by m is made, forward or backward."""
    monkeypatch.setattr(row_blocks, "CACHED", 1 << 12)
    monkeypatch.setattr(row_blocks, "HELD", 1 << 12)
    n = 512
    q, k, v = (x.requires_grad_() for x in tokens(rng, 1, 2, n, n))
    largest = []

    def noting(kept):
        largest.append(kept.untyped_storage().nbytes() // 8)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(noting, lambda kept: kept):
        out = in_row_blocks(weigh, q, k, v, pattern_of(q, k, None, False, None))
    assert max(largest, default=0) <= 2 * n * 2
    out.sum().backward()
    assert all(x.grad.isfinite().all() for x in (q, k, v))


@pytest.mark.parametrize("kept", ["all at once", "anew"])
def test_dropout_is_the_same_in_both_passes(rng, monkeypatch, kept):
    """The gradient of v is the transpose of the very weights that made the output."""
    monkeypatch.setattr(row_blocks, "HELD", 10 if kept == "anew" else 1 << 20)
    monkeypatch.setattr(row_blocks, "CACHED", 300)
    q, k, _ = tokens(rng, 1, 1, 30, 40)
    v = torch.eye(40, dtype=torch.float64).view(1, 1, 40, 40).requires_grad_()

    def even(q, k, pattern):
        return q.new_ones(*q.shape[:3], k.shape[-2])

    out = in_row_blocks(even, q, k, v, pattern_of(q, k, None, False, None), 0.25)
    assert set(np.unique(out.detach().numpy())) == {0.0, 1 / 0.75}
    assert abs(float((out == 0).double().mean()) - 0.25) < 0.08
    pull = torch.from_numpy(rng.standard_normal(out.shape))
    (gradient,) = torch.autograd.grad(out, v, pull)
    torch.testing.assert_close(gradient, out.detach().mT @ pull)


def test_no_tokens_give_no_outputs_or_zeros(rng):
    for n, m in [(0, 3), (3, 0)]:
        q, k, v = tokens(rng, 1, 2, n, m)
        found = in_row_blocks(weigh, q, k, v, pattern_of(q, k, None, False, None))
        assert found.shape == (1, 2, n, 2)
        assert (found == 0).all()


def test_any_mixing_goes_by_blocks(rng, small_blocks):
    q, k, v = tokens(rng, 2, 3, 23, 23)
    pattern = pattern_of(q, k, None, True, None)

    def mix(q, k, v, pattern):
        return weigh(q, k, pattern) @ v

    found = outputs_in_row_blocks(mix, q, k, v, pattern)
    torch.testing.assert_close(found, in_row_blocks(weigh, q, k, v, pattern), rtol=0, atol=0)


def test_the_blocks_compile_whole(rng, small_blocks):
    q, k, v = (x.requires_grad_() for x in tokens(rng, 1, 2, 9, 9))
    values = normal(rng, 2, 17)

    def mixed(q, k, v, values):
        pattern = pattern_of(q, k, None, True, RelativeBias(values))
        return in_row_blocks(weigh, q, k, v, pattern)

    torch._dynamo.reset()
    found = torch.compile(mixed, fullgraph=True, backend="aot_eager")(q, k, v, values)
    wanted = mixed(q, k, v, values)
    torch.testing.assert_close(found, wanted)
    pull = torch.from_numpy(rng.standard_normal(wanted.shape))
    gradients = torch.autograd.grad(found, [q, k, v, values], pull)
    exact = torch.autograd.grad(wanted, [q, k, v, values], pull)
    for one, other in zip(gradients, exact, strict=True):
        torch.testing.assert_close(one, other)

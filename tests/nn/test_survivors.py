"""Small faults that whole comparisons miss, because both sides of them would share the fault."""

from __future__ import annotations

import pytest
import torch

from softunit.nn.attention import RelativeBias, attend, reference, step, weights
from softunit.nn.attention._inputs import pattern_of
from tests.nn.cases import CASES, Call, normal
from tests.nn.test_contracts import STEPPING


@pytest.mark.parametrize("shape", [(1, 1, 1, 6), (1, 1, 5, 6)], ids=["keys", "rows"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_mask_and_a_bias_of_minus_infinity_hide_both(shape, relative, rng):
    q, k, v = normal(rng, 1, 1, 5, 3), normal(rng, 1, 1, 6, 3), normal(rng, 1, 1, 6, 2)
    mask, bias = torch.ones(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.float64)
    mask[..., 1], bias[..., 4] = False, -torch.inf
    found = weights(q, k, mask=mask, bias=bias)
    kept = [0, 2, 3, 5]
    assert (found[..., [1, 4]] == 0).all()
    torch.testing.assert_close(found[..., kept], weights(q, k[:, :, kept]))
    out = attend(q, k, v, mask=mask, bias=bias, causal=relative)
    hidden = mask & ~bias.isneginf()
    torch.testing.assert_close(out, attend(q, k, v, mask=hidden, causal=relative))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("function", [reference, weights], ids=["reference", "weights"])
def test_autocast_does_not_reach_inside_the_definition(case, function, rng):
    (q, k, v), how = Call((2, 2, 9, 9, 5, 3)).tensors(case, rng, torch.float32)
    given = (q, k) if function is weights else (q, k, v)
    wanted = function(*given, unit=case.unit, **how)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = function(*given, unit=case.unit, **how)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", STEPPING, ids=str)
def test_autocast_does_not_reach_inside_steps(case, rng):
    tensors, _ = Call((2, 2, 9, 9, 5, 3)).tensors(case, rng, torch.float32)
    wanted, _ = step(*tensors, unit=case.unit)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = step(*tensors, unit=case.unit)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", STEPPING, ids=str)
def test_steps_take_the_scale_of_the_caller(case, rng):
    tensors, how = Call((2, 3, 11, 11, 5, 4), causal=True).tensors(case, rng, torch.float64)
    wanted = attend(*tensors, unit=case.unit, scale=0.37, **how)
    assert (wanted - attend(*tensors, unit=case.unit, **how)).abs().max() > 1e-3
    state, outs = None, []
    for parts in zip(*(x.split(4, 2) for x in tensors), strict=True):
        out, state = step(*parts, state, unit=case.unit, scale=0.37)
        outs.append(out)
    torch.testing.assert_close(torch.cat(outs, 2), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (3, 0), (0, 0)])
def test_weights_of_no_tokens_have_the_shape_of_all_pairs(n, m):
    q, k = torch.ones(2, 1, n, 5), torch.ones(2, 1, m, 5)
    assert weights(q, k).shape == (2, 1, n, m)


@pytest.mark.parametrize("mask", ["none", "keys", "rows", "each", "empty keys", "empty rows"])
@pytest.mark.parametrize("causal", [False, True, "bottom-right"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 9), (9, 5)])
def test_what_is_counted_is_what_is_visible(mask, causal, n, m, rng):
    """Units divide by the count on both sides of a comparison, so it is held to the mask itself."""
    q, k = normal(rng, 2, 3, n, 2), normal(rng, 2, 3, m, 2)
    seen = Call((2, 3, n, m, 2, 2), mask)._mask(rng)
    pattern = pattern_of(q, k, seen, causal, RelativeBias(normal(rng, n + m - 1)))
    shown = torch.ones(2, 3, n, m, dtype=torch.bool) if seen is None else seen.expand(2, 3, n, m)
    if causal:
        last = torch.arange(n)[:, None] + (m - n if causal == "bottom-right" else 0)
        shown = shown & (torch.arange(m) <= last)
    counts = pattern.counts().expand(2, 3, n, 1)
    assert torch.equal(counts, shown.sum(-1, keepdim=True))

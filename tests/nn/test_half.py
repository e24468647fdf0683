"""Half precision is computed in float32 and rounded once."""

from __future__ import annotations

import pytest
import torch

from softunit.nn.attention import attend, reference, weights
from tests.nn.cases import CASES, Call
from tests.nn.checks import as_dtype, with_gradients

HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("function", [attend, reference], ids=["attend", "reference"])
def test_the_result_is_that_of_float32_rounded(function, case, dtype, rng):
    call = Call((2, 2, 63, 63, 9, 5), mask="keys", bias="keys")
    call = Call(call.shape) if case.refusal(call) else call
    tensors, how = call.tensors(case, rng, dtype)
    wide = with_gradients(
        function, [x.float() for x in tensors], as_dtype(how, torch.float32), unit=case.unit
    )
    found = with_gradients(function, tensors, as_dtype(how, dtype), unit=case.unit)
    limit = torch.finfo(dtype).eps
    off = (found["out"].float() - wide["out"]).abs().max()
    assert off <= limit * wide["out"].abs().max()
    for name, want in wide.items():
        assert found[name].dtype == dtype, name
        # Gradients also meet the rounded output's own.
        assert (found[name].float() - want).abs().max() <= 4 * limit * want.abs().max(), name


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sums_over_many_keys_do_not_round_in_between(case, dtype, rng):
    """Sums of 4000 ones in bfloat16 stand still at 256; means of equal values must be exact."""
    m = 4000 if not case.unit.pairs else 40
    if case.refusal(Call((1, 1, 3, m, 5, 2))):
        m, n = 4000, 4000
    else:
        n = 3
    q, k = (torch.zeros(1, 1, t, 5, dtype=dtype) for t in (n, m))
    v = torch.ones(1, 1, m, 2, dtype=dtype)
    wide = attend(q.float(), k.float(), v.float(), unit=case.unit)
    found = attend(q, k, v, unit=case.unit)
    assert (found.float() - wide).abs().max() <= torch.finfo(dtype).eps * wide.abs().max()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_are_rounded_too(case, rng):
    (q, k, _), how = Call((1, 2, 9, 9, 5, 2)).tensors(case, rng, torch.bfloat16)
    found = weights(q, k, unit=case.unit, **how)
    assert found.dtype == torch.bfloat16
    wide = weights(q.float(), k.float(), unit=case.unit, **how)
    assert (found.float() - wide).abs().max() <= torch.finfo(torch.bfloat16).eps * wide.abs().max()

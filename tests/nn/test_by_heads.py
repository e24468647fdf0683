"""Linear units go over few heads at a time where tokens are many: the same numbers as at once."""

from __future__ import annotations

import pytest
import torch

from softunit.nn.attention import Kernelized, NaLaFormer, _row_blocks, attend, reference
from tests.nn.cases import CALLS, UnitCase
from tests.nn.checks import assert_close, with_gradients

UNITS = [NaLaFormer(), NaLaFormer(rotary=True), Kernelized(), Kernelized(direct=0)]
LEADS = [call for call in CALLS if max(call.shape[:2]) > 1]


@pytest.mark.parametrize("small", [1, 3_000], ids=["one head", "some heads"])
@pytest.mark.parametrize("unit", UNITS, ids=["nalaformer", "rotary", "kernelized", "by FFT"])
def test_heads_apart_are_heads_together(unit, small, rng, monkeypatch):
    monkeypatch.setattr(_row_blocks, "SMALL", small)
    for call in LEADS[::5]:
        tensors, how = call.tensors(UnitCase("", unit), rng, torch.float64)
        wanted = with_gradients(reference, tensors, how, unit=unit)
        assert_close(with_gradients(attend, tensors, how, unit=unit), wanted, 1e-9)


def test_blocks_hold_the_heads_that_fit(monkeypatch, rng):
    seen = []

    def mix(q, k, v, part):
        seen.append(tuple(q.shape[:2]))
        return v

    x = torch.from_numpy(rng.standard_normal((3, 4, 10, 2)))
    pattern = _row_blocks.Pattern(10, 10, x.device)
    for small, blocks in [(80, [(1, 4)] * 3), (40, [(1, 2)] * 6), (160, [(2, 4), (1, 4)])]:
        seen.clear()
        monkeypatch.setattr(_row_blocks, "SMALL", small)
        assert torch.equal(_row_blocks.outputs_by_heads(mix, x, x, x, pattern, 2), x)
        assert seen == blocks

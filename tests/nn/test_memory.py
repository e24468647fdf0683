"""No array of n by m entries: never in linear units, in blocks of rows in the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softunit.nn.attention import UNITS, MultiheadAttention, attend
from tests.nn.cases import CASES, Call, UnitCase, normal
from tests.nn.checks import Largest, with_gradients

LONG = 2048
BLOCK = 2**22
LINEAR = [case for case in CASES if case.unit.linear]
DENSE = [case for case in CASES if case.unit in UNITS.values() and case not in LINEAR]
ROWS = 2100  # times LONG keys is more than a block
WHERE = [
    {},
    {"mask": "keys", "bias": "keys"},
    {"causal": True},
    {"causal": "bottom-right", "mask": "keys"},
    {"bias": "relative"},
    {"bias": "relative", "causal": True},
]
EACH_LINEAR = [
    (case, where)
    for case in LINEAR
    for where in WHERE
    if not case.refusal(Call((1, 1, LONG, LONG, 8, 8), **where))
]
EACH_DENSE = [
    (case, where)
    for case in DENSE
    for where in (*WHERE[1:], {"mask": "rows"}, {"bias": "rows"})
    if not case.unit.pairs and not case.refusal(Call((1, 1, ROWS, LONG, 8, 8), **where))
]


def largest(case: UnitCase, shape: tuple[int, ...], where: dict, rng) -> Largest:
    """Return the largest tensor that a call makes, forward and backward."""
    tensors, how = Call(shape, **where).tensors(case, rng, torch.float32)
    with Largest((tensors, how)) as seen:
        with_gradients(attend, tensors, how, unit=case.unit)
    return seen


@pytest.mark.parametrize(("case", "where"), EACH_LINEAR, ids=str)
def test_linear_units_never_make_an_array_of_n_by_m(case, where, rng):
    seen = largest(case, (1, 1, LONG, LONG, 8, 8), where, rng)
    assert seen.entries < LONG * LONG // 4, seen.shape


@pytest.mark.parametrize(("case", "where"), EACH_DENSE, ids=str)
def test_dense_units_go_over_blocks_of_rows(case, where, rng):
    assert ROWS * LONG > BLOCK
    seen = largest(case, (1, 1, ROWS, LONG, 8, 8), where, rng)
    # A mask or bias of n rows is itself so large, and so is the gradient of the bias.
    given = ROWS * LONG if "rows" in where.values() else 0
    assert seen.entries <= max(BLOCK, given), seen.shape


def test_the_ruler_sees_an_array_of_n_by_m(rng):
    x = normal(rng, 1, 1, LONG, 8, dtype=torch.float32).requires_grad_()
    with Largest() as seen:
        torch.softmax(x @ x.mT, -1).sum().backward()
    assert seen.entries == LONG * LONG


@pytest.mark.parametrize("case", LINEAR, ids=str)
@pytest.mark.parametrize("kind", ["bool", "floats"])
def test_masks_of_keys_keep_a_module_linear(case, kind, rng):
    hidden = torch.from_numpy(rng.random((1, LONG)) < 0.3)
    hidden = hidden if kind == "bool" else torch.zeros(1, LONG).masked_fill(hidden, -torch.inf)
    module = MultiheadAttention(8, 1, unit=case.unit, batch_first=True)
    x = normal(np.random.default_rng(2), 1, LONG, 8, dtype=torch.float32) * case.size
    causal = bool(case.refusal(Call((1, 1, LONG, LONG, 8, 8))))
    how = {"key_padding_mask": hidden, "is_causal": causal}
    if case.refusal(Call((1, 1, LONG, LONG, 8, 8), mask="keys", causal=causal)):
        how.pop("key_padding_mask")
    with Largest() as seen:
        module(x, x, x, need_weights=False, **how)[0].sum().backward()
    assert seen.entries < LONG * LONG // 4, seen.shape

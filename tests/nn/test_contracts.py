"""Every unit: what it computes efficiently is what its definition says, in every gradient."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

import softunit.nn.attention as room
from softunit.errors import InputError
from softunit.nn.attention import (
    UNITS,
    AttentionUnit,
    RelativeBias,
    attend,
    reference,
    step,
    weights,
)
from tests.nn.cases import (
    BIASES,
    CALLS,
    CASES,
    CAUSALS,
    MASKS,
    SHAPES,
    Call,
    UnitCase,
    calls_of,
    normal,
)
from tests.nn.checks import assert_close, with_gradients
from tests.nn.checks import sizes as size_of

EVERY = [(case, call) for case in CASES for call in calls_of(case)]
SOME = [(case, call) for case in CASES for call in calls_of(case, every=3)]
SINGLES = [case for case in CASES if not case.unit.pairs]
LEARNED = [
    case
    for case in CASES
    if any(isinstance(x, torch.nn.Parameter) for x in vars(case.unit).values())
]
STEPPING = [case for case in CASES if type(case.unit).step is not AttentionUnit.step]


def words(value: object) -> str | None:
    return str(value) if isinstance(value, UnitCase | Call) else None


def taken(case: UnitCase, shape=(2, 2, 7, 9, 5, 3), **where) -> Call | None:
    """A call, or None where the unit refuses it."""
    call = Call(shape, **where)
    return None if case.refusal(call) else call


def small_calls(case: UnitCase) -> list[Call]:
    """A few calls with something of everything that the unit takes."""
    found = [
        taken(case, shape, mask=mask, causal=causal, bias=bias)
        for shape, mask, causal, bias in [
            ((1, 2, 3, 3, 2, 2), "none", False, "none"),
            ((1, 2, 3, 4, 2, 2), "keys", False, "keys"),
            ((1, 2, 3, 3, 2, 2), "empty rows", True, "relative"),
            ((2, 1, 3, 3, 2, 2), "keys", True, "none"),
            ((1, 1, 4, 3, 2, 1), "each", "bottom-right", "rows"),
        ]
    ]
    return [call for call in found if call is not None]


def test_every_unit_has_a_row():
    held = {case.unit.name for case in CASES}
    assert set(UNITS) <= held, f"no row in tests/nn/cases.py for {sorted(set(UNITS) - held)}"
    classes = {
        item
        for item in (getattr(room, name) for name in room.__all__)
        if inspect.isclass(item) and issubclass(item, AttentionUnit) and item is not AttentionUnit
    }
    missing = classes - {type(case.unit) for case in CASES}
    assert not missing, f"no row in tests/nn/cases.py for {missing}"
    for name, unit in UNITS.items():
        assert any(case.unit == unit for case in CASES), f"no row with the defaults of {name!r}"


def test_the_calls_hold_every_pair():
    for a, b in [("mask", "causal"), ("mask", "bias"), ("causal", "bias"), ("shape", "mask")]:
        levels = {"mask": MASKS, "causal": CAUSALS, "bias": BIASES, "shape": SHAPES}
        have = {(getattr(call, a), getattr(call, b)) for call in CALLS}
        assert len(have) == len(levels[a]) * len(levels[b])


@pytest.mark.parametrize(("case", "call"), EVERY, ids=words)
def test_efficient_is_the_definition(case, call, rng):
    tensors, how = call.tensors(case, rng, torch.float64)
    if case.refusal(call):
        with pytest.raises(InputError, match=case.refusal(call)):
            attend(*tensors, unit=case.unit, **how)
        return
    found = with_gradients(attend, tensors, how, unit=case.unit)
    wanted = with_gradients(reference, tensors, how, unit=case.unit)
    assert_close(found, wanted, 1e-10)


@pytest.mark.parametrize(("case", "call"), SOME, ids=words)
def test_efficient_is_the_definition_in_single_precision(case, call, rng):
    if case.refusal(call):
        return
    tensors, how = call.tensors(case, rng, torch.float32)
    found = with_gradients(attend, tensors, how, unit=case.unit)
    wanted = with_gradients(reference, tensors, how, unit=case.unit)
    assert_close(found, wanted, 1e-5)
    assert {x.dtype for x in found.values()} == {torch.float32}


@pytest.mark.parametrize("case", CASES, ids=words)
def test_gradcheck(case, rng):
    calls = small_calls(case)
    assert calls
    for call in calls:
        tensors, how = call.tensors(case, rng, torch.float64)
        bias = how.pop("bias")
        relative = isinstance(bias, RelativeBias)
        added = [] if bias is None else [bias.values if relative else bias]

        def mixed(q, k, v, *added, how=how, relative=relative):
            bias = RelativeBias(*added) if relative else added[0] if added else None
            return attend(q, k, v, unit=case.unit, bias=bias, **how)

        given = [x.requires_grad_() for x in (*tensors, *added)]
        assert torch.autograd.gradcheck(mixed, given)


@pytest.mark.parametrize("case", LEARNED, ids=words)
@pytest.mark.parametrize("call", CALLS[::2], ids=words)
def test_learned_settings_have_the_gradient_of_the_definition(case, call, rng):
    if case.refusal(call):
        return
    tensors, how = call.tensors(case, rng, torch.float64)
    settings = [x for x in vars(case.unit).values() if isinstance(x, torch.Tensor)]
    grads = []
    for function in (attend, reference):
        out = function(*tensors, unit=case.unit, **how)
        mix = torch.from_numpy(np.random.default_rng(4).standard_normal(out.shape))
        grads.append(torch.autograd.grad((out * mix).sum(), settings, allow_unused=True))
    for found, wanted in zip(*grads, strict=True):
        wanted = torch.zeros(1) if wanted is None else wanted
        found = torch.zeros_like(wanted) if found is None else found
        assert (found - wanted).abs().max() <= 1e-10 * wanted.abs().max().clamp(min=1.0)


@pytest.mark.parametrize("case", CASES, ids=words)
def test_a_query_that_sees_nothing_gets_zeros(case, rng):
    calls = [
        taken(case, mask=mask, bias=bias)
        for mask, bias in [("empty rows", "none"), ("empty keys", "none"), ("empty rows", "rows")]
    ]
    calls.append(taken(case, (2, 2, 9, 4, 5, 3), causal="bottom-right"))
    calls.append(taken(case, (2, 2, 9, 9, 5, 3), mask="empty keys", causal=True))
    kept = [call for call in calls if call is not None]
    assert kept or "mask" in case.refuses
    for call in kept:
        tensors, how = call.tensors(case, rng, torch.float64)
        found = with_gradients(attend, tensors, how, unit=case.unit)
        rows = {"empty rows": np.s_[:, :, ::2], "empty keys": np.s_[-1], "none": np.s_[:, :, :5]}
        assert (found["out"][rows[call.mask]] == 0).all()
        assert all(x.isfinite().all() for x in found.values())
        if call.mask == "empty keys":
            assert (found["grad q"][-1] == 0).all()
            assert (found["grad v"][-1] == 0).all()


@pytest.mark.parametrize("case", CASES, ids=words)
def test_no_tokens_at_all(case):
    for n, m in [(0, 3), (3, 0), (0, 0)]:
        if case.refusal(Call((1, 1, n, m, 2, 2))):
            continue
        given = [torch.ones(1, 1, t, 2, dtype=torch.float64) * case.size for t in (n, m, m)]
        found = attend(*given, unit=case.unit)
        assert found.shape == (1, 1, n, 2)
        assert (found == 0).all()


@pytest.mark.parametrize("case", SINGLES, ids=words)
def test_weights_times_values_is_the_output(case, rng):
    for call in small_calls(case):
        (q, k, v), how = call.tensors(case, rng, torch.float64)
        w = weights(q, k, unit=case.unit, **how)
        assert w.shape == (*call.shape[:3], call.shape[3])
        assert (w @ v - attend(q, k, v, unit=case.unit, **how)).abs().max() <= 1e-10


@pytest.mark.parametrize("case", CASES, ids=words)
def test_weights_sum_to_one_where_that_is_said(case, rng):
    call = Call((2, 2, 9, 9, 5, 3))
    (q, k, _), how = call.tensors(case, rng, torch.float64)
    ones = bool((weights(q, k, unit=case.unit, **how).sum(-1) - 1).abs().max() <= 1e-10)
    if UNITS.get(case.unit.name) is case.unit:
        assert ones == case.unit.sums_to_one
    else:  # settings may normalise what by default is not
        assert ones >= case.unit.sums_to_one


@pytest.mark.parametrize("case", [case for case in CASES if not case.ordered], ids=words)
@pytest.mark.parametrize("mask", ["none", "keys"])
def test_the_order_of_keys_does_not_matter(case, mask, rng):
    call = taken(case, (2, 2, 11, 13, 5, 3), mask=mask, bias="keys") or taken(case, mask=mask)
    if call is None:
        assert "mask" in case.refuses or "mask keys" in case.refuses
        return
    (q, k, v), how = call.tensors(case, rng, torch.float64)
    order = torch.from_numpy(rng.permutation(call.shape[3]))
    turned = {
        name: value[..., order] if isinstance(value, torch.Tensor) else value
        for name, value in how.items()
    }
    found = attend(q, k[:, :, order], v[:, :, order], unit=case.unit, **turned)
    assert (found - attend(q, k, v, unit=case.unit, **how)).abs().max() <= 1e-10


@pytest.mark.parametrize("case", [case for case in CASES if case.huge], ids=words)
@pytest.mark.parametrize("causal", [False, True])
def test_huge_scores_stay_finite(case, causal, rng):
    call = taken(case, (1, 2, 17, 17, 24, 3), causal=causal)
    if call is None:
        assert "causal" in case.refuses or "not causal" in case.refuses
        return
    (q, k, v), how = call.tensors(case, rng, torch.float32)
    found = with_gradients(attend, [q * 100, k * 100, v], how, unit=case.unit)
    assert all(x.isfinite().all() for x in found.values())
    mean = with_gradients(attend, [q * 0 + 1, k * 0 + 1, v], how, unit=case.unit)
    assert all(x.isfinite().all() for x in mean.values())


@pytest.mark.parametrize("case", CASES, ids=words)
def test_memory_of_any_order_is_taken(case, rng):
    call = Call((2, 3, 9, 9, 5, 4))
    (q, k, v), how = call.tensors(case, rng, torch.float64)
    plain = with_gradients(attend, [q, k, v], how, unit=case.unit)
    strange = [
        q.transpose(1, 2).contiguous().transpose(1, 2),
        k.mT.contiguous().mT,
        torch.stack([v, v], -1)[..., 0],
    ]
    assert not any(x.is_contiguous() for x in strange)
    assert_close(with_gradients(attend, strange, how, unit=case.unit), plain, 1e-12)


@pytest.mark.parametrize("case", CASES, ids=words)
def test_keys_of_one_batch_and_head_serve_all(case, rng):
    (q, k, v), how = Call((2, 3, 9, 9, 5, 4)).tensors(case, rng, torch.float64)
    k, v = k[:1, :1], v[:1, :1]
    shared = with_gradients(attend, [q, k, v], how, unit=case.unit)
    full = [k.expand(2, 3, -1, -1), v.expand(2, 3, -1, -1)]
    own = with_gradients(attend, [q, *full], how, unit=case.unit)
    for name in ("grad k", "grad v"):
        own[name] = own[name].sum((0, 1), keepdim=True)
    assert_close(shared, own, 1e-12)


@pytest.mark.parametrize("case", CASES, ids=words)
def test_each_gradient_comes_alone_and_inputs_stay_as_they_are(case, rng):
    for call in small_calls(case):
        tensors, how = call.tensors(case, rng, torch.float64)
        before = [x.clone() for x in tensors]
        together = with_gradients(attend, tensors, how, unit=case.unit)
        for i, name in enumerate("qkv"):
            given = [x.detach().requires_grad_(j == i) for j, x in enumerate(tensors)]
            out = attend(*given, unit=case.unit, **how)
            mix = normal(np.random.default_rng(3), *out.shape)
            (alone,) = torch.autograd.grad((out * mix).sum(), given[i])
            assert (alone - together[f"grad {name}"]).abs().max() <= 1e-12
        with torch.inference_mode():
            assert_close(
                {"out": attend(*tensors, unit=case.unit, **how)}, {"out": together["out"]}, 1e-12
            )
        assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


@pytest.mark.parametrize("case", CASES, ids=words)
def test_one_tensor_may_be_query_key_and_value(case, rng):
    x = normal(rng, 2, 2, 9, 4) * case.size
    how = {"causal": bool(case.refusal(Call((2, 2, 9, 9, 4, 4))))}
    grads = []
    for function in (attend, reference):
        x = x.detach().requires_grad_()
        function(x, x, x, unit=case.unit, **how).square().sum().backward()
        grads.append(x.grad)
    assert (grads[0] - grads[1]).abs().max() <= 1e-10 * grads[1].abs().max().clamp(min=1.0)


@pytest.mark.parametrize("case", [case for case in CASES if case.unit.pairs], ids=words)
@pytest.mark.parametrize(
    "where", [{}, {"mask": "keys", "causal": True}, {"bias": "keys", "causal": "bottom-right"}]
)
def test_two_keys_and_two_values(case, where, rng):
    (q, k, v), how = Call((2, 2, 9, 11, 5, 3), **where).tensors(case, rng, torch.float64)
    others = k.flip(-1), v.flip(-1)

    def paired(function):
        def mixed(q, k1, k2, v1, v2):
            return function(q, (k1, k2), (v1, v2), unit=case.unit, **how)

        given = [x.detach().requires_grad_() for x in (q, k, others[0], v, others[1])]
        out = mixed(*given)
        grads = torch.autograd.grad((out * out.detach().cos()).sum(), given)
        return dict(enumerate((out.detach(), *grads)))

    assert_close(paired(attend), paired(reference), 1e-10)


@pytest.mark.parametrize("case", CASES, ids=words)
@pytest.mark.parametrize("size", [25.0, -torch.inf])
def test_biases_of_keys_may_be_far_apart(case, size, rng):
    call = taken(case, (2, 2, 17, 17, 5, 3), bias="keys")
    if call is None:
        assert "bias" in case.refuses
        return
    tensors, how = call.tensors(case, rng, torch.float64)
    far = how["bias"] * size if size > 0 else how["bias"].masked_fill(how["bias"] > 0.3, size)
    how = how | {"bias": far}
    found = with_gradients(attend, tensors, how, unit=case.unit)
    assert_close(found, with_gradients(reference, tensors, how, unit=case.unit), 1e-10)


@pytest.mark.parametrize("case", CASES, ids=words)
def test_autocast_does_not_reach_inside(case, rng):
    tensors, how = Call((2, 2, 17, 17, 5, 3)).tensors(case, rng, torch.float32)

    def cast(q, k, v, **how):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return attend(q, k, v, **how)

    found = with_gradients(cast, tensors, how, unit=case.unit)
    assert_close(found, with_gradients(attend, tensors, how, unit=case.unit), 1e-6)


@pytest.mark.parametrize("case", STEPPING, ids=words)
@pytest.mark.parametrize("sizes", [[1] * 21, [5, 1, 8, 7]], ids=["ones", "chunks"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_steps_are_the_causal_form(case, sizes, dtype, rng):
    tensors, how = Call((2, 3, 21, 21, 5, 4), causal=True).tensors(case, rng, dtype)
    whole = attend(*tensors, unit=case.unit, **how)
    state, outs, held = None, [], []
    for parts in zip(*(x.split(sizes, 2) for x in tensors), strict=True):
        out, state = step(*parts, state, unit=case.unit)
        outs.append(out)
        held.append(size_of(state))
    off = (torch.cat(outs, 2) - whole).abs().max() / whole.abs().max().clamp(min=1.0)
    assert off <= (1e-10 if dtype == torch.float64 else 1e-5)
    assert held[-1] > 0
    assert len(set(held)) == 1


@pytest.mark.parametrize("case", [case for case in CASES if case not in STEPPING], ids=words)
def test_units_without_steps_say_so(case, rng):
    tensors, _ = Call((1, 1, 1, 1, 5, 4)).tensors(case, rng, torch.float64)
    with pytest.raises(InputError, match=r"no recurrent form|cannot be causal"):
        step(*tensors, unit=case.unit)


@pytest.mark.parametrize("case", CASES, ids=words)
def test_dropout_keeps_the_mean(case, rng):
    call = Call((1, 1, 6, 6, 5, 2))
    tensors, how = call.tensors(case, rng, torch.float64)
    still = attend(*tensors, unit=case.unit, **how)
    with torch.random.fork_rng():
        torch.manual_seed(17)
        draws = torch.stack(
            [attend(*tensors, unit=case.unit, dropout=0.3, **how) for _ in range(300)]
        )
    spread = draws.std(0)
    assert spread.max() > 1e-3
    assert ((draws.mean(0) - still).abs() <= 5 * spread / 300**0.5 + 1e-9).all()

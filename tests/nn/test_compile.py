"""torch.compile takes every unit and module whole, forward and backward."""

from __future__ import annotations

import pytest
import torch

from softunit.nn.attention import UNITS, Attention, MultiheadAttention, RelativeBias, attend
from tests.nn.cases import CASES, Call, UnitCase, normal
from tests.nn.checks import assert_close, with_gradients

MADE = ("softmax", "nalaformer")  # whose kernels are compiled too: that takes long
WHERE = [
    {"mask": "keys", "causal": True},
    {"mask": "rows", "bias": "rows"},
    {"bias": "relative", "causal": True},
    {"mask": "keys", "bias": "keys"},
    {},
]


def calls_of(case: UnitCase) -> list[Call]:
    """The first three calls that a unit takes; the first one for settings that are variants."""
    calls = [Call((1, 2, 9, 9, 5, 3), **where) for where in WHERE]
    most = 3 if case.unit in UNITS.values() else 1
    return [call for call in calls if not case.refusal(call)][:most]


MODULES = [case for case in CASES if case.unit in UNITS.values() or "learned" in case.name]


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(function, backend="aot_eager"):
    return torch.compile(function, fullgraph=True, backend=backend, dynamic=False)


def same(case: UnitCase, call: Call, rng, backend="aot_eager"):
    """Check that a compiled call gives what the plain one gives."""
    tensors, how = call.tensors(case, rng, torch.float64)

    def plain(q, k, v, mask, bias):
        return attend(q, k, v, unit=case.unit, mask=mask, causal=call.causal, bias=bias)

    whole = compiled(plain, backend)
    how = {name: how[name] for name in ("mask", "bias")}
    found = with_gradients(whole, tensors, how)
    assert_close(found, with_gradients(plain, tensors, how), 1e-10)


@pytest.mark.parametrize(
    ("case", "call"), [(case, call) for case in CASES for call in calls_of(case)], ids=str
)
def test_units_compile_whole(case, call, rng):
    same(case, call, rng)


# What the compiler itself imports uses what PyTorch advises against.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("case", [case for case in CASES if case.name in MADE], ids=str)
def test_kernels_are_made_of_it(case, rng):
    same(case, Call((1, 2, 9, 9, 5, 3), mask="keys", causal=True), rng, backend="inductor")


@pytest.mark.parametrize("case", MODULES, ids=str)
def test_modules_compile_whole(case, rng):
    module = MultiheadAttention(10, 2, unit=case.unit, batch_first=True, dtype=torch.float64)
    x = normal(rng, 2, 9, 10) * case.size
    call = Call((2, 2, 9, 9, 5, 5), mask="keys", causal=True)
    how = {"need_weights": False}
    if not case.refusal(call):
        how |= {"key_padding_mask": torch.from_numpy(rng.random((2, 9)) < 0.3), "is_causal": True}
    elif case.refusal(Call(call.shape)):
        how |= {"is_causal": True}

    def run(function):
        module.zero_grad()
        out = function(x, x, x, **how)[0]
        out.square().sum().backward()
        grads = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        return {"out": out.detach()} | grads

    wanted = run(module)
    assert_close(run(compiled(module)), wanted, 1e-10)


def test_the_bare_module_compiles_with_a_learned_bias(rng):
    case = CASES[0]
    tensors, _ = Call((1, 2, 9, 9, 5, 3)).tensors(case, rng, torch.float64)
    bias = RelativeBias(normal(rng, 2, 17))
    module = Attention(case.unit, causal=True)
    found = with_gradients(compiled(module), tensors, {"bias": bias})
    assert_close(found, with_gradients(module, tensors, {"bias": bias}), 1e-10)


def test_masks_of_floats_compile(rng):
    module = MultiheadAttention(8, 2, dtype=torch.float64)
    x = normal(rng, 6, 2, 8)
    mask = normal(rng, 6, 6).masked_fill(torch.ones(6, 6, dtype=torch.bool).triu(1), -torch.inf)
    keys = torch.zeros(2, 6, dtype=torch.float64)
    keys[0, 4:] = -torch.inf
    how = {"attn_mask": mask, "key_padding_mask": keys}
    found, wanted = (f(x, x, x, **how) for f in (compiled(module), module))
    for a, b in zip(found, wanted, strict=True):
        assert (a - b).abs().max() <= 1e-10

"""Settings that a module learns are read from the module at every call."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from softunit.nn.attention import (
    Attention,
    CollapsedAttention,
    MultiheadAttention,
    Quasiseparable,
    Softmax,
)
from tests.nn.cases import normal

DIM, HEADS, N = 12, 3, 6
MODULES = ["bare", "collapsed", "multihead"]


def learning(kind, rate=-0.5):
    """Return a module and how it is called, with log decays that it learns."""
    unit = Quasiseparable(log_decay=nn.Parameter(torch.full((HEADS,), rate, dtype=torch.float64)))
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        if kind == "bare":
            return Attention(unit)
        if kind == "collapsed":
            return CollapsedAttention(DIM, HEADS, unit=unit, dtype=torch.float64)
        return MultiheadAttention(DIM, HEADS, unit=unit, batch_first=True, dtype=torch.float64)


def given(kind, rng):
    if kind == "bare":
        return tuple(normal(rng, 2, HEADS, N, 4) for _ in range(3))
    x = normal(rng, 2, N, DIM)
    return (x,) if kind == "collapsed" else (x, x, x)


def out(module, x):
    found = module(*x)
    return found[0] if isinstance(found, tuple) else found


class Negative(nn.Module):
    """A log decay of a free parameter."""

    def forward(self, free):
        return -nn.functional.softplus(free)

    def right_inverse(self, log_decay):
        return (-log_decay).expm1().log()


@pytest.mark.parametrize("kind", MODULES)
def test_whatever_takes_the_place_of_a_parameter_is_used(kind, rng):
    x, other = given(kind, rng), learning(kind, -0.1)
    wanted, before = out(other, x), out(learning(kind), x)
    assert (wanted - before).abs().max() > 1e-3

    module = learning(kind)
    module.unit_log_decay = nn.Parameter(other.unit_log_decay.detach().clone())
    assert torch.equal(out(module, x), wanted)
    for assign in (False, True):
        module = learning(kind)
        module.load_state_dict(other.state_dict(), assign=assign)
        assert torch.equal(out(module, x), wanted)
    swapped = torch.func.functional_call(learning(kind), dict(other.named_parameters()), x)
    assert torch.equal(swapped if torch.is_tensor(swapped) else swapped[0], wanted)
    module = learning(kind)
    parametrize.register_parametrization(module, "unit_log_decay", Negative())
    torch.testing.assert_close(out(module, x), before)
    module.unit_log_decay = other.unit_log_decay.detach()
    torch.testing.assert_close(out(module, x), wanted)
    out(module, x).square().sum().backward()
    assert module.parametrizations.unit_log_decay.original.grad.abs().min() > 0


@pytest.mark.parametrize("kind", MODULES)
def test_copies_learn_by_themselves(kind, rng):
    x, module = given(kind, rng), learning(kind)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert twin.unit.log_decay is twin.unit_log_decay
        assert twin.unit_log_decay is not module.unit_log_decay
        assert torch.equal(out(twin, x), out(module, x))
        with torch.no_grad():
            twin.unit_log_decay.fill_(-0.1)
        assert torch.equal(out(twin, x), out(learning(kind, -0.1), x))


@pytest.mark.parametrize("kind", MODULES)
def test_it_compiles_whole(kind, rng):
    torch.compiler.reset()
    x, module = given(kind, rng), learning(kind)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=False)
    torch.testing.assert_close(out(compiled, x), out(module, x))
    with torch.no_grad():
        module.unit_log_decay.fill_(-0.1)
    found = out(compiled, x)
    torch.testing.assert_close(found, out(learning(kind, -0.1), x))
    found.square().sum().backward()
    assert module.unit_log_decay.grad.abs().min() > 0


def test_a_module_takes_another_unit(rng):
    module = learning("multihead")
    module.unit = "softmax"
    assert module.unit == Softmax()
    assert "unit_log_decay" not in dict(module.named_parameters())
    module.unit = Quasiseparable(log_decay=nn.Parameter(torch.tensor([-0.5])))
    assert module.unit.log_decay is dict(module.named_parameters())["unit_log_decay"]

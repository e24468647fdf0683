"""Perpendicular gradients: the projection, and all that an optimiser must do beside it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.optim import PerpendicularGradient


def parameters(rng, dtype=torch.float64):
    shapes = [(3, 4), (5,), ()]
    made = []
    for shape in shapes:
        parameter = torch.nn.Parameter(torch.tensor(rng.standard_normal(shape)).to(dtype))
        parameter.grad = torch.tensor(rng.standard_normal(shape)).to(dtype)
        made.append(parameter)
    return made


def sgd(given, **options):
    return PerpendicularGradient(torch.optim.SGD(given, lr=0.1, **options))


@pytest.mark.parametrize(
    ("dtype", "scale", "bar"),
    [
        (torch.float64, 1.0, 1e-15),
        (torch.float32, 1.0, 1e-6),
        (torch.float32, 1e-25, 1e-6),
        (torch.float32, 1e25, 1e-6),
        (torch.bfloat16, 1.0, 2e-2),
        (torch.complex128, 1.0, 1e-14),
    ],
    ids=str,
)
def test_what_is_along_the_weights_is_taken(rng, dtype, scale, bar):
    theta = torch.tensor(scale * rng.standard_normal((30, 40))).to(dtype)
    if dtype.is_complex:
        theta = theta + 1j * torch.tensor(rng.standard_normal((30, 40)))
    parameter = torch.nn.Parameter(theta)
    across = torch.tensor(rng.standard_normal((30, 40))).to(dtype)
    parameter.grad = across + 3 * theta / scale
    sgd([parameter]).project()
    wide = torch.complex128 if dtype.is_complex else torch.float64
    w, g = theta.to(wide), parameter.grad.to(wide)
    along = torch.vdot(w.flatten(), g.flatten()).real / (w.norm() * across.to(wide).norm())
    assert abs(float(along)) <= bar
    expected = across.to(wide)
    expected = expected - w * torch.vdot(w.flatten(), expected.flatten()).real / w.norm() ** 2
    torch.testing.assert_close(g, expected, rtol=0, atol=40 * bar)


def test_a_step_is_that_of_the_base_on_projected_gradients(rng):
    ours = parameters(rng)[:2]  # gradients of single numbers are left alone
    theirs = copy.deepcopy(ours)
    for mine, other in zip(ours, theirs, strict=True):
        w, g = other.detach(), mine.grad
        other.grad = g - (w * g).sum() / (w * w).sum() * w
    PerpendicularGradient(torch.optim.AdamW(ours, lr=0.1)).step()
    torch.optim.AdamW(theirs, lr=0.1).step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_zeros_and_missing_gradients_are_left_alone(rng):
    zero, idle = torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.ones(3))
    zero.grad = torch.tensor([1.0, 2.0, 3.0])
    sgd([zero, idle]).step()
    torch.testing.assert_close(zero.detach(), torch.tensor([-0.1, -0.2, -0.3]))
    assert torch.equal(idle.detach(), torch.ones(3))


def test_a_group_may_keep_its_gradients(rng):
    first, second, third = parameters(rng)
    kept = second.grad.clone()
    optimizer = sgd([{"params": [first]}, {"params": [second], "perpendicular": False}])
    optimizer.add_param_group({"params": [third], "lr": 0.5})
    optimizer.step()
    assert torch.equal(second.grad, kept)
    assert [group["lr"] for group in optimizer.base.param_groups] == [0.1, 0.1, 0.5]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_a_single_number_learns_on(shape):
    """All of its gradient is along it: projected, a bias of one output would never move."""
    parameter = torch.nn.Parameter(torch.full(shape, 2.0))
    parameter.grad = torch.full(shape, 3.0)
    sgd([parameter]).step()
    assert float(parameter.detach()) == pytest.approx(1.7)


def test_a_complex_number_keeps_only_its_turn():
    parameter = torch.nn.Parameter(torch.tensor(2.0 + 0j))
    parameter.grad = torch.tensor(3.0 + 4j)
    sgd([parameter]).project()
    assert complex(parameter.grad) == 4j


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW])
def test_an_empty_tensor_does_no_harm(rng, make):
    empty, other = torch.nn.Parameter(torch.zeros(0, 3).double()), parameters(rng)[0]
    empty.grad = torch.zeros(0, 3).double()
    PerpendicularGradient(make([empty, other], lr=0.1)).step()
    assert torch.isfinite(other).all()


def test_schedulers_take_it_for_an_optimiser(rng):
    optimizer = sgd(parameters(rng))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert optimizer.base.param_groups[0]["lr"] == pytest.approx(0.1 / 8)


def descended(make, steps, rng_seed=0, load=None):
    rng = np.random.default_rng(rng_seed)
    model = [torch.nn.Parameter(torch.tensor(rng.standard_normal((3, 4))))]
    optimizer = make(model)
    if load is not None:
        optimizer.load_state_dict(copy.deepcopy(load[0]))
        with torch.no_grad():
            model[0].copy_(load[1])
    goal = torch.tensor(rng.standard_normal((3, 4)))
    for _ in range(steps):
        optimizer.zero_grad()
        (model[0] - goal).square().sum().backward()
        optimizer.step()
    return optimizer, model[0].detach().clone()


def adam(given):
    return torch.optim.Adam(given, lr=0.1)


def test_a_state_is_saved_and_goes_on(rng):
    def wrapped(given):
        return PerpendicularGradient(adam(given))

    optimizer, halfway = descended(wrapped, 3)
    state = copy.deepcopy(optimizer.state_dict())
    _, whole = descended(wrapped, 6)
    resumed, end = descended(wrapped, 3, load=(state, halfway))
    assert torch.equal(end, whole)
    assert resumed.param_groups is resumed.base.param_groups
    assert resumed.state is resumed.base.state
    plain = adam([torch.nn.Parameter(torch.zeros(3, 4).double())])
    plain.load_state_dict(state)
    assert plain.state_dict()["state"][0]["step"] == 3


def test_loading_into_the_base_reaches_the_wrapper(rng):
    optimizer = sgd(parameters(rng))
    state = copy.deepcopy(optimizer.base.state_dict())
    state["param_groups"][0]["lr"] = 0.7
    optimizer.base.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.7


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["copy", "pickle"]
)
def test_it_is_copied_with_its_base(rng, copied):
    optimizer = PerpendicularGradient(torch.optim.AdamW(parameters(rng), lr=0.1))
    optimizer.step()
    other = copied(optimizer)
    other.step()
    assert other.param_groups is other.base.param_groups
    assert other.param_groups is not optimizer.param_groups
    assert "AdamW" in repr(other)


def test_closures_are_projected_each_time(rng):
    parameter = torch.nn.Parameter(torch.tensor(rng.standard_normal(6)))
    goal, seen = torch.tensor(rng.standard_normal(6)), []
    lbfgs = PerpendicularGradient(torch.optim.LBFGS([parameter], line_search_fn="strong_wolfe"))

    def closure():
        lbfgs.zero_grad()
        loss = (parameter - goal).square().sum()
        loss.backward()
        seen.append(parameter.detach().clone())
        return loss

    start = lbfgs.step(closure)
    assert len(seen) > 2
    assert float(closure().detach()) < float(start.detach())
    lbfgs.project()
    assert abs(float(parameter.detach() @ parameter.grad)) < 1e-12


def test_a_gradient_scaler_unscales_before_and_skips_infinities(rng):
    parameter = torch.nn.Parameter(torch.tensor(rng.standard_normal(6), dtype=torch.float32))
    before = parameter.detach().clone()
    optimizer, scaler = sgd([parameter]), torch.amp.GradScaler("cpu", init_scale=8.0)
    goal = torch.tensor(rng.standard_normal(6), dtype=torch.float32)
    scaler.scale(parameter @ goal).backward()
    scaler.step(optimizer)
    scaler.update()
    across = goal - before * (before @ goal) / (before @ before)
    torch.testing.assert_close(parameter.detach(), before - 0.1 * across)
    after = parameter.detach().clone()
    parameter.grad = torch.full((6,), float("inf"))
    scaler.step(optimizer)
    assert torch.equal(parameter.detach(), after)


def test_hooks_run_and_zeroing_reaches_the_tensors(rng):
    made, ran = parameters(rng), []
    optimizer = sgd(made)
    optimizer.register_step_pre_hook(lambda *given: ran.append("before"))
    optimizer.register_step_post_hook(lambda *given: ran.append("after"))
    optimizer.step()
    assert ran == ["before", "after"]
    optimizer.zero_grad(set_to_none=False)
    assert all(float(p.grad.abs().sum()) == 0 for p in made)
    optimizer.zero_grad()
    assert all(p.grad is None for p in made)


def test_a_sparse_gradient_is_refused_with_a_sentence(rng):
    table = torch.nn.Embedding(5, 3, sparse=True)
    table(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(InputError, match=r"shape \(5, 3\) is sparse"):
        sgd(table.parameters()).step()
    kept = torch.optim.SGD([{"params": table.parameters(), "perpendicular": False}], lr=0.1)
    PerpendicularGradient(kept).step()


def test_what_is_no_optimiser_is_refused(rng):
    with pytest.raises(InputError, match="must be a torch optimizer; got list"):
        PerpendicularGradient([1])
    with pytest.raises(InputError, match="wrap its `base`"):
        PerpendicularGradient(sgd(parameters(rng)))

"""States that steps hand on: those of another call are refused, not broadcast."""

from __future__ import annotations

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import Kernelized, NaLaFormer, step

UNITS = ["nalaformer", "kernelized", "quasiseparable", "tensor_polynomial"]


def tokens(rng, *lead, d=4, e=3, dtype=torch.float64):
    widths = (d, d, e)
    return [torch.tensor(rng.uniform(-1, 1, (*lead, width))).to(dtype) for width in widths]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "other", [((1, 2, 1), {}), ((2, 1, 1), {}), ((2, 2, 1), {"d": 5}), ((2, 2, 1), {"e": 1})]
)
def test_a_state_of_other_shapes_is_refused(rng, unit, other):
    lead, widths = other
    _, state = step(*tokens(rng, *lead, **widths), unit=unit)
    match = r"must have .* of shape \(2, 2, .*start a new one"
    if unit == "kernelized" and "d" in widths:  # its features are as many at every width
        match = "is of width d = 5, but q and k of 4"
    with pytest.raises(InputError, match=match):
        step(*tokens(rng, 2, 2, 1), state, unit=unit)


@pytest.mark.parametrize("unit", UNITS)
def test_a_state_of_another_dtype_is_refused(rng, unit):
    _, state = step(*tokens(rng, 2, 2, 1), unit=unit)
    with pytest.raises(InputError, match=r"of torch.float32 on cpu.*got torch.float64"):
        step(*tokens(rng, 2, 2, 1, dtype=torch.float32), state, unit=unit)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("state", ["state", 1, [None]], ids=["words", "number", "list"])
def test_what_is_no_state_is_refused(rng, unit, state):
    match = f"the unit '{unit}' must be what its last step returned.*got a {type(state).__name__}"
    with pytest.raises(InputError, match=match):
        step(*tokens(rng, 2, 2, 1), state, unit=unit)


def test_a_state_of_another_unit_is_refused(rng):
    _, state = step(*tokens(rng, 2, 2, 1), unit="nalaformer")
    with pytest.raises(InputError, match=r"a KernelizedState, or None .* got a NaLaFormerState"):
        step(*tokens(rng, 2, 2, 1), state, unit="kernelized")
    with pytest.raises(InputError, match=r"sums\.values as a tensor; got a NoneType"):
        step(*tokens(rng, 2, 2, 1), state._replace(sums=state.sums[::-1]), unit="nalaformer")


def test_a_state_whose_parts_are_no_tensors_is_refused(rng):
    _, state = step(*tokens(rng, 2, 2, 1), unit=Kernelized(features=8))
    with pytest.raises(InputError, match="must have peaks as a tensor; got a float"):
        step(*tokens(rng, 2, 2, 1), state._replace(peaks=0.0), unit=Kernelized(features=8))
    with pytest.raises(InputError, match=r"peaks of shape \(2, 2, 1, 9\); got \(2, 2, 1, 8\)"):
        step(*tokens(rng, 2, 2, 1), state, unit=Kernelized(features=9))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_steps_in_half_precision_go_on(rng, unit, dtype):
    _, state = step(*tokens(rng, 2, 2, 1, dtype=dtype), unit=unit)
    out, _ = step(*tokens(rng, 2, 2, 1, dtype=dtype), state, unit=unit)
    assert out.dtype == dtype
    assert bool(out.isfinite().all())


@pytest.mark.parametrize("unit", [*UNITS, NaLaFormer(rotary=True)], ids=[*UNITS, "rotary"])
def test_a_step_of_no_tokens_changes_nothing(rng, unit):
    first, second = tokens(rng, 2, 2, 3), tokens(rng, 2, 2, 2)
    _, state = step(*first, unit=unit)
    out, after = step(*tokens(rng, 2, 2, 0), state, unit=unit)
    assert out.shape == (2, 2, 0, 3)
    torch.testing.assert_close(
        step(*second, after, unit=unit)[0], step(*second, state, unit=unit)[0]
    )

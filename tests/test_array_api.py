"""Arrays of other libraries: told apart, moved, summed; Multinomial on them as on NumPy's."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

from softunit import _array_api as api
from softunit.units import Multinomial

DEVICES = ["CPU_DEVICE", "device1", "no_float64", "no_x64"]
each_device = pytest.mark.parametrize("device", DEVICES)


def on(device: str, dtype: Any = float) -> Any:
    return api.moved(np.zeros(1, dtype=dtype), strict, strict.Device(device))


@each_device
def test_arrays_go_and_come_back(device):
    here = on(device)
    assert api.is_elsewhere(here)
    single = device.startswith("no_")
    assert here.dtype == (strict.float32 if single else strict.float64)
    assert api.has_float64(here) is not single
    for a in (np.arange(6.0), np.arange(6.0)[::-1], np.broadcast_to(1.0, 4), np.array(2.5)):
        there = api.like(a, here)
        assert there.device == here.device
        np.testing.assert_array_equal(api.to_numpy(there), a)
    codes = api.like(np.array([3, 200], dtype=np.uint8), here)
    assert codes.dtype == (strict.int32 if device == "no_x64" else strict.int64)
    assert api.like(None, here) is None
    assert api.matching(np.arange(2), here).dtype == codes.dtype  # labels stay whole
    narrow = api.like(np.zeros(1, dtype=np.float32), here)
    assert api.matching(np.arange(2.0), narrow).dtype == strict.float32
    assert api.matching(here, np.zeros(1)).dtype == api.to_numpy(here).dtype


def test_tensors_take_read_only_arrays_and_lose_their_gradient():
    torch = pytest.importorskip("torch")
    frozen = np.arange(4.0)
    frozen.flags.writeable = False
    there = api.like(frozen[::-1], torch.zeros(1))
    assert there.tolist() == [3.0, 2.0, 1.0, 0.0]
    there += 1.0
    assert frozen[0] == 0.0
    assert api.to_numpy(torch.ones(2, requires_grad=True)).tolist() == [1.0, 1.0]
    assert api.like(there, on("device1")).device == strict.Device("device1")


def test_what_is_no_such_array_is_told_apart():
    for other in (np.ones(2), np.float64(1), [1.0], None, "text", 3):
        assert not api.is_elsewhere(other)
    assert api.described(np.ones(2)) == "a NumPy array"


@each_device
def test_sums_are_float64_where_they_can_be(device):
    g = np.full((3000, 2), 0.1, dtype=np.float32)
    here = api.like(g, on(device))
    total = api.widened(api.column_sums(here))
    exact = g.astype(float).sum(axis=0)
    near = 1e-4 if device.startswith("no_") else 1e-12
    np.testing.assert_allclose(api.to_numpy(total), exact, rtol=near)
    assert isinstance(total, np.ndarray) is device.startswith("no_")
    again = api.added(total, api.column_sums(here))
    np.testing.assert_allclose(api.to_numpy(again), 2 * exact, rtol=near)
    assert api.widened(2.5) == 2.5
    assert api.added(1.0, 2.0) == 3.0


def test_the_size_of_an_entry_is_known_for_every_library():
    torch = pytest.importorskip("torch")
    assert api.itemsize(torch.zeros(1, dtype=torch.bfloat16)) == 2
    assert api.itemsize(on("device1")) == 8
    assert api.itemsize(on("device1", np.int64)) == 8


@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("target", ["labels", "shares"])
@pytest.mark.parametrize("columns", [None, 2, 5])
@each_device
def test_multinomial_does_the_same_on_every_device(device, columns, target, weighted, rng):
    n, k = 60, columns or 2
    z = 30 * rng.standard_normal(n if columns is None else (n, k))
    z.flat[:2] = [800.0, -800.0]
    shares = rng.dirichlet(np.ones(k), size=n)
    y = shares if target == "shares" else rng.integers(0, k, n).astype(np.uint8)
    s = rng.uniform(0, 2, n) if weighted else None
    unit, here = Multinomial(k, symmetric=columns == 2), on(device)
    single = device.startswith("no_")
    z = z.astype(np.float32).astype(float)  # so that both see the same scores
    tol = {"rtol": 2e-5, "atol": 2e-5} if single else {"rtol": 1e-12, "atol": 1e-13}
    there = api.like(z, here)

    value, gradient = unit.value_gradient(z, y, s)
    found, g = unit.value_gradient(there, y, s)
    assert g.device == here.device
    assert found == pytest.approx(value, rel=1e-5 if single else 1e-13)
    assert unit.value(there, y, s) == pytest.approx(value, rel=1e-5 if single else 1e-13)
    np.testing.assert_allclose(api.to_numpy(g), gradient, **tol)
    p = unit.probabilities(there)
    np.testing.assert_allclose(api.to_numpy(p), unit.probabilities(z), **tol)

    v = rng.standard_normal(z.shape)
    curved, known = unit.curvature(there, y, s), unit.curvature(z, y, s)
    image = curved.matvec(api.like(v, here))
    np.testing.assert_allclose(api.to_numpy(image), known.matvec(v), **tol)
    sums = api.to_numpy(curved.diagonal_sum())
    np.testing.assert_allclose(sums, known.diagonal_sum(), **tol)

"""What is said of arrays that cannot be designs, of two devices, and of memory that runs out."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

import softunit as su
from softunit.designs import DenseDesign, TensorDesign, as_design
from softunit.designs import _device_memory as memory
from softunit.penalties import Ridge
from softunit.units import Multinomial


def moved(a: Any, device: str = "device1") -> Any:
    return strict.asarray(np.asarray(a), device=strict.Device(device))


@pytest.mark.parametrize(
    ("a", "sentence"),
    [
        (np.ones((3, 2)), "got ndarray. For NumPy there is DenseDesign"),
        ([[1.0]], "got list"),
        (moved(np.ones(3)), r"must have shape \(n, d\) with n, d >= 1; got \(3,\)"),
        (moved(np.ones((0, 3))), r"got \(0, 3\)"),
        (moved(np.ones((3, 2)) * 1j), "A holds complex numbers"),
    ],
    ids=["numpy", "list", "one-axis", "empty", "complex"],
)
def test_other_arrays_are_refused(a, sentence):
    with pytest.raises(ValueError, match=sentence):
        TensorDesign(a)


def test_sparse_tensors_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"layout torch.sparse_coo: make it dense, or pass"):
        as_design(torch.eye(3).to_sparse())


def test_nan_is_found_where_it_is():
    a = np.ones((5000, 3))
    a[4999, 1], a[17, 2], a[4000, 2] = np.nan, np.inf, -np.inf
    with pytest.raises(ValueError, match=r"column 1 of A .* 1 of 5000 rows, first in row 4999"):
        as_design(moved(a))
    a[4999, 1] = 0
    with pytest.raises(ValueError, match=r"column 2 of A .* 2 of 5000 rows, first in row 17"):
        as_design(moved(a.astype(np.float32), "no_float64"))
    large = np.full((40, 2), 3e38, dtype=np.float32)  # the sum is infinite, the entries are not
    assert as_design(moved(large)).shape == (40, 2)


def test_arrays_on_two_devices_are_told_apart():
    a, y = np.eye(4)[:, :2], np.array([0, 1, 0, 1])
    together = su.Problem(moved(a), Multinomial(), moved(y))
    np.testing.assert_array_equal(together.target, y)
    sentence = r"A is an array_api_strict array on .*device1.* on .*device2.*: move one of them"
    with pytest.raises(ValueError, match=sentence):
        su.Problem(moved(a), Multinomial(), moved(y, "device2"))
    with pytest.raises(ValueError, match=sentence):
        su.Problem(moved(a), Multinomial(), y, weights=moved(np.ones(4), "device2"))
    assert isinstance(su.Problem(a, Multinomial(), moved(y)).target, np.ndarray)


def test_a_tensor_beside_an_array_of_another_library_is_told_apart():
    torch = pytest.importorskip("torch")
    a, y = np.eye(4)[:, :2], np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"A is a torch tensor on cpu, but .* array_api_strict"):
        su.Problem(TensorDesign(torch.tensor(a)), Multinomial(), moved(y))


class OutOfMemoryError(RuntimeError):
    """Named as those of PyTorch and CuPy are."""


class SmallDevice(TensorDesign):
    """A device that bears so many rows in float64 at once."""

    bears = 10_000
    refused = 0

    def _exact(self) -> Any:
        if self.shape[0] > SmallDevice.bears:
            SmallDevice.refused += 1
            raise OutOfMemoryError("tried to allocate 2.00 GiB\nand more lines")
        return super()._exact()


def small_device(monkeypatch: pytest.MonkeyPatch, bears: int, n: int) -> tuple[Any, Any]:
    monkeypatch.setattr(SmallDevice, "bears", bears)
    monkeypatch.setattr(SmallDevice, "refused", 0)
    monkeypatch.setattr(memory, "LEAST_ENTRIES", 1 << 9)
    rng = np.random.default_rng(7)
    a = rng.standard_normal((n, 4))
    y = (a[:, 0] + rng.logistic(size=n) > 0).astype(int) + (a[:, 1] > 1)
    return SmallDevice(moved(a)), su.Problem(DenseDesign(a), Multinomial(), y, Ridge(1e-3))


def test_where_memory_runs_out_smaller_blocks_follow(monkeypatch):
    design, here = small_device(monkeypatch, 130, 2000)
    problem = su.Problem(design, Multinomial(), here.target, Ridge(1e-3))
    first = design.block_entries
    found, expected = (su.minimize(one, tol=1e-12) for one in (problem, here))
    assert SmallDevice.refused > 0
    assert design.block_entries < first
    np.testing.assert_allclose(found.x, expected.x, atol=1e-8)
    refused = SmallDevice.refused
    problem.evaluate(found.x + 1.0)
    assert SmallDevice.refused == refused  # the size that fits is remembered
    mean, variance = here.design.column_moments()
    np.testing.assert_allclose(design.column_moments(), (mean, variance), rtol=1e-10, atol=1e-12)
    gram = design.weighted_gram(np.ones(2000), mean)
    np.testing.assert_allclose(gram, here.design.weighted_gram(np.ones(2000), mean), rtol=1e-9)


@pytest.mark.parametrize("free", [None, 10_000], ids=["unknown", "known"])
def test_where_no_block_fits_the_sentence_says_how_much_was_needed(free, monkeypatch):
    design, here = small_device(monkeypatch, 10, 500)
    monkeypatch.setattr(memory, "free_bytes", lambda a: free)
    problem = su.Problem(design, Multinomial(), here.target)
    sentence = (
        r"out of memory on array_api_strict.Device\('device1'\): \S+ MB were needed beside the"
        r" 0.016 MB of A; a row of a block takes 0.256 kB\."
    )
    fits = r" Blocks of 39 rows would fit" if free else " Free memory there"
    with pytest.raises(ValueError, match=sentence + fits) as caught:
        problem.evaluate(np.zeros(problem.shape))
    assert str(caught.value).endswith("The device says: tried to allocate 2.00 GiB")
    with pytest.raises(ValueError, match="were needed beside"):
        design.rescaled(np.zeros(4), np.ones(4))


def test_other_errors_of_a_device_pass(monkeypatch):
    design, here = small_device(monkeypatch, 10_000, 200)

    def broken(self: Any) -> Any:
        raise RuntimeError("device-side assert triggered")

    monkeypatch.setattr(SmallDevice, "_exact", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        su.Problem(design, Multinomial(), here.target).value(np.zeros((4, 3)))
    with pytest.raises(RuntimeError, match="device-side assert"):
        design.rescaled(np.zeros(4), None)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("x"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
    ids=["host", "class", "apple", "cublas", "other", "value"],
)
def test_errors_that_tell_of_memory(error, found):
    assert memory.is_out_of_memory(error) is found

"""Fits on a real GPU agree with the CPU; `make gpu` runs these, elsewhere they are skipped."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np
import pytest

import softunit as su
from benchmarks import gpu as benchmark
from softunit._array_api import is_elsewhere, to_numpy
from softunit.designs import TensorDesign, as_design
from softunit.designs._device_memory import MOST_ENTRIES, free_bytes
from softunit.penalties import Ridge
from softunit.units import Multinomial


def mover(kind: str) -> Any:
    """Return what moves NumPy arrays to a GPU, or skip where that GPU is not there."""
    library = kind.partition("-")[0]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"no GPU by way of {library} here: {library} is not installed")
    if library == "cupy":
        import cupy

        try:
            if cupy.cuda.runtime.getDeviceCount():
                return cupy.asarray
        except cupy.cuda.runtime.CUDARuntimeError:
            pass
        pytest.skip("no GPU here that CuPy can use")
    import torch

    device = kind.partition("-")[2]
    there = torch.cuda if device == "cuda" else torch.backends.mps
    if not there.is_available():
        pytest.skip(f"no GPU here that PyTorch calls {device}")

    def move(a: np.ndarray) -> Any:
        single = device == "mps" and a.dtype == np.float64
        return torch.tensor(a.astype(np.float32) if single else a, device=device)

    return move


@pytest.fixture(params=["torch-cuda", "torch-mps", "cupy"])
def move(request: pytest.FixtureRequest) -> Any:
    return mover(request.param)


def planted(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    a = rng.standard_normal((n, d)).astype(np.float32)
    y = (2 * a @ rng.standard_normal((d, k)) / np.sqrt(d) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return a, y


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "d", "k"), [(20_000, 20, 2), (40_000, 30, 10), (5_000, 300, 40)])
def test_the_classifier_agrees_with_the_cpu(move, dtype, n, d, k):
    a, y = planted(n, d, k)
    x = move(a.astype(dtype))
    found = su.SoftmaxClassifier(0.1, tol=1e-9).fit(x, move(y))
    expected = su.SoftmaxClassifier(0.1, tol=1e-9).fit(to_numpy(x), y)
    assert is_elsewhere(found.coef_)
    assert str(found.coef_.device) == str(x.device)
    np.testing.assert_allclose(to_numpy(found.coef_), expected.coef_, atol=1e-6)
    shares = found.predict_proba(x)
    assert str(shares.device) == str(x.device)
    np.testing.assert_allclose(to_numpy(shares), expected.predict_proba(to_numpy(x)), atol=1e-5)
    bounds = found.certificate_.gap_bound, expected.certificate_.gap_bound
    assert max(bounds) < 1e-9


@pytest.mark.parametrize("coarse", [False, True], ids=["exact", "coarse"])
def test_every_pass_agrees_with_the_cpu(move, coarse):
    a, y = planted(30_000, 40, 12)
    weights = np.random.default_rng(3).uniform(0, 2, len(a))
    pair = [
        su.Problem(as_design(x, intercept=True), Multinomial(12), y, Ridge(1e-3), weights=weights)
        for x in (move(a), a)
    ]
    pair[0].design.inner._entries = 1 << 20  # several blocks
    x, v = np.random.default_rng(4).standard_normal((2, *pair[0].shape))
    tol = {"rtol": 1e-3, "atol": 1e-4} if coarse else {"rtol": 1e-9, "atol": 1e-11}
    found, expected = (p.evaluate(x, coarse=coarse, store=False) for p in pair)
    np.testing.assert_allclose(found.value, expected.value, rtol=tol["rtol"])
    np.testing.assert_allclose(found.gradient, expected.gradient, **tol)
    products = [
        p.hessian_product(point, coarse=coarse)[0](v)
        for p, point in zip(pair, (found, expected), strict=True)
    ]
    np.testing.assert_allclose(*products, **tol)
    if not coarse:
        hessians = [p.hessian(q) for p, q in zip(pair, (found, expected), strict=True)]
        np.testing.assert_allclose(*hessians, rtol=1e-8, atol=1e-10)


def test_nan_is_found_on_the_device(move):
    a, _ = planted(1000, 3, 2)
    a[700, 1] = np.nan
    with pytest.raises(ValueError, match=r"column 1 of A .* first in row 700"):
        as_design(move(a))


def test_a_gpu_whose_memory_runs_out_takes_smaller_blocks(monkeypatch):
    move = mover("torch-cuda")
    import torch

    a, y = planted(400_000, 64, 20)
    x = move(a)
    design = TensorDesign(x)
    assert free_bytes(x) > 0
    design._entries = MOST_ENTRIES  # the whole in one block
    total = torch.cuda.get_device_properties(x.device).total_memory
    torch.cuda.empty_cache()
    share = (torch.cuda.memory_reserved(x.device) + (160 << 20)) / total
    torch.cuda.set_per_process_memory_fraction(share, x.device)
    try:
        problem = su.Problem(design, Multinomial(20), y, Ridge(1e-3))
        point = problem.evaluate(np.zeros(problem.shape), store=False)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, x.device)
    assert design.block_entries < MOST_ENTRIES
    here = su.Problem(a, Multinomial(20), y, Ridge(1e-3)).evaluate(np.zeros(problem.shape))
    np.testing.assert_allclose(point.gradient, here.gradient, rtol=1e-9, atol=1e-12)


def test_the_benchmark_runs_on_the_gpu(tmp_path, monkeypatch):
    mover("torch-cuda")
    path = tmp_path / "gpu.json"
    words = "gpu --parity small --rows 50000 --columns 64 --classes 50 --json"
    monkeypatch.setattr("sys.argv", [*words.split(), str(path)])
    assert benchmark.main() == 0
    found = json.loads(path.read_text("utf-8"))
    assert found["met"] == {"parity": True, "probe": True}
    assert found["probe"]["peak_bytes"] > found["probe"]["bytes"]

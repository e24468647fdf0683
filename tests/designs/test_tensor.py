"""Designs of other array libraries and devices against NumPy: the same fit, the same certificate.

The devices of array-api-strict stand in for a GPU: an array of one meets an array of the host, or
of another device, in an error only. One of them has no float64, as Apple's have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

import softunit as su
from softunit.designs import DenseDesign, Design, ScaledDesign, TensorDesign, as_design
from softunit.penalties import Ridge, ScoreRidge
from softunit.units import CumulativeLogit, Multinomial


def on(device: str) -> Callable[[np.ndarray], Any]:
    """Return what moves NumPy arrays to a device of array-api-strict."""
    return lambda a: strict.asarray(a, device=strict.Device(device))


def torch_tensor(a: np.ndarray) -> Any:
    return pytest.importorskip("torch").tensor(a)


KINDS = {"device1": on("device1"), "device2": on("device2"), "torch": torch_tensor}
SINGLE = {"no_float64": on("no_float64"), "no_x64": on("no_x64"), **KINDS}
each_kind = pytest.mark.parametrize("kind", KINDS)
each_single = pytest.mark.parametrize("kind", SINGLE)


def planted(rng: np.random.Generator, n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns of different sizes, some away from zero, and labels that follow from them."""
    a = rng.standard_normal((n, d))
    scores = a @ rng.standard_normal((d, k)) / np.sqrt(d)
    y = (scores + rng.gumbel(size=(n, k))).argmax(axis=1)
    return a * (1.0 + np.arange(d)) + np.arange(d) % 3, y


def same_fit(moved: Design, here: Design, y: Any, solver: Any = "auto", **more: Any) -> None:
    """Fit both; compare the optima, and what is proved of one point that is none."""
    pair = [su.Problem(one, Multinomial(), y, Ridge(1e-2), **more) for one in (moved, here)]
    found, expected = (su.minimize(one, solver=solver, tol=1e-11) for one in pair)
    # By values alone a search may end where rounding hides what is left.
    assert max(found.gradient_norm, expected.gradient_norm) < 1e-10
    np.testing.assert_allclose(found.x, expected.x, atol=1e-8)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-12)
    proved, known = (su.certify(one, 1.01 * expected.x) for one in pair)
    for fact in ("value", "gradient_norm", "gap_bound", "strong_convexity", "newton_decrement"):
        np.testing.assert_allclose(getattr(proved, fact), getattr(known, fact), rtol=1e-8)
    assert proved.unique == known.unique


@each_kind
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs"])
def test_a_fit_and_its_certificate_are_those_of_numpy(kind, classes, solver, rng):
    chosen = {"auto": "auto", "newton": su.solvers.Newton(), "lbfgs": su.solvers.LBFGS()}[solver]
    a, y = planted(rng, 700, 5, classes)
    moved = ScaledDesign(TensorDesign(KINDS[kind](a)), intercept=True, centre=a.mean(axis=0))
    here = ScaledDesign(DenseDesign(a), intercept=True, centre=a.mean(axis=0))
    same_fit(moved, here, y, chosen, weights=rng.uniform(0, 2, len(a)))


@each_single
def test_float32_entries_are_worked_on_in_float64(kind, rng):
    a, y = planted(rng, 600, 4, 3)
    a = a.astype(np.float32)
    moved, here = TensorDesign(SINGLE[kind](a)), DenseDesign(a)
    assert moved.dtype == np.float32
    assert moved.nbytes == a.nbytes
    same_fit(moved, here, y)


@each_kind
def test_shares_and_offsets_follow(kind, rng):
    a, y = planted(rng, 500, 4, 3)
    shares = 0.9 * np.eye(3)[y] + 0.1 / 3
    offset = rng.standard_normal((500, 3))
    same_fit(TensorDesign(KINDS[kind](a)), DenseDesign(a), shares, offset=offset)


@each_kind
def test_columns_far_from_zero_lose_no_digits(kind, rng):
    a, y = planted(rng, 300, 3, 3)
    a[:, 1] += 1e8
    pair = [
        su.Problem(ScaledDesign(one, intercept=True, centre=a.mean(axis=0)), Multinomial(3), y)
        for one in (TensorDesign(KINDS[kind](a)), DenseDesign(a))
    ]
    x = rng.standard_normal(pair[0].shape)
    found, expected = (problem.evaluate(x, store=False) for problem in pair)
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-11, atol=1e-13)


@each_single
def test_samples_and_steps_in_float32_lead_to_the_same_optimum(kind, rng, monkeypatch):
    monkeypatch.setattr("softunit.solvers.sketch_plan.FIRST_ROWS", 100)
    monkeypatch.setattr("softunit.solvers.sketch_plan.COARSE_WORK", 1e3)
    a, y = planted(rng, 3000, 5, 4)
    a = a.astype(np.float32)
    tensor = TensorDesign(SINGLE[kind](a))
    design = ScaledDesign(tensor, intercept=True, centre=a.mean(axis=0, dtype=float))
    problem = su.Problem(design, Multinomial(4), y, Ridge(1e-3))
    solution = su.minimize(problem, solver=su.solvers.SketchedNewton(), tol=1e-11)
    assert solution.converged
    plan = problem.prepared["plan"][2]
    assert plan.coarse
    assert plan.sizes
    assert plan.sample.design.home == "device"
    here = su.Problem(as_design(a, intercept=True), Multinomial(4), y, Ridge(1e-3))
    expected = su.minimize(here, tol=1e-11)
    np.testing.assert_allclose(solution.x, expected.x, atol=1e-8)


@each_single
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("coarse", [False, True], ids=["exact", "coarse"])
def test_every_pass_gives_what_numpy_gives(kind, classes, coarse, rng):
    a, y = planted(rng, 900, 4, classes)
    a = a.astype(np.float32)
    offset = rng.standard_normal((900, classes) if classes > 2 else 900)
    settings = {"weights": rng.uniform(0, 2, 900), "offset": offset}
    y[:3] = [0, 1, classes - 1]
    penalty = [Ridge(1e-2), ScoreRidge(0.3)]
    moved = TensorDesign(SINGLE[kind](a))
    moved._entries = 1500  # several blocks
    pair = [
        su.Problem(ScaledDesign(one, intercept=True), Multinomial(), y, penalty, **settings)
        for one in (moved, DenseDesign(a))
    ]
    x, v = rng.standard_normal(pair[0].shape), rng.standard_normal(pair[0].shape)
    tol = {"rtol": 1e-4, "atol": 1e-4} if coarse else {"rtol": 1e-10, "atol": 1e-12}
    points = [problem.evaluate(x, coarse=coarse, store=False) for problem in pair]
    np.testing.assert_allclose(points[0].value, points[1].value, **tol)
    np.testing.assert_allclose(points[0].gradient, points[1].gradient, **tol)
    products = [p.hessian_product(at, coarse=coarse) for p, at in zip(pair, points, strict=True)]
    np.testing.assert_allclose(products[0][0](v), products[1][0](v), **tol)
    np.testing.assert_allclose(products[0][1], products[1][1], **tol)
    assert pair[0].value(x) == pytest.approx(pair[1].value(x), rel=1e-10)
    hessians = [p.hessian(at) for p, at in zip(pair, points, strict=True)]
    np.testing.assert_allclose(*hessians, rtol=1e-9, atol=1e-10)


def test_a_sample_stays_on_the_device_centred_and_scaled(rng):
    a = rng.standard_normal((300, 3)) + np.array([1e7, 0.0, 5.0])
    tensor = TensorDesign(on("device1")(a))
    design = ScaledDesign(tensor, intercept=True, centre=a.mean(axis=0), scale=[1.0, 2.0, np.inf])
    index = rng.integers(0, 300, 40)
    few = design.gathered(index)
    assert isinstance(few, TensorDesign)
    assert few.dtype == np.float32
    assert few.array.device == tensor.array.device
    np.testing.assert_allclose(few.toarray(), design.rows(index).toarray(), rtol=1e-6, atol=1e-7)
    assert not few.toarray()[:, 2].any()  # a silenced column


def test_a_unit_that_knows_numpy_only_gets_its_scores_as_numpy(rng):
    a = rng.standard_normal((400, 3))
    y = np.clip(np.rint(a[:, 0] + 1.5), 0, 3).astype(int)
    pair = [
        su.Problem(design, CumulativeLogit(4), y, Ridge(1e-3))
        for design in (TensorDesign(on("device1")(a)), DenseDesign(a))
    ]
    x = rng.standard_normal(pair[0].shape)
    found, expected = (problem.evaluate(x, store=False) for problem in pair)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-10, atol=1e-12)


def test_half_precision_and_integers_are_widened_block_by_block(rng):
    torch = pytest.importorskip("torch")
    whole = torch.from_numpy(rng.integers(0, 200, (80, 4)).astype(np.uint8))
    v, g = rng.standard_normal((4, 2)), rng.standard_normal(80)
    for tensor in (whole, whole.to(torch.bfloat16), whole.to(torch.float16), whole > 100):
        design = as_design(tensor)
        assert isinstance(design, TensorDesign)
        assert design.nbytes == tensor.nbytes
        dense = tensor.to(torch.float64).numpy()
        np.testing.assert_array_equal(design.toarray(), dense)
        np.testing.assert_allclose(design.matvec(v), dense @ v, rtol=1e-12)
        np.testing.assert_allclose(design.rmatvec(g), dense.T @ g, rtol=1e-12)
        assert design.narrow().dtype == np.float32


def test_a_tensor_of_this_machine_is_seen_by_numpy_without_a_copy():
    torch = pytest.importorskip("torch")
    tensor = torch.ones((5, 2), dtype=torch.float64, requires_grad=True)
    design = as_design(tensor)
    assert isinstance(design, DenseDesign)
    assert np.shares_memory(design.array, tensor.detach().numpy())
    assert TensorDesign(tensor).array.data_ptr() == tensor.data_ptr()
    assert not TensorDesign(tensor).array.requires_grad


@each_single
def test_sizes_of_terms_are_those_of_numpy(kind, rng):
    a, x = rng.standard_normal((90, 4)).astype(np.float32), rng.standard_normal((4, 3))
    design = TensorDesign(SINGLE[kind](a))
    design._entries = 100  # several blocks
    for v in (x, x[:, 0]):
        assert design.largest_terms(v) == pytest.approx((np.abs(a) @ np.abs(v)).max(), rel=1e-6)
        np.testing.assert_allclose(design.abs_matvec(np.abs(v)), np.abs(a) @ np.abs(v), rtol=1e-6)
        np.testing.assert_allclose(design.matvec(v), a @ v, rtol=1e-5, atol=1e-6)


def test_products_come_in_the_kind_of_what_goes_in(rng):
    a, x, g = rng.standard_normal((9, 4)), rng.standard_normal((4, 2)), rng.standard_normal((9, 2))
    move = on("device1")
    design = TensorDesign(move(a))
    assert isinstance(design.matvec(x), np.ndarray)
    assert isinstance(design.rmatvec(g), np.ndarray)
    z, back = design.matvec(move(x)), design.rmatvec(move(g))
    assert z.device == back.device == design.device
    np.testing.assert_allclose(su.designs.TensorDesign(z).toarray(), a @ x, rtol=1e-12)
    np.testing.assert_allclose(su.designs.TensorDesign(back).toarray(), a.T @ g, rtol=1e-12)
    single = design.narrow()
    assert single.matvec(move(x.astype(np.float32))).dtype == strict.float32
    assert single.matvec(move(x)).dtype == strict.float64

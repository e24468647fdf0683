"""Sketched least squares keeps what it promises, and refuses what it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.designs import DenseDesign, ScaledDesign
from softunit.errors import InputError
from softunit.lstsq import least_norm
from softunit.sketches import SRHT, CountSketch, Gaussian, LeverageSampling, UniformSampling

SEEDS = 40


@pytest.fixture(scope="module")
def data():
    """A with a few heavy rows, and b with spikes: neither is kind to sketches."""
    rng = np.random.default_rng(0)
    n, d = 8000, 4
    a = rng.standard_normal((n, d)) * np.array([1.0, 10.0, 0.1, 1.0])
    a[:d] += 300 * np.eye(d)
    b = a @ rng.standard_normal(d) + rng.standard_t(2, n)
    return a, b, np.linalg.lstsq(a, b)[0]


@pytest.mark.parametrize(
    ("sketch", "eps"),
    [("gaussian", 0.1), ("srht", 0.5), ("countsketch", 0.3), ("leverage", 0.4)],
)
def test_residuals_are_within_the_promise(data, sketch, eps):
    a, b, x = data
    least = np.linalg.norm(a @ x - b)
    ratios = []
    for seed in range(SEEDS):
        found = su.lstsq(a, b, sketch=sketch, eps=eps, seed=seed)
        assert found.rows < len(a)
        assert found.bound == pytest.approx(1 + found.eps)
        assert found.eps <= eps
        assert found.residual_norm == pytest.approx(np.linalg.norm(a @ found.x - b))
        ratios.append(found.residual_norm / least)
    assert sum(r > found.bound for r in ratios) <= 0.05 * SEEDS
    assert found.proved
    assert min(ratios) >= 1
    assert max(ratios) > 1 + 1e-6


@pytest.mark.parametrize("sketch", ["gaussian", "srht"])
def test_entries_are_within_the_promise(data, sketch):
    a, b, x = data
    scale = np.linalg.norm(a @ x - b) / np.linalg.svd(a, compute_uv=False)[-1]
    missed, loose = 0, []
    for seed in range(SEEDS):
        found = su.lstsq(a, b, sketch=sketch, guarantee="linf", eps=0.4, seed=seed)
        error = np.abs(found.x - x).max()
        missed += error > found.eps / 2 * scale or error > found.bound
        loose.append(error / (found.eps / 2 * scale))
    assert missed <= 0.05 * SEEDS
    assert max(loose) > 0.2  # the bar is not out of sight
    assert found.proved is (sketch == "gaussian")
    assert ("Estimated" in found.statement) is (sketch == "srht")


def test_a_count_sketch_misses_the_entrywise_bar():
    a, b = np.eye(4096, 10), np.zeros(4096)
    b[200:250] = 1.0
    bar = su.lstsq(a, b, sketch="srht", rows=1024, guarantee="linf").eps / np.sqrt(10)
    errors = [
        np.abs(su.lstsq(a, b, sketch="countsketch", rows=1024, seed=seed).x).max()
        for seed in range(20)
    ]
    assert sum(e > bar * np.sqrt(50) for e in errors) >= 4


@pytest.mark.parametrize(
    "sketch", ["countsketch", "leverage", "uniform", CountSketch(512, nonzeros=8)], ids=str
)
def test_no_entrywise_promise_without_a_dense_sketch(data, sketch):
    with pytest.raises(InputError, match=r"cannot promise a bound on single entries.*'srht'"):
        su.lstsq(data[0], data[1], sketch=sketch, guarantee="linf")


@pytest.mark.parametrize(
    "sketch",
    [SRHT(512), Gaussian(512), CountSketch(512, 8), LeverageSampling(512), UniformSampling(512)],
    ids=lambda sketch: type(sketch).__name__,
)
def test_sparse_and_wrapped_designs_have_the_same_answer(data, sketch):
    a, b = data[0].copy(), data[1]
    a[np.abs(a) < 0.05] = 0.0
    dense = su.lstsq(a, b, sketch=sketch)
    thin = su.lstsq(sparse.csr_matrix(a), b, sketch=sketch)
    np.testing.assert_allclose(thin.x, dense.x, rtol=1e-9)
    wide = ScaledDesign(DenseDesign(a), intercept=True, centre=a.mean(axis=0))
    as_array = su.lstsq(wide.toarray(), b, sketch=sketch)
    np.testing.assert_allclose(su.lstsq(wide, b, sketch=sketch).x, as_array.x, rtol=1e-8)
    assert dense.rows == 512
    assert dense.sketch == sketch


def test_the_yardstick_is_exact(data, monkeypatch):
    monkeypatch.setattr("softunit.sketches.whitening.BLOCK_ENTRIES", 4000)  # many blocks
    a, b, x = data
    found = su.lstsq(a, b, sketch=None)
    np.testing.assert_allclose(found.x, x, rtol=1e-11)
    assert (found.eps, found.bound, found.sketch) == (0.0, 1.0, None)
    assert su.lstsq(a, b, sketch=None, guarantee="linf").bound == 0.0
    ill = np.column_stack([a, a[:, 0] + 1e-7 * np.random.default_rng(1).standard_normal(len(a))])
    least = np.linalg.norm(ill @ np.linalg.lstsq(ill, b)[0] - b)
    assert su.lstsq(ill, b, sketch=None).residual_norm == pytest.approx(least, rel=1e-8)


def test_few_rows_are_solved_exactly_and_said(data):
    a, b, _ = data
    for rows, shape in ((None, (60, 4)), (60, (60, 4)), (None, (3, 4))):
        part, right = a[: shape[0]], b[: shape[0]]
        found = su.lstsq(part, right, rows=rows)
        np.testing.assert_allclose(found.x, np.linalg.lstsq(part, right)[0], rtol=1e-9)
        assert found.sketch is None
        assert found.statement.startswith(f"Solved with all {shape[0]} rows, since")
    assert "rank is 3 of 4" in found.statement


@pytest.mark.parametrize("sketch", [None, "gaussian", "countsketch"], ids=str)
def test_collinear_columns_get_the_answer_of_least_norm(data, sketch):
    a, b, _ = data
    twin = np.column_stack([a, 2 * a[:, 1], np.zeros(len(a))])
    found = su.lstsq(twin, b, sketch=sketch)
    assert found.rank == 4
    assert "rank is 4 of 6" in found.statement
    # Of all (u, v) with u + 2 v given, the shortest has v = 2 u; a zero column has no entry.
    assert found.x[4] == pytest.approx(2 * found.x[1], rel=1e-9)
    assert found.x[5] == pytest.approx(0.0, abs=1e-12)
    nothing = su.lstsq(np.zeros((50, 2)), np.ones(50), sketch=sketch, rows=20)
    assert not nothing.x.any()
    assert nothing.rank == 0


def test_least_norm_bears_units(rng):
    a, b = rng.standard_normal((40, 5)), rng.standard_normal(40)
    units = 10.0 ** np.array([-150, 120, 0, 8, -9])
    x, rank = least_norm(a * units, b)
    assert rank == 5
    np.testing.assert_allclose(x * units, np.linalg.lstsq(a, b)[0], rtol=1e-10)


def test_a_sample_without_promise_says_so(data):
    found = su.lstsq(data[0], data[1], sketch="uniform", rows=400)
    assert found.eps == np.inf
    assert "nothing is promised" in found.statement
    found = su.lstsq(data[0], data[1], sketch="srht", rows=400, seed=1)
    again = su.lstsq(data[0], data[1], sketch="srht", rows=400, seed=1)
    other = su.lstsq(data[0], data[1], sketch="srht", rows=400, seed=2)
    np.testing.assert_array_equal(found.x, again.x)
    assert not np.allclose(found.x, other.x)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sketch": "srt"}, "`sketch` must be 'countsketch' or .*got 'srt'"),
        ({"guarantee": "l1"}, "`guarantee` must be 'l2' or 'linf'; got 'l1'"),
        ({"rows": 3}, "3 rows of SRHT cannot determine 4 columns: take at least 4"),
        ({"rows": 0}, "`rows` must be an integer >= 1; got 0"),
        ({"sketch": SRHT(100), "rows": 5}, "m = 100 rows of its own"),
        ({"eps": 0.0}, "`eps` must be a finite number > 0; got 0.0"),
        ({"delta": 2.0}, r"`delta` must be in \(0, 1\); got 2.0"),
        ({"seed": -1}, "`seed` must be an integer >= 0; got -1"),
        ({"row": 3}, "no setting 'row'. Did you mean 'rows'?"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_settings_get_a_sentence(data, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        su.lstsq(data[0], data[1], **settings)


def test_bad_data_gets_a_sentence(data):
    a, b, _ = data
    with pytest.raises(InputError, match=r"b has shape \(7999,\), but A has 8000 rows"):
        su.lstsq(a, b[1:])
    with pytest.raises(InputError, match=r"b holds NaN or infinity in 1 of 8000.*row 9"):
        su.lstsq(a, np.where(np.arange(8000) == 9, np.nan, b))
    with pytest.raises(InputError, match="column 2 of A holds NaN or infinity in 1 of 8000"):
        su.lstsq(np.where(np.arange(32_000).reshape(8000, 4) == 42, np.nan, a), b)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"delta": "a"}, r"`delta` must be in \(0, 1\); got 'a'"),
        ({"delta": 1}, r"`delta` must be in \(0, 1\); got 1"),
        ({"eps": "a"}, "`eps` must be a finite number > 0; got 'a'"),
    ],
    ids=["word", "one", "eps"],
)
def test_settings_that_are_no_numbers_are_refused(data, setting, sentence):
    with pytest.raises(InputError, match=sentence):
        su.lstsq(data[0], data[1], **setting)


@pytest.mark.parametrize("sketch", [SRHT, CountSketch, Gaussian, LeverageSampling, UniformSampling])
def test_sketches_draw_from_a_generator_only(data, sketch):
    with pytest.raises(InputError, match=r"`rng` must be a numpy Generator; got 0\."):
        sketch(64).draw(data[0], 0)

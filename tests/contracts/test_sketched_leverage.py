"""Leverage scores against the projection itself, and sketched ones against exact ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from softunit.designs import DenseDesign, ScaledDesign, SparseDesign
from softunit.errors import InputError
from softunit.sketches import leverage_scores
from softunit.sketches.leverage import FIRST, PAYS, first_rows


def projected(a: np.ndarray) -> tuple[np.ndarray, int]:
    """The diagonal of the projection on the range of a, and its rank."""
    length = np.linalg.norm(a, axis=0)
    left, values, _ = np.linalg.svd(a / np.where(length > 0, length, 1.0), full_matrices=False)
    left = left[:, values > 1e-11 * values[0]]
    return (left**2).sum(axis=1), left.shape[1]


def gaussian(rng, n, d):
    return rng.standard_normal((n, d))


def units(rng, n, d):
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-100, 100, d)


def huge(rng, n, d):
    return 1e200 * rng.standard_normal((n, d))


def heavy(rng, n, d):
    return rng.standard_t(1, (n, d))


def identity(rng, n, d):
    return np.eye(n, d) + 1e-3 * rng.standard_normal((n, d))


def collinear(rng, n, d):
    a = rng.standard_normal((n, d))
    a[:, -1] = a[:, 0] - 2 * a[:, 1]
    a[:, 2] = 0.0
    return a


def one_row(rng, n, d):
    a = rng.standard_normal((n, d))
    a[:, 0] = 0.0
    a[n // 2, 0] = 1e-5
    return a


MATRICES = [gaussian, units, huge, heavy, identity, collinear, one_row]
each_matrix = pytest.mark.parametrize("matrix", MATRICES, ids=lambda matrix: matrix.__name__)


@each_matrix
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_exact_scores_are_the_diagonal_of_the_projection(matrix, weighted, rng, monkeypatch):
    monkeypatch.setattr("softunit.sketches.base.BLOCK_ENTRIES", 700)  # many blocks
    monkeypatch.setattr("softunit.sketches.whitening.BLOCK_ENTRIES", 700)
    a = matrix(rng, 900, 6)
    w = np.where(rng.random(900) < 0.3, 0.0, rng.exponential(size=900)) if weighted else None
    if matrix is one_row and weighted:
        w[450] = 1.0
    rooted = a / np.maximum(np.abs(a).max(axis=0), 1e-300)
    expected, rank = projected(rooted if w is None else np.sqrt(w)[:, None] * rooted)
    for given_a in (a, np.asfortranarray(a), sparse.csr_matrix(a)):
        found = leverage_scores(given_a, weights=w)
        np.testing.assert_allclose(found, expected, atol=1e-10)
        assert found.sum() == pytest.approx(rank, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), d=st.integers(1, 6))
def test_any_shape(seed, n, d):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.6)
    found = leverage_scores(a)
    assert (found >= -1e-12).all()
    assert (found <= 1 + 1e-9).all()
    if a.any():
        np.testing.assert_allclose(found, projected(a)[0], atol=1e-7)
        np.testing.assert_allclose(leverage_scores(sparse.csr_matrix(a)), found, atol=1e-7)
    else:
        assert not found.any()


def test_digits_survive_columns_that_nearly_repeat(rng):
    a, other = rng.standard_normal((2000, 5)), rng.standard_normal(2000)
    close = np.column_stack([a, a[:, 0] + 1e-6 * other])
    # In exact arithmetic the range is that of [a, other].
    expected = projected(np.column_stack([a, other]))[0]
    np.testing.assert_allclose(leverage_scores(close), expected, atol=1e-9)


def test_wrapped_designs_and_repeated_rows(rng):
    a = rng.standard_normal((400, 4)) * (rng.random((400, 4)) < 0.5)
    settings = {"intercept": True, "centre": np.arange(4.0), "scale": [1.0, 2.0, np.inf, 4.0]}
    dense = ScaledDesign(DenseDesign(a), **settings)
    expected, rank = projected(dense.toarray())
    assert rank == 4
    np.testing.assert_allclose(leverage_scores(dense), expected, atol=1e-12)
    thin = ScaledDesign(SparseDesign(sparse.csr_matrix(a)), **settings)
    np.testing.assert_allclose(leverage_scores(thin), expected, atol=1e-12)
    # A weight of two is the row twice, each copy with half the score.
    twice = leverage_scores(np.concatenate([a, a[:100]]))
    weights = np.where(np.arange(400) < 100, 2.0, 1.0)
    once = leverage_scores(a, weights=weights)
    np.testing.assert_allclose(twice[:100] + twice[400:], once[:100], atol=1e-12)
    np.testing.assert_allclose(twice[100:400], once[100:], atol=1e-12)


@pytest.fixture
def sketching(monkeypatch):
    """Sketch at sizes that a test can afford."""
    monkeypatch.setattr("softunit.sketches.leverage.DENSE_COLUMNS", 2)
    monkeypatch.setattr("softunit.sketches.leverage.PAYS", 2)


@pytest.mark.usefixtures("sketching")
@pytest.mark.parametrize(
    "matrix", [gaussian, units, heavy, identity, collinear], ids=lambda matrix: matrix.__name__
)
def test_sketched_scores_are_within_the_factor_of_the_first_sketch(matrix):
    n, d = 6000, 6
    assert n >= 2 * first_rows(d)
    a = matrix(np.random.default_rng(1), n, d)
    w = np.random.default_rng(2).exponential(size=n)
    exact = leverage_scores(a, weights=w)
    heard = exact > 1e-12
    off = []
    for seed in range(40):
        found = leverage_scores(a, "sketched", weights=w, seed=seed)
        ratio = found[heard] / exact[heard]
        off.append(max(ratio.max(), 1 / ratio.min()))
        assert found[~heard].max(initial=0.0) < 1e-10
    assert sum(o > FIRST for o in off) <= 2
    assert max(off) > 1.05  # it was a sketch


@pytest.mark.usefixtures("sketching")
@pytest.mark.parametrize("factor", [6.0, 30.0])
@pytest.mark.parametrize("rows", [16_000, 1500], ids=["from-a-sketch", "from-the-gram"])
def test_few_directions_keep_the_factor(factor, rows):
    d = 60
    assert (rows >= 2 * first_rows(d)) == (rows == 16_000)
    a = np.random.default_rng(1).standard_t(3, (rows, d))
    exact = leverage_scores(a)
    missed, apart = 0, []
    for seed in range(20):
        ratio = leverage_scores(a, "sketched", factor=factor, seed=seed) / exact
        missed += max(ratio.max(), 1 / ratio.min()) > factor
        apart.append(ratio.max() / ratio.min())
    assert missed <= 3  # one is expected, and 13 of 200 seeds missed where the Gram is exact
    assert min(apart) > 2  # directions were few


def test_sparse_rows_are_sketched_and_seeds_repeat():
    rng = np.random.default_rng(4)
    a = sparse.random_array((40_000, 24), density=0.75, format="csr", rng=rng)
    assert a.shape[0] >= PAYS * first_rows(24)
    exact = leverage_scores(a)
    found = leverage_scores(a, "sketched", seed=1)
    ratio = found / exact
    assert FIRST > max(ratio.max(), 1 / ratio.min()) > 1.02
    np.testing.assert_array_equal(found, leverage_scores(a, "sketched", seed=1))
    assert not np.allclose(found, leverage_scores(a, "sketched", seed=2))


def test_rounding_turns_no_sketched_score(rng):
    # Columns that are nearly orthonormal leave the eigenvectors of their Gram to rounding.
    a = np.linalg.qr(rng.standard_normal((3000, 40)))[0]
    found = leverage_scores(a, "sketched", factor=30.0, seed=3)
    near = leverage_scores(
        a * (1 + 1e-15 * rng.standard_normal(a.shape)), "sketched", factor=30.0, seed=3
    )
    np.testing.assert_allclose(near, found, rtol=1e-9)
    assert np.abs(found / leverage_scores(a) - 1).max() > 0.5


def test_the_factor_can_be_missed(monkeypatch):
    monkeypatch.setattr("softunit.sketches.leverage.directions_needed", lambda *given: 2)
    a = np.random.default_rng(1).standard_normal((5000, 20))
    ratio = leverage_scores(a, "sketched") / leverage_scores(a)
    assert max(ratio.max(), 1 / ratio.min()) > 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"method": "fast"}, "`method` must be 'exact' or 'sketched'; got 'fast'"),
        ({"factor": 1.5}, r"`factor` must be above 1.5.*got 1.5"),
        ({"seed": -1}, "`seed` must be an integer >= 0; got -1"),
        ({"weights": [1.0, -2.0, 1.0]}, r"1 negative entry; the first is -2\.0 in row 1"),
        ({"weights": [1.0, np.nan, 1.0]}, r"NaN or infinity in 1 of 3 entries.*row 1"),
        ({"weights": [1.0]}, r"shape \(1,\), but A has 3 rows"),
    ],
    ids=["method", "factor", "seed", "negative", "nan", "short"],
)
def test_bad_settings_get_a_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        leverage_scores(np.ones((3, 1)), **settings)

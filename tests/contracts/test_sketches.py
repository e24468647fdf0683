"""Every sketch of the table: its promise, its mean, its products, and that draws repeat."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import linalg, sparse

from softunit.designs import DenseDesign, ScaledDesign, SparseDesign
from softunit.errors import InputError
from softunit.sketches import (
    SRHT,
    CountSketch,
    Gaussian,
    LeverageSampling,
    UniformSampling,
)
from softunit.sketches.bounds import chernoff_eps, directions_needed, gaussian_deviation
from softunit.sketches.leverage_sampling import drawn_by
from softunit.sketches.srht import hadamard
from tests.contracts.sketch_cases import SKETCHES, D, M, N, even

each_sketch = pytest.mark.parametrize("case", SKETCHES, ids=lambda case: case.name)
SEEDS = 100
ROOT = Path(__file__).parents[2]


@cache
def images(case) -> list[np.ndarray]:
    """S U for each of 100 drawn S, with U an orthonormal basis of the range."""
    a = case.matrix(np.random.default_rng(0))
    basis = np.linalg.qr(a)[0]
    return [case.subject.draw(a, np.random.default_rng(seed)).apply(basis) for seed in range(SEEDS)]


def distortions(case, stretch: float = 1.0) -> np.ndarray:
    """max_x | |S A x|^2 / |A x|^2 - 1 | for each of 100 drawn S, stretched as if by mistake."""
    values = np.array([np.linalg.eigvalsh(stretch**2 * s.T @ s) for s in images(case)])
    return np.maximum(values[:, -1] - 1, 1 - values[:, 0])


@each_sketch
def test_distortion_is_as_promised_and_as_measured(case):
    promise = case.subject.distortion(N, D, delta=0.05)
    found = distortions(case)
    assert (found > promise.eps).sum() <= promise.delta * SEEDS
    assert case.typical / 3 < np.quantile(found, 0.95) <= case.typical
    assert promise.rows == M
    assert f"{promise.eps:.4g}" in promise.statement


@each_sketch
def test_a_wrong_scale_is_found_out(case):
    assert np.quantile(distortions(case, stretch=1.1), 0.95) > case.typical


@each_sketch
def test_the_mean_of_the_gram_is_the_identity(case):
    draws, n = 800, 40
    a = even(np.random.default_rng(0))[:n]
    sketch = case.subject.resized(8)
    total, squares = np.zeros((n, n)), np.zeros((n, n))
    for seed in range(draws):
        s = sketch.draw(a, np.random.default_rng(seed)).apply(np.eye(n))
        gram = s.T @ s
        total += gram
        squares += gram**2
    mean = total / draws
    error = np.sqrt(np.maximum(squares / draws - mean**2, 0) / draws)
    assert (np.abs(mean - np.eye(n)) <= 5 * error + 1e-9).all()
    assert error.max() < 0.2


def scaled(inner):
    d = inner.shape[1]
    return ScaledDesign(inner, intercept=True, centre=np.arange(d), scale=1 + np.arange(d))


@pytest.fixture(params=["whole", "small-blocks"])
def blocks(request, monkeypatch):
    """Run as it is, and with blocks so small that many are added up."""
    if request.param == "small-blocks":
        monkeypatch.setattr("softunit.sketches.srht.STRIP_ENTRIES", 1)
        monkeypatch.setattr("softunit.sketches.base.BLOCK_ENTRIES", 1)
        monkeypatch.setattr("softunit.sketches.gaussian.CHUNK_ENTRIES", 1)


@each_sketch
@pytest.mark.usefixtures("blocks")
def test_every_route_is_the_same_matrix(case, rng):
    n, d = 700, 11
    a = rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.4)
    a[:, 3] = 0.0
    drawn = case.subject.resized(48).draw(a, np.random.default_rng(7))
    s = drawn.apply(np.eye(n))  # S itself, naively
    assert s.shape[0] <= 48
    csr, centred = sparse.csr_matrix(a), scaled(DenseDesign(a)).toarray()
    b, w = rng.standard_normal(n), rng.random(n)
    for given, expected in [
        (a, s @ a),
        (np.asfortranarray(a), s @ a),
        (csr, s @ a),
        (SparseDesign(csr), s @ a),
        (scaled(DenseDesign(a)), s @ centred),
        (scaled(SparseDesign(csr)), s @ centred),
        (b, s @ b),
    ]:
        np.testing.assert_allclose(drawn.apply(given), expected, rtol=1e-12, atol=1e-11)
    rooted = np.sqrt(w)[:, None]
    for given, dense in [(a, a), (csr, a), (scaled(SparseDesign(csr)), centred)]:
        found = drawn.apply(given, weights=w)
        np.testing.assert_allclose(found, s @ (rooted * dense), rtol=1e-12, atol=1e-11)
    narrow = drawn.apply(a.astype(np.float32))
    assert narrow.dtype == np.float64
    np.testing.assert_allclose(narrow, s @ a.astype(np.float32), rtol=1e-12, atol=1e-11)


@each_sketch
def test_one_seed_gives_one_sketch(case):
    a = case.matrix(np.random.default_rng(0))
    first, again, other = (case.subject.apply(a, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


@each_sketch
def test_rows_needed_are_the_least(case):
    for n, d, eps in [(100_000, 5, 0.3), (3000, 40, 0.9), (10**7, 3, 0.05)]:
        m = case.subject.rows_needed(n, d, eps=eps)
        fewer = case.subject.resized(max(1, m - getattr(case.subject, "nonzeros", 1)))
        assert case.subject.resized(m).distortion(n, d).eps <= eps
        assert fewer.distortion(n, d).eps > eps


# What only some sketches have ------------------------------------------------------------------


def test_srht_is_the_transform_of_scipy(rng):
    drawn = SRHT(20).draw(np.ones((50, 1)), rng)
    s = linalg.hadamard(64)[drawn.picks][:, :50] * drawn.signs / math.sqrt(20)
    np.testing.assert_allclose(drawn.apply(np.eye(50)), s, atol=1e-14)
    assert len(set(drawn.picks)) == 20
    for k in range(8):
        a = rng.standard_normal((1 << k, 3))
        np.testing.assert_allclose(hadamard(a), linalg.hadamard(1 << k) @ a, atol=1e-12)
    whole = SRHT(64).draw(np.ones((50, 1)), rng).apply(np.eye(50))
    np.testing.assert_allclose(whole.T @ whole, np.eye(50), atol=1e-13)
    assert SRHT(64).distortion(50, 3).eps == 0.0


def test_count_sketch_is_that_of_scipy():
    a = np.random.default_rng(0).standard_normal((300, 4))
    ours = CountSketch(32).apply(a, np.random.default_rng(9))
    theirs = linalg.clarkson_woodruff_transform(a, 32, np.random.default_rng(9))
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_gaussian_entries_are_normal_and_independent_of_the_design(rng):
    s = Gaussian(200).draw(np.ones((300, 1)), rng).apply(np.eye(300)) * math.sqrt(200)
    assert abs(s.mean()) < 5 / math.sqrt(s.size)
    assert abs((s**2).mean() - 1) < 5 * math.sqrt(2 / s.size)
    assert abs((s**4).mean() - 3) < 5 * math.sqrt(96 / s.size)
    shifted = (s[:, 1:] * s[:, :-1]).mean(), (s[1:] * s[:-1]).mean()
    assert np.abs(shifted).max() < 5 / math.sqrt(s.size)


def test_samples_weigh_rows_by_the_inverse_of_their_probability(rng):
    a = even(rng)
    index, weight = UniformSampling(500).sample(a, rng)
    assert len(set(index)) == 500
    assert weight.sum() == pytest.approx(N)
    index, weight = UniformSampling(5 * N).sample(a, rng)
    np.testing.assert_array_equal(index, np.arange(N))
    np.testing.assert_array_equal(weight, 1.0)
    sums = [LeverageSampling(200).sample(a, np.random.default_rng(s))[1].sum() for s in range(200)]
    assert abs(np.mean(sums) - N) < 5 * np.std(sums) / math.sqrt(len(sums))
    # A row that alone holds a column is always drawn.
    a = np.zeros((500, 2))
    a[:, 0], a[77] = 1.0, (0.0, 1.0)
    assert all(77 in LeverageSampling(60).sample(a, np.random.default_rng(s))[0] for s in range(50))


def test_weighted_samples_stand_for_the_weighted_gram():
    rng = np.random.default_rng(3)
    a, w = rng.standard_normal((4000, 5)), rng.exponential(size=4000) ** 3
    index, weight = LeverageSampling(6000, method="exact").sample(a, rng, weights=w)
    gram, whole = (a[index].T * (weight * w[index])) @ a[index], (a.T * w) @ a
    found = linalg.eigh(gram, whole, eigvals_only=True)
    assert np.abs(found - 1).max() < LeverageSampling(6000, method="exact").distortion(4000, 5).eps


def test_rows_without_score_are_never_drawn():
    scores = np.array([0.0, 1.0, 0.0, 3.0, 0.0])
    index, weight = drawn_by(scores, 10_000, np.random.default_rng(0))
    np.testing.assert_array_equal(index, [1, 3])
    assert weight[0] == pytest.approx(1.0, abs=0.1)  # the mean of count / (m p)

    class Top:  # the largest draw that rounding allows
        def random(self, m):
            return np.ones(m)

    assert drawn_by(scores, 3, Top())[0].tolist() == [3]


def test_bounds_solve_their_equations(rng):
    for rows, d, largest in [(100, 3, 3.0), (10**6, 50, 400.0), (10, 2, 500.0)]:
        eps = chernoff_eps(rows, d, 0.05, largest)
        expected = largest * math.log(2 * d / 0.05) / rows
        assert (1 + eps) * math.log1p(eps) - eps == pytest.approx(expected, rel=1e-8)
    small = chernoff_eps(10**15, 3, 0.05, 3.0)
    assert small == pytest.approx(math.sqrt(6 * math.log(120) / 1e15), rel=1e-3)
    values = [np.linalg.svd(rng.standard_normal((400, 20)), compute_uv=False) for _ in range(100)]
    off = np.array([np.abs(v / 20 - 1).max() for v in values])
    assert (off > gaussian_deviation(400, 20, 0.05)).sum() <= 5
    assert (off > gaussian_deviation(400, 20, 0.05) / 2).sum() >= 50  # and it is not idle
    k = directions_needed(1000, 2.0, 0.1)
    squares = (rng.standard_normal((60, 1000, k)) ** 2).mean(axis=2)
    missed = ((squares < 0.5) | (squares > 2)).any(axis=1).sum()
    assert 0 < missed <= 12


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Gaussian(0), "`m` must be an integer >= 1; got 0"),
        (lambda: CountSketch(10, nonzeros=3), "multiple of `nonzeros`; got m = 10"),
        (lambda: LeverageSampling(5, method="fast"), "`method` must be 'exact' or 'sketched'"),
        (lambda: LeverageSampling(5, factor=1.0), "`factor` must be above 1.5"),
        (lambda: UniformSampling(5, coherence=2.0), r"`coherence` must be None or in \(0, 1\]"),
        (lambda: Gaussian(5).distortion(10, 2, delta=1.0), r"`delta` must be in \(0, 1\); got 1.0"),
        (lambda: SRHT(5).rows_needed(10, 2, eps=-1.0), "`eps` must be a finite number > 0"),
        (
            lambda: SRHT(17).apply(np.ones((10, 2)), np.random.default_rng(0)),
            "m = 17 rows of a transform that has 16",
        ),
        (
            lambda: LeverageSampling(5).apply(np.zeros((10, 2)), np.random.default_rng(0)),
            "all 10 leverage scores are zero",
        ),
        (
            lambda: (
                Gaussian(5).draw(np.ones((10, 2)), np.random.default_rng(0)).apply(np.ones((11, 2)))
            ),
            "drawn for 10 rows, but A has 11",
        ),
        (
            lambda: Gaussian(5).apply([[1.0, np.nan]], np.random.default_rng(0)),
            "column 1 of A holds NaN",
        ),
    ],
    ids=lambda value: "" if callable(value) else value[:20],
)
def test_bad_input_gets_a_sentence(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_a_sketch_without_promise_says_so():
    promise = UniformSampling(5).distortion(100, 3)
    assert promise.eps == math.inf
    assert promise.statement.startswith("Nothing is promised for 5 rows.")
    assert "from above only" in Gaussian(5).distortion(100, 3).statement
    assert UniformSampling(100).distortion(100, 3).eps == 0.0


def test_the_page_prints_what_it_says(capsys):
    page = (ROOT / "docs" / "maths" / "sketches.md").read_text("utf-8")
    code, printed = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL).groups()
    exec(compile(code, "sketches.md", "exec"), {})
    assert capsys.readouterr().out == printed

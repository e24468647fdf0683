"""Problems of some rows, work in float32, and what is not done twice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.designs import DenseDesign, ScaledDesign, SparseDesign, as_design
from softunit.penalties import NoPenalty, Ridge, ScoreRidge
from softunit.solvers.row_sample import RowSample
from softunit.units import Multinomial, SoftmaxSquares
from tests.contracts.cases import labels, multinomial_problem, shares, simplex

N, D, K = 240, 4, 3


def problem(**settings) -> su.Problem:
    """N rows of three classes with offsets, ridge and, unless told otherwise, no weights."""
    rng = np.random.default_rng(5)
    a = rng.standard_normal((N, D)) * np.array([1, 0.2, 3, 1])
    penalty = settings.pop("penalty", Ridge(0.1))
    target = settings.pop("target", labels(K)(rng, N))
    settings.setdefault("offset", rng.standard_normal((N, K)))
    return su.Problem(a, Multinomial(K), target, penalty, **settings)


def x_for(whole: su.Problem) -> np.ndarray:
    return np.random.default_rng(6).standard_normal(whole.shape)


def same(part: su.Problem, anew: su.Problem, rtol: float = 1e-12) -> None:
    """Assert that two problems have one value, gradient and Hessian."""
    x = x_for(anew)
    here, there = part.evaluate(x), anew.evaluate(x)
    assert here.value == pytest.approx(there.value, rel=rtol)
    size = np.abs(there.gradient).max()
    np.testing.assert_allclose(here.gradient, there.gradient, atol=rtol * size)
    np.testing.assert_allclose(part.hessian(here), anew.hessian(there), atol=rtol, rtol=rtol)
    assert part.value(x) == pytest.approx(there.value, rel=rtol)


# Some rows ------------------------------------------------------------------------------------


def test_a_slice_is_the_problem_of_its_rows():
    whole = problem()
    rows = slice(30, 90)
    part = whole.sampled(rows)
    anew = su.Problem(
        whole.design.array[rows],
        Multinomial(K),
        whole.target[rows],
        Ridge(0.1),
        offset=whole.offset[rows],
    )
    same(part, anew)
    assert part.shape == whole.shape
    assert part.mass == 60
    for mine, theirs in [
        (part.design.array, whole.design.array),
        (part.target, whole.target),
        (part.offset, whole.offset),
    ]:
        assert np.shares_memory(mine, theirs)


def test_gathered_rows_and_their_weights():
    whole = problem(weights=np.random.default_rng(7).uniform(0.1, 2, N))
    rows = np.random.default_rng(8).permutation(N)[:50]
    weights = np.random.default_rng(9).uniform(1, 3, 50)
    part = whole.sampled(rows, weights=weights, design=DenseDesign(whole.design.array[rows]))
    anew = su.Problem(
        whole.design.array[rows],
        Multinomial(K),
        whole.target[rows],
        Ridge(0.1),
        weights=weights,
        offset=whole.offset[rows],
    )
    same(part, anew)
    assert part.mass == pytest.approx(weights.sum(), rel=1e-15)
    # Without a design at hand they are gathered, in float32: good to about seven digits.
    gathered = whole.sampled(rows, weights=weights)
    assert gathered.design.dtype == np.float32
    same(gathered, anew, rtol=1e-5)


def test_shares_as_targets():
    target = shares(K)(np.random.default_rng(10), N)
    whole = problem(target=target)
    part = whole.sampled(slice(0, 80))
    rows = slice(0, 80)
    anew = su.Problem(
        whole.design.array[rows],
        Multinomial(K),
        target[rows],
        Ridge(0.1),
        offset=whole.offset[rows],
    )
    same(part, anew)


def test_two_classes_have_one_column():
    rng = np.random.default_rng(11)
    a, y, offset = rng.standard_normal((N, D)), labels(2)(rng, N), rng.standard_normal(N)
    whole = su.Problem(a, Multinomial(), y, Ridge(0.1), offset=offset)
    rows = slice(100, 200)
    same(
        whole.sampled(rows),
        su.Problem(a[rows], Multinomial(), y[rows], Ridge(0.1), offset=offset[rows]),
    )


def test_a_sample_stands_for_all_rows():
    weights = np.random.default_rng(12).uniform(0.1, 2, N)
    for whole in (problem(), problem(weights=weights)):
        x = 0.3 * x_for(whole)
        there, values, gradients = whole.evaluate(x), [], []
        for seed in range(400):
            sample = RowSample.draw(whole, 80, np.random.default_rng(seed))
            here = sample.of(whole).evaluate(x)
            values.append(here.value)
            gradients.append(here.gradient)
        error = np.std(values) / np.sqrt(400)
        assert abs(np.mean(values) - there.value) <= 4 * error
        assert error <= 0.01 * there.value
        errors = np.std(gradients, axis=0) / np.sqrt(400)
        assert (np.abs(np.mean(gradients, axis=0) - there.gradient) <= 4.5 * errors).all()


@pytest.mark.parametrize(
    "weights", [None, np.random.default_rng(13).pareto(1.2, N) + 0.01], ids=["equal", "weights"]
)
def test_a_sampled_score_ridge_is_that_of_all_rows(weights):
    # It is summed over rows, whatever their weights: a sample by weight must make up for that.
    whole = problem(penalty=[ScoreRidge(0.3)], weights=weights, offset=None)
    x = x_for(whole)
    bare = whole.derived(penalty=NoPenalty())
    there = whole.value(x) - bare.value(x)
    found = []
    for seed in range(500):
        sample = RowSample.draw(whole, 100, np.random.default_rng(seed))
        pair = (sample.of(problem_) for problem_ in (whole, bare))
        found.append(np.subtract(*(part.value(x) for part in pair)))
    error = np.std(found) / np.sqrt(500)
    assert abs(np.mean(found) - there) <= 4 * error + 1e-5 * there
    assert error < 0.05 * there


def test_samples_of_samples_know_their_share():
    whole = problem()
    part = whole.sampled(slice(0, 120)).sampled(slice(0, 30))
    assert part.share == 30 / N
    assert whole.share == 1.0
    assert part.evaluate(x_for(whole)).share == 30 / N
    assert whole.evaluate(x_for(whole)).share == 1.0
    ridged = problem(penalty=ScoreRidge(0.5))
    nested = ridged.sampled(slice(0, 120)).sampled(slice(0, 30))
    np.testing.assert_allclose(nested.score_ridge, ridged.score_ridge[:30] * N / 30, rtol=1e-14)


def test_what_a_sample_costs_is_counted_in_the_whole():
    whole = problem()
    part = whole.sampled(slice(0, 60))
    x = x_for(whole)
    point = part.evaluate(x)
    assert part.cost is whole.cost
    assert whole.cost.products == 2 * 0.25
    assert whole.cost.values == whole.cost.gradients == 0.25
    assert whole.cost.rows == 60
    before = whole.cost.copy()
    product, _ = part.hessian_product(point)
    product(x)
    assert whole.cost.since(before).curvatures == 0.25
    assert whole.cost.since(before).products == 2 * 0.25


def test_a_sample_prepares_for_itself():
    whole = problem()
    whole.prepared["key"] = "of the whole"
    _ = whole.gram, whole.gradient_scale, whole.stores_scores
    whole.evaluate(x_for(whole))
    part = whole.sampled(slice(0, 60))
    assert part.prepared == {}
    anew = su.Problem(whole.design.array[:60], Multinomial(K), whole.target[:60], Ridge(0.1))
    np.testing.assert_allclose(part.gram, anew.gram, rtol=1e-12)
    # What was known of the whole at x is not said of the sample.
    assert part.evaluate(x_for(whole)).value != whole.evaluate(x_for(whole)).value


def test_derived_problems_share_what_was_prepared_and_not_what_was_spent():
    whole = problem()
    x = x_for(whole)
    whole.evaluate(x)
    gram, spent = whole.gram, whole.cost.copy()
    path = whole.derived(penalty=Ridge(0.7))
    assert path.design is whole.design
    assert path.target is whole.target
    assert path.prepared is whole.prepared
    assert path.cost is not whole.cost
    assert path.cost.products == 0
    gained = path.value(x) - whole.value(x)
    assert gained == pytest.approx(0.3 * np.vdot(x, x), rel=1e-9)
    # Nor is the point of the one that of the other.
    np.testing.assert_allclose(path.gradient(x), whole.gradient(x) + 0.6 * x, rtol=1e-9)
    assert whole.cost.since(spent).products == 1  # its value; the gradient was known
    assert path.gram is gram
    folded = whole.derived(penalty=Ridge(0.1), weights=np.arange(N) < 100)
    assert folded.mass == 100
    same(folded, problem(weights=np.arange(N) < 100))
    np.testing.assert_allclose(folded.gram, problem(weights=np.arange(N) < 100).gram, rtol=1e-12)


# In float32 -----------------------------------------------------------------------------------


def columns(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((3000, 5)) * np.array([1, 0.1, 5, 1, 1]) + np.array([0, 1, 0, -3, 0])


def mostly_zero(rng: np.random.Generator) -> sparse.csr_matrix:
    return sparse.csr_matrix(columns(rng) * (rng.random((3000, 5)) < 0.3))


NARROW = {
    "dense-c": lambda rng: DenseDesign(columns(rng)),
    "dense-f": lambda rng: DenseDesign(np.asfortranarray(columns(rng))),
    "dense-float32": lambda rng: DenseDesign(columns(rng).astype(np.float32)),
    "sparse": lambda rng: SparseDesign(mostly_zero(rng)),
    "sparse-float32": lambda rng: SparseDesign(mostly_zero(rng).astype(np.float32)),
    "intercept": lambda rng: as_design(columns(rng), intercept=True),
    "scaled": lambda rng: ScaledDesign(
        DenseDesign(columns(rng) * 1e6),
        intercept=True,
        centre=np.array([0, 1, 0, -3, 0]) * 1e6,
        scale=np.array([1, 0.1, 5, 1, 1]) * 1e6,
    ),
    "scaled-sparse": lambda rng: ScaledDesign(
        SparseDesign(mostly_zero(rng)), intercept=True, centre=np.full(5, 0.3), scale=np.full(5, 2)
    ),
}


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weights"])
@pytest.mark.parametrize("name", NARROW)
def test_coarse_is_fine_but_for_digits(name, weighted, k, rng):
    design = NARROW[name](rng)
    n = design.shape[0]
    weights = rng.uniform(0, 2, n) if weighted else None
    offset = rng.standard_normal(n if k == 2 else (n, k))
    whole = su.Problem(
        design, Multinomial(), labels(k)(rng, n), Ridge(0.01), weights=weights, offset=offset
    )
    assert design.narrowable
    x = 0.3 * rng.standard_normal(whole.shape)
    fine, coarse = whole.evaluate(x), whole.evaluate(x, coarse=True)
    assert coarse.value == pytest.approx(fine.value, rel=1e-6)
    size = np.abs(fine.gradient).max()
    np.testing.assert_allclose(coarse.gradient, fine.gradient, atol=2e-6 * size)
    assert coarse.gradient.dtype == np.float64
    assert (fine.exact, coarse.exact) == (True, False)
    assert coarse.scores is None
    # It is another way of working, or there would be nothing to save.
    assert not np.array_equal(coarse.gradient, fine.gradient)
    v = rng.standard_normal(whole.shape)
    bare = su.problem.Point(x, fine.value, fine.gradient, None)
    (product, diagonal), (quick, quick_diagonal) = (
        whole.hessian_product(bare, coarse=flag) for flag in (False, True)
    )
    image = product(v)
    np.testing.assert_allclose(quick(v), image, atol=2e-6 * np.abs(image).max())
    np.testing.assert_allclose(quick_diagonal, diagonal, rtol=2e-6)


def test_shares_and_score_ridge_are_as_good_in_float32(rng):
    a = columns(rng)
    whole = su.Problem(
        a, Multinomial(K), shares(K)(rng, len(a)), [Ridge(0.1), ScoreRidge(0.02)],
        weights=rng.uniform(0, 1, len(a)),
    )  # fmt: skip
    x = 0.2 * rng.standard_normal(whole.shape)
    fine, coarse = whole.evaluate(x), whole.evaluate(x, coarse=True)
    assert coarse.value == pytest.approx(fine.value, rel=1e-6)
    size = np.abs(fine.gradient).max()
    np.testing.assert_allclose(coarse.gradient, fine.gradient, atol=2e-6 * size)


def test_columns_far_off_are_worked_on_in_float64(rng):
    a = columns(rng)
    a[:, 2] += 1e6 * 5
    y = labels(K)(rng, len(a))
    whole = su.Problem(as_design(a, intercept=True), Multinomial(K), y, Ridge(0.1))
    assert not whole.design.narrowable
    x = 0.3 * rng.standard_normal(whole.shape)
    there = su.Problem(whole.design, Multinomial(K), y, Ridge(0.1)).evaluate(x)
    here = whole.evaluate(x, coarse=True)
    assert here.exact
    assert here.value == there.value
    np.testing.assert_array_equal(here.gradient, there.gradient)


def test_known_scores_are_not_narrowed(rng):
    whole = problem()
    x = x_for(whole)
    point = whole.evaluate(x, whole.scores(x), coarse=True)
    assert not point.exact  # scores are believed, not made
    np.testing.assert_allclose(point.gradient, whole.gradient(x), rtol=1e-12)


# Not twice ------------------------------------------------------------------------------------


def test_the_same_point_again_costs_nothing():
    whole = problem()
    x = x_for(whole)
    first, spent = whole.evaluate(x), whole.cost.copy()
    again = whole.evaluate(x.copy())
    assert again.value == first.value
    np.testing.assert_array_equal(again.gradient, first.gradient)
    np.testing.assert_array_equal(whole.evaluate(x, store=False).gradient, first.gradient)
    assert whole.cost.since(spent) == type(spent)()
    whole.evaluate(x + 1)
    assert whole.cost.since(spent).products == 2


def test_scores_that_are_asked_for_are_there():
    whole = problem()
    x = x_for(whole)
    assert whole.evaluate(x, store=False).scores is None
    np.testing.assert_array_equal(whole.evaluate(x).scores, whole.scores(x))


def test_what_is_not_exact_is_not_remembered():
    whole = problem()
    x = x_for(whole)
    whole.evaluate(x, whole.scores(x) + 1.5 * whole.offset)  # scores of somewhere else
    whole.evaluate(x, coarse=True)
    point = whole.evaluate(x)
    assert point.exact
    anew = problem().evaluate(x)
    assert point.value == anew.value


def test_a_point_that_moves_is_evaluated_again():
    whole = problem()
    x = x_for(whole)
    before = whole.evaluate(x).value
    x += 1.0  # in place, as loops do
    assert whole.evaluate(x).value == problem().evaluate(x).value != before


def test_a_gradient_that_is_written_to_is_nobody_elses():
    whole = problem()
    x = x_for(whole)
    g = whole.gradient(x)
    wanted = g.copy()
    g *= -0.1  # as in x += (g := -rate * g)
    np.testing.assert_array_equal(whole.gradient(x), wanted)


def test_units_that_couple_rows_are_remembered_too(rng):
    a = rng.standard_normal((60, 4))
    whole = su.Problem(a, SoftmaxSquares(), simplex(rng, 60))
    x = rng.standard_normal(4)
    first, spent = whole.evaluate(x), whole.cost.copy()
    np.testing.assert_array_equal(whole.evaluate(x).gradient, first.gradient)
    assert whole.cost.since(spent).products == 0


def test_the_certificate_of_a_run_costs_no_evaluation():
    whole = multinomial_problem(np.random.default_rng(0))
    solution = su.minimize(whole, tol=1e-9)
    spent = whole.cost.copy()
    assert whole.evaluate(solution.x).value == solution.value
    assert whole.cost.since(spent).products == 0

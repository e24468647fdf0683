"""Priority samples of rows: unbiased, nested, and at ease with weights of any size."""

from __future__ import annotations

import numpy as np
import pytest

import softunit as su
from softunit.penalties import NoPenalty, Ridge
from softunit.solvers.row_sample import RowSample, drawn_once
from softunit.units import Multinomial
from tests.contracts.cases import labels

N = 400


def problem(weights: np.ndarray | None = None, n: int = N) -> su.Problem:
    """n rows of two columns; the first holds the number of the row."""
    rng = np.random.default_rng(1)
    a = np.column_stack([np.arange(n), rng.standard_normal(n)])
    return su.Problem(a, Multinomial(3), labels(3)(rng, n), Ridge(0.1), weights=weights)


def pareto(n: int = N) -> np.ndarray:
    """Weights with a heavy tail: the largest is a good part of their sum."""
    return np.random.default_rng(2).pareto(1.1, n) + 1e-3


def draw(whole: su.Problem, size: int, seed: int) -> RowSample:
    return RowSample.draw(whole, size, np.random.default_rng(seed))


def kept(whole: su.Problem, size: int, seed: int) -> RowSample:
    return drawn_once(whole, size, size, seed)


def standing_for(sample: RowSample, whole: su.Problem, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first m rows, and how much of all the rows each of them stands for."""
    part = sample.first(sample.of(whole), m)
    rows = sample.index[: part.design.shape[0]]
    if part.weights is None:
        return rows, np.full(len(rows), whole.design.shape[0] / len(rows))
    return rows, part.weights


@pytest.mark.parametrize("m", [40, 160])
@pytest.mark.parametrize(
    "weights", [None, np.full(N, 0.5), pareto()], ids=["none", "equal", "tail"]
)
def test_sums_over_rows_are_unbiased(weights, m):
    whole = problem(weights)
    own = np.ones(N) if weights is None else weights
    rng = np.random.default_rng(3)
    # Of all rows, of a few, of those at the end, and of numbers with a sign.
    terms = np.stack([np.ones(N), np.arange(N) % 7 == 0, np.arange(N) > 350, rng.normal(size=N)])
    sums = []
    for seed in range(600):
        rows, held = standing_for(draw(whole, 160, seed), whole, m)
        sums.append(terms[:, rows] @ held)
    mean, error = np.mean(sums, axis=0), np.std(sums, axis=0) / np.sqrt(len(sums))
    away = np.abs(mean - terms @ own)
    assert (away <= 4 * error + 1e-9 * own.sum()).all(), (away, error)
    assert (error <= 0.2 * np.abs(terms) @ own).all(), "so wide that nothing could fail"


def test_rows_are_gathered_with_all_that_belongs_to_them():
    rng = np.random.default_rng(4)
    a = np.column_stack([np.arange(N), rng.standard_normal(N)])
    target, offset = labels(3)(rng, N), rng.standard_normal((N, 3))
    whole = su.Problem(a, Multinomial(3), target, weights=pareto(), offset=offset)
    sample = draw(whole, 50, 0)
    part = sample.first(sample.of(whole), 20)
    rows = sample.index[:20]
    assert len(np.unique(sample.index)) == len(sample) == 50
    np.testing.assert_array_equal(part.design.toarray()[:, 0], rows)
    np.testing.assert_array_equal(part.target, target[rows])
    np.testing.assert_array_equal(part.offset, offset[rows])
    assert part.share == pytest.approx(20 / N, rel=1e-15)
    assert np.shares_memory(part.design.array, sample.design.array)


def test_a_beginning_is_itself_a_sample():
    weights = pareto()
    whole = problem(weights)
    large, small = draw(whole, 200, 7), draw(whole, 60, 7)
    np.testing.assert_array_equal(large.index[:60], small.index)
    np.testing.assert_array_equal(large.first(large.of(whole), 60).weights, small.of(whole).weights)
    assert (np.diff(large.priorities) <= 0).all()
    assert (large.priorities[:-1] >= large.weights).all()
    for m in (1, 60, 199):
        held = large.first(large.of(whole), m).weights
        threshold = large.priorities[m]
        np.testing.assert_array_equal(held, np.maximum(weights[large.index[:m]], threshold))
    assert (large.of(whole).weights == np.maximum(large.weights, large.priorities[200])).all()


@pytest.mark.parametrize("weights", [None, pareto()], ids=["equal", "tail"])
def test_fewer_rows_may_be_gathered_than_drawn(weights):
    whole = problem(weights)
    both, few = draw(whole, 200, 7), RowSample.draw(whole, 200, np.random.default_rng(7), gather=60)
    np.testing.assert_array_equal(few.index, both.index)
    assert len(few) == few.of(whole).design.shape[0] == 60
    x = np.array([[0.01, 0.0, -0.01], [0.3, -0.2, 0.1]])
    assert few.of(whole).value(x) == both.first(both.of(whole), 60).value(x)
    index, held = few.piece(slice(150, 200))
    np.testing.assert_array_equal(index, both.index[150:])
    all_drawn = both.of(whole).weights
    assert held is None if weights is None else (held == all_drawn[150:]).all()


def test_equal_weights_are_a_simple_random_sample():
    whole = problem()
    assert draw(whole, 30, 5).of(whole).weights is None
    drawn = np.zeros(N)
    for seed in range(2000):
        drawn[draw(whole, 30, seed).index] += 1
    share = drawn / 2000
    error = np.sqrt(0.075 * 0.925 / 2000)
    assert np.abs(share - 30 / N).max() <= 5 * error
    assert share.std() == pytest.approx(error, rel=0.2)


def test_rows_without_weight_are_never_drawn():
    weights = pareto()
    weights[::2] = 0.0
    whole = problem(weights)
    for seed in range(30):
        assert (draw(whole, 150, seed).index % 2 == 1).all()


@pytest.mark.parametrize("size", [1, 5, 30])
def test_a_row_that_outweighs_all_others_is_always_drawn(size):
    weights = np.full(N, 1e-300)
    weights[123] = 1e300
    whole = problem(weights)
    for seed in range(30):
        sample = draw(whole, size, seed)
        assert sample.index[0] == 123
        held = sample.of(whole).weights
        assert np.isfinite(held).all()
        assert held[0] == 1e300
        assert (held[1:] < 1e-290).all()
        point = sample.of(whole).evaluate(np.ones(whole.shape))
        assert np.isfinite(point.value)
        assert np.isfinite(point.gradient).all()


def test_fewer_rows_with_weight_than_asked_for():
    weights = np.zeros(N)
    heard = np.array([3, 50, 51, 300])
    weights[heard] = [1.0, 2.0, 0.5, 1e-6]
    whole = problem(weights)
    sample = draw(whole, 100, 0)
    np.testing.assert_array_equal(np.sort(sample.index), heard)
    all_of_it = sample.of(whole)
    # They are all there is, so each stands for itself and the objective is that of the whole.
    np.testing.assert_array_equal(all_of_it.weights, weights[sample.index])
    x = np.array([[0.01, 0.0, -0.01], [0.3, -0.2, 0.1]])
    assert all_of_it.value(x) == pytest.approx(whole.value(x), rel=1e-6)
    assert sample.first(all_of_it, 100) is all_of_it
    exactly = draw(whole, 4, 0)
    np.testing.assert_array_equal(exactly.of(whole).weights, weights[exactly.index])


def test_seeds_are_reproducible():
    for weights in (None, pareto()):
        whole = problem(weights)
        once, again, other = draw(whole, 90, 11), draw(whole, 90, 11), draw(whole, 90, 12)
        np.testing.assert_array_equal(once.index, again.index)
        np.testing.assert_array_equal(once.design.toarray(), again.design.toarray())
        assert not np.array_equal(once.index, other.index)


def test_a_sample_is_drawn_once_for_derived_problems():
    whole = problem(pareto())
    sample = kept(whole, 50, 0)
    path = whole.derived(penalty=NoPenalty())
    assert kept(path, 50, 0) is sample
    assert kept(whole, 50, 0) is sample
    assert kept(whole, 60, 0) is not sample
    assert kept(whole, 60, 1).index[0] != kept(whole, 60, 0).index[0]


def test_other_weights_are_another_sample():
    whole = problem()
    sample = kept(whole, 50, 0)
    fold = np.zeros(N)
    fold[:200] = 1.0
    folded = whole.derived(penalty=Ridge(0.1), weights=fold)
    other = kept(folded, 50, 0)
    assert other is not sample
    assert (other.index < 200).all()
    assert (kept(whole, 50, 0).index >= 200).any()
    # Problems that one derives from the fold have its weights.
    assert kept(folded.derived(penalty=NoPenalty()), 50, 0) is not sample


def fold(without: slice, weights: np.ndarray | None = None) -> np.ndarray:
    """Return weights that leave some rows out."""
    left = np.ones(N) if weights is None else weights.copy()
    left[without] = 0.0
    return left


@pytest.mark.parametrize("weights", [None, pareto()], ids=["equal", "tail"])
def test_a_sample_serves_folds_of_its_rows(weights):
    whole = problem(weights)
    sample = kept(whole, 100, 0)
    folded = whole.derived(penalty=Ridge(0.1), weights=fold(slice(0, 40), weights))
    serving = kept(folded, 100, 0)
    assert serving.design is sample.design
    part = serving.of(folded)
    left_out = sample.index < 40
    assert left_out.any()
    assert (part.weights[left_out] == 0).all()
    assert (part.weights[~left_out] > 0).all()
    # What it says of the fold is what one drawn for the fold would say on average.
    own, rows = folded.weights, np.arange(N)
    found = []
    for seed in range(600):
        served = draw(whole, 100, seed).serving(own)
        held = served.of(folded).weights
        found.append(held @ np.sin(rows[served.index]) / held.sum())
    error = np.std(found) / np.sqrt(600)
    assert abs(np.mean(found) - own @ np.sin(rows) / own.sum()) <= 4.5 * error


@pytest.mark.parametrize("weights", [None, pareto()], ids=["equal", "tail"])
def test_a_sample_of_a_fold_does_not_serve_rows_it_could_not_draw(weights):
    whole = problem(weights)
    first = whole.derived(penalty=Ridge(0.1), weights=fold(slice(0, 60), weights))
    kept(first, 100, 0)
    for others in (slice(60, 120), slice(0, 0)):
        second = whole.derived(penalty=Ridge(0.1), weights=fold(others, weights))
        sample = kept(second, 100, 0)
        assert (sample.index < 60).any()
        # The rows left out before are heard as often as they should be.
        held = sample.of(second).weights
        share = held[sample.index < 60].sum() / held.sum()
        assert share == pytest.approx(second.weights[:60].sum() / second.weights.sum(), rel=0.6)

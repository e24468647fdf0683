"""The approximate Hessian by one Gram: each of its forms against the dense inverse."""

from __future__ import annotations

import numpy as np
import pytest

import softunit as su
from softunit.penalties import Ridge, ScoreRidge
from softunit.solvers.preconditioner import LITTLE, KroneckerPreconditioner
from softunit.units import Multinomial
from tests.contracts.cases import labels

FORMS = ["rows", "vectors", "factors", "diagonal"]
K = 3


@pytest.fixture
def limits(monkeypatch):
    """Return a function that makes the preconditioner take one of its forms."""

    def take(form: str) -> None:
        room = "softunit.solvers.preconditioner."
        if form in ("factors", "diagonal"):
            monkeypatch.setattr(room + "DECOMPOSE_LIMIT", 1)
        if form == "diagonal":
            monkeypatch.setattr(room + "DENSE_LIMIT", 1)

    return take


def build(form: str, *, k: int = K, ridge=0.3, score_ridge: float = 0.0, weighted: bool = True):
    """Return a problem with fewer rows than columns for "rows", and with more for the others."""
    rng = np.random.default_rng(3)
    n, d = (12, 20) if form == "rows" else (90, 6)
    a = rng.standard_normal((n, d)) * np.geomspace(0.3, 3, d)
    penalty = [Ridge(ridge), ScoreRidge(score_ridge)]
    weights = rng.uniform(0.2, 2, n) if weighted else None
    return su.Problem(a, Multinomial(k), labels(k)(rng, n), penalty, weights=weights)


def gram_of(problem: su.Problem, form: str) -> np.ndarray:
    """Return G as the form knows it."""
    a = problem.design.array
    s = np.ones(len(a)) if problem.weights is None else problem.weights
    gram = (a.T * s) @ a / s.sum()
    if form != "diagonal":
        return gram
    # The moments of the columns go without weights.
    return np.diag((a**2).mean(axis=0))


def dense(gram: np.ndarray, mean: float, ridge: np.ndarray) -> np.ndarray:
    return mean * gram + np.diag(ridge)


def solved(problem: su.Problem, form: str, means: np.ndarray, r: np.ndarray, ridge=None):
    """Return what the dense matrices give, with constants across the classes by the ridge alone."""
    gram, ridge = gram_of(problem, form), problem.ridge if ridge is None else ridge
    columns = r.reshape(len(r), -1)
    blind = columns.shape[1] > 1 and not problem.score_ridge.any()
    constant = columns.mean(axis=1, keepdims=True) if blind else 0.0
    v = np.stack(
        [
            np.linalg.solve(dense(gram, m, ridge), column)
            for m, column in zip(means, (columns - constant).T, strict=True)
        ],
        axis=1,
    )
    if blind:
        v -= v.mean(axis=1, keepdims=True)
        held = ridge > 0  # elsewhere a constant changes nothing
        v[held] += constant[held] / ridge[held, None]
    return v.reshape(r.shape)


# Powers of two are what the factors round to.
MEANS = {1: np.array([0.25]), K: np.array([0.25, 0.0625, 0.5])}


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weights"])
@pytest.mark.parametrize("k", [2, K])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_the_inverse(form, k, weighted, limits, rng):
    limits(form)
    problem = build(form, k=k, weighted=weighted)
    made = KroneckerPreconditioner(problem)
    means = MEANS[problem.columns]
    r = rng.standard_normal(problem.shape)
    given = r.copy()
    found = made.at(means)(r)
    wanted = solved(problem, form, means, r)
    np.testing.assert_allclose(found, wanted, atol=1e-9 * np.abs(wanted).max())
    np.testing.assert_array_equal(r, given)
    taken = {
        "rows": made._rows is not None,
        "vectors": made._vectors is not None,
        "factors": made._gram is not None,
    }
    assert [name for name, yes in taken.items() if yes] == ([] if form == "diagonal" else [form])


@pytest.mark.parametrize("form", FORMS)
def test_it_is_symmetric_and_positive(form, limits, rng):
    limits(form)
    problem = build(form)
    solve = KroneckerPreconditioner(problem).at(np.array([0.1, 0.2, 0.03]))
    u, v = rng.standard_normal((2, *problem.shape))
    assert np.vdot(u, solve(v)) == pytest.approx(np.vdot(solve(u), v), rel=1e-8, abs=1e-8)
    assert np.vdot(u, solve(u)) > 0


@pytest.mark.parametrize("form", FORMS)
def test_another_ridge_is_as_good_as_made_anew(form, limits, rng):
    limits(form)
    problem = build(form)
    means, r = MEANS[K], rng.standard_normal(problem.shape)
    first = KroneckerPreconditioner(problem)
    before = first.at(means)(r)
    for factor in (1.0, 10.0, 1e-4):
        other = problem.derived(penalty=Ridge(0.3 * factor))
        moved = first.with_ridge(other.ridge)
        anew = KroneckerPreconditioner(other)
        wanted = anew.at(means)(r)
        np.testing.assert_allclose(moved.at(means)(r), wanted, atol=1e-7 * np.abs(wanted).max())
        # From one moved already as well.
        back = moved.with_ridge(problem.ridge)
        np.testing.assert_allclose(back.at(means)(r), before, atol=1e-9 * np.abs(before).max())
    np.testing.assert_array_equal(first.at(means)(r), before)


@pytest.mark.parametrize("form", FORMS)
def test_another_pattern_of_the_ridge_is_made_anew(form, limits, rng):
    limits(form)
    problem = build(form)
    first = KroneckerPreconditioner(problem)
    freed, uneven = problem.ridge.copy(), problem.ridge.copy()
    freed[2], uneven[2] = 0.0, 2 * uneven[2]
    none = np.zeros_like(freed)
    if form in ("rows", "vectors"):
        assert [first.with_ridge(ridge) for ridge in (freed, uneven, none)] == [None] * 3
        return
    # A Gram that is not decomposed serves any ridge.
    means, r = MEANS[K], rng.standard_normal(problem.shape)
    wanted = solved(problem, form, means, r, ridge=uneven)
    found = first.with_ridge(uneven).at(means)(r)
    np.testing.assert_allclose(found, wanted, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("form", FORMS)
def test_constants_across_the_classes_are_solved_for_exactly(form, limits, rng):
    limits(form)
    problem = build(form)
    means = np.array([0.21, 0.03, 0.11])
    solve = KroneckerPreconditioner(problem).at(means)
    constant = np.repeat(rng.standard_normal((problem.shape[0], 1)), K, axis=1)
    # The Hessian on constants is the ridge alone.
    np.testing.assert_allclose(solve(constant), constant / 0.3, rtol=1e-9)
    r = rng.standard_normal(problem.shape)
    r -= r.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(solve(r).sum(axis=1), 0, atol=1e-12 * np.abs(solve(r)).max())
    point = problem.evaluate(np.zeros(problem.shape))
    product, _ = problem.hessian_product(point)
    np.testing.assert_allclose(product(solve(constant)), constant, rtol=1e-9)


@pytest.mark.parametrize("form", ["rows", "vectors", "diagonal"])  # factors round the means
def test_constants_that_count_are_not_set_apart(form, limits, rng):
    limits(form)
    problem = build(form, score_ridge=0.1, weighted=False)
    n = problem.design.shape[0]
    r = rng.standard_normal(problem.shape)
    # The score ridge adds 0.01 A'A, in units of the mean objective 0.01 n G.
    means = MEANS[K]
    found = KroneckerPreconditioner(problem).at(means - 0.01 * n)(r)
    curved = np.maximum(means - 0.01 * n, 0.0) + 0.01 * n
    wanted = solved(problem, form, curved, r)
    np.testing.assert_allclose(found, wanted, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("form", FORMS)
def test_free_columns_are_held_by_their_own_curvature(form, limits, rng):
    limits(form)
    problem = build(form, ridge=0.0)
    means, r = MEANS[K], rng.standard_normal(problem.shape)
    r -= r.mean(axis=1, keepdims=True)
    made = KroneckerPreconditioner(problem)
    assert not made._ridge.any()
    found = made.at(means)(r)
    assert np.isfinite(found).all()
    if form == "rows":  # the others have the rank that it takes
        held = LITTLE * np.diagonal(gram_of(problem, form))
        problem = problem.derived(penalty=Ridge(held))
    wanted = solved(problem, form, means, r)
    np.testing.assert_allclose(found, wanted, atol=1e-7 * np.abs(wanted).max())


@pytest.mark.parametrize("form", ["vectors", "factors", "diagonal"])
def test_collinear_and_empty_columns_leave_it_finite(form, limits, rng):
    limits(form)
    a = rng.standard_normal((50, 3))
    a = np.hstack([a, a, np.zeros((50, 1))])
    for ridge in (0.0, 1e-9, 1.0):
        problem = su.Problem(a, Multinomial(K), labels(K)(rng, 50), Ridge(ridge))
        solve = KroneckerPreconditioner(problem).at(MEANS[K])
        gradient = problem.gradient(rng.standard_normal(problem.shape))
        found = solve(gradient)
        assert np.isfinite(found).all()
        assert np.vdot(found, gradient) > 0


def test_likely_classes_share_a_factor(limits, rng):
    limits("factors")
    problem = build("factors", k=5)
    made = KroneckerPreconditioner(problem)
    means = np.array([0.25, 0.24, 0.26, 0.06, 0.01])
    r = rng.standard_normal(problem.shape)
    found = made.at(means)(r)
    assert len(made._factors) <= 3
    gram, centred = gram_of(problem, "factors"), r - r.mean(axis=1, keepdims=True)
    rounded = 2.0 ** np.rint(np.log2(means))
    v = np.stack(
        [
            np.linalg.solve(dense(gram, m, problem.ridge), centred[:, k])
            for k, m in enumerate(rounded)
        ],
        axis=1,
    )
    v += r.mean(axis=1, keepdims=True) / 0.3 - v.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, v, atol=1e-9 * np.abs(v).max())
    # Factors that are kept are those that would be made.
    np.testing.assert_array_equal(made.at(means)(r), found)


def test_a_gram_of_a_sample_stands_for_all_rows(rng):
    problem = build("vectors", weighted=False)
    rows = slice(0, 45)
    part = problem.sampled(rows)
    a = problem.design.array[rows]
    r, means = rng.standard_normal(problem.shape), MEANS[K]
    constant = r.mean(axis=1, keepdims=True)
    v = np.stack(
        [
            np.linalg.solve(dense(a.T @ a / 45, m, problem.ridge), (r - constant)[:, k])
            for k, m in enumerate(means)
        ],
        axis=1,
    )
    v += constant / 0.3 - v.mean(axis=1, keepdims=True)
    found = KroneckerPreconditioner(problem, lambda: part.gram).at(means)(r)
    np.testing.assert_allclose(found, v, atol=1e-9 * np.abs(v).max())

"""The chain rule: derivatives in x, blocks against the whole, and metamorphic problems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import softunit as su
from softunit.penalties import NoPenalty, Penalty, Ridge, ScoreRidge
from softunit.units import Multinomial, SoftmaxSquares
from tests.contracts.cases import PENALTIES, UNITS, labels, multinomial_problem, simplex

seeds = st.integers(0, 2**32 - 1)
each_unit = pytest.mark.parametrize("case", UNITS, ids=lambda case: case.name)
each_penalty = pytest.mark.parametrize("case", PENALTIES, ids=lambda case: case.name)


def build(case, penalty: Penalty, seed: int, *, offset: bool = False):
    rng = np.random.default_rng(seed)
    n = 11
    a = rng.standard_normal((n, 3))
    target = case.target(rng, n)
    weights = rng.uniform(0.2, 2, n) if case.weighted else None
    problem = su.Problem(a, case.subject, target, penalty, weights=weights)
    shape = (3,) if case.columns is None else (3, case.columns)
    if offset and shape == problem.shape:
        scores = (n, *shape[1:])
        problem = su.Problem(
            a,
            case.subject,
            target,
            penalty,
            weights=problem.weights,
            offset=rng.standard_normal(scores),
        )
    x = 0.5 * rng.standard_normal(shape)
    if case.scores is not np.asarray:  # moved to where the unit is defined
        away = case.scores(problem.scores(x)) - a @ x
        problem = su.Problem(a, case.subject, target, penalty, weights=weights, offset=away)
    return problem, x, rng


@each_unit
@pytest.mark.parametrize("penalty", [case.subject for case in PENALTIES], ids=str)
@given(seed=seeds, offset=st.booleans())
def test_gradient_and_hessian_are_difference_quotients(case, penalty, seed, offset):
    problem, x, rng = build(case, penalty, seed, offset=offset)
    v = rng.standard_normal(x.shape)
    h = 1e-6
    up, down = problem.evaluate(x + h * v), problem.evaluate(x - h * v)
    point = problem.evaluate(x)
    slope = (up.value - down.value) / (2 * h)
    assert np.vdot(point.gradient, v) == pytest.approx(
        slope, rel=1e-6, abs=1e-8 * max(1.0, abs(point.value))
    )
    change = (up.gradient - down.gradient) / (2 * h)
    product, _ = problem.hessian_product(point)
    size = max(np.abs(change).max(), 1e-3)
    np.testing.assert_allclose(product(v), change, atol=2e-6 * size)
    formed = (problem.hessian(point) @ v.ravel()).reshape(x.shape)
    np.testing.assert_allclose(formed, product(v), atol=1e-12 * size)


@each_unit
@given(seed=seeds)
def test_part_of_the_hessian_is_a_part_of_the_hessian(case, seed):
    problem, x, _ = build(case, Ridge(0.1), seed)
    point = problem.evaluate(x)
    k = 1 if x.ndim == 1 else x.shape[1]
    whole = problem.hessian(point).reshape(3, k, 3, k)
    kept = np.array([0, 2])
    part = problem.hessian(point, coordinates=kept).reshape(2, k, 2, k)
    np.testing.assert_allclose(part, whole[kept][:, :, kept], atol=1e-12)


@each_penalty
@given(seed=seeds)
def test_penalty_gradients_are_difference_quotients(case, seed):
    rng = np.random.default_rng(seed)
    for shape in ((3,), (3, 2)):
        v, u, h = rng.standard_normal(shape), rng.standard_normal(shape), 1e-5
        penalty = case.subject
        slope = (penalty.value(v + h * u) - penalty.value(v - h * u)) / (2 * h)
        assert np.vdot(penalty.gradient(v), u) == pytest.approx(slope, rel=1e-6, abs=1e-9)
        assert penalty.value(v) >= 0
        assert penalty.diagonal(3).shape == (3,)


@given(seed=seeds, k=st.sampled_from([2, 3, 5]))
def test_blocks_add_up_to_the_whole(
    seed,
    k,
):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((300, 4))
    problem = su.Problem(a, Multinomial(k), labels(k)(rng, 300), Ridge(0.1))
    x = rng.standard_normal(problem.shape)
    whole = problem.evaluate(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("softunit.designs.base.BLOCK_ENTRIES", 1000)
        streamed = su.Problem(a, Multinomial(k), problem.target, Ridge(0.1))
        assert len(streamed.by_rows.blocks(streamed.columns)) > 1
        point = streamed.evaluate(x)
        assert point.value == pytest.approx(whole.value, rel=1e-13)
        assert streamed.value(x) == pytest.approx(whole.value, rel=1e-13)
        np.testing.assert_allclose(point.gradient, whole.gradient, atol=1e-14)
        np.testing.assert_allclose(streamed.hessian(point), problem.hessian(whole), atol=1e-13)
        v = rng.standard_normal(x.shape)
        products = [p.hessian_product(q)[0](v) for p, q in ((streamed, point), (problem, whole))]
        np.testing.assert_allclose(products[0], products[1], atol=1e-13)


def test_scores_that_do_not_fit_are_not_kept(monkeypatch):
    rng = np.random.default_rng(3)
    kept = multinomial_problem(rng)
    solution = su.minimize(kept, tol=1e-10)
    assert kept.evaluate(solution.x).scores is not None
    monkeypatch.setattr("softunit.problem.STORED_SCORES", 1e12)
    streamed = multinomial_problem(np.random.default_rng(3))
    assert streamed.evaluate(np.zeros(streamed.shape)).scores is None
    for solver in ("newton-cholesky", "newton-cg", "lbfgs"):
        again = su.minimize(streamed, solver=solver, tol=1e-10, max_iter=500)
        assert again.converged
        assert again.value == pytest.approx(solution.value, rel=1e-12)


@given(seed=seeds)
def test_metamorphic_problems(seed):
    rng = np.random.default_rng(seed)
    a, y = rng.standard_normal((60, 3)), labels(3)(rng, 60)
    value = su.minimize(su.Problem(a, Multinomial(), y, Ridge(0.05)), tol=1e-10).value

    def optimum(design, target, ridge, **settings) -> float:
        return su.minimize(
            su.Problem(design, Multinomial(3), target, Ridge(ridge), **settings), tol=1e-10
        ).value

    # Each column twice at half size, with half the ridge on each: the same functions at one cost.
    assert optimum(np.hstack([a, a]) / 2, y, 0.05 / 2) == pytest.approx(value, rel=1e-9)
    assert optimum(np.vstack([a, a]), np.tile(y, 2), 0.05) == pytest.approx(value, rel=1e-9)
    times = rng.integers(0, 3, 60)
    times[:3] = 1
    weighted = optimum(a, y, 0.05, weights=times.astype(float))
    repeated = optimum(np.repeat(a, times, axis=0), np.repeat(y, times), 0.05)
    assert weighted == pytest.approx(repeated, rel=1e-9)
    order = rng.permutation(60)
    assert optimum(a[order], y[order], 0.05) == pytest.approx(value, rel=1e-9)
    assert optimum(sparse.csr_matrix(a), y, 0.05) == pytest.approx(value, rel=1e-9)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    assert optimum(a @ rotation, y, 0.05) == pytest.approx(value, rel=1e-9)
    relabelled = np.array([2, 0, 1])[y]
    assert optimum(a, relabelled, 0.05) == pytest.approx(value, rel=1e-9)


def test_golden_values_of_the_formulas():
    """Figures computed once with 30 digits from the formulas, independent of this package."""
    a = np.array([[1.0, 0], [0, 1], [1, 1], [2, -1]])
    x, b = np.array([0.3, -0.2]), np.array([0.1, 0.2, 0.3, 0.4])
    squares = su.Problem(a, SoftmaxSquares(), b, ScoreRidge(0.5))
    point = squares.evaluate(x)
    assert point.value == pytest.approx(0.1143009087065808, rel=1e-14)
    np.testing.assert_allclose(point.gradient, [0.506929417913, -0.253859945911], rtol=1e-11)
    hessian = squares.hessian(point)[np.triu_indices(2)]
    np.testing.assert_allclose(
        hessian, [1.617401303625, -0.387241590791, 0.929694448157], rtol=1e-11
    )
    gauss = squares.hessian(point, kind="gauss_newton")[np.triu_indices(2)]
    np.testing.assert_allclose(gauss, [1.632243680346, -0.406301575726, 0.966088001791], rtol=1e-11)
    entropy = su.Problem(a, su.units.SoftmaxCrossEntropy(), b)
    point = entropy.evaluate(x)
    assert point.value == pytest.approx(1.3646210673023906, rel=1e-14)
    np.testing.assert_allclose(point.gradient, [0.055816161225, -0.154850468269], rtol=1e-10)
    multinomial = su.Problem(a, Multinomial(), [0, 1, 2, 0], Ridge(0.1))
    point = multinomial.evaluate(np.array([[0.1, -0.2, 0.3], [0, 0.4, -0.1]]))
    assert point.value == pytest.approx(1.03531014105399, rel=1e-13)
    expected = [
        [-0.411981058210, 0.189561356746, 0.242419701464],
        [0.318600255803, -0.044623789366, -0.243976466437],
    ]
    np.testing.assert_allclose(point.gradient, expected, rtol=1e-10)


def test_products_with_the_design_are_counted():
    problem = multinomial_problem(np.random.default_rng(0))
    solution = su.minimize(problem, solver="newton-cholesky", tol=1e-9)
    cost = solution.cost
    # One product for the direction, one for the new gradient, and a confirmation at the end.
    assert cost.products == 2 + 2 * solution.n_iter + 2
    assert cost.curvatures == solution.n_iter
    assert cost.rows >= 120 * solution.n_iter
    assert solution.history[-1].products == cost.products - 2


def test_scale_of_a_coupled_gradient_is_that_at_zero():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((40, 3)), simplex(rng, 40)
    problem = su.Problem(a, SoftmaxSquares(), b)
    g = np.abs(SoftmaxSquares().gradient(np.zeros(40), b))
    assert problem.gradient_scale == pytest.approx((np.abs(a).T @ g).max(), rel=1e-12)
    assert multinomial_problem(rng).gradient_scale == 1.0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weights": [1.0, -1.0, 1.0, 1.0]}, "hold 1 negative entry; the first is -1.0 in row 1"),
        ({"weights": np.zeros(4)}, "all zero"),
        ({"weights": [1.0, 1.0]}, r"shape \(2,\), but A has 4 rows"),
        ({"weights": [1.0, np.nan, 1.0, 1.0]}, "NaN or infinity in 1 of 4"),
        ({"offset": np.zeros(3)}, r"the offset has shape \(3,\)"),
        ({"penalty": Ridge(np.ones(3))}, r"`strength` .* has shape \(3,\)"),
        ({"penalty": 0.1}, "must be a softunit penalty, or several; got 0.1"),
    ],
)
def test_bad_problems_get_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        su.Problem(np.eye(4)[:, :2], Multinomial(), [0, 1, 0, 1], **settings)


def test_an_offset_for_classes_needs_a_number_for_each():
    with pytest.raises(ValueError, match=r"the scores have shape \(4, 3\)"):
        su.Problem(np.eye(4), Multinomial(), [0, 1, 2, 1], offset=np.zeros(4))


@pytest.mark.parametrize("bad", [-1.0, np.nan, [[1.0]], np.inf])
def test_bad_strengths_get_a_sentence(bad):
    with pytest.raises(ValueError, match="`strength` must be a finite number >= 0"):
        Ridge(bad)


def test_no_penalty_is_the_default():
    problem = su.Problem(np.eye(3), Multinomial(), [0, 1, 0])
    assert isinstance(problem.penalties[0], NoPenalty)
    assert not problem.ridge.any()


def test_the_core_says_what_it_was_not_given():
    a = np.eye(4)
    with pytest.raises(ValueError, match="`unit` must be a softunit unit"):
        su.Problem(a, Multinomial, [0, 1, 2, 1])
    with pytest.raises(ValueError, match="`problem` must be a softunit Problem; got int"):
        su.minimize(3)
    with pytest.raises(ValueError, match="`problem` must be a softunit Problem; got ndarray"):
        su.certify(a, np.zeros(4))
    problem = su.Problem(a, Multinomial(), [0, 1, 2, 1])
    with pytest.raises(ValueError, match="x must hold numbers; got Solution"):
        su.certify(problem, su.minimize(problem, max_iter=1))
    with pytest.raises(ValueError, match="`effort` must be 'quick' or 'full'; got 'foo'"):
        su.certify(problem, np.zeros((4, 3)), effort="foo")
    with pytest.raises(ValueError, match="`strength` must hold numbers; got 'a'"):
        Ridge("a")
    with pytest.raises(ValueError, match="complex numbers"):
        su.Problem(a * 1j, Multinomial(), [0, 1, 2, 1])
    with pytest.raises(ValueError, match="`w` must"):
        su.SoftmaxRegressor(w="a").fit(a, np.full(4, 0.25))
    with pytest.raises(ValueError, match="`w` must hold finite numbers; got None"):
        su.SoftmaxRegressor(w=None).fit(a, np.full(4, 0.25))

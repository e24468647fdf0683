"""Elastic nets: kinks, optima against other routes, screening, and duality gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import softunit as su
from softunit.errors import InputError, NeedsError
from softunit.penalties import ElasticNet, Lasso, Ridge, ScoreRidge
from softunit.solvers import BlockCoordinate, Newton, ProximalNewton
from softunit.solvers.proximal_hessian import FormedMetric, formed
from softunit.sparse_path import elastic_net_path, screened_minimum
from softunit.units import GroupedSoftmax, Multinomial
from tests.contracts.cases import labels

seeds = st.integers(0, 2**32 - 1)
kinds = pytest.mark.parametrize("group", [False, True], ids=["entries", "rows"])


def drawn(rng, *, n=150, d=12, k=4, strength=0.02, ratio=1.0, group=False, design=None, **more):
    """A multinomial problem with a free intercept and an elastic net on the rest."""
    a = rng.standard_normal((n, d)) * np.exp(0.5 * rng.standard_normal(d)) + 0.5
    a = a if design is None else design(a)
    net = ElasticNet(np.append(np.full(d, strength), 0.0), ratio, group=group)
    whole = su.designs.as_design(a, intercept=True)
    return su.Problem(whole, Multinomial(k), labels(k)(rng, n), net, **more)


def smoothed_optimum(problem, rounds=24):
    """The optimum by another route: the kinks rounded off less and less, solved by Newton."""
    lasso, x = problem.lasso, np.zeros(problem.shape)
    for width in 10.0 ** -np.arange(1, rounds / 2, 0.5):
        for _ in range(60):
            sizes = np.sqrt(lasso.sizes(x) ** 2 + width**2)
            held = np.broadcast_to(lasso.strength / sizes, problem.shape)
            point = problem.evaluate(x)
            hessian = problem.hessian(point) + np.diag(held.ravel())
            gradient = point.gradient + held * x
            move = np.linalg.lstsq(hessian, -gradient.ravel(), rcond=1e-12)[0]
            x = x + move.reshape(x.shape)
            if np.abs(move).max() < 1e-12:
                break
    return problem.value(x)


# Kinks --------------------------------------------------------------------------------------------


@kinds
@given(seed=seeds)
def test_a_proximal_point_minimises_what_it_should(group, seed):
    rng = np.random.default_rng(seed)
    lasso = Lasso(rng.uniform(0, 1, (5, 1)), group)
    v, step = rng.standard_normal((5, 3)), rng.uniform(0.2, 2, (5, 1))

    def objective(x):
        return float((0.5 * (x - v) ** 2 / step).sum()) + lasso.value(x)

    x = lasso.proximal(v, step)
    for size in (1e-1, 1e-3):
        assert objective(x) <= objective(x + size * rng.standard_normal(v.shape)) + 1e-15
        assert objective(x) <= objective(x * (1 + size)) + 1e-15
    # Optimal: no subgradient of the sum is shorter than zero.
    np.testing.assert_allclose(lasso.least_subgradient(x, (x - v) / step), 0.0, atol=1e-12)


@kinds
@given(seed=seeds)
def test_the_least_subgradient_is_the_steepest_slope_down(group, seed):
    rng = np.random.default_rng(seed)
    lasso = Lasso(rng.uniform(0.1, 1, (6, 1)), group)
    x, g = rng.standard_normal((6, 3)), rng.standard_normal((6, 3))
    x[:3] = 0.0
    least = lasso.least_subgradient(x, g)

    def slope(p):
        h = 1e-7
        return float(np.vdot(g, p)) + (lasso.value(x + h * p) - lasso.value(x)) / h

    length = float(np.linalg.norm(least))
    if length > 0:
        assert slope(-least / length) == pytest.approx(-length, rel=1e-4, abs=1e-5)
    for _ in range(5):
        p = rng.standard_normal(x.shape)
        assert slope(p / np.linalg.norm(p)) >= -length - 1e-5


@kinds
@given(seed=seeds)
def test_curvature_of_the_penalty_is_a_difference_quotient(group, seed):
    rng = np.random.default_rng(seed)
    lasso = Lasso(rng.uniform(0.1, 1, (4, 1)), group)
    x, v = 2 + rng.random((4, 3)), rng.standard_normal((4, 3))
    h = 1e-6
    change = (lasso.direction(x + h * v) - lasso.direction(x - h * v)) / (2 * h)
    np.testing.assert_allclose(lasso.second(x)(v), change, atol=1e-7)
    slope = (lasso.value(x + h * v) - lasso.value(x - h * v)) / (2 * h)
    assert float(np.vdot(lasso.direction(x), v)) == pytest.approx(slope, rel=1e-6, abs=1e-8)


@given(seed=seeds, ratio=st.floats(0.0, 1.0))
def test_the_penalty_is_its_formula_and_its_parts(seed, ratio):
    rng = np.random.default_rng(seed)
    strength, x = rng.uniform(0, 1, 5), rng.standard_normal((5, 3))
    rows = ratio * np.abs(x).sum(axis=1) + (1 - ratio) / 2 * (x**2).sum(axis=1)
    net = ElasticNet(strength, ratio)
    assert net.value(x) == pytest.approx(strength @ rows, rel=1e-12, abs=1e-14)
    grouped = ratio * np.linalg.norm(x, axis=1) + (1 - ratio) / 2 * (x**2).sum(axis=1)
    assert ElasticNet(strength, ratio, group=True).value(x) == pytest.approx(
        strength @ grouped, rel=1e-12, abs=1e-14
    )
    h, v = 1e-6, rng.standard_normal(x.shape)
    quotient = (net.value(x + h * v) - net.value(x - h * v)) / (2 * h)
    if np.abs(x).min() > 1e-4:
        assert float(np.vdot(net.gradient(x), v)) == pytest.approx(quotient, rel=1e-5, abs=1e-7)


def test_strengths_for_each_entry_and_several_penalties_add_up():
    rng = np.random.default_rng(0)
    a, y, x = rng.standard_normal((30, 4)), labels(3)(rng, 30), rng.standard_normal((4, 3))
    each = rng.uniform(0, 1, (4, 3))
    problem = su.Problem(a, Multinomial(), y, [ElasticNet(each), ElasticNet(0.5, 0.5), Ridge(0.1)])
    plain = su.Problem(a, Multinomial(), y).value(x)
    penalties = float(((each + 0.25) * np.abs(x)).sum() + 0.5 * (0.25 + 0.1) * (x**2).sum())
    assert problem.value(x) == pytest.approx(plain + penalties, rel=1e-12)
    assert problem.evaluate(x).value == pytest.approx(plain + penalties, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"strength": -1.0}, "`strength` must be a finite number >= 0"),
        ({"strength": np.nan}, "`strength` must be a finite number >= 0"),
        ({"strength": 1.0, "l1_ratio": 1.5}, "`l1_ratio` must be at most 1; got 1.5"),
        ({"strength": np.ones((2, 3)), "group": True}, "one for each entry of x"),
        ({"strength": np.ones((2, 3)), "l1_ratio": 0.5}, "one for each entry of x"),
    ],
    ids=["negative", "nan", "ratio", "group", "entries"],
)
def test_bad_settings_get_a_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        ElasticNet(**settings)


def test_strengths_that_do_not_fit_get_a_sentence():
    a, y = np.eye(4), np.array([0, 1, 2, 0])
    with pytest.raises(
        InputError, match=r"`strength` has shape \(4, 2\), but x has shape \(4, 3\)"
    ):
        su.Problem(a, Multinomial(), y, ElasticNet(np.ones((4, 2))))
    with pytest.raises(InputError, match="both at once are not offered"):
        su.Problem(a, Multinomial(), y, [ElasticNet(1.0), ElasticNet(1.0, group=True)])


# Optima -------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("ratio", [1.0, 0.5], ids=["l1", "both"])
@pytest.mark.parametrize("k", [2, 3, 4], ids=["two", "three", "four"])
def test_the_optimum_is_that_of_another_route(k, ratio, group):
    problem = drawn(np.random.default_rng(k), k=k, ratio=ratio, group=group)
    solution = su.minimize(problem, tol=1e-10)
    assert solution.converged
    assert solution.solver == "ProximalNewton"
    other = smoothed_optimum(problem)
    assert solution.value <= other + 1e-12
    assert solution.value == pytest.approx(other, rel=1e-7)
    zeros = np.count_nonzero(solution.x[:-1] == 0)
    assert 0 < zeros < solution.x[:-1].size


@pytest.mark.parametrize("ratio", [1.0, 0.4], ids=["l1", "both"])
def test_support_and_value_are_those_of_saga(ratio):
    rng = np.random.default_rng(3)
    problem = drawn(rng, n=200, d=15, k=3, strength=0.015, ratio=ratio)
    solution = su.minimize(problem, tol=1e-10)
    a = problem.design.inner.toarray()
    peer = LogisticRegression(
        C=1 / (0.015 * 200), l1_ratio=ratio, solver="saga", tol=1e-10, max_iter=100_000
    ).fit(a, problem.target)
    found = problem.design.from_input(np.vstack([peer.coef_.T, peer.intercept_]))
    assert solution.value == pytest.approx(problem.value(found), abs=1e-10)
    assert solution.value <= problem.value(found) + 1e-13
    np.testing.assert_array_equal(solution.x[:-1] != 0, peer.coef_.T != 0)
    own = problem.design.to_input(solution.x)
    np.testing.assert_allclose(own[:-1], peer.coef_.T, atol=1e-6)


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_wide_sparse_and_weighted_problems_reach_their_tolerance(seed):
    rng = np.random.default_rng(seed)
    k, n = int(rng.integers(2, 6)), 60
    problem = drawn(
        rng,
        n=n,
        d=150,
        k=k,
        strength=0.03,
        design=lambda a: sparse.csr_matrix(a * (a > 1)),
        weights=rng.uniform(0.1, 3, n),
    )
    solution = su.minimize(problem, tol=1e-9)
    assert solution.converged
    exact = problem.least_subgradient(problem.evaluate(solution.x))
    assert float(np.abs(exact).max()) <= 1e-9
    dense = su.Problem(
        su.designs.as_design(problem.design.inner.toarray(), intercept=True),
        problem.unit, problem.target, problem.penalties, weights=problem.weights,
    )  # fmt: skip
    assert dense.evaluate(dense.design.from_input(problem.design.to_input(solution.x))).value == (
        pytest.approx(solution.value, rel=1e-12)
    )


def test_a_strength_above_the_largest_gradient_leaves_nothing():
    problem = drawn(np.random.default_rng(1), strength=10.0)
    solution = su.minimize(problem, tol=1e-10)
    assert solution.converged
    assert not solution.x[:-1].any()
    assert solution.x[-1].any()


def test_balanced_signs_and_many_classes_do_not_lead_astray():
    # With few columns and an even number of classes rows are full of weights, whose signs cancel:
    # a constant across the classes then costs nothing, and the optimum is a whole segment.
    problem = drawn(np.random.default_rng(5), n=400, d=3, k=6, strength=1e-3)
    solution = su.minimize(problem, tol=1e-10)
    assert solution.converged
    assert solution.value == pytest.approx(smoothed_optimum(problem), rel=1e-7)


def test_grouped_softmax_and_row_groups_of_one_column():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(40), 4)
    a = rng.standard_normal((160, 8))
    chosen = np.zeros(160)
    chosen[4 * np.arange(40) + (a[:, 0] + rng.gumbel(size=160)).reshape(40, 4).argmax(axis=1)] = 1
    problem = su.Problem(a, GroupedSoftmax(groups), chosen, ElasticNet(2.0))
    solution = su.minimize(problem, tol=1e-10)
    assert solution.converged
    assert 0 < np.count_nonzero(solution.x) < 8
    assert solution.value == pytest.approx(smoothed_optimum(problem), rel=1e-8)


def test_start_and_scores_that_are_not_kept_change_nothing(monkeypatch):
    problem = drawn(np.random.default_rng(6))
    solution = su.minimize(problem, tol=1e-10)
    again = su.minimize(problem, np.random.default_rng(0).standard_normal(problem.shape), tol=1e-10)
    assert again.value == pytest.approx(solution.value, rel=1e-12)
    monkeypatch.setattr(su.Problem, "stores_scores", False)
    blind = su.minimize(problem.derived(penalty=problem.penalties), tol=1e-10)
    assert blind.converged
    assert blind.value == pytest.approx(solution.value, rel=1e-12)


def test_smooth_solvers_refuse_and_auto_does_not():
    problem = drawn(np.random.default_rng(0))
    for solver in (Newton(), BlockCoordinate(), "lbfgs", "sketched-newton"):
        with pytest.raises(NeedsError, match=r"ProximalNewton \('proximal-newton'\) would do"):
            su.minimize(problem, solver=solver)
    squares = su.Problem(np.eye(3), su.units.SoftmaxSquares(), np.ones(3) / 3, ElasticNet(0.1))
    with pytest.raises(NeedsError, match="needs a convex loss, and that of SoftmaxSquares is not"):
        su.minimize(squares)
    with pytest.raises(InputError, match="`max_products` must be"):
        ProximalNewton(max_products=0)


# Formed models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.4, 1.0], ids=["some", "all"])
@pytest.mark.parametrize("k", [2, 4], ids=["two", "four"])
def test_a_hessian_on_some_entries_is_cut_from_the_whole(k, share):
    rng = np.random.default_rng(k)
    problem = drawn(rng, k=k, ratio=0.5, weights=rng.uniform(0.1, 2, 150))
    point = problem.evaluate(0.3 * rng.standard_normal(problem.shape))
    free = rng.random(problem.shape) <= share
    own = np.flatnonzero(free)
    whole = problem.hessian(point)[np.ix_(own, own)]
    np.testing.assert_allclose(formed(problem, point, free), whole, rtol=1e-12, atol=1e-15)


@kinds
def test_a_formed_metric_solves_its_face_and_lowers_its_model(group):
    rng = np.random.default_rng(0)
    problem = drawn(rng, ratio=0.5, group=group)
    x = np.where(rng.random((13, 1)) < 0.5, 0.0, rng.standard_normal((13, 4)))
    point, lasso = problem.evaluate(x), problem.lasso
    free = np.ones(problem.shape, dtype=bool)
    metric = FormedMetric(formed(problem, point, free), free)
    product, _ = problem.hessian_product(point)
    v = rng.standard_normal(x.shape)
    np.testing.assert_allclose(metric.product(v), product(v), rtol=1e-10, atol=1e-13)
    on = np.broadcast_to((lasso.sizes(x) > 0) & (lasso.strength > 0), x.shape)
    right = np.where(on, v, 0.0)
    found = metric.inverse(on, lasso, x)(right)
    back = product(found) + lasso.second(x)(found)
    np.testing.assert_allclose(np.where(on, back, 0.0), right, atol=1e-9)
    p, held = metric.minimised(x, point.gradient, lasso, free, 1.0)
    assert held == pytest.approx(float(np.vdot(p, product(p))), rel=1e-10)
    fallen = float(np.vdot(point.gradient, p)) + held / 2 + lasso.value(x + p) - lasso.value(x)
    least = lasso.least_subgradient(x, point.gradient)
    after = lasso.least_subgradient(x + p, point.gradient + product(p))
    assert fallen < 0
    assert np.linalg.norm(after) < 0.1 * np.linalg.norm(least)


@kinds
def test_formed_models_and_products_end_at_one_optimum(group, monkeypatch):
    problem = drawn(np.random.default_rng(3), strength=1e-3, group=group)
    ends = []
    for cheap in (-1.0, np.inf):
        monkeypatch.setattr("softunit.solvers.proximal_newton.CHEAP", cheap)
        twin = problem.derived(penalty=problem.penalties)
        twin.prepared = {}
        ends.append(su.minimize(twin, tol=1e-11))
    products, direct = ends
    assert products.converged
    assert direct.converged
    assert direct.value == pytest.approx(products.value, rel=1e-13)
    assert direct.cost.products < products.cost.products


def test_runs_to_rounding_end_there_and_not_beyond():
    # A constant over the classes is free in the intercept: rounding must not run off along it.
    problem = drawn(np.random.default_rng(9), n=400, d=20, k=3, strength=2e-3, ratio=0.5)
    best = su.minimize(problem, tol=1e-12)
    solution = su.minimize(problem, tol=0.0)
    assert solution.status is su.Status.ROUNDING
    assert solution.gradient_norm <= 1e-12
    assert solution.value == pytest.approx(best.value, rel=1e-14)


# Paths --------------------------------------------------------------------------------------------


def test_a_path_is_its_points_and_takes_back_what_it_left_out_wrongly():
    rng = np.random.default_rng(11)
    base = drawn(rng, n=80, d=120, k=3)
    net = base.penalties[0].strength / base.penalties[0].strength.max()

    def penalty(s):
        return ElasticNet(s * net, 0.9)

    strengths = np.geomspace(0.1, 0.02, 10)
    found = list(elastic_net_path(base, strengths, penalty, tol=1e-10))
    assert [point.strength for point in found] == pytest.approx(strengths)
    assert max(point.screened for point in found) > 60
    for point in found:
        alone = su.minimize(base.derived(penalty=penalty(point.strength)), tol=1e-10)
        assert point.solution.value == pytest.approx(alone.value, abs=1e-13)
        assert point.problem.value(point.solution.x) == pytest.approx(alone.value, abs=1e-13)
        assert point.solution.gradient_norm <= 1e-10
    # A jump so long that the rule cannot hold everything: what it missed comes back.
    far = list(elastic_net_path(base, [0.02, 0.019, 0.002], penalty, tol=1e-10))
    alone = su.minimize(base.derived(penalty=penalty(0.002)), tol=1e-10)
    assert far[-1].solution.value == pytest.approx(alone.value, abs=1e-13)


def test_columns_left_out_by_a_wrong_rule_come_back(monkeypatch):
    base = drawn(np.random.default_rng(12), n=80, d=60, k=3)
    free = np.append(np.ones(60), 0.0)
    right = list(elastic_net_path(base, [0.03, 0.01], lambda s: ElasticNet(s * free), tol=1e-10))
    monkeypatch.setattr("softunit.sparse_path._kept", lambda *_: np.array([0, 1, 60]))
    wrong = list(elastic_net_path(base, [0.03, 0.01], lambda s: ElasticNet(s * free), tol=1e-10))
    assert wrong[-1].recalled > 0
    assert wrong[-1].solution.value == pytest.approx(right[-1].solution.value, abs=1e-13)


def test_a_negative_strength_is_refused():
    problem = drawn(np.random.default_rng(0))
    with pytest.raises(InputError, match="`strengths` must be >= 0"):
        next(elastic_net_path(problem, [-1.0], ElasticNet))


# Certificates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", range(4), ids=str)
def test_no_gap_bound_is_below_the_gap(block):
    rng = np.random.default_rng(100 + block)
    tight = 0
    for _ in range(12):
        k, group, ratio = int(rng.integers(2, 5)), bool(rng.random() < 0.3), rng.choice([1.0, 0.6])
        n = int(rng.integers(20, 60))
        problem = drawn(
            rng, n=n, d=int(rng.integers(2, 8)), k=k, strength=10 ** rng.uniform(-2.5, -0.7),
            ratio=ratio, group=group, weights=rng.uniform(0.1, 2, n),
        )  # fmt: skip
        best = su.minimize(problem, tol=1e-12, max_iter=60)
        near = best.x * (1 + 1e-5 * rng.standard_normal(best.x.shape))
        for x in (best.x, near, su.minimize(problem, tol=1e-2).x, np.zeros(problem.shape)):
            for effort in ("quick", "full"):
                found = su.certify(problem, x, effort=effort)
                assert found.gap_bound >= found.value - best.value
        tight += su.certify(problem, best.x).gap_bound <= 1e-11
    assert tight >= 10


def test_the_gap_of_choices_and_offsets_is_bounded_too():
    rng = np.random.default_rng(4)
    groups, b = np.repeat(np.arange(15), 3), rng.gamma(1.0, size=45)
    a, o = rng.standard_normal((45, 5)), rng.standard_normal(45)
    problem = su.Problem(a, GroupedSoftmax(groups), b, ElasticNet(1.0), offset=o)
    solution = su.minimize(problem, tol=1e-10)
    found = su.certify(problem, solution.x)
    assert 0 <= found.gap_bound <= 1e-9 * found.value
    far = su.certify(problem, np.zeros(5))
    assert far.gap_bound >= far.value - solution.value > 0


@given(seed=seeds)
def test_conjugates_obey_fenchel_and_meet_it_at_gradients(seed):
    rng = np.random.default_rng(seed)
    n, w = 12, rng.uniform(0.1, 2, 12)
    cases = [
        (Multinomial(2), labels(2)(rng, n), (n,)),
        (Multinomial(3), labels(3)(rng, n), (n, 3)),
        (Multinomial(3), rng.dirichlet(np.ones(3), n), (n, 3)),
        (GroupedSoftmax(np.arange(n) // 3), rng.gamma(1.0, size=n), (n,)),
    ]
    for unit, target, shape in cases:
        z, other = rng.standard_normal(shape), rng.standard_normal(shape)
        value, v = unit.value_gradient(z, target, w)
        conjugate = unit.conjugate(v, target, w)
        assert conjugate == pytest.approx(float(np.vdot(v, z)) - value, rel=1e-10, abs=1e-10)
        assert conjugate >= float(np.vdot(v, other)) - unit.value(other, target, w) - 1e-12
        outside = v.copy()  # one share above all, another below none
        outside.ravel()[0] += 100.0
        outside.ravel()[1] -= 100.0
        assert unit.conjugate(outside, target, w) == np.inf


def test_a_certificate_speaks_of_duality_and_of_what_is_not_known():
    problem = drawn(np.random.default_rng(8), ratio=0.7)
    solution = su.minimize(problem, tol=1e-9)
    found = su.certify(problem, solution.x)
    text = str(found)
    assert "subgradient of least norm" in text
    assert "the duality gap is" in text
    kept = np.count_nonzero(solution.x)
    assert f"{kept} of {solution.x.size} coefficients are not zero" in text
    assert found.unique
    assert found.strong_convexity > 0
    held = su.Problem(
        problem.design, problem.unit, problem.target,
        [*problem.penalties, su.penalties.ScoreRidge(0.1)],
    )  # fmt: skip
    unknown = su.certify(held, np.zeros(held.shape))
    assert "no feasible point of a dual problem of Multinomial is known here" in str(unknown)


# What stands beside l1 ----------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1e-4, 0.01], ids=["weak", "strong"])
def test_a_ridge_on_scores_beside_l1_has_its_optimum(strength):
    # It sees a constant across the classes, to which the loss alone is blind.
    rng = np.random.default_rng(21)
    a, y = rng.standard_normal((60, 4)) + 0.5, labels(4)(rng, 60)
    problem = su.Problem(a, Multinomial(4), y, [ElasticNet(strength), ScoreRidge(0.05)])
    solution = su.minimize(problem, tol=1e-10)
    assert solution.converged
    other = smoothed_optimum(problem)
    assert solution.value <= other + 1e-12
    assert solution.value == pytest.approx(other, rel=1e-7)
    point = problem.evaluate(rng.standard_normal(problem.shape))
    own = np.array([0, 1, 6, 11])
    free = np.isin(np.arange(16), own).reshape(4, 4)
    whole = problem.hessian(point)[np.ix_(own, own)]
    np.testing.assert_allclose(formed(problem, point, free), whole, rtol=1e-12, atol=1e-15)


def test_entries_that_carry_no_strength_are_free_in_the_bound():
    rng = np.random.default_rng(22)
    a, y = rng.standard_normal((60, 4)), labels(3)(rng, 60)
    each = np.full((4, 3), 0.03)
    each[0, 1] = each[1, 2] = 0.0  # one entry of a row
    each[2] = 0.0  # a whole row
    problem = su.Problem(a, Multinomial(3), y, ElasticNet(each))
    best = su.minimize(problem, tol=1e-11)
    assert best.converged
    assert su.certify(problem, best.x).gap_bound <= 1e-10
    for x in (np.zeros((4, 3)), best.x + 0.01 * rng.standard_normal((4, 3))):
        found = su.certify(problem, x)
        assert found.gap_bound >= found.value - best.value
        assert found.gap_bound < np.inf


@pytest.mark.parametrize("most", [2, 4, 5, 8, 30], ids=str)
def test_a_limit_of_iterations_is_for_all_runs_of_a_point(most, monkeypatch):
    base = drawn(np.random.default_rng(12), n=80, d=60, k=3)
    free = np.append(np.ones(60), 0.0)
    monkeypatch.setattr("softunit.sparse_path._kept", lambda *_: np.array([0, 1, 60]))
    path = elastic_net_path(base, [0.01], lambda s: ElasticNet(s * free), tol=1e-10, max_iter=most)
    (point,) = path
    solution = point.solution
    assert solution.n_iter <= most
    assert [record.iteration for record in solution.history] == list(range(solution.n_iter + 1))
    assert solution.converged == (solution.gradient_norm <= 1e-10) == (most == 30)
    exact = np.abs(point.problem.least_subgradient(point.problem.evaluate(solution.x))).max()
    assert solution.gradient_norm == pytest.approx(
        exact / point.problem.gradient_scale, rel=1e-6, abs=1e-13
    )


def test_a_run_that_is_stopped_is_the_last_of_its_point(monkeypatch):
    problem = drawn(np.random.default_rng(12), n=80, d=60, k=3)
    monkeypatch.setattr("softunit.sparse_path._kept", lambda *_: np.array([0, 1, 60]))
    runs = []

    def fit(part, start, most):
        runs.append(part.shape)
        return su.minimize(part, start, max_iter=most, callback=lambda record, point: True)

    found = screened_minimum(problem, np.zeros(problem.shape), None, fit)
    assert found.solution.status is su.Status.STOPPED
    assert runs == [(3, 3)]
    assert found.solution.x.shape == problem.shape


def test_more_zeros_that_are_pulled_than_may_join_at_once_end_at_the_optimum():
    rng = np.random.default_rng(0)
    a, y = rng.standard_normal((120, 1200)), rng.integers(0, 3, 120)
    problem = su.Problem(a, Multinomial(3), y, ElasticNet(0.002))
    solution = su.minimize(problem, tol=1e-8)
    assert solution.converged
    assert float(np.abs(problem.least_subgradient(problem.evaluate(solution.x))).max()) <= 1e-8
    assert np.count_nonzero(solution.x) < 300

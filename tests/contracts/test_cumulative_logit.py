"""Cumulative logits against their definition, long rows, and at the edge of their domain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import expit

import softunit as su
from softunit.designs import DenseDesign, ProportionalDesign, ScaledDesign, SparseDesign
from softunit.errors import InputError
from softunit.estimators._ordinal_problem import Long
from softunit.solvers import LBFGS, Newton
from softunit.units import CumulativeLogit
from softunit.units._gaps import LEAST
from softunit.units._ordered_terms import GAP, KINDS, LOWER, UPPER, OrderedTerms

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, n: int, k: int):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    z = np.cumsum(np.column_stack([rng.standard_normal(n) - 1, rng.uniform(0.1, 2, (n, k - 2))]), 1)
    return rng, codes, z


def long_problem(inner, codes, k: int, weights=None) -> su.Problem:
    long = Long.of(codes, k)
    each = None if weights is None else weights[long.observation]
    return su.Problem(long.design(inner, k), OrderedTerms(), long.terms, weights=each)


@given(seed=seeds, k=st.integers(2, 6))
def test_it_is_the_negative_log_probability(seed, k):
    rng, codes, z = drawn(seed, 15, k)
    sides = np.column_stack([np.zeros(15), expit(z), np.ones(15)])
    each = np.diff(sides, axis=1)[np.arange(15), codes]
    w = rng.uniform(0.1, 2, 15)
    assert CumulativeLogit(k).value(z, codes, w) == pytest.approx(-w @ np.log(each), rel=1e-10)
    probabilities = np.exp(CumulativeLogit.log_probabilities(z))
    np.testing.assert_allclose(probabilities, np.diff(sides, axis=1), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-13)


@given(seed=seeds, k=st.integers(2, 6))
def test_differences_are_a_change_of_variables(seed, k):
    rng, codes, z = drawn(seed, 12, k)
    t = np.diff(z, axis=1, prepend=0.0)
    plain, moved = CumulativeLogit(k), CumulativeLogit(k, differences=True)
    assert moved.value(t, codes) == pytest.approx(plain.value(z, codes), rel=1e-12)
    v = rng.standard_normal(t.shape)
    slope = np.vdot(plain.gradient(z, codes), np.cumsum(v, axis=1))
    assert np.vdot(moved.gradient(t, codes), v) == pytest.approx(slope, rel=1e-9, abs=1e-12)
    bend = np.vdot(np.cumsum(v, 1), plain.curvature(z, codes).matvec(np.cumsum(v, axis=1)))
    found = np.vdot(v, moved.curvature(t, codes).matvec(v))
    assert found == pytest.approx(bend, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("kind", ["dense", "sparse", "scaled", "scaled-sparse"])
def test_grams_are_products_column_by_column(kind, k, differences):
    rng, codes, z = drawn(3, 40, k)
    scores = np.diff(z, axis=1, prepend=0.0) if differences else z
    a = rng.standard_normal((40, 3)) * (rng.random((40, 3)) < 0.7)
    inner = SparseDesign(sparse.csr_matrix(a)) if "sparse" in kind else DenseDesign(a)
    design = ScaledDesign(inner, intercept=True, scale=[1.0, 2.0, 3.0]) if "scal" in kind else inner
    unit = CumulativeLogit(k, differences)
    curvature = unit.curvature(scores, codes, rng.uniform(0.1, 2, 40))
    d, m = design.shape[1], k - 1
    columns = [
        design.rmatvec(curvature.matvec(design.matvec(e.reshape(d, m)))).ravel()
        for e in np.eye(d * m)
    ]
    np.testing.assert_allclose(design.gram(curvature), np.stack(columns, 1), rtol=1e-10, atol=1e-10)


@given(seed=seeds, k=st.integers(2, 5))
def test_long_rows_are_the_unit_with_shared_coefficients(seed, k):
    rng = np.random.default_rng(seed)
    n, d = 20, 3
    codes = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    a, w = rng.standard_normal((n, d)), rng.uniform(0.1, 2, n)
    beta = rng.standard_normal(d)
    thresholds = np.cumsum(rng.uniform(0.2, 1, k - 1)) - 1
    inner = ScaledDesign(DenseDesign(a), centre=[1.0, -1.0, 0.5], scale=[1.0, 2.0, 0.3])
    problem = long_problem(inner, codes, k, w)
    x = problem.design.from_input(np.concatenate([beta, thresholds]))
    z = thresholds - (a @ beta)[:, None]
    loss, gradient = CumulativeLogit(k).value_gradient(z, codes, w)
    point = problem.evaluate(x)
    assert point.value * problem.mass == pytest.approx(loss, rel=1e-11)
    expected = np.concatenate([-a.T @ gradient.sum(axis=1), gradient.sum(axis=0)])
    found = problem.mass * problem.design.gradient_to_input(point.gradient)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_long_rows_say_whose_they_are():
    long = Long.of(np.array([0, 1, 2, 1]), 3)
    np.testing.assert_array_equal(long.observation, [0, 1, 1, 1, 2, 3, 3, 3])
    kinds = [UPPER, LOWER, UPPER, GAP, LOWER, LOWER, UPPER, GAP]
    np.testing.assert_array_equal(long.terms % KINDS, kinds)
    np.testing.assert_array_equal(long.terms // KINDS, [0, 0, 1, 1, 1, 0, 1, 1])


@pytest.mark.parametrize("columns", [None, 2])
def test_a_slice_of_a_long_design_takes_the_inner_rows_it_needs(columns):
    rng = np.random.default_rng(1)
    a, codes = rng.standard_normal((30, 3)), rng.integers(0, 4, 30)
    inner = ScaledDesign(SparseDesign(sparse.csr_matrix(a)), centre=a.mean(axis=0), scale=a.std(0))
    design = Long.of(codes, 4).design(inner, 4)
    x = rng.standard_normal((6,) if columns is None else (6, columns))
    whole = design.matvec(x)
    for index in (slice(5, 17), np.array([0, 40, 3, 3])):
        part = design.rows(index)
        np.testing.assert_allclose(part.matvec(x), whole[index], rtol=1e-12)
        assert part.inner.shape[0] < 12
    only = design.rows(np.flatnonzero(design.member < 0)[:2])
    np.testing.assert_allclose(only.toarray()[:, :3], 0.0)


def test_the_start_is_the_best_common_scores():
    rng = np.random.default_rng(0)
    codes, w = rng.integers(0, 4, 50), rng.uniform(0.5, 2, 50)
    for differences in (False, True):
        unit = CumulativeLogit(4, differences)
        z = np.tile(unit.start(codes, w), (50, 1))
        np.testing.assert_allclose(unit.gradient(z, codes, w).sum(axis=0), 0.0, atol=1e-12)


def test_scores_out_of_order_are_refused_with_the_row():
    codes, a = np.array([0, 1, 2, 1]), np.ones((4, 1))
    with pytest.raises(InputError, match=r"logits 0 and 1 of row 1, which has class 1"):
        su.minimize(su.Problem(a, CumulativeLogit(3), codes))
    problem = long_problem(DenseDesign(np.arange(4.0)[:, None]), codes, 3)
    with pytest.raises(InputError, match="thresholds must rise strictly"):
        su.minimize(problem)


def test_out_of_order_is_infinite_only_where_the_row_has_weight():
    z, codes = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1])
    unit = CumulativeLogit(3)
    assert unit.value(z, codes) == np.inf
    finite = unit.value(z[1:], codes[1:])
    assert unit.value(z, codes, np.array([0.0, 1.0])) == pytest.approx(finite, rel=1e-15)
    assert unit.value(z, np.array([0, 2])) < np.inf  # their own logits are not out of order
    terms = OrderedTerms()
    assert terms.value(np.array([-0.1]), np.array([GAP])) == np.inf
    assert OrderedTerms(0.5).value(np.array([0.4]), np.array([GAP])) == np.inf


@pytest.mark.parametrize("solver", [Newton(kind="exact"), LBFGS()], ids=["newton", "lbfgs"])
def test_a_line_search_keeps_in_order_from_a_bad_start(solver):
    rng = np.random.default_rng(5)
    a = rng.standard_normal((300, 2))
    codes = np.digitize(a @ [2.0, -1.0] + rng.logistic(size=300), [-1.0, -0.9, 2.0])
    problem = long_problem(DenseDesign(a), codes, 4)
    start = np.concatenate([[-3.0, 3.0], [5.0, 5.0 + 1e-6, 5.0 + 2e-6]])
    assert np.isfinite(problem.value(start))
    found = su.minimize(problem, start, solver=solver, tol=1e-7, max_iter=500)
    assert found.converged
    good = su.minimize(problem, [0, 0, -1.0, 0.0, 1.0], solver=Newton(kind="exact"), tol=1e-10)
    np.testing.assert_allclose(found.x, good.x, atol=1e-4)
    assert (np.diff(found.x[2:]) > 0).all()


@pytest.mark.parametrize("differences", [False, True])
def test_recession_forms_are_those_along_which_the_loss_never_rises(differences):
    rng, codes, z = drawn(7, 8, 4)
    t = np.diff(z, axis=1, prepend=0.0) if differences else z
    unit = CumulativeLogit(4, differences)
    forms = unit.recession(codes, 3).forms
    far, weighted = 0, np.ones(8)
    for _ in range(300):
        dz = rng.standard_normal((8, 3))
        if differences:
            dz = np.diff(np.sort(np.cumsum(dz, axis=1), axis=1), axis=1, prepend=0.0)
        rises = forms @ dz.ravel() < 0
        low = [unit.value(t[[i]], codes[[i]]) for i in range(8)]
        high = [unit.value(t[[i]] + 50 * dz[[i]], codes[[i]]) for i in range(8)]
        touched = np.zeros(8, dtype=bool)
        rows = np.asarray(forms.tocsr().indices[forms.indptr[:-1]]) // 3
        np.logical_or.at(touched, rows, rises)
        far += int(touched.sum())
        for i in range(8):
            assert touched[i] or high[i] <= low[i] + 1e-12
            assert not touched[i] or unit.value(t[[i]] + 1e6 * dz[[i]], codes[[i]]) > low[i]
    assert 0 < far < 8 * 300
    weighted[:4] = 0.0
    assert unit.recession(codes, 3, weighted).forms.indices.min() >= 12


@given(seed=seeds, k=st.integers(2, 5), differences=st.booleans())
def test_conjugates_meet_the_loss_at_its_gradient_and_stay_above_elsewhere(seed, k, differences):
    rng, codes, z = drawn(seed, 15, k)
    t = np.diff(z, axis=1, prepend=0.0) if differences else z
    w = rng.uniform(0.1, 2, 15)
    unit, (_, _, other) = CumulativeLogit(k, differences), drawn(seed + 1, 15, k)
    other = np.diff(other, axis=1, prepend=0.0) if differences else other
    value, v = unit.value_gradient(t, codes, w)
    found = unit.conjugate(v, codes, w)
    assert found == pytest.approx(np.vdot(v, t) - value, rel=1e-10, abs=1e-10)
    assert found >= np.vdot(v, other) - unit.value(other, codes, w) - 1e-10
    assert unit.conjugate(-v, codes, w) == np.inf


@given(seed=seeds)
def test_conjugates_of_terms_meet_the_loss_at_its_gradient(seed):
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, 20)
    z, other, w = rng.uniform(0.05, 4, 20), rng.uniform(0.05, 4, 20), rng.uniform(0.1, 2, 20)
    terms = OrderedTerms()
    value, v = terms.value_gradient(z, kinds, w)
    found = terms.conjugate(v, kinds, w)
    assert found == pytest.approx(v @ z - value, rel=1e-10, abs=1e-10)
    assert found >= v @ other - terms.value(other, kinds, w) - 1e-10
    assert terms.conjugate(-v, kinds, w) == np.inf


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CumulativeLogit().check([0, 1], 3), r"shape \(2,\), but A has 3 rows"),
        (lambda: CumulativeLogit().check([0.0, 1.0], 2), "dtype float64"),
        (lambda: CumulativeLogit().check([0, 0], 2), "one class only"),
        (lambda: CumulativeLogit(3).check([0, 3], 2), "in 0 to 2; got 3"),
        (lambda: CumulativeLogit().check([0, -1], 2), "in 0 to K - 1; got -1"),
        (lambda: CumulativeLogit(1), "`n_classes` must be an integer >= 2"),
        (lambda: CumulativeLogit(3, least_gap=-1.0), "`least_gap` must be"),
        (lambda: CumulativeLogit(3).start(np.array([0, 2])), "class 1 of 3 has no row with weight"),
        (lambda: OrderedTerms().check([0, 1], 3), r"shape \(2,\), but A has 3 rows"),
        (lambda: OrderedTerms().check([0, -1], 2), "got -1"),
        (lambda: ProportionalDesign(DenseDesign(np.ones((2, 1))), [0, 2], [0, 0], [0, 0], 1),
         "`member` must lie in -1 to 1; got 2 in row 1"),
        (lambda: ProportionalDesign(DenseDesign(np.ones((2, 1))), [0, 1], [0], [0, 0], 1),
         r"`up` must be whole numbers, one for each row \(2 rows\)"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_sentence(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("unit", "gap", "reach"),
    [
        (CumulativeLogit(4, False, 0.2), 0.2, np.sqrt(2) / np.tanh(0.1)),
        (CumulativeLogit(4, True, 0.2), 0.2, 1 / np.tanh(0.1)),
        (CumulativeLogit(7, True, 3.0), 3.0, np.sqrt(6)),
    ],
    ids=["logits", "gaps", "far-gaps"],
)
def test_the_concordance_is_as_small_as_it_can_be_and_holds(unit, gap, reach):
    m = unit.n_classes - 1
    t = np.full((12, m), 1.0001 * gap)
    t[:, 0] = np.repeat([5.0 - (m - 1) * gap, -5.0], 6)  # the last logit is 5, or the first -5
    z, codes = t if unit.differences else np.cumsum(t, axis=1), np.tile([0, 1, m - 1, m, 2, 1], 2)
    rng, worst, h = np.random.default_rng(0), 0.0, 1e-5
    moves = [*np.eye(m), np.ones(m), *np.diff(np.eye(m), axis=0), *rng.standard_normal((50, m))]
    for i, move in [(i, move / np.linalg.norm(move)) for i in range(12) for move in moves]:
        ahead, at, back = (
            move @ unit.curvature(z[[i]] + s * h * move, codes[[i]]).matvec(move[None])[0]
            for s in (1, 0, -1)
        )
        if at > 1e-3:
            worst = max(worst, abs(ahead - back) / (2 * h * at))
    found = unit.bounds(codes).concordance
    assert found == pytest.approx(reach, rel=1e-12)
    assert 0.95 * found < worst <= found * (1 + 1e-6)


def test_the_bounds_of_terms_hold_for_the_heaviest_row():
    z, one, w = np.array([0.0, 0.0]), np.array([UPPER, LOWER]), np.array([0.5, 4.0])
    assert OrderedTerms().curvature(z, one, w).diagonal().max() == pytest.approx(1.0)
    assert OrderedTerms().bounds(one, w).highest == pytest.approx(1.0)
    codes = np.array([0, 1])
    assert CumulativeLogit(2).curvature(z[:, None], codes, w).diagonal().max() == pytest.approx(1.0)
    assert CumulativeLogit(2).bounds(codes, w).highest == pytest.approx(1.0)
    # A gap bends by h''' / h'' = coth(g / 2) at the least one.
    g, h, gap = np.array([0.3]), 1e-5, np.array([3 + GAP])
    bends = [OrderedTerms().curvature(g + s * h, gap).diagonal()[0] for s in (1, 0, -1)]
    third = (bends[2] - bends[0]) / (2 * h * bends[1])
    assert OrderedTerms(0.3).bounds(gap).concordance == pytest.approx(third, rel=1e-6)


def test_conjugates_of_silent_rows_are_infinite_and_of_held_gaps_unknown():
    codes, w, v = np.array([2, 0]), np.array([0.0, 1.0]), np.array([[0.0, 0.1], [-0.5, 0.0]])
    silent = np.array([[0.0, 0.0], [-0.5, 0.0]])
    assert CumulativeLogit(3).conjugate(silent, codes, w) == pytest.approx(-np.log(2))
    assert CumulativeLogit(3).conjugate(v, codes, w) == np.inf
    assert np.isnan(CumulativeLogit(3, least_gap=0.1).conjugate(silent, codes, w))
    terms = np.array([LOWER, UPPER])
    assert OrderedTerms().conjugate(np.array([0.0, -0.5]), terms, w) == pytest.approx(-np.log(2))
    assert OrderedTerms().conjugate(np.array([0.1, -0.5]), terms, w) == np.inf
    assert np.isnan(OrderedTerms(0.1).conjugate(np.array([0.0, -0.5]), terms, w))


def test_gaps_near_the_edge_keep_their_digits():
    codes = np.array([1])
    for gap in (1e-3, 1e-9, 1e-15, 1e-140):
        for unit, z in ((CumulativeLogit(3), [[0.0, gap]]), (CumulativeLogit(3, True), [[0, gap]])):
            value, gradient = unit.value_gradient(np.array(z), codes)
            # -log(1 - exp(-g)) = g / 2 - log g + O(g^2), and two logits at zero
            expected = 2 * np.log(2) - np.log(gap)
            assert value == pytest.approx(expected, rel=1e-12, abs=gap**2)
            assert gradient[0, 1] * gap == pytest.approx(-1.0, abs=gap)
            bend = unit.curvature(np.array(z), codes).diagonal()[0, 1]
            assert bend * gap * gap == pytest.approx(1.0, abs=gap)
    assert CumulativeLogit(3).value(np.array([[0.0, LEAST / 2]]), codes) == np.inf
    assert np.isfinite(
        CumulativeLogit(3).curvature(np.array([[0.0, 1e-200]]), codes).diagonal()
    ).all()


def test_an_index_below_minus_one_is_refused():
    inner = DenseDesign(np.ones((2, 1)))
    with pytest.raises(InputError, match="`down` must lie in -1 to 0; got -2 in row 1"):
        ProportionalDesign(inner, [0, 1], [0, 0], [-1, -2], 1)


@pytest.mark.parametrize("intercept", [False, True])
def test_levels_take_up_a_centre_that_no_intercept_does(intercept):
    rng = np.random.default_rng(4)
    a, codes = rng.standard_normal((6, 2)), np.array([0, 1, 2, 1, 0, 2])
    inner = ScaledDesign(DenseDesign(a), centre=[3.0, -1.0], scale=[2.0, 0.5], intercept=intercept)
    design = Long.of(codes, 3).design(inner, 3)
    x = rng.standard_normal(4 + intercept)
    plain = np.column_stack([a, np.ones(6)]) if intercept else a
    raw = Long.of(codes, 3).design(DenseDesign(plain), 3)
    np.testing.assert_allclose(design.matvec(design.from_input(x)), raw.matvec(x), rtol=1e-12)
    np.testing.assert_allclose(design.to_input(design.from_input(x)), x, rtol=1e-12)
    g = rng.standard_normal(len(design.member))
    np.testing.assert_allclose(
        design.gradient_to_input(design.rmatvec(g)), raw.rmatvec(g), rtol=1e-10
    )


def test_recession_forms_name_the_class_and_the_one_beyond():
    codes = np.array([0, 1, 2])
    pairs = [(0, 1), (1, 0), (1, 2), (2, 1)]
    found = CumulativeLogit(3).recession(codes, 2)
    assert sorted(zip(found.own.tolist(), found.other.tolist(), strict=True)) == pairs
    found = OrderedTerms().recession(Long.of(codes, 3).terms, 1)
    assert list(zip(found.own.tolist(), found.other.tolist(), strict=True)) == pairs

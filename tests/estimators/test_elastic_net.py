"""The classifier with l1: zeros, gauges, what it costs to turn it off, and bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

import softunit as su
from softunit.errors import AllZeroWarning, InputError, NeedsError
from softunit.estimators._conditioning import conditioned, scaled_elastic_net
from softunit.estimators._data import checked_classes
from softunit.estimators._objective import at_strength, class_problem, ridge_gap, without_gauge
from softunit.solvers import LBFGS, ProximalNewton


def blobs(rng: np.random.Generator, *, n: int = 200, d: int = 8, k: int = 3):
    a = rng.standard_normal((n, d)) + 0.5
    y = (a[:, :3] @ rng.standard_normal((3, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return a, y


def fitted(a, y, C=0.05, *, ratio=1.0, tol=1e-9, **settings):
    return su.SoftmaxClassifier(C, l1_ratio=ratio, tol=tol, **settings).fit(a, y)


@pytest.mark.parametrize("ratio", [0.3, 1.0])
@pytest.mark.parametrize("grouped", [False, True], ids=["entries", "groups"])
@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "plain"])
def test_the_penalty_is_in_the_columns_of_the_input(ratio, grouped, intercept, rng):
    a, y = blobs(rng)
    a *= np.array([1, 1e3, 1e-3, 1, 5, 1, 1, 1])
    classes = checked_classes(y, len(y))
    problem = class_problem(
        a, classes, None, C=2.0, intercept=intercept, l1_ratio=ratio, grouped=grouped
    )
    x = rng.standard_normal(problem.shape)
    w = problem.design.to_input(x)[:8]
    sizes = np.linalg.norm(w, axis=1) if grouped else np.abs(w)
    penalty = (ratio * sizes.sum() + (1 - ratio) / 2 * (w**2).sum()) / (2.0 * len(y))
    smooth = class_problem(a, classes, None, C=np.inf, intercept=intercept)
    moved = smooth.design.from_input(problem.design.to_input(x))
    assert problem.value(x) == pytest.approx(smooth.value(moved) + penalty, rel=1e-12)


def test_without_l1_nothing_is_new(rng):
    a, y = blobs(rng)
    plain = su.SoftmaxClassifier(0.3).fit(a, y)
    same = su.SoftmaxClassifier(0.3, l1_ratio=0.0, grouped=True).fit(a, y)
    np.testing.assert_array_equal(plain.coef_, same.coef_)
    assert plain.solution_.n_iter == same.solution_.n_iter
    assert plain.certificate_ == same.certificate_
    design = conditioned(su.designs.as_design(a), intercept=True, centre=True, ridge=0.1)
    (ridge,) = scaled_elastic_net(design, 0.1, l1_ratio=0.0)
    assert isinstance(ridge, su.penalties.Ridge)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("grouped", [False, True], ids=["entries", "groups"])
def test_the_first_coefficient_enters_where_it_is_said_to(k, grouped, rng):
    a, y = blobs(rng, k=k)
    s = rng.integers(0, 3, len(y)).astype(float)
    told = {"l1_ratio": 0.5, "grouped": grouped}
    entry = su.l1_min_c(a, y, sample_weight=s, **told)
    with pytest.warns(AllZeroWarning, match=r"The first one enters at C = ") as seen:
        su.SoftmaxClassifier(0.9 * entry, tol=1e-10, **told).fit(a, y, sample_weight=s)
    named = float(str(seen[0].message).partition("enters at C = ")[2].partition(" ")[0])
    assert named == pytest.approx(entry, rel=1e-5)
    below = su.SoftmaxClassifier(entry * (1 - 1e-6), tol=1e-10, **told)
    with pytest.warns(AllZeroWarning, match="every coefficient is zero"):
        below.fit(a, y, sample_weight=s)
    assert not below.coef_.any()
    shares = np.bincount(y, weights=s) / s.sum()
    np.testing.assert_allclose(below.predict_proba(a[:1])[0], shares, atol=1e-9)
    above = su.SoftmaxClassifier(entry * 1.001, tol=1e-10, **told).fit(a, y, sample_weight=s)
    assert np.count_nonzero(above.coef_.any(axis=0)) == 1


@pytest.mark.parametrize("k", [2, 3])
def test_the_entry_knows_of_offsets_and_of_no_intercept(k, rng):
    a, y = blobs(rng, k=k)
    offset = rng.standard_normal(len(y) if k == 2 else (len(y), k))
    for settings in ({"offset": offset}, {"offset": offset, "fit_intercept": False}):
        entry = su.l1_min_c(a, y, **settings)
        plain = {name: value for name, value in settings.items() if name != "offset"}
        for factor, count in ((1 - 1e-6, 0), (1.001, 1)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AllZeroWarning)
                model = su.SoftmaxClassifier(entry * factor, l1_ratio=1.0, tol=1e-10, **plain)
                model.fit(a, y, offset=offset)
            assert np.count_nonzero(model.coef_) == count


def test_columns_that_tell_nothing_apart_never_enter(rng):
    a = np.tile(rng.standard_normal((20, 3)), (2, 1))
    y = np.repeat([0, 1], 20)
    assert su.l1_min_c(np.ones((40, 2)), y) == np.inf
    with pytest.warns(AllZeroWarning, match="No column tells the classes apart"):
        fitted(np.ones((40, 2)), y)
    assert np.isfinite(su.softmax_path(np.ones((40, 2)), y, Cs=3).values).all()
    assert su.l1_min_c(a, y) > 1e10  # equal rows in both classes: nothing but rounding


def test_shares_offsets_and_float32(rng):
    a, y = blobs(rng)
    model = fitted(a, y)
    shares = np.eye(3)[y]
    np.testing.assert_allclose(fitted(a, shares).coef_, model.coef_, atol=1e-7)
    narrow = fitted(a.astype(np.float32), y, tol=1e-6)
    assert narrow.coef_.dtype == np.float32
    np.testing.assert_array_equal(narrow.coef_ != 0, model.coef_ != 0)
    np.testing.assert_allclose(narrow.coef_, model.coef_, atol=1e-4)
    moved = su.SoftmaxClassifier(0.05, l1_ratio=1.0, tol=1e-9).fit(
        a, y, offset=np.tile([3.0, 0.0, -1.0], (len(y), 1))
    )
    np.testing.assert_allclose(moved.coef_, model.coef_, atol=1e-6)


def test_a_warm_start_begins_at_the_last_fit(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifier(0.05, l1_ratio=1.0, warm_start=True, tol=1e-8).fit(a, y)
    first, coef = int(model.n_iter_[0]), model.coef_.copy()
    model.fit(a, y)
    assert model.n_iter_[0] < first
    np.testing.assert_allclose(model.coef_, coef, atol=1e-6)
    np.testing.assert_array_equal(model.coef_ != 0, coef != 0)


def test_a_constant_over_the_classes_is_chosen_to_make_a_zero(rng):
    a, y = blobs(rng, k=4)
    problem = class_problem(
        a, checked_classes(y, len(y)), None, C=1.0, intercept=True, l1_ratio=1.0
    )
    x = np.zeros(problem.shape)
    x[0], x[1] = [-2.0, -1.0, 0.5, 3.0], [-1.0, -0.5, 0.25, 0.5]
    x[2], x[3] = [0.0, 0.0, 1.0, 2.0], [1.0, 1.0, 1.0, -1.0]
    moved = without_gauge(problem, x)
    np.testing.assert_allclose(moved[0], [-2.5, -1.5, 0.0, 2.5])
    np.testing.assert_allclose(moved[1], [-0.5, 0.0, 0.75, 1.0])
    np.testing.assert_array_equal(moved[2:4], x[2:4])
    assert problem.value(moved) == pytest.approx(problem.value(x), rel=1e-13)
    assert abs(problem.design.to_input(moved)[-1].sum()) < 1e-12
    # A ridge beside l1 decides by itself, and so do groups.
    for settings in ({"l1_ratio": 0.5}, {"l1_ratio": 1.0, "grouped": True}):
        other = at_strength(problem, 1.0, **settings)
        np.testing.assert_array_equal(without_gauge(other, x)[:4], x[:4])


@pytest.mark.parametrize("k", [2, 4])
def test_intercepts_sum_to_zero_and_weak_penalties_still_have_zeros(k, rng):
    a, y = blobs(rng, k=k)
    model = fitted(a, y, C=1e3)
    if k > 2:
        assert abs(model.intercept_.sum()) < 1e-12
        assert (model.coef_ == 0).any(axis=0).all()
    else:
        assert model.coef_.shape == (1, 8)


def test_what_a_fit_is_turned_into(rng):
    a, y = blobs(rng)
    model = fitted(sparse.csr_matrix(a), y)
    assert not model.coef_.all()
    before = model.predict_proba(a)
    model.sparsify()
    assert model.coef_.nnz == np.count_nonzero(model.densify().coef_)
    np.testing.assert_allclose(model.sparsify().predict_proba(a), before, atol=1e-14)
    twin = model.densify().to_sklearn()
    assert (twin.l1_ratio, twin.solver) == (1.0, "saga")
    np.testing.assert_allclose(twin.predict_proba(a), before, atol=1e-14)
    assert clone(model).get_params()["l1_ratio"] == 1.0
    certificate = model.certify(a, y)
    assert certificate.value == pytest.approx(model.certificate_.value, rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"l1_ratio": 1.5}, "`l1_ratio` must be at most 1, a share of the penalty; got 1.5"),
        ({"l1_ratio": -0.1}, "`l1_ratio` must be a finite number >= 0; got -0.1"),
        ({"l1_ratio": "1"}, "`l1_ratio` must be a finite number >= 0; got '1'"),
        ({"l1_ratio": np.nan}, "`l1_ratio` must be a finite number >= 0; got nan"),
        ({"l1_ratio": None}, "`l1_ratio` must be a finite number >= 0; got None"),
        ({"l1_ratio": 1.0, "C": np.inf}, "but C = inf leaves none; take a finite C, or l1_ratio=0"),
        ({"l1_ratio": 0.5, "solver": "lbfgs"}, "'auto' and 'proximal-newton' would do"),
        ({"l1_ratio": 0.5, "solver": LBFGS()}, "needs a smooth objective, but `l1_ratio` = 0.5"),
        ({"grouped": "yes"}, "`grouped`"),
    ],
    ids=[
        "above", "below", "text", "nan", "none", "free", "solver", "solver-object", "switch",
    ],
)  # fmt: skip
def test_wrong_settings_are_told(settings, said, rng):
    a, y = blobs(rng)
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        su.SoftmaxClassifier(**settings).fit(a, y)


def test_solvers_for_smooth_problems_refuse_below_the_estimator_too(rng):
    a, y = blobs(rng)
    problem = class_problem(
        a, checked_classes(y, len(y)), None, C=1.0, intercept=True, l1_ratio=1.0
    )
    with pytest.raises(NeedsError, match="ProximalNewton"):
        su.minimize(problem, solver="newton")
    named = fitted(a, y, solver="proximal-newton")
    np.testing.assert_allclose(fitted(a, y, solver=ProximalNewton()).coef_, named.coef_)
    np.testing.assert_allclose(fitted(a, y).coef_, named.coef_, atol=1e-6)


def test_the_entry_counts_a_row_as_often_as_its_weight_says(rng):
    a, y = blobs(rng)
    s = rng.integers(0, 4, len(y))
    again = np.repeat(np.arange(len(y)), s)
    offset, shares = rng.standard_normal((len(y), 3)), rng.dirichlet(np.ones(3), len(y))
    for target, given in ((y, None), (y, offset), (shares, None), (shares, offset)):
        entry = su.l1_min_c(a, target, sample_weight=s, offset=given)
        more = None if given is None else given[again]
        assert entry == pytest.approx(su.l1_min_c(a[again], target[again], offset=more), rel=1e-9)
    # A class of no weight is as good as absent.
    rest = y != 1
    entry = su.l1_min_c(a, y, sample_weight=rest.astype(float))
    assert entry == pytest.approx(su.l1_min_c(a[rest], y[rest]), rel=1e-9)
    each = (len(y) / (3 * np.bincount(y)))[y]
    balanced = su.l1_min_c(a, y, class_weight="balanced")
    assert balanced == pytest.approx(su.l1_min_c(a, y, sample_weight=each), rel=1e-12)
    assert balanced != pytest.approx(su.l1_min_c(a, y), rel=1e-3)


def test_the_gap_by_ridge_closes_at_an_optimum_with_l1(rng):
    a, y = blobs(rng)
    problem = class_problem(
        a, checked_classes(y, len(y)), None, C=0.05, intercept=False, l1_ratio=0.7
    )
    best = su.minimize(problem, tol=1e-11)
    assert not best.x.all()
    assert ridge_gap(problem, best.x) <= 1e-15
    for size in (1e-3, 0.1):
        x = best.x + size * rng.standard_normal(best.x.shape)
        assert ridge_gap(problem, x) >= problem.value(x) - best.value > 0

"""Paths of coefficients along C, and the search over C and the share of l1."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.errors import InputError


def blobs(rng: np.random.Generator, *, n: int = 240, d: int = 12, k: int = 3):
    a = rng.standard_normal((n, d))
    y = (a[:, :3] @ rng.standard_normal((3, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return a, y


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("grouped", [False, True], ids=["entries", "groups"])
def test_each_point_of_a_path_is_a_fit(form, grouped, rng):
    a, y = blobs(rng)
    path = su.softmax_path(form(a), y, Cs=8, grouped=grouped, tol=1e-8)
    assert path.converged.all()
    assert path.n_nonzero[0] == 0
    assert path.Cs[-1] / path.Cs[0] == pytest.approx(1e4)
    assert path.Cs[0] == pytest.approx(su.l1_min_c(a, y, grouped=grouped))
    assert path.toarray().shape == (8, 3, 12)
    assert (path.gap_bounds >= 0).all()
    assert (path.gap_bounds < 1e-4 * path.values).all()
    for index in (2, 5):
        direct = su.SoftmaxClassifier(path.Cs[index], l1_ratio=1.0, grouped=grouped, tol=1e-8)
        direct.fit(form(a), y)
        np.testing.assert_allclose(path.toarray()[index], direct.coef_, atol=1e-4)
        assert path.values[index] == pytest.approx(direct.certificate_.value, rel=1e-8)
        assert path.n_nonzero[index] == np.count_nonzero(direct.coef_)
        assert path.n_columns[index] == direct.coef_.any(axis=0).sum()
        np.testing.assert_allclose(
            path.classifier(index).predict_proba(a), direct.predict_proba(a), atol=1e-5
        )


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_gaps_along_a_path_hold(ratio, rng):
    a, y = blobs(rng)
    Cs = [0.03, 0.3, 3.0]
    rough = su.softmax_path(a, y, Cs=Cs, l1_ratio=ratio, tol=1e-2)
    exact = su.softmax_path(a, y, Cs=Cs, l1_ratio=ratio, tol=1e-9)
    assert (exact.values <= rough.values).all()
    assert (rough.values - exact.values <= rough.gap_bounds).all()
    assert (rough.gap_bounds < rough.values).all()


def test_a_path_keeps_the_order_of_its_strengths(rng):
    a, y = blobs(rng, k=2)
    up = su.softmax_path(a, y, Cs=[0.02, 0.1, 1.0])
    down = su.softmax_path(a, y, Cs=[1.0, 0.1, 0.02])
    np.testing.assert_array_equal(up.toarray(), down.toarray()[::-1])
    assert list(down.Cs) == [1.0, 0.1, 0.02]
    model = down.classifier(0)
    assert (model.C, model.l1_ratio) == (1.0, 1.0)
    assert list(model.classes_) == list(down.classes) == [0, 1]
    assert model.coef_.shape == (1, 12)


def everything(problem, x, before):
    return np.arange(len(x))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    ("ratio", "grouped"), [(1.0, False), (0.6, False), (1.0, True)], ids=["l1", "both", "groups"]
)
def test_columns_left_out_change_no_path(form, ratio, grouped, rng, monkeypatch):
    a, y = blobs(rng, n=150, d=80)
    Cs = su.l1_min_c(a, y, l1_ratio=ratio, grouped=grouped) * np.geomspace(1.0, 20.0, 9)
    settings = {"Cs": Cs, "l1_ratio": ratio, "grouped": grouped, "tol": 1e-11}
    few = su.softmax_path(form(a), y, **settings)
    assert (few.n_screened[1:4] > 40).all()
    monkeypatch.setattr("softunit.sparse_path._kept", everything)
    whole = su.softmax_path(form(a), y, **settings)
    assert not whole.n_screened.any()
    np.testing.assert_allclose(few.toarray(), whole.toarray(), atol=1e-9)
    np.testing.assert_allclose(few.values, whole.values, rtol=1e-13)
    np.testing.assert_array_equal(few.n_nonzero, whole.n_nonzero)
    assert few.converged.all()
    # The bounds are about all columns: a fit of few says no more of itself than one of all.
    assert (few.gap_bounds < 1e-6 * few.values).all()


def test_a_rule_that_leaves_out_too_much_is_put_right(rng, monkeypatch):
    a, y = blobs(rng, n=150, d=60)
    Cs = su.l1_min_c(a, y) * np.array([1.0, 2.0, 4.0, 8.0])
    right = su.softmax_path(a, y, Cs=Cs, tol=1e-11)

    def greedy(problem, x, before):
        return np.array([30, 31, 60])

    monkeypatch.setattr("softunit.sparse_path._kept", greedy)
    put_right = su.softmax_path(a, y, Cs=Cs, tol=1e-11)
    np.testing.assert_array_equal(put_right.n_screened, 58)
    assert (put_right.n_recalled[1:] > 0).all()
    assert put_right.converged.all()
    np.testing.assert_allclose(put_right.toarray(), right.toarray(), atol=1e-9)
    np.testing.assert_allclose(put_right.values, right.values, rtol=1e-13)


def test_a_search_leaves_out_columns_and_finds_the_same(rng, monkeypatch):
    a, y = blobs(rng, n=150, d=60)
    Cs = su.l1_min_c(a, y) * np.geomspace(1.0, 5.0, 6)
    settings = {"l1_ratios": [0.7, 1.0], "cv": 3, "scoring": "neg_log_loss", "tol": 1e-11}
    seen = []
    real = su.sparse_path._part

    def watched(problem, kept, design):
        seen.append(len(kept))
        return real(problem, kept, design)

    monkeypatch.setattr("softunit.sparse_path._part", watched)
    few = su.SoftmaxClassifierCV(Cs, **settings).fit(a, y)
    assert len(seen) >= 12
    assert min(seen) < 20
    monkeypatch.setattr("softunit.sparse_path._kept", everything)
    whole = su.SoftmaxClassifierCV(Cs, **settings).fit(a, y)
    np.testing.assert_allclose(few.scores_, whole.scores_, rtol=1e-9)
    np.testing.assert_allclose(few.coef_, whole.coef_, atol=1e-9)


def test_a_path_without_l1_goes_to_no_ridge_at_all(rng):
    a, y = blobs(rng)
    path = su.softmax_path(a, y, Cs=[1.0, np.inf], l1_ratio=0.0, tol=1e-9)
    direct = su.SoftmaxClassifier(np.inf, tol=1e-9).fit(a, y)
    np.testing.assert_allclose(path.toarray()[1], direct.coef_, atol=1e-6)
    assert path.gap_bounds.max() < 1e-10
    assert su.softmax_path(a, y, Cs=3, l1_ratio=0.0).Cs[0] == pytest.approx(1e-4)


def test_a_path_that_is_cut_short_says_so_once(rng):
    a, y = blobs(rng)
    with pytest.warns(ConvergenceWarning, match=r"2 of 2 fits along C did not converge") as seen:
        path = su.softmax_path(a, y, Cs=[0.1, 1.0], tol=0.0, max_iter=1)
    assert len(seen) == 1
    assert not path.converged.any()
    np.testing.assert_array_equal(path.n_iter, 1)
    worst = path.gap_bounds.argmax()
    told = f"the worst, C = {path.Cs[worst]:.2g}, is at most {path.gap_bounds[worst]:.1e} above"
    assert told in str(seen[0].message)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"l1_ratio": 2.0}, "`l1_ratio` must be at most 1"),
        ({"Cs": [1.0, np.inf]}, "C = inf leaves none"),
        ({"Cs": [0.0]}, "`Cs` must be a positive integer or a list of numbers > 0; entry 0"),
        ({"solver": "newton"}, "`solver` = 'newton' needs a smooth objective"),
        ({"tol": -1.0}, "`tol` must be"),
    ],
    ids=["ratio", "free", "strength", "solver", "tol"],
)
def test_wrong_settings_of_a_path_are_told(settings, said, rng):
    a, y = blobs(rng)
    with pytest.raises(InputError, match=said):
        su.softmax_path(a, y, **settings)


def test_an_entry_needs_l1(rng):
    a, y = blobs(rng)
    with pytest.raises(InputError, match="`l1_ratio` must be above 0"):
        su.l1_min_c(a, y, l1_ratio=0.0)


def test_a_search_over_shares_begins_where_the_first_coefficient_enters(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifierCV(4, l1_ratios=[0.5, 1.0], cv=3, scoring="neg_log_loss").fit(a, y)
    entry = su.l1_min_c(a, y)
    assert model.Cs_[0] == pytest.approx(0.5 * entry)
    assert model.Cs_[-1] == pytest.approx(1e4 * entry)
    assert model.scores_.shape == model.n_iter_.shape == (3, 2, 4)
    np.testing.assert_array_equal(model.l1_ratios_, [0.5, 1.0])
    twin = model.to_classifier()
    assert (twin.C, twin.l1_ratio) == (model.C_, model.l1_ratio_)
    assert model.to_sklearn().l1_ratio == model.l1_ratio_
    assert (model.coef_ == 0).any()


def test_a_search_without_shares_is_as_it_was(rng):
    a, y = blobs(rng)
    plain = su.SoftmaxClassifierCV([0.1, 1.0], cv=3).fit(a, y)
    shaped = su.SoftmaxClassifierCV([0.1, 1.0], cv=3, l1_ratios=[0.0]).fit(a, y)
    assert plain.scores_.shape == (3, 2)
    np.testing.assert_array_equal(plain.scores_, shaped.scores_[:, 0])
    np.testing.assert_array_equal(plain.coef_, shaped.coef_)
    assert plain.l1_ratio_ == 0.0


def test_among_equals_the_smallest_strength_wins(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifierCV(
        [1.0, 0.1], cv=2, l1_ratios=[0.2, 0.0], scoring=lambda model, X, y: 1.0
    ).fit(a, y)
    assert (model.C_, model.l1_ratio_) == (0.1, 0.2)


def test_means_over_folds_are_of_shares_too(rng):
    a, y = blobs(rng)

    def fond(model, X, y):
        return model.l1_ratio

    model = su.SoftmaxClassifierCV(
        [0.5, 1.0], cv=2, l1_ratios=[0.2, 0.4], refit=False, scoring=fond
    ).fit(a, y)
    assert (model.C_, model.l1_ratio_) == (0.5, 0.4)
    assert not hasattr(model, "certificate_")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"l1_ratios": [0.5, 1.2]}, r"`l1_ratios\[1\]` must be at most 1"),
        (
            {"l1_ratios": []},
            r"`l1_ratios` must be a list of numbers from 0 to 1, or None; got \[\]",
        ),
        ({"l1_ratios": 0.5}, "`l1_ratios` must be a list of numbers from 0 to 1, or None; got 0.5"),
        ({"l1_ratios": "all"}, "`l1_ratios` must be a list of numbers"),
        ({"l1_ratios": [None, "a"]}, "`l1_ratios` must be a list of numbers"),
        ({"l1_ratios": [1.0], "Cs": [1.0, np.inf]}, "C = inf leaves none"),
        ({"l1_ratios": [1.0], "solver": "lbfgs"}, "'proximal-newton' would do"),
        ({"grouped": 3}, "`grouped`"),
    ],
    ids=["above", "empty", "number", "text", "mixed", "free", "solver", "switch"],
)
def test_wrong_settings_of_a_search_are_told(settings, said, rng):
    a, y = blobs(rng)
    with pytest.raises(InputError, match=said):
        su.SoftmaxClassifierCV(**settings).fit(a, y)


def test_a_path_has_the_settings_of_a_fit(rng):
    a, y = blobs(rng)
    a[:, 4] += 2.0
    s = rng.integers(0, 4, len(y)).astype(float)
    offset = rng.standard_normal((len(y), 3))
    for settings in ({"class_weight": {0: 3.0}}, {"fit_intercept": False}):
        told = {"l1_ratio": 0.8, "tol": 1e-9, **settings}
        path = su.softmax_path(a, y, Cs=[0.05, 0.3], sample_weight=s, offset=offset, **told)
        for index, C in enumerate(path.Cs):
            direct = su.SoftmaxClassifier(C, **told).fit(a, y, sample_weight=s, offset=offset)
            np.testing.assert_allclose(path.toarray()[index], direct.coef_, atol=1e-6)
            np.testing.assert_allclose(path.intercepts[index], direct.intercept_, atol=1e-6)


def test_a_classifier_of_a_path_knows_its_columns(rng):
    a, y = blobs(rng)
    table = pd.DataFrame(a, columns=[f"c{j}" for j in range(12)])
    model = su.softmax_path(table, y, Cs=[0.1]).classifier(0)
    assert model.n_features_in_ == 12
    assert list(model.feature_names_in_) == list(table.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table.iloc[:, ::-1])


def test_a_search_in_groups_begins_where_the_first_group_enters(rng):
    a, y = blobs(rng)
    settings = {"l1_ratios": [1.0], "cv": 2, "scoring": "neg_log_loss", "refit": False}
    model = su.SoftmaxClassifierCV(2, grouped=True, **settings).fit(a, y)
    assert model.Cs_[0] == pytest.approx(su.l1_min_c(a, y, grouped=True), rel=1e-6)
    assert model.Cs_[0] != pytest.approx(su.l1_min_c(a, y), rel=1e-3)

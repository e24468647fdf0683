"""The search for C: scikit-learn's scores, warm fits as good as cold ones, and bad input."""

from __future__ import annotations

import dataclasses
import inspect
import math
import warnings

import numpy as np
import pytest
from rich.console import Console
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import accuracy_score, make_scorer, max_error
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, StratifiedKFold

import softunit as su
from softunit import _progress
from softunit.errors import InputError, NotUniqueWarning, SeparationWarning
from softunit.estimators._continued import settled
from softunit.estimators._data import checked_classes
from softunit.estimators._folds import checked_splits
from softunit.estimators._objective import class_problem
from softunit.estimators._softmax_model import distance_sentence
from softunit.model_file import SavedModel, Training, load_model, save_model
from softunit.solution import Record, Solution, Status
from softunit.tables import Encoding, NumericColumn

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
CS = [1e-2, 1.0, 30.0]


def sklearn_cv(**settings):
    """Return scikit-learn's class with one array of scores, whatever its version."""
    taken = inspect.signature(LogisticRegressionCV).parameters
    plain = {"use_legacy_attributes": False, "l1_ratios": (0,)}
    plain = {name: value for name, value in plain.items() if name in taken}
    return LogisticRegressionCV(
        tol=1e-10, max_iter=1000, solver="newton-cholesky", **settings, **plain
    )


def scores_of(peer):
    scores = peer.scores_
    scores = next(iter(scores.values())) if isinstance(scores, dict) else scores
    return np.asarray(scores).reshape(len(scores), -1)


def blobs(rng: np.random.Generator, *, n: int = 240, d: int = 4, k: int = 3):
    a = rng.standard_normal((n, d))
    y = (a @ rng.standard_normal((d, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return a, y


WAYS = {
    "plain": {},
    "balanced": {"class_weight": "balanced"},
    "weights": {"class_weight": {"setosa": 1.0, "versicolor": 3.0, "virginica": 0.5}},
    "no intercept": {"fit_intercept": False},
    "no refit": {"refit": False},
    "accuracy": {"scoring": None},
    "brier": {"scoring": "neg_brier_score"},
    "f1": {"scoring": "f1_macro"},
    "few folds": {"cv": 3},
    "shuffled": {"cv": StratifiedKFold(4, shuffle=True, random_state=0)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weighted rows"])
def test_scores_are_those_of_scikit_learn(way, weighted, rng):
    settings = {"Cs": CS, "scoring": "neg_log_loss", **WAYS[way]}
    weight = rng.uniform(0.2, 3.0, len(Y)) if weighted else None
    peer = sklearn_cv(**settings).fit(X, NAMES, sample_weight=weight)
    model = su.SoftmaxClassifierCV(tol=1e-10, **settings).fit(X, NAMES, sample_weight=weight)
    np.testing.assert_allclose(model.scores_, scores_of(peer), atol=1e-6)
    assert pytest.approx(np.ravel(peer.C_)[0]) == model.C_
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(model.intercept_, peer.intercept_, atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-6)
    score = peer.score(X, NAMES, sample_weight=weight)
    assert model.score(X, NAMES, sample_weight=weight) == pytest.approx(score, abs=1e-6)
    assert model.n_iter_.shape == model.scores_.shape


@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc", "f1", "average_precision"])
def test_two_classes_as_in_scikit_learn(scoring):
    a, y = load_breast_cancer(return_X_y=True)
    settings = {"Cs": CS, "scoring": scoring}
    peer = sklearn_cv(**settings).fit(a, y)
    model = su.SoftmaxClassifierCV(tol=1e-9, **settings).fit(a, y)
    np.testing.assert_allclose(model.scores_, scores_of(peer), atol=1e-6)
    assert pytest.approx(np.ravel(peer.C_)[0]) == model.C_
    assert model.coef_.shape == (1, a.shape[1])


@pytest.mark.parametrize(
    "container",
    [sparse.csr_matrix, lambda a: np.asarray(a, dtype=np.float32), np.asfortranarray],
    ids=["sparse", "float32", "columns"],
)
def test_other_containers_give_the_same(container):
    settings = {"Cs": CS, "scoring": "neg_log_loss", "tol": 1e-9}
    model = su.SoftmaxClassifierCV(**settings).fit(X, Y)
    other = su.SoftmaxClassifierCV(**settings).fit(container(X), Y)
    np.testing.assert_allclose(other.scores_, model.scores_, atol=1e-6)
    assert other.C_ == model.C_
    assert other.coef_.dtype == container(X).dtype
    assert other.score(container(X), Y) == pytest.approx(model.score(X, Y), abs=1e-6)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_warm_fits_end_where_cold_ones_do(k, form, rng):
    a, y = blobs(rng, k=k)
    a = a * np.array([1.0, 1e6, 1e-6, 1.0]) + np.array([0.0, 0.0, 0.0, 5.0])
    Cs = np.r_[np.logspace(4, -4, 7), np.inf]
    splits = list(StratifiedKFold(3).split(a, y))
    model = su.SoftmaxClassifierCV(Cs, cv=splits, scoring="neg_log_loss").fit(form(a), y)
    assert model.Cs_.tolist() == Cs.tolist()
    for fold, (train, test) in enumerate(splits):
        for index, C in enumerate(Cs):
            cold = su.SoftmaxClassifier(C, tol=1e-9).fit(a[train], y[train])
            found = cold.predict_log_proba(a[test])[np.arange(len(test)), y[test]].mean()
            assert model.scores_[fold, index] == pytest.approx(found, abs=2e-6)


@pytest.mark.parametrize("C", [1e-4, 1.0, 1e4])
def test_values_along_the_path_are_those_of_cold_fits(C, rng, monkeypatch):
    a, y = blobs(rng)
    a = a * np.array([1.0, 1e8, 1e-8, 1.0])
    everything = [(np.arange(len(y)), np.arange(len(y)))]
    Cs = np.logspace(-4, 4, 9)
    model = su.SoftmaxClassifierCV(Cs[Cs <= C * 1.01], cv=everything, refit=False)
    # Of scores that only grow the last C is the best.
    model.set_params(scoring=lambda estimator, a, y: estimator.C).fit(a, y)
    assert pytest.approx(C) == model.C_
    cold = su.SoftmaxClassifier(C, tol=1e-10).fit(a, y)
    value = model.certify(a, y).value
    assert value == pytest.approx(cold.certificate_.value, rel=1e-6)
    assert value <= cold.certificate_.value + 1e-6


def test_the_last_fit_is_that_of_the_classifier_with_a_certificate():
    model = su.SoftmaxClassifierCV(CS, scoring="neg_log_loss", tol=1e-9).fit(X, NAMES)
    alone = su.SoftmaxClassifier(model.C_, tol=1e-9).fit(X, NAMES)
    np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-7)
    assert model.solution_.converged
    assert model.certificate_.value == pytest.approx(alone.certificate_.value, rel=1e-12)
    assert model.certificate_.gap_bound < 1e-10
    assert model.certify(X, NAMES).gap_bound < 1e-10
    # The mean over the folds is near: fewer iterations than from zero.
    assert model.solution_.n_iter < alone.n_iter_[0]


def test_the_smallest_of_equals_is_taken():
    flat = su.SoftmaxClassifierCV([1.0, 0.1, 10.0], scoring=lambda estimator, a, y: 0.5).fit(X, Y)
    assert flat.C_ == 0.1
    means = su.SoftmaxClassifierCV([1.0, 0.1], refit=False, scoring=lambda e, a, y: 0.5).fit(X, Y)
    assert means.C_ == 0.1
    assert not hasattr(means, "certificate_")


def test_a_callable_scorer_sees_a_fitted_classifier_and_its_rows():
    seen = []

    def scorer(estimator, a, y, sample_weight=None):
        seen.append((type(estimator), estimator.C, len(a), sample_weight is not None))
        return float(np.mean(estimator.predict(a) == y))

    model = su.SoftmaxClassifierCV([0.1, 1.0], cv=3, scoring=scorer).fit(X, NAMES)
    plain = su.SoftmaxClassifierCV([0.1, 1.0], cv=3).fit(X, NAMES)
    np.testing.assert_allclose(model.scores_, plain.scores_)
    assert seen == [(su.SoftmaxClassifier, C, 50, False) for C in (0.1, 1.0) for _ in range(3)]
    model.fit(X, NAMES, sample_weight=np.ones(len(Y)))
    assert seen[-1] == (su.SoftmaxClassifier, 1.0, 50, True)


def test_folds_by_groups_lists_and_masks():
    groups = np.arange(len(Y)) % 4
    by_groups = su.SoftmaxClassifierCV(CS, cv=GroupKFold(4)).fit(X, Y, groups=groups)
    lists = list(LeaveOneGroupOut().split(X, Y, groups))
    by_lists = su.SoftmaxClassifierCV(CS, cv=lists).fit(X, Y)
    masks = [(groups != g, groups == g) for g in range(4)]
    by_masks = su.SoftmaxClassifierCV(CS, cv=masks).fit(X, Y)
    np.testing.assert_allclose(by_masks.scores_, by_lists.scores_)
    np.testing.assert_allclose(np.sort(by_groups.scores_[:, 0]), np.sort(by_lists.scores_[:, 0]))


def test_rows_drawn_twice_count_twice(rng):
    a, y = blobs(rng)
    drawn = rng.integers(len(y), size=300)
    rest = np.setdiff1d(np.arange(len(y)), drawn)
    model = su.SoftmaxClassifierCV([0.5], cv=[(drawn, rest)], refit=False, tol=1e-9).fit(a, y)
    alone = su.SoftmaxClassifier(0.5, tol=1e-9).fit(a[drawn], y[drawn])
    np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-6)


def test_a_fold_may_lack_a_class():
    rows = np.arange(150)
    cv = [(rows[:100], rows[90:]), (rows[50:], rows[:60])]
    model = su.SoftmaxClassifierCV([0.1, 1.0], cv=cv, scoring="neg_log_loss").fit(X, NAMES)
    assert np.isfinite(model.scores_).all()
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]


def test_infinity_names_the_folds_without_an_optimum():
    with pytest.warns(SeparationWarning, match="3 of 3 fits on folds have no optimum"):
        model = su.SoftmaxClassifierCV([0.1, np.inf], cv=3, scoring="neg_log_loss").fit(X, Y)
    assert model.C_ == 0.1


@pytest.mark.parametrize("limit", [2000, 1])
def test_without_ridge_a_fold_takes_its_own_least_norm(limit, rng, monkeypatch):
    # Column 2 is constant on the first fold only, and columns 0 and 3 are collinear there.
    monkeypatch.setattr("softunit.estimators._conditioning.FORM_LIMIT", limit)
    a, y = blobs(rng)
    train, test = np.arange(160), np.arange(160, 240)
    a[train, 2], a[train, 3] = 7.0, 2 * a[train, 0] + 1
    model = su.SoftmaxClassifierCV([np.inf], cv=[(train, test)], refit=False, tol=1e-9).fit(a, y)
    with pytest.warns(NotUniqueWarning, match="least norm"):
        alone = su.SoftmaxClassifier(np.inf, tol=1e-9).fit(a[train], y[train])
    np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-5)
    np.testing.assert_allclose(model.intercept_, alone.intercept_, atol=1e-4)


def test_one_warning_tells_of_all_fits():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = su.SoftmaxClassifierCV([1e-3, 1e3], max_iter=1, scoring="neg_log_loss").fit(X, Y)
    assert [item.category for item in caught] == [ConvergenceWarning]
    text = str(caught[0].message)
    assert "10 of 10 fits on folds did not converge; the worst, C = 1e+03 on fold" in text
    assert "above its optimum. The iteration limit" in text
    assert "The value is at most" in text
    assert caught[0].filename == __file__
    assert model.solution_.status is Status.MAX_ITER
    with pytest.warns(ConvergenceWarning, match="10 of 10 fits on folds"):
        su.SoftmaxClassifierCV([1e-3, 1e3], max_iter=1, refit=False).fit(X, Y)


def test_settings_of_scikit_learn_and_files(tmp_path):
    model = su.SoftmaxClassifierCV(CS, scoring="neg_log_loss").fit(X, NAMES)
    classifier, twin = model.to_classifier(), model.to_sklearn()
    assert classifier.C == twin.C == model.C_
    np.testing.assert_array_equal(classifier.predict_proba(X), model.predict_proba(X))
    np.testing.assert_allclose(twin.predict_proba(X), model.predict_proba(X), atol=1e-12)
    assert classifier.certificate_ is model.certificate_
    encoding = Encoding(tuple(NumericColumn(f"x{j}") for j in range(4)))
    training = Training.of(classifier, source="iris", rows=len(Y))
    saved = SavedModel(classifier, encoding, "classifier", "y", training)
    save_model(tmp_path / "model", saved)
    assert load_model(tmp_path / "model").estimator.C == model.C_
    means = su.SoftmaxClassifierCV(CS, refit=False).fit(X, NAMES).to_classifier()
    assert means.predict(X[:1]).tolist() == ["setosa"]


def ended(x: float, value: float, gradient: float, steps: int, status=Status.CONVERGED):
    """Return the end of a run of one variable with tol 1e-6."""
    history = tuple(
        Record(i, value + 1e-3 * (steps - i), gradient * 2.0 ** (steps - i), 0.0, 0.0)
        for i in range(steps + 1)
    )
    return Solution(np.array([x]), value, gradient, status, steps, history, 0.0, tol=1e-6)


def test_a_start_within_the_tolerance_is_tried_all_the_same():
    first = ended(0.0, 1.0, 9e-7, 0)
    far = ended(1.0, 0.5, 2e-6, 1, Status.MAX_ITER)
    near = ended(2.0, 0.4, 3e-7, 2)
    runs = []

    def run(x, tol, max_iter):
        runs.append((x[0], tol, max_iter))
        return far if x[0] == 0 else near

    end = settled(first, run, 10, share=1e9)
    assert runs == [(0.0, 0.0, 1), (1.0, 1e-6, 9)]
    assert end.converged
    assert (end.x[0], end.value, end.n_iter, end.tol) == (2.0, 0.4, 3, 1e-6)
    # What does not lower the value, or ends above the tolerance, is forgotten.
    lost = ended(2.0, 0.4, 3e-6, 2, Status.MAX_ITER)
    assert settled(first, lambda x, tol, n: far if x[0] == 0 else lost, 10, share=1e9) is first
    assert settled(first, lambda x, tol, n: ended(1.0, 1.0, 1e-7, 1), 10, share=1e9) is first
    assert settled(first, run, 0) is first


def test_a_distance_is_told_where_it_says_something():
    certificate = su.SoftmaxClassifier().fit(X, Y).certificate_
    for gap, words in [
        (0.25 * certificate.value, ", 25% of it."),
        (math.inf, "is not known: no bound is proved here."),
        (9.0, "is at most 9.0e+00 above the optimum, which says nothing new."),
    ]:
        assert distance_sentence(dataclasses.replace(certificate, gap_bound=gap)).endswith(words)


def test_a_fit_forgets_the_one_before():
    model = su.SoftmaxClassifierCV(CS).fit(X, Y)
    model.set_params(refit=False).fit(X, Y)
    assert not hasattr(model, "solution_")


def test_the_design_is_shared_by_all_fits(rng):
    a, y = blobs(rng)
    classes = checked_classes(y, len(y))
    base = class_problem(a, classes, None, C=1.0, intercept=True)
    first, second = checked_splits(2, a, classes, None, None)
    derived = base.derived(penalty=base.penalties, weights=first.weights)
    assert derived.design is base.design
    assert np.shares_memory(base.design.inner.rows(slice(0, 5)).toarray(), a)
    assert first.weights @ second.weights == 0


def test_one_line_for_the_whole_search(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "AFTER", 0.0)
    monkeypatch.setattr(_progress, "_terminal", lambda: Console(force_terminal=True, width=100))
    su.SoftmaxClassifierCV(2, cv=2, verbose=1).fit(X, Y)
    assert "all rows, C 1e+04, iteration" in capsys.readouterr().out
    su.SoftmaxClassifierCV(2, cv=2).fit(X, Y)
    assert capsys.readouterr().out == ""
    record = Record(12, 0.1, 1.23e-4, 3.0, 24.0)
    text = _progress.search_text(record, "fold 2/5, C 14/20 (1e+02)", 12.4, 60.0)
    assert text == "fold 2/5, C 14/20 (1e+02), iteration 12, gradient 1e-04  12 s, 60 s left"


BAD = [
    ({"Cs": 0}, "`Cs` must be a positive integer or a list of numbers > 0; got 0"),
    ({"Cs": []}, r"`Cs` must be .*; got \[\]"),
    ({"Cs": [1.0, -2.0]}, "`Cs` must be .*; entry 1 is -2.0"),
    ({"Cs": [np.nan]}, "`Cs` must be .*; entry 0 is nan"),
    ({"Cs": "many"}, "`Cs` must be .*; got 'many'"),
    ({"Cs": True}, "`Cs` must be .*; got True"),
    ({"Cs": [[1.0]]}, r"`Cs` must be .*; got \[\[1.0\]\]"),
    ({"Cs": [1e-320]}, "is too small: 1 / .C . sum of weights. overflows"),
    ({"cv": 51}, r"`cv` = 51 cannot split these 150 rows, at most 50 of one class: n_splits=51"),
    ({"cv": 1}, "`cv` = 1 cannot split these 150 rows.*n_splits=2 or more"),
    ({"cv": "five"}, "`cv` = 'five' cannot split"),
    ({"cv": []}, "makes no fold"),
    ({"cv": [([0, 60], [200])]}, "fold 1 of `cv` must be a pair of row numbers"),
    ({"cv": [([0, 60, 120], [])]}, "fold 1 of `cv` holds out no row to score"),
    ({"cv": [(range(50), range(50, 150))]}, "fold 1 of `cv` trains on rows of one class"),
    ({"scoring": "accurracy"}, "`scoring` must be .*got 'accurracy'. Did you mean 'accuracy'"),
    ({"scoring": 3}, "`scoring` must be .*; got 3"),
    ({"scoring": accuracy_score}, "got the metric accuracy_score: wrap it by"),
    ({"scoring": lambda e, a, y: np.nan}, "gave NaN for each of the 10 values of C"),
    ({"scoring": lambda e, a, y: [1, 2]}, "must return one number; got list"),
    ({"refit": "yes"}, "`refit` must be True or False; got 'yes'"),
    (
        {"keyboard_interrupt": "stop"},
        "`keyboard_interrupt` must be 'raise' or 'return'; got 'stop'",
    ),
    ({"tol": -1.0}, "`tol` must be"),
]


@pytest.mark.parametrize(
    ("settings", "sentence"), BAD, ids=[f"{i}-{next(iter(b[0]))}" for i, b in enumerate(BAD)]
)
def test_bad_settings_get_a_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        su.SoftmaxClassifierCV(**settings).fit(X, Y)


def test_bad_data_gets_a_sentence():
    shares = np.full((150, 3), 1 / 3)
    with pytest.raises(InputError, match="but it must hold labels, shape"):
        su.SoftmaxClassifierCV().fit(X, shares)
    rare = np.array([0] * 6 + [1] * 3)
    with pytest.warns(UserWarning, match="The least populated class in y has only 3 members"):
        assert len(su.SoftmaxClassifierCV(2).fit(X[:9], rare).scores_) == 5
    few = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert len(su.SoftmaxClassifierCV(2).fit(X[::17], few).scores_) == 3
    with pytest.raises(InputError, match="cannot split these 3 rows, at most 1 of one class"):
        su.SoftmaxClassifierCV().fit(X[:3], [0, 1, 2])
    with pytest.raises(InputError, match="takes no sample_weight"):
        su.SoftmaxClassifierCV(scoring=make_scorer(max_error)).fit(X, Y, sample_weight=np.ones(150))
    weight = np.r_[np.zeros(5), np.ones(145)]
    cv = [(np.arange(5, 150), np.arange(5))]
    with pytest.raises(InputError, match="holds out 5 rows, none of them with a positive weight"):
        su.SoftmaxClassifierCV(cv=cv).fit(X, Y, sample_weight=weight)

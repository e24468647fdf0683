"""Summaries say what the estimators predict."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from softunit.errors import InputError
from softunit.report import Labels, classifier_summary, measure, regressor_summary
from softunit.report.words import number, percent
from tests.report.stand_ins import Classifier, Regressor, certificate, classified, solution


def fitted(
    rng: np.random.Generator, K: int = 4, n: int = 300
) -> tuple[Classifier, np.ndarray, np.ndarray]:
    """Return a classifier of K classes and rows that it half predicts."""
    coef = rng.normal(size=(1 if K == 2 else K, 5))
    model = Classifier(coef, np.array([f"k{i:02}" for i in range(K)]), solution(), certificate())
    X = rng.normal(size=(n, 5)) * [1, 2, 3, 4, 0.1]
    proba = model.predict_proba(X)
    return model, X, model.classes_[[rng.choice(K, p=row) for row in proba]]


@pytest.mark.parametrize("K", [2, 3, 40])
def test_the_measures_are_scikit_learns(rng: np.random.Generator, K: int) -> None:
    model, X, y = fitted(rng, K)
    summary = classifier_summary(model, X, y)
    proba = model.predict_proba(X)
    predicted = model.classes_[proba.argmax(axis=1)]
    counts = confusion_matrix(y, predicted, labels=model.classes_)
    measures = dict(summary.measures)
    assert measures["Accuracy"] == percent(accuracy_score(y, predicted))
    assert measures["Mean log loss"] == number(log_loss(y, proba, labels=model.classes_))
    assert summary.calibration is not None
    assert sum(bin_.count for bin_ in summary.calibration.bins) == len(X)
    wrong = [pair.count for pair in summary.confused]
    np.fill_diagonal(counts, 0)
    np.testing.assert_array_equal(wrong, np.sort(counts[counts > 0])[::-1][: len(wrong)])
    if K <= 30:
        assert summary.confusion is not None
        np.testing.assert_array_equal(
            summary.confusion.sum(axis=1), [(y == c).sum() for c in model.classes_]
        )
    else:
        assert summary.confusion is None
        assert len(summary.confused) == 15


def test_blocks_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, y = fitted(rng)
    whole = classifier_summary(model, X, y)
    monkeypatch.setattr(measure, "_BLOCK", 5 * 7)
    model.largest_block = 0
    parts = classifier_summary(model, X, y)
    assert model.largest_block == 7
    assert parts.measures == whole.measures
    np.testing.assert_array_equal(parts.confusion, whole.confusion)
    assert parts.calibration is not None
    assert whole.calibration is not None
    assert parts.calibration.error == pytest.approx(whole.calibration.error, rel=1e-12)
    assert [c.effect for c in parts.coefficients] == pytest.approx(
        [c.effect for c in whole.coefficients], rel=1e-12
    )


def test_calibration_is_worked_out_by_bins(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng, K=2, n=500)
    summary = classifier_summary(model, X, y)
    p, hit = model.predict_proba(X)[:, 1], (y == "k01").astype(float)
    assert summary.calibration is not None
    assert summary.calibration.about == "probability of class k01"
    error = 0.0
    for index, bin_ in enumerate(summary.calibration.bins):
        inside = np.minimum((10 * p).astype(int), 9) == index
        assert bin_.count == inside.sum()
        assert bin_.confidence == pytest.approx(p[inside].mean(), rel=1e-12)
        assert bin_.observed == pytest.approx(hit[inside].mean(), rel=1e-12)
        error += inside.mean() * abs(p[inside].mean() - hit[inside].mean())
    assert summary.calibration.error == pytest.approx(error, rel=1e-12)


def test_shares_count_as_parts_of_rows(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    shares = (y[:, None] == model.classes_).astype(float)
    by_label, by_share = classifier_summary(model, X, y), classifier_summary(model, X, shares)
    assert by_share.measures == by_label.measures
    np.testing.assert_array_equal(by_share.confusion, by_label.confusion)
    mixed = classifier_summary(model, X, np.full((len(X), 4), 0.25))
    assert mixed.confusion is not None
    np.testing.assert_allclose(mixed.confusion.sum(axis=1), len(X) / 4)


def test_sparse_frames_and_lists_say_the_same(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    names = tuple("abcde")
    labels = Labels(feature_names=names)
    dense = classifier_summary(model, X, y, labels=labels)
    for table in (sparse.csc_array(X), X.tolist()):
        other = classifier_summary(model, table, y, labels=labels)
        assert other.measures == dense.measures
        assert [c.feature for c in other.coefficients] == [c.feature for c in dense.coefficients]
    frame = pd.DataFrame(X, columns=list(names))
    framed = dataclasses.replace(model, coef_=pd.DataFrame(model.coef_, columns=list(names)))
    assert classifier_summary(framed, frame, pd.Series(y), labels=labels).measures == dense.measures
    assert ("Storage", "sparse, 100.0% stored") in classifier_summary(
        model, sparse.csr_array(X), y
    ).data


def test_coefficients_are_ranked_by_their_reach(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    summary = classifier_summary(model, X, y)
    effects = model.coef_ * X.std(axis=0)
    assert "standard deviation" in summary.effect
    assert summary.n_coefficients == model.coef_.size
    assert [c.effect for c in summary.coefficients] == pytest.approx(
        sorted(effects.ravel(), key=lambda value: -abs(value))
    )
    first = summary.coefficients[0]
    k, j = np.unravel_index(np.abs(effects).argmax(), effects.shape)
    assert (first.feature, first.label) == (f"column {j}", model.classes_[k])
    assert first.value == model.coef_[k, j]


def test_columns_that_are_no_numbers_are_ranked_by_coefficient() -> None:
    text = np.array([["a", "1"], ["b", "2"]], dtype=object)
    assert measure.deviations(text) is None


def test_two_classes_name_the_second(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng, K=2)
    assert {c.label for c in classifier_summary(model, X, y).coefficients} == {"k01"}


def test_the_data_and_settings_are_described(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    labels = Labels(source="t.csv", data=(("Missing values", "none"),), objective="f")
    summary = classifier_summary(model, X, y, labels=labels, sample_weight=np.full(300, 2.0))
    assert summary.title == "Classifier on t.csv"
    assert summary.objective == "f"
    assert summary.data == (
        ("Source", "t.csv"),
        ("Rows", "300"),
        ("Columns", "5"),
        ("Classes", "4: k00, k01, k02, k03"),
        ("Row weights", "given, 600 in all"),
        ("Missing values", "none"),
    )
    assert ("fit_intercept", "yes") in summary.settings
    assert "verbose" not in dict(summary.settings)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (np.zeros(3), "array of shape (3,)"),
        ({"a": 1}, "{'a': 1}"),
        ("auto", "auto"),
        (float("inf"), "infinite"),
    ],
)
def test_settings_are_words(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, value: object, text: str
) -> None:
    model, X, y = fitted(rng)
    monkeypatch.setattr(Classifier, "get_params", lambda self, deep=True: {"C": 1.0, "it": value})
    assert ("it", text) in classifier_summary(model, X, y).settings


def test_no_ridge_is_no_penalty(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, y = fitted(rng)
    monkeypatch.setattr(Classifier, "get_params", lambda self, deep=True: {"C": np.inf})
    assert "without penalty" in classifier_summary(model, X, y).objective


def test_labels_that_were_not_fitted_are_refused(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    strange = np.where(np.arange(300) == 17, "zz", y)
    with pytest.raises(InputError, match=r"got .*'zz'.* in row 17, and 1 such"):
        classifier_summary(model, X, strange)


def test_too_few_names_are_refused(rng: np.random.Generator) -> None:
    model, X, y = fitted(rng)
    with pytest.raises(InputError, match="each of the 5 columns; got 2"):
        classifier_summary(model, X, y, labels=Labels(feature_names=("a", "b")))


def test_many_classes_take_little_room() -> None:
    summary = classified([f"c{i:04}" for i in range(300)], rows=500)
    assert summary.confusion is None
    assert dict(summary.data)["Classes"].endswith("…")


def test_a_regressor_is_thinned_evenly(rng: np.random.Generator) -> None:
    X = rng.normal(size=(5000, 3))
    model = Regressor(np.array([1.0, -1.0, 0.5]), solution(), certificate())
    b = model.predict(X)
    summary = regressor_summary(model, X, 1.1 * b)
    assert summary.fit is not None
    assert summary.fit.rows == 5000
    assert len(summary.fit.target) == 2000
    assert summary.fit.target.max() == pytest.approx(1.1 * b.max())
    np.testing.assert_allclose(summary.fit.target, 1.1 * summary.fit.fitted)
    assert dict(summary.measures)["Largest residual"] == number(0.1 * b.max())
    assert {c.label for c in summary.coefficients} == {""}


def test_a_constant_target_explains_nothing(rng: np.random.Generator) -> None:
    X = rng.normal(size=(9, 3))
    model = Regressor(np.zeros(3), solution(), certificate())
    summary = regressor_summary(model, X, np.full(9, 0.5))
    assert dict(summary.measures)["Variance explained"] == "undefined"


def test_a_target_of_another_length_is_refused(rng: np.random.Generator) -> None:
    model = Regressor(np.zeros(3), solution(), certificate())
    with pytest.raises(InputError, match=r"got \(4,\) and \(9,\)"):
        regressor_summary(model, rng.normal(size=(9, 3)), np.ones(4))

"""Naive Bayes: equal to what it must equal, by every route, and a sentence where it cannot be."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import norm
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from softunit import NaiveBayesHead
from softunit.errors import InputError
from softunit.estimators import _class_moments, naive_bayes_head

BOTH = pytest.mark.parametrize("variance", ["shared", "per-class"])


@parametrize_with_checks([NaiveBayesHead(), NaiveBayesHead("per-class")])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture
def blobs(rng):
    y = rng.integers(0, 4, 240)
    x = 3.0 * rng.standard_normal((4, 6))[y] + rng.standard_normal((240, 6)) * np.arange(1, 7)
    return x + 20.0, y


def close(one, other, **how):
    np.testing.assert_allclose(one.predict_proba(how["x"]), other.predict_proba(how["x"]), **TIGHT)


TIGHT = {"rtol": 0, "atol": 1e-10}


@pytest.mark.parametrize("load", [load_iris, load_wine, load_digits], ids=lambda f: f.__name__)
@pytest.mark.parametrize("smoothing", [1e-9, 1e-3])
def test_per_class_variances_are_those_of_gaussian_nb(load, smoothing):
    x, y = load(return_X_y=True)
    theirs = GaussianNB(var_smoothing=smoothing).fit(x, y)
    ours = NaiveBayesHead("per-class", smoothing=smoothing).fit(x, y)
    close(ours, theirs, x=x)
    np.testing.assert_allclose(ours.variance_, theirs.var_, rtol=1e-10)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))


def test_given_priors_are_those_of_gaussian_nb(blobs):
    x, y = blobs
    priors = [0.1, 0.2, 0.3, 0.4]
    ours = NaiveBayesHead("per-class", priors=priors).fit(x, y)
    close(ours, GaussianNB(priors=priors).fit(x, y), x=x)


def test_shared_variances_are_bayes_rule_of_the_densities(blobs):
    x, y = blobs
    model = NaiveBayesHead(smoothing=0.0, priors=[0.1, 0.2, 0.3, 0.4]).fit(x, y)
    means = np.stack([x[y == k].mean(axis=0) for k in range(4)])
    spread = np.sqrt(((x - means[y]) ** 2).mean(axis=0))
    joint = norm.logpdf(x[:, None], means, spread).sum(axis=2) + np.log([0.1, 0.2, 0.3, 0.4])
    expected = np.exp(joint - joint.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(x), expected, **TIGHT)
    by_hand = x @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.decision_function(x), by_hand)


def test_two_classes_have_one_score(blobs):
    x, y = blobs
    model = NaiveBayesHead().fit(x, y > 1)
    assert model.coef_.shape == (1, 6)
    assert model.decision_function(x).shape == (len(x),)
    own = NaiveBayesHead("per-class").fit(x, y > 1)
    close(own, GaussianNB().fit(x, y > 1), x=x)


@BOTH
def test_sparse_rows_are_dense_rows(variance, blobs):
    x, y = blobs
    x = np.where(np.abs(x - 20) < 2, 0.0, x)
    dense = NaiveBayesHead(variance).fit(x, y)
    thin = NaiveBayesHead(variance).fit(sparse.csr_matrix(x), y)
    np.testing.assert_allclose(thin.variance_, dense.variance_, rtol=1e-12)
    np.testing.assert_allclose(
        thin.predict_proba(sparse.csr_matrix(x)), dense.predict_proba(x), **TIGHT
    )


@BOTH
def test_weights_are_repeats(variance, blobs, rng):
    x, y = blobs
    times = rng.integers(0, 4, len(y))
    weighted = NaiveBayesHead(variance).fit(x, y, sample_weight=times)
    repeated = NaiveBayesHead(variance).fit(np.repeat(x, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(weighted.variance_, repeated.variance_, rtol=1e-12)
    close(weighted, repeated, x=x)


@BOTH
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_blocks_and_parts_are_the_whole(variance, form, blobs, monkeypatch):
    x, y = blobs
    whole = NaiveBayesHead(variance).fit(x, y)
    seen = whole.predict_proba(x)
    for module in (_class_moments, naive_bayes_head):
        monkeypatch.setattr(module, "BLOCK", 6 * 7)
    model = NaiveBayesHead(variance).fit(form(x), y)
    np.testing.assert_allclose(model.predict_proba(form(x)), seen, **TIGHT)
    parts = NaiveBayesHead(variance)
    order = np.argsort(y, kind="stable")  # the classes come one after the other
    for rows in np.array_split(order, 5):
        parts.partial_fit(form(x[rows]), y[rows], classes=range(4))
    np.testing.assert_allclose(parts.predict_proba(form(x)), seen, **TIGHT)


@BOTH
def test_a_class_without_rows_so_far_has_no_probability(variance, blobs):
    x, y = blobs
    model = NaiveBayesHead(variance).partial_fit(x[y < 3], y[y < 3], classes=[0, 1, 2, 3])
    found = model.predict_proba(x)
    assert np.all(found[:, 3] == 0)
    close(NaiveBayesHead(variance).fit(x[y < 3], y[y < 3]), _Cut(found), x=x)


class _Cut:
    def __init__(self, found):
        self.found = found[:, :3]

    def predict_proba(self, x):
        return self.found


def test_an_offset_of_a_million_costs_no_class(rng):
    y = np.arange(300) % 3
    x = 1e6 + y[:, None] + 0.3 * rng.standard_normal((300, 3))
    for variance in ("shared", "per-class"):
        moved = NaiveBayesHead(variance).fit(x, y)
        still = NaiveBayesHead(variance).fit(x - 1e6, y)
        np.testing.assert_allclose(moved.variance_, still.variance_, rtol=1e-9)
        np.testing.assert_array_equal(moved.predict(x), still.predict(x - 1e6))


def test_the_dtype_of_x_is_kept(blobs):
    x, y = blobs
    model = NaiveBayesHead().fit(x.astype(np.float32), y)
    assert model.coef_.dtype == np.float32
    assert model.mean_.dtype == np.float64
    assert model.score(x.astype(np.float32), y) == pytest.approx(
        NaiveBayesHead().fit(x, y).score(x, y), abs=0.01
    )


def test_names_of_columns_are_kept_and_told(blobs):
    x, y = blobs
    frame = pd.DataFrame(x, columns=list("abcdef")).assign(c=1.0)
    assert list(NaiveBayesHead().fit(frame, y).feature_names_in_) == list("abcdef")
    with pytest.raises(InputError, match="column 'c' of X has no variance, and `smoothing` = 0"):
        NaiveBayesHead(smoothing=0).fit(frame, y)


def test_a_column_constant_within_a_class_is_told(blobs):
    x, y = blobs
    x[y == 2, 4] = 1.0
    with pytest.raises(InputError, match="column 4 of X has no variance in class 2"):
        NaiveBayesHead("per-class", smoothing=0).fit(x, y)
    assert NaiveBayesHead(smoothing=0).fit(x, y).score(x, y) > 0.5


@pytest.mark.parametrize(
    ("settings", "fit", "words"),
    [
        ({"variance": "full"}, {}, "`variance` must be 'shared' or 'per-class'; got 'full'"),
        ({"smoothing": -1}, {}, "`smoothing` must be"),
        ({"priors": [0.5, 0.5]}, {}, "`priors`"),
        ({"priors": [0.5, 0.5, 0.5, 0.5]}, {}, "the least is 0.5 and their sum 2."),
        ({"priors": [1.2, -0.2, 0, 0]}, {}, "the least is -0.2 and their sum 1."),
        ({}, {"y": np.eye(4)}, "y has shape (4, 4), but naive Bayes counts labels"),
        ({}, {"sample_weight": -1.0}, "weights"),
    ],
    ids=range(7),
)
def test_what_makes_no_sense_is_refused(settings, fit, words, blobs):
    x, y = blobs
    with pytest.raises(InputError, match=re.escape(words)):
        NaiveBayesHead(**settings).fit(x, **({"y": y} | fit))


def test_wrong_parts_are_refused(blobs):
    x, y = blobs
    with pytest.raises(InputError, match="needs `classes`, all labels there are"):
        NaiveBayesHead().partial_fit(x, y)
    with pytest.raises(InputError, match=r"at least two; got \[0\]"):
        NaiveBayesHead().partial_fit(x[y == 0], y[y == 0], classes=[0])
    model = NaiveBayesHead().partial_fit(x, y, classes=range(4))
    with pytest.raises(InputError, match="differ from those of the first call"):
        model.partial_fit(x, y, classes=range(5))
    with pytest.raises(InputError, match="the first is 9 in row 0"):
        model.partial_fit(x, np.where(y == y[0], 9, y))
    with pytest.raises(InputError, match=r"class 3 a probability of 0\.25, but no row"):
        NaiveBayesHead(priors=[0.25] * 4).partial_fit(x[y < 3], y[y < 3], classes=range(4))


def test_a_fit_forgets_the_fit_before(blobs):
    x, y = blobs
    model = NaiveBayesHead().fit(x, y).fit(x[:, :3], y > 1)
    assert model.coef_.shape == (1, 3)
    model.set_params(variance="per-class").fit(x, y)
    assert not hasattr(model, "coef_")
    assert not hasattr(model, "sparsify")


@BOTH
def test_offsets_are_added_to_the_scores(variance, blobs, rng):
    x, y = blobs
    model, offset = NaiveBayesHead(variance).fit(x, y), rng.standard_normal((len(y), 4))
    expected = model.predict_proba(x) * np.exp(offset)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(x, offset=offset), expected, **TIGHT)
    for wrong in (offset[:, 0], offset[:, :1], 1.0):
        with pytest.raises(InputError, match=r"the offset has shape \("):
            model.decision_function(x, offset=wrong)


def test_a_class_still_to_come_needs_no_variance(blobs):
    x, y = blobs
    model = NaiveBayesHead("per-class", smoothing=0.0)
    model.partial_fit(x[y < 3], y[y < 3], classes=range(4))
    alone = NaiveBayesHead("per-class", smoothing=0.0).fit(x[y < 3], y[y < 3])
    np.testing.assert_allclose(model.predict_proba(x)[:, :3], alone.predict_proba(x), **TIGHT)


def test_stored_parts_of_an_entry_are_one_entry():
    rng = np.random.default_rng(3)
    dense = rng.standard_normal((30, 4))
    rows, columns = np.indices(dense.shape)
    parts = rng.standard_normal(dense.shape)
    entries = np.concatenate([parts.ravel(), (dense - parts).ravel()])
    where = (np.tile(rows.ravel(), 2), np.tile(columns.ravel(), 2))
    order = np.lexsort((where[1], where[0]))
    starts = np.concatenate([[0], np.cumsum(np.bincount(where[0], minlength=30))])
    split = sparse.csr_matrix((entries[order], where[1][order], starts), shape=dense.shape)
    y = np.arange(30) % 3
    whole = NaiveBayesHead(variance="per-class").fit(dense, y)
    apart = NaiveBayesHead(variance="per-class").fit(split, y)
    np.testing.assert_allclose(
        apart.predict_proba(dense), whole.predict_proba(dense), rtol=1e-9, atol=1e-12
    )
    assert split.nnz == 240  # what was given is not changed

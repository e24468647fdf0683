"""Shares of bags: equal to what must be equal, derivatives, and a sentence for what is wrong."""

from __future__ import annotations

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from softunit import AggregateSoftmaxClassifier, SoftmaxClassifier, private_shares
from softunit.errors import InputError
from softunit.estimators._bags import nearest_shares
from softunit.units import AggregateSoftmax, aggregate_softmax


def drawn(rng, *, n=600, d=4, k=3, size=6):
    x = rng.standard_normal((n, d))
    y = (x @ rng.standard_normal((d, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    bags = rng.permutation(n) // size
    return x, y, bags


def shares_of(y, bags, k=3):
    return pd.crosstab(bags, y, normalize="index").reindex(columns=range(k), fill_value=0.0)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_bags_of_one_row_are_labels(k, rho, rng):
    x, y, _ = drawn(rng, k=k)
    bags = rng.permutation(len(y))
    shares = np.eye(k)[y][np.argsort(bags)]
    weights = rng.uniform(0.5, 2.0, len(y))
    model = AggregateSoftmaxClassifier(rho, tol=1e-10).fit(x, bags, shares, weights)
    base = SoftmaxClassifier(tol=1e-10).fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(model.coef_, base.coef_, atol=1e-8)
    np.testing.assert_allclose(model.predict_proba(x), base.predict_proba(x), atol=1e-8)
    assert model.certificate_.gap_bound < 1e-8
    assert not any("not convex" in str(one) for one in model.certificate_.statements)


def test_the_instance_level_loss_is_a_classifier_of_shares(rng):
    x, y, bags = drawn(rng)
    shares = shares_of(y, bags)
    model = AggregateSoftmaxClassifier(1.0, tol=1e-10).fit(x, bags, shares)
    base = SoftmaxClassifier(tol=1e-10).fit(x, shares.to_numpy()[bags])
    np.testing.assert_allclose(model.coef_, base.coef_, atol=1e-9)
    assert model.certificate_.unique is True


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_the_gradient_at_the_end_is_zero_by_differences(rho, rng):
    x, y, bags = drawn(rng, n=200)
    shares = shares_of(y, bags).to_numpy()
    model = AggregateSoftmaxClassifier(rho, C=2.0, tol=1e-10).fit(x, bags, shares)

    def objective(w):
        z = x @ w[:, :4].T + w[:, 4]
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        mean = pd.DataFrame(p).groupby(bags).mean().to_numpy()
        size = np.bincount(bags)
        bag = -(size[:, None] * shares * np.log(mean)).sum()
        instance = -(shares[bags] * np.log(p)).sum()
        return 2.0 * ((1 - rho) * bag + rho * instance) + 0.5 * (w[:, :4] ** 2).sum()

    at = np.column_stack([model.coef_, model.intercept_])
    steps = 1e-5 * np.eye(at.size).reshape(-1, *at.shape)
    slopes = [(objective(at + h) - objective(at - h)) / 2e-5 for h in steps]
    assert np.abs(slopes).max() < 1e-5
    assert np.abs([objective(at + 1e4 * h) - objective(at) for h in steps]).min() > 1e-3


def test_bags_teach_nearly_what_labels_do():
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(5)
    train, test = np.split(rng.permutation(len(y)), [1300])
    bags = np.arange(len(train)) // 8
    shares = shares_of(y[train], bags, 10)
    bag, instance = (
        AggregateSoftmaxClassifier(rho).fit(x[train] / 16, bags, shares) for rho in (0.0, 1.0)
    )
    truth = SoftmaxClassifier().fit(x[train] / 16, y[train]).score(x[test] / 16, y[test])
    assert bag.score(x[test] / 16, y[test]) > truth - 0.04
    assert instance.score(x[test] / 16, y[test]) < bag.score(x[test] / 16, y[test]) - 0.02
    assert bag.solution_.converged


def test_a_minimum_that_may_not_be_the_lowest_says_so(rng):
    x, y, bags = drawn(rng)
    model = AggregateSoftmaxClassifier().fit(x, bags, shares_of(y, bags))
    assert "a start of another kind may end lower" in str(model.certificate_)
    assert len(model.phases_) == 3
    assert model.phases_[-1].value <= model.phases_[-2].value + 1e-9
    again = model.certify(x, bags, shares_of(y, bags))
    assert again.value == pytest.approx(model.certificate_.value, rel=1e-12)
    assert "a start of another kind may end lower" in str(again)


def test_the_lower_of_two_ends_is_kept(rng, monkeypatch):
    x, y, bags = drawn(rng)
    shares = shares_of(y, bags)
    best = AggregateSoftmaxClassifier().fit(x, bags, shares)
    right = AggregateSoftmaxClassifier._run

    def first_ends_high(self, problem, x0, tick):
        end = right(self, problem, x0, tick)
        if isinstance(problem.unit, AggregateSoftmax) and x0.any():
            return type(end)(**{**vars(end), "x": 0 * end.x, "value": end.value + 1.0})
        return end

    monkeypatch.setattr(AggregateSoftmaxClassifier, "_run", first_ends_high)
    model = AggregateSoftmaxClassifier().fit(x, bags, shares)
    np.testing.assert_allclose(model.coef_, best.coef_, atol=1e-3)
    assert model.phases_[-2].value > model.phases_[-1].value


@pytest.mark.parametrize("form", ["mapping", "frame", "array", "series", "two columns"])
def test_shares_come_in_many_forms(form, rng):
    x, y, bags = drawn(rng, k=2)
    labels = np.array([f"bag {b:03d}" for b in bags])
    table = shares_of(y, labels, 2)
    shuffled = table.iloc[rng.permutation(len(table))]
    given = {
        "mapping": {name: row.tolist() for name, row in shuffled.iterrows()},
        "frame": shuffled,
        "array": table.to_numpy(),
        "series": shuffled[1],
        "two columns": table.to_numpy()[:, 1],
    }[form]
    model = AggregateSoftmaxClassifier(0.2).fit(x, labels, given)
    expected = AggregateSoftmaxClassifier(0.2).fit(x, bags, table.to_numpy())
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6)
    assert model.n_bags_ == len(table)


def test_names_of_classes_and_columns_are_kept(rng):
    x, y, bags = drawn(rng)
    shares = shares_of(y, bags).set_axis(["no", "perhaps", "yes"], axis=1)
    model = AggregateSoftmaxClassifier().fit(pd.DataFrame(x, columns=list("abcd")), bags, shares)
    assert model.classes_.tolist() == ["no", "perhaps", "yes"]
    assert set(model.predict(pd.DataFrame(x, columns=list("abcd")))) <= set(model.classes_)
    assert model.feature_names_in_.tolist() == list("abcd")


@pytest.mark.parametrize("rho", [0.0, 1.0])
def test_order_of_rows_sparse_rows_and_weights_as_repeats(rho, rng):
    x, y, bags = drawn(rng)
    x[np.abs(x) < 0.3] = 0.0
    shares = shares_of(y, bags)
    base = AggregateSoftmaxClassifier(rho, tol=1e-9).fit(x, bags, shares)
    order = np.argsort(bags, kind="stable")
    together = AggregateSoftmaxClassifier(rho, tol=1e-9).fit(x[order], bags[order], shares)
    np.testing.assert_allclose(together.coef_, base.coef_, atol=1e-6)
    thin = AggregateSoftmaxClassifier(rho, tol=1e-9).fit(sparse.csr_matrix(x), bags, shares)
    np.testing.assert_allclose(thin.coef_, base.coef_, atol=1e-6)
    times = rng.integers(1, 4, len(y))
    weighted = AggregateSoftmaxClassifier(rho, tol=1e-9).fit(x, bags, shares, times)
    rows = np.repeat(np.arange(len(y)), times)
    repeated = AggregateSoftmaxClassifier(rho, tol=1e-9).fit(x[rows], bags[rows], shares)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)


def test_pieces_are_the_whole(rng, monkeypatch):
    n = 60
    bags = rng.integers(0, 7, n)
    unit, z = AggregateSoftmax(bags, 0.3), rng.standard_normal((n, 3))
    shares = unit.check(rng.dirichlet(np.ones(3), unit.members.count), n)
    value, gradient = unit.value_gradient(z, shares)
    monkeypatch.setattr(aggregate_softmax, "PIECE", 30)
    assert len(list(unit._parts(z, shares, None))) > 3
    again, slopes = unit.value_gradient(z, shares)
    assert again == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(slopes, gradient, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_huge_scores_stay_finite(scale, rng):
    bags = np.arange(40) // 4
    z = scale * rng.standard_normal((40, 3))
    shares = rng.dirichlet(np.ones(3), 10)
    for rho in (0.0, 0.5):
        value, gradient = AggregateSoftmax(bags, rho).value_gradient(z, shares)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() <= 4.0 + 1e-9


def test_bag_loss_is_the_lower_of_the_two(rng):
    bags = rng.integers(0, 9, 50)
    z = 3 * rng.standard_normal((50, 4))
    shares = rng.dirichlet(np.ones(4), 9)
    low, high = (AggregateSoftmax(bags, rho).value(z, shares) for rho in (0.0, 1.0))
    assert low < high
    between = AggregateSoftmax(bags, 0.25).value(z, shares)
    assert between == pytest.approx(0.75 * low + 0.25 * high, rel=1e-13)


def test_a_row_without_weight_is_no_row(rng):
    bags = rng.integers(0, 5, 30)
    z, shares = rng.standard_normal((30, 3)), rng.dirichlet(np.ones(3), 5)
    weights = np.where(np.arange(30) % 3 == 0, 0.0, 1.0)
    weights[bags == 2] = 0.0  # a whole bag
    kept = weights > 0
    value, gradient = AggregateSoftmax(bags).value_gradient(z, shares, weights)
    alone = AggregateSoftmax(bags[kept]).value(z[kept], np.delete(shares, 2, axis=0))
    assert value == pytest.approx(alone, rel=1e-13)
    assert not gradient[~kept].any()


BAD = [
    (lambda b, s: (b[:-1], s), "`bags` must hold one label for each of the 600 rows of X"),
    (lambda b, s: (np.zeros(600), s), "all 600 rows are in one bag, 0.0"),
    (lambda b, s: (b, s.drop(index=7)), "1 of 100 bags have no shares; the first is 7."),
    (lambda b, s: (b, pd.concat([s, s.iloc[[3]]])), "several rows of shares for bag 3"),
    (lambda b, s: (b, s.rename(index={99: 500})), "1 of 100 bags have no shares; the first is 99"),
    (lambda b, s: (np.where(b == 4, 5, b), s), "shares of 1 bags without any row of X; the first"),
    (lambda b, s: (b, s.to_numpy()[:50]), "there are 100 bags, but shares of 50"),
    (lambda b, s: (b, 2 * s), "the shares of 100 bags are negative, missing or do not sum to one"),
    (lambda b, s: (b, 1.0001 * s), "the shares of 100 bags are negative, missing or do not sum"),
    (lambda b, s: (b, s.replace(0.5, np.nan)), "do not sum to one; the first is bag"),
    (lambda b, s: (b, s - [1, 0, -1]), "the first is bag 0, its least share -"),
    (lambda b, s: (b, s.astype(str).replace("0.5", "half")), "the shares must be numbers"),
    (lambda b, s: (b, s.to_numpy()[:, :, None]), "the shares have shape (100, 3, 1)"),
    (lambda b, s: (np.where(b == 3, np.nan, b), s), "the groups hold NaN"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_wrong_bags_and_shares_are_told(number, rng):
    x, y, bags = drawn(rng)
    change, words = BAD[number]
    wrong = change(bags, shares_of(y, bags))
    with pytest.raises(InputError, match=re.escape(words)):
        AggregateSoftmaxClassifier().fit(x, *wrong)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rho": 1.1}, "`rho` must be a number from 0 to 1; got 1.1"),
        ({"rho": True}, "`rho` must be a number from 0 to 1; got True"),
        ({"C": 0}, "`C` must be"),
        ({"solver": "newtn"}, "Did you mean 'newton'"),
        ({"fit_intercept": 2}, "`fit_intercept` must be True or False"),
    ],
    ids=range(5),
)
def test_wrong_settings_are_told(settings, words, rng):
    x, y, bags = drawn(rng)
    with pytest.raises(InputError, match=re.escape(words)):
        AggregateSoftmaxClassifier(**settings).fit(x, bags, shares_of(y, bags))


def test_other_classes_are_not_certified(rng):
    x, y, bags = drawn(rng)
    model = AggregateSoftmaxClassifier().fit(x, bags, shares_of(y, bags))
    with pytest.raises(InputError, match=r"the shares are of classes \[0, 1\]"):
        model.certify(x, bags, shares_of(y, bags).to_numpy()[:, :2] * 0 + 0.5)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("intercept", [False, True])
def test_a_certificate_on_the_data_of_the_fit_is_that_of_the_fit(k, intercept, rng):
    x, y, bags = drawn(rng, k=k)
    shares, weights = shares_of(y, bags, k), rng.uniform(0.2, 3.0, len(y))
    model = AggregateSoftmaxClassifier(0.3, tol=1e-9, fit_intercept=intercept)
    model.fit(x, bags, shares, weights)
    again = model.certify(x, bags, shares, weights)
    assert again.value == pytest.approx(model.certificate_.value, rel=1e-10)
    assert again.gradient_norm < 1e-7
    assert model.certify(x, bags, shares).gradient_norm > 1e-4  # other weights, another problem


def test_a_fit_that_is_cut_short_says_so(rng):
    x, y, bags = drawn(rng)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = AggregateSoftmaxClassifier(max_iter=1).fit(x, bags, shares_of(y, bags))
    assert not model.solution_.converged


def test_it_clones_and_without_an_intercept_it_has_none(rng):
    x, y, bags = drawn(rng)
    model = clone(AggregateSoftmaxClassifier(0.5, fit_intercept=False))
    assert not model.fit(x, bags, shares_of(y, bags)).intercept_.any()
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))


# Shares that may be given away -----------------------------------------------------------------


def test_noise_has_the_scale_that_privacy_asks_for():
    shares = np.full(200_000, 0.5)
    private = private_shares(shares, 50, 2.0, np.random.default_rng(1))
    assert np.abs(private - 0.5).mean() == pytest.approx(1 / (50 * 2.0), rel=0.01)
    table = np.full((100_000, 4), 0.25)
    private = private_shares(table, np.full(100_000, 400), 1.0, np.random.default_rng(2))
    np.testing.assert_allclose(private.sum(axis=1), 1.0)
    # The projection takes the mean of the four draws away: 3/4 of the variance 2 scale^2 is left.
    spread = private.var(axis=0).mean()
    assert spread == pytest.approx(0.75 * 2 * (2 / 400) ** 2, rel=0.05)


def test_odds_of_one_response_change_by_exp_epsilon_at_most():
    rng, epsilon, size = np.random.default_rng(3), 0.7, 5
    with_yes, without = (
        private_shares(np.full(400_000, share), size, epsilon, rng) for share in (0.6, 0.4)
    )
    edges = np.linspace(0.01, 0.99, 9)
    counts = [np.histogram(v, edges)[0] / len(v) for v in (with_yes, without)]
    ratio = np.log(counts[0] / counts[1])
    assert np.abs(ratio).max() <= epsilon + 0.03
    assert np.abs(ratio).max() > 0.5 * epsilon


def test_what_comes_out_are_shares(rng):
    private = private_shares(rng.dirichlet(np.ones(3), 500), 1, 0.1, rng)
    assert private.min() >= 0
    np.testing.assert_allclose(private.sum(axis=1), 1.0)
    assert not np.array_equal(private, private_shares(private, 10, 1.0, rng))


def test_the_nearest_shares_are_nearest(rng):
    rows = rng.standard_normal((50, 4))
    found = nearest_shares(rows)
    others = rng.dirichlet(np.ones(4), 2000)
    for row, near in zip(rows, found, strict=True):
        assert np.linalg.norm(row - near) <= np.linalg.norm(row - others, axis=1).min() + 1e-12
    inside = rng.dirichlet(np.ones(4), 10)
    np.testing.assert_allclose(nearest_shares(inside), inside, atol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.5, 0.2], 10, 0.0), "`epsilon` must be"),
        (([0.5, 0.2], 0, 1.0), "`sizes` must be at least 1; bag 0 has 0"),
        (([0.5, 0.2], [3, 0.5], 1.0), "`sizes` must be at least 1; bag 1 has 0.5"),
        (([[0.5, 0.2]], 3, 1.0), "do not sum to one"),
        (([0.5, 1.2], 3, 1.0), "its least share -0.2"),
    ],
    ids=range(5),
)
def test_what_cannot_be_private_is_refused(arguments, words, rng):
    with pytest.raises(InputError, match=re.escape(words)):
        private_shares(*arguments, rng)


def test_no_warning_where_all_is_well(rng):
    x, y, bags = drawn(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AggregateSoftmaxClassifier(0.1).fit(x, bags, shares_of(y, bags))

"""What a fitted choice model says of sets it has not seen."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold, cross_val_score

import softunit as su
from softunit.errors import InputError
from softunit.estimators._choice_effects import Elasticities
from tests.estimators.test_conditional_logit import drawn


@pytest.fixture
def fitted(rng):
    a, y, groups, names = drawn(rng)
    frame = pd.DataFrame(a, columns=["cost", "time", "comfort"])
    model = su.ConditionalLogit().fit(frame, y, groups, alternatives=names)
    return model, frame, y, groups, names


def test_probabilities_are_those_of_each_set_alone(fitted):
    model, frame, _, groups, names = fitted
    p = model.predict_proba(frame, groups, alternatives=names)
    rows = groups == 7
    constants = dict(zip(model.alternatives_, model.constants_, strict=True))
    z = frame[rows].to_numpy() @ model.coef_[:3] + [constants[n] for n in names[rows]]
    np.testing.assert_allclose(p[rows], np.exp(z) / np.exp(z).sum(), rtol=1e-12)
    np.testing.assert_allclose(model.decision_function(frame, alternatives=names)[rows], z)
    alone = model.predict_proba(frame[rows], np.full(rows.sum(), "new"), alternatives=names[rows])
    np.testing.assert_allclose(alone, p[rows], rtol=1e-12)
    one = model.predict_proba(frame[:1], [5], alternatives=names[:1])
    np.testing.assert_array_equal(one, [1.0])


def test_an_offset_is_added(fitted):
    model, frame, _, groups, names = fitted
    dearer = frame.assign(cost=frame["cost"] + np.arange(len(frame)) % 2)
    offset = model.coef_[0] * (np.arange(len(frame)) % 2)
    np.testing.assert_allclose(
        model.predict_proba(dearer, groups, alternatives=names),
        model.predict_proba(frame, groups, alternatives=names, offset=offset),
        rtol=1e-12,
    )


def test_one_row_of_each_set_is_predicted(fitted):
    model, frame, y, groups, names = fitted
    p = model.predict_proba(frame, groups, alternatives=names)
    chosen = model.predict(frame, groups, alternatives=names)
    np.testing.assert_array_equal(np.bincount(groups, chosen), 1)
    np.testing.assert_array_equal(p[chosen], [p[groups == g].max() for g in range(120)])
    share = model.score(frame, y, groups, alternatives=names)
    assert share == pytest.approx(y[chosen].sum() / 120)
    assert share > 0.4
    shuffled = np.random.default_rng(0).permutation(len(y))
    np.testing.assert_array_equal(
        model.predict(frame.iloc[shuffled], groups[shuffled], alternatives=names[shuffled]),
        chosen[shuffled],
    )
    level = su.ConditionalLogit().fit(frame, y, groups)
    level.coef_ = np.zeros(3)
    firsts = np.unique(groups, return_index=True)[1]  # the first of equals
    np.testing.assert_array_equal(np.flatnonzero(level.predict(frame, groups)), firsts)


def test_elasticities_are_derivatives_of_log_probabilities(fitted):
    model, frame, _, groups, names = fitted
    frame = frame + 3.0
    found = model.elasticities(frame, groups, "time", alternatives=names)
    step = 1e-6
    for row in (0, 4, 77):
        values = []
        for sign in (1, -1):
            moved = frame.copy()
            moved.iloc[row, 1] *= 1 + sign * step
            values.append(np.log(model.predict_proba(moved, groups, alternatives=names)))
        slope = (values[0] - values[1]) / (2 * step)
        assert found.own[row] == pytest.approx(slope[row], rel=1e-6)
        others = np.flatnonzero((groups == groups[row]) & (np.arange(len(names)) != row))
        np.testing.assert_allclose(slope[others], found.cross[row], rtol=1e-6)


def test_the_table_of_elasticities_is_an_average_by_probability(fitted):
    model, frame, _, groups, names = fitted
    found = model.elasticities(frame, groups, 0, alternatives=names)
    p = model.predict_proba(frame, groups, alternatives=names)
    for i, of in enumerate(model.alternatives_):
        for j, by in enumerate(model.alternatives_):
            effect, weight = 0.0, 0.0
            for g in range(120):
                one = np.flatnonzero((groups == g) & (names == of))
                two = np.flatnonzero((groups == g) & (names == by))
                if len(one) and len(two):
                    each = found.own[one[0]] if i == j else found.cross[two[0]]
                    effect, weight = effect + p[one[0]] * each, weight + p[one[0]]
            assert found.table[i, j] == pytest.approx(effect / weight, rel=1e-10)
    plain = model.elasticities(frame, groups, "cost", alternatives=names)
    np.testing.assert_array_equal(plain.table, found.table)
    without = su.ConditionalLogit().fit(frame, fitted[2], groups)
    assert without.elasticities(frame, groups, 0).table is None
    told = without.elasticities(frame, groups, 0, alternatives=names)  # now, if not at the fit
    np.testing.assert_array_equal(told.alternatives, model.alternatives_)
    assert np.isfinite(told.table).all()


def test_elasticities_are_readable_and_become_a_frame(fitted, monkeypatch):
    model, frame, y, groups, names = fitted
    found = model.elasticities(frame, groups, "cost", alternatives=names)
    monkeypatch.setenv("COLUMNS", "100")
    lines = str(found).splitlines()
    assert lines[0].split() == ["elasticities", *model.alternatives_]
    for line, name, row in zip(lines[1:6], model.alternatives_, found.table, strict=True):
        assert line.split() == [name, *(f"{value:.3f}" for value in row)]
    assert "for each per cent of cost" in lines[6]
    assert repr(found) == "Elasticities(column='cost')"
    table = found.frame()
    np.testing.assert_array_equal(table, found.table)
    assert (table.index.name, table.attrs["column"]) == ("share of", "cost")
    assert table.loc["bus", "car"] == found.table[1, 2]
    each = su.ConditionalLogit().fit(frame, y, groups).elasticities(frame, groups, "cost")
    np.testing.assert_array_equal(each.frame()["cross"], each.cross)
    assert f"{each.own.mean():.4g}" in str(each)
    monkeypatch.setenv("COLUMNS", "40")
    narrow = str(found)
    assert max(map(len, narrow.splitlines())) <= 40
    assert all(f"{value:.3f}" in narrow for value in found.table.ravel())


def test_tables_of_effects_escape_names(fitted):
    _, frame, _, groups, names = fitted
    bold = np.char.add("<b>", names)
    odd = su.ConditionalLogit().fit(frame, fitted[2], groups, alternatives=bold)
    found = odd.elasticities(frame, groups, 0, alternatives=bold)
    for text in (found._repr_html_(), odd.willingness_to_pay(0)._repr_html_()):
        assert "<b>" not in text
        assert "&lt;b&gt;" in text
    assert f"<td>{found.table[1, 2]:.3f}</td>" in found._repr_html_()


def test_a_table_of_many_alternatives_is_cut_and_says_so():
    names = np.array([f"way {i:02d}" for i in range(33)])
    found = Elasticities(np.ones(3), np.ones(3), names, np.arange(33.0**2).reshape(33, 33), "cost")
    assert "3 alternatives more in frame()" in str(found)
    assert "way 29" in str(found)
    assert "way 30" not in str(found)
    assert found.frame().shape == (33, 33)


def test_what_has_not_converged_is_worth_no_interval(fitted):
    frame, y, groups = fitted[1:4]
    with pytest.warns(ConvergenceWarning, match="stopped after 1 iteration "):
        early = su.ConditionalLogit(max_iter=1).fit(frame, y, groups)
    found = early.willingness_to_pay("cost")
    assert not found.converged
    assert str(found).startswith("NOT CONVERGED, so no intervals. Newton stopped after 1 iter")
    assert "95%" not in str(found)
    assert "NOT CONVERGED" in found._repr_html_()
    table = found.frame()
    assert table[["lower", "upper"]].isna().all(axis=None)
    assert table.attrs["warning"] == found.warning
    good = fitted[0].willingness_to_pay("cost")
    assert good.converged
    assert "95%" in str(good)
    np.testing.assert_array_equal(
        good.frame(0.9)[["lower", "upper"]], good.confidence_intervals(0.9)
    )
    np.testing.assert_array_equal(good.frame()["std_error"], good.standard_errors)
    assert good.frame().attrs["price"] == "cost"


def test_copies_keep_the_data_of_the_fit(fitted):
    model = fitted[0]
    for other in (copy.deepcopy(model), copy.copy(model)):
        np.testing.assert_array_equal(other.standard_errors(), model.standard_errors())
        assert str(other.summary()) == str(model.summary())
    other = copy.deepcopy(model)
    other.coef_[0] += 1.0
    assert other.coef_[0] != model.coef_[0]
    with pytest.raises(InputError, match="loaded without the data of its fit"):
        pickle.loads(pickle.dumps(model)).summary()


def test_choices_are_scored_in_folds_of_whole_sets(fitted):
    _, frame, y, groups, names = fitted
    folds, by_hand = GroupKFold(4), []
    for train, test in folds.split(frame, groups=groups):
        model = su.ConditionalLogit().fit(
            frame.iloc[train], y[train], groups[train], alternatives=names[train]
        )
        by_hand.append(
            model.score(frame.iloc[test], y[test], groups[test], alternatives=names[test])
        )
    with sklearn.config_context(enable_metadata_routing=True):
        model = su.ConditionalLogit().set_fit_request(groups=True, alternatives=True)
        model.set_score_request(groups=True, alternatives=True)
        params = {"groups": groups, "alternatives": names}
        scores = cross_val_score(model, frame, y, cv=folds, params=params)
    np.testing.assert_array_equal(scores, by_hand)


def test_willingness_to_pay_is_a_ratio_with_delta_errors(fitted):
    model = fitted[0]
    found = model.willingness_to_pay("cost", kind="robust")
    assert found.names == model.names_[1:]
    np.testing.assert_allclose(found.values, -model.coef_[1:] / model.coef_[0])
    covariance, step = model.covariance("robust"), 1e-6

    def ratio(b):
        return -b[1:] / b[0]

    jacobian = np.stack(
        [
            (ratio(model.coef_ + step * e) - ratio(model.coef_ - step * e)) / (2 * step)
            for e in np.eye(len(model.coef_))
        ],
        axis=1,
    )
    errors = np.sqrt(np.diagonal(jacobian @ covariance @ jacobian.T))
    np.testing.assert_allclose(found.standard_errors, errors, rtol=1e-6)
    ends = found.confidence_intervals(0.9)
    np.testing.assert_allclose(ends.mean(axis=1), found.values)
    np.testing.assert_allclose(np.diff(ends)[:, 0], 2 * 1.6448536 * errors, rtol=1e-6)
    assert "in units of cost" in str(found)
    with pytest.raises(InputError, match="`level` must be below 1"):
        found.confidence_intervals(95)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, a, g, n: m.predict_proba(a, g), "pass `alternatives`"),
        (
            lambda m, a, g, n: m.predict_proba(a, g, alternatives=np.where(n == "bus", "buss", n)),
            "alternative 'buss' in row .* Did you mean 'bus'",
        ),
        (lambda m, a, g, n: m.predict_proba(a, g[:3], alternatives=n), r"shape \(3,\), but X has"),
        (
            lambda m, a, g, n: m.predict_proba(a, g, alternatives=n, available=g != 4),
            "no row is available in 1 set; the first is set 4",
        ),
        (lambda m, a, g, n: m.elasticities(a, g, "costs"), "'costs'. Did you mean 'cost'"),
        (
            lambda m, a, g, n: m.elasticities(a, g, 3),
            "there is no column 3: the columns are 0 to 2",
        ),
        (lambda m, a, g, n: m.willingness_to_pay("prize"), "there is no column 'prize'"),
        (lambda m, a, g, n: m.score(a, [1.0], g, alternatives=n), r"y has shape \(1,\)"),
        (lambda m, a, g, n: m.score(a, 0.0 * g, g, alternatives=n), "y holds no choice"),
        (lambda m, a, g, n: m.score(a, -1.0 * g, g, alternatives=n), "negative entries"),
        (lambda m, a, g, n: m.score(a, n, g, alternatives=n), "the target y must hold numbers"),
        (
            lambda m, a, g, n: m.score(
                a, g, g, alternatives=n, available=g % 2 == np.arange(len(g)) % 2
            ),
            "chosen alternatives are not available",
        ),
    ],
    ids=[
        "missing",
        "unknown",
        "short",
        "empty",
        "near",
        "number",
        "price",
        "target",
        "nothing",
        "negative",
        "words",
        "unavailable",
    ],
)
def test_bad_questions_get_a_sentence(call, sentence, fitted):
    model, frame, _, groups, names = fitted
    with pytest.raises(InputError, match=sentence):
        call(model, frame, groups, names)


def test_a_price_of_zero_pays_for_nothing(fitted):
    model = fitted[0]
    model.coef_ = np.where(np.arange(len(model.coef_)) == 0, 0.0, model.coef_)
    with pytest.raises(InputError, match="'cost': it is zero"):
        model.willingness_to_pay("cost")


def test_scores_count_choices_and_not_sets(fitted):
    model, frame, y, groups, names = fitted
    counts = np.arange(len(names)) % 3
    chosen = model.predict(frame, groups, alternatives=names)
    share = model.score(frame, counts, groups, alternatives=names)
    assert share == pytest.approx(counts[chosen].sum() / counts.sum())
    weights, there = 1.0 + groups % 3, (y > 0) | (np.arange(len(y)) % 3 > 0)
    offset = 0.7 * (np.arange(len(y)) % 2)
    more = {"alternatives": names, "available": there, "offset": offset}
    chosen = model.predict(frame, groups, **more)
    share = model.score(frame, y, groups, sample_weight=weights, **more)
    assert share == pytest.approx((weights * y)[chosen].sum() / (weights * y).sum())


def test_elasticities_are_those_of_the_rows_on_offer(fitted):
    model, frame, y, groups, names = fitted
    offset, there = 0.3 * (np.arange(len(y)) % 4), (y > 0) | (np.arange(len(y)) % 3 > 0)
    more = {"alternatives": names, "available": there, "offset": offset}
    p = model.predict_proba(frame, groups, **more)
    found = model.elasticities(frame, groups, -1, **more)  # the last column, not a constant
    change = model.coef_[2] * frame["comfort"].to_numpy()
    np.testing.assert_allclose(found.own, change * (1 - p), rtol=1e-12)
    np.testing.assert_allclose(found.cross, -change * p, rtol=1e-12)


def test_elasticities_of_an_alternative_that_stands_twice_in_a_set(fitted):
    frame, y = fitted[1], fitted[2]
    groups, names = fitted[3], np.where(np.arange(len(y)) % 2 == 0, "bus", "car")
    model = su.ConditionalLogit(alternative_constants=False)
    model.fit(frame, y, groups, alternatives=names)
    found = model.elasticities(frame, groups, "cost", alternatives=names)
    shares, step = [], 1e-6
    for sign in (1, -1):
        moved = frame.copy()
        moved.loc[names == "bus", "cost"] *= 1 + sign * step
        p = model.predict_proba(moved, groups, alternatives=names)
        shares.append([p[names == name].sum() for name in ("bus", "car")])
    p = model.predict_proba(frame, groups, alternatives=names)
    met = np.isin(groups, groups[names == "bus"])  # sets that offer both
    slopes = (np.array(shares[0]) - shares[1]) / (2 * step)
    for i, name in enumerate(("bus", "car")):
        assert found.table[i, 0] == pytest.approx(slopes[i] / p[met & (names == name)].sum())


def test_scores_of_what_is_not_on_offer_are_infinitely_low(fitted):
    model, frame, y, _, names = fitted
    offset = np.where(np.arange(len(y)) % 5 == 0, -np.inf, 0.5)
    z = model.decision_function(frame, alternatives=names, offset=offset)
    np.testing.assert_array_equal(np.isneginf(z), np.isneginf(offset))

"""Formulas: which columns they make, and what they say of a bad one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import softunit as su
from softunit.errors import InputError, MissingExtraError, SoftunitWarning
from tests.estimators.test_conditional_logit import drawn


@pytest.fixture
def data(rng):
    a, y, groups, names = drawn(rng)
    income = rng.uniform(1, 5, 120)[groups]
    region = np.array(["north", "south"])[rng.integers(0, 2, 120)][groups]
    more = {"chosen": y, "trip": groups, "mode": names, "income": income, "region": region}
    return pd.DataFrame(a, columns=["cost", "time", "comfort"]).assign(**more)


def test_a_formula_makes_the_columns_of_hand(data):
    model = su.ConditionalLogit.from_formula("chosen ~ cost + np.exp(time)", data, "trip")
    wide = np.column_stack([data["cost"], np.exp(data["time"])])
    plain = su.ConditionalLogit().fit(wide, data["chosen"], data["trip"])
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-10)
    assert model.names_ == ("cost", "np.exp(time)")
    np.testing.assert_allclose(
        model.predict_proba(data, "trip"), plain.predict_proba(wide, data["trip"]), rtol=1e-10
    )
    assert model.score(data, "chosen", "trip") == plain.score(wide, data["chosen"], data["trip"])


@pytest.mark.parametrize(
    "formula",
    [
        "chosen ~ cost + C(mode) + C(mode):income",
        "chosen ~ cost + C(mode):income + C(mode) - 1",
        "chosen ~ cost + C(mode) * income",
    ],
)
def test_interactions_with_what_describes_the_set_leave_a_level_out(formula, data):
    model = su.ConditionalLogit.from_formula(formula, data, "trip")
    levels = ["bus", "car", "rail", "walk"]
    dummies = np.column_stack([data["mode"] == level for level in levels])
    wide = np.column_stack([data["cost"], dummies, dummies * data[["income"]].to_numpy()])
    plain = su.ConditionalLogit().fit(wide, data["chosen"], data["trip"])
    assert len(model.coef_) == 9
    assert model.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-10)
    assert model.certificate_.unique
    assert set(model.names_[-4:]) == {f"C(mode)[T.{level}]:income" for level in levels}


def test_categories_of_the_set_and_products_of_them_interact_too(data):
    model = su.ConditionalLogit.from_formula(
        "chosen ~ cost + C(mode):C(region) + C(mode):income:C(region)", data, "trip"
    )
    assert model.certificate_.unique
    assert len(model.coef_) == 1 + 4 * 2 + 4 * 2


def test_what_describes_the_set_alone_is_left_out_with_a_warning(data):
    with pytest.warns(SoftunitWarning, match="'income' of the formula is the same for all"):
        model = su.ConditionalLogit.from_formula("chosen ~ cost + income", data, "trip")
    assert model.names_ == ("cost",)


def test_names_of_columns_stand_for_them(data):
    data = data.assign(weight=1.0 + data["trip"] % 3, known=0.1 * data["time"], there=True)
    data.loc[(data["chosen"] == 0) & (data["trip"] % 4 == 1), "there"] = [
        i % 2 == 0 for i in range(((data["chosen"] == 0) & (data["trip"] % 4 == 1)).sum())
    ]
    model = su.ConditionalLogit.from_formula(
        "chosen ~ cost + comfort",
        data,
        "trip",
        alternatives="mode",
        sample_weight="weight",
        offset="known",
        available="there",
        reference="rail",
    )
    plain = su.ConditionalLogit(reference="rail").fit(
        data[["cost", "comfort"]],
        data["chosen"],
        data["trip"],
        alternatives=data["mode"],
        sample_weight=data["weight"],
        offset=data["known"],
        available=data["there"],
    )
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-10)
    np.testing.assert_allclose(
        model.predict_proba(data, "trip", alternatives="mode", offset="known", available="there"),
        plain.predict_proba(
            data[["cost", "comfort"]],
            data["trip"],
            alternatives=data["mode"],
            offset=data["known"],
            available=data["there"],
        ),
        rtol=1e-10,
    )
    assert model.log_likelihood(
        data, "chosen", "trip", alternatives="mode", sample_weight="weight", offset="known",
        available="there",
    ) == pytest.approx(plain.log_likelihood_)  # fmt: skip


def test_levels_that_are_missing_in_new_data_are_zero_columns(data):
    model = su.ConditionalLogit.from_formula("chosen ~ cost + C(mode)", data, "trip")
    some = data[data["trip"] == 3]
    p = model.predict_proba(some, "trip")
    np.testing.assert_allclose(p, model.predict_proba(data, "trip")[data["trip"] == 3], rtol=1e-10)


@pytest.mark.parametrize(
    ("formula", "groups", "sentence"),
    [
        ("chosen ~ costs + time", "trip", "names 'costs', .* Did you mean 'cost'"),
        ("choice ~ cost", "trip", "names 'choice', but the data have no such column"),
        ("chosen ~ cost", "trips", "no column 'trips'. Did you mean 'trip'"),
        ("chosen ~ cost +", "trip", "cannot be read"),
        ("chosen ~ cost +* time", "trip", r"'chosen ~ cost \+\* time' cannot be read: [ -~]*\.$"),
        ("chosen ~ double(cost)", "trip", "calls 'double', which is no function that formulas"),
        ("chosen ~ cost + C(mode, levels=['bus'])", "trip", "holds .*, which are not among its"),
        ("~ cost", "trip", "has no left-hand side"),
        ("cost", "trip", "has no left-hand side"),
        ("chosen ~ 1", "trip", "leaves no column"),
        ("chosen ~ income", "trip", "leaves no column"),
        ("chosen + cost ~ time", "trip", "must name one column of choices; got 2 terms"),
        (3, "trip", "`formula` must be text"),
    ],
    ids=str,
)
def test_bad_formulas_get_a_sentence(formula, groups, sentence, data):
    with pytest.raises(InputError, match=sentence):
        su.ConditionalLogit.from_formula(formula, data, groups)


def test_bad_data_get_a_sentence(data):
    with pytest.raises(InputError, match="a formula needs a frame"):
        su.ConditionalLogit.from_formula("chosen ~ cost", data.to_numpy(), "trip")
    holes = data.copy()
    holes.loc[4, "cost"] = np.nan
    with pytest.raises(
        InputError, match=r"column 'cost' of the formula holds nothing in 1 of .* row 4"
    ):
        su.ConditionalLogit.from_formula("chosen ~ cost + time", holes, "trip")
    model = su.ConditionalLogit.from_formula("chosen ~ cost + time", data, "trip")
    with pytest.raises(InputError, match="names 'time', but the data have no such column"):
        model.predict_proba(data.drop(columns="time"), "trip")


@pytest.mark.parametrize("formula", ["chosen ~ cost + mode", "chosen ~ cost + C(mode):income"])
def test_a_level_that_the_fit_has_not_seen_is_refused(formula, data):
    model = su.ConditionalLogit.from_formula(formula, data, "trip")
    other = data.assign(mode=data["mode"].replace("rail", "rial"))
    row = int(np.flatnonzero(data["mode"] == "rail")[0])
    sentence = (
        f"column 'mode' holds 'rial' in row {row}, which is not among the levels of the fit. Did"
        " you mean 'rail'"
    )
    for frame in (other, other.assign(mode=other["mode"].astype("category"))):
        with pytest.raises(InputError, match=sentence):
            model.predict_proba(frame, "trip")
    with pytest.raises(InputError, match=sentence):
        model.elasticities(other, "trip", "cost")


def test_a_level_of_an_expression_is_refused_too(data):
    model = su.ConditionalLogit.from_formula("chosen ~ cost + C(mode.str.upper())", data, "trip")
    with pytest.raises(InputError, match="a category of the formula holds 'BOAT', which is not"):
        model.predict_proba(data.assign(mode=data["mode"].replace("rail", "boat")), "trip")


def test_a_category_without_a_value_is_refused(data):
    model = su.ConditionalLogit.from_formula("chosen ~ cost + mode", data, "trip")
    holes = data.assign(mode=data["mode"].where(data.index != 7))
    with pytest.raises(
        InputError, match=r"column 'mode' of the formula holds nothing in 1 .* row 7"
    ):
        model.predict_proba(holes, "trip")


def test_a_logarithm_of_zero_is_told_by_its_row(data):
    with pytest.raises(InputError, match=r"column 'np.log\(zero\)' of X holds .* first in row 2"):
        su.ConditionalLogit.from_formula(
            "chosen ~ cost + np.log(zero)", data.assign(zero=np.arange(len(data)) != 2), "trip"
        )


def test_without_formulaic_the_sentence_says_how_to_get_it(data, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "formulaic", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'softunit\[formula\]'"):
        su.ConditionalLogit.from_formula("chosen ~ cost", data, "trip")

"""Conditional logit against published tables and statsmodels, on its travel mode data."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.datasets import modechoice
from statsmodels.discrete.conditional_models import ConditionalLogit
from statsmodels.discrete.discrete_model import Logit

import softunit as su

DATA = modechoice.load_pandas().data
MODE = DATA["mode"].map({1: "air", 2: "train", 3: "bus", 4: "car"}).to_numpy()
SET, CHOSEN = DATA["individual"].to_numpy(), DATA["choice"].to_numpy()
AIR = (MODE == "air").astype(float)
COLUMNS = np.column_stack([DATA["gc"], DATA["ttme"], DATA["hinc"] * AIR])
CONSTANTS = ("air", "bus", "train")
# W. Greene, Econometric Analysis (5th ed., 2003), section 21.7.8: the unweighted conditional logit
# of travel modes; cost, terminal time, income for air, constants of air, bus and train.
GREENE = {
    "gc": (-0.01550, 0.004408),
    "ttme": (-0.09612, 0.01044),
    "hinc air": (0.01329, 0.01026),
    "air": (5.207, 0.7791),
    "bus": (3.163, 0.4503),
    "train": (3.869, 0.4431),
}


@pytest.fixture(scope="module")
def model():
    return su.ConditionalLogit(reference="car").fit(COLUMNS, CHOSEN, SET, alternatives=MODE)


@pytest.fixture(scope="module")
def theirs():
    wide = np.column_stack([COLUMNS, *((name == MODE).astype(float) for name in CONSTANTS)])
    start = np.zeros(6)
    return ConditionalLogit(CHOSEN, wide, groups=SET).fit(
        start_params=start, method="newton", disp=False
    )


def test_coefficients_and_errors_are_the_published_ones(model):
    for name, (coef, error), found, spread in zip(
        GREENE, GREENE.values(), model.coef_, model.standard_errors(), strict=True
    ):
        assert found == pytest.approx(coef, rel=5e-4), name
        assert spread == pytest.approx(error, rel=5e-4), name
    assert model.log_likelihood_ == pytest.approx(-199.1284, abs=5e-5)
    assert model.null_log_likelihood_ == pytest.approx(-291.1218, abs=5e-5)
    assert model.constants_log_likelihood_ == pytest.approx(-283.7588, abs=5e-5)


def test_coefficients_and_errors_are_those_of_statsmodels(model, theirs):
    np.testing.assert_allclose(model.coef_, theirs.params, rtol=1e-6)
    np.testing.assert_allclose(model.standard_errors(), theirs.bse, rtol=1e-6)
    np.testing.assert_allclose(model.covariance(), theirs.cov_params(), rtol=2e-6, atol=1e-12)
    assert model.log_likelihood_ == pytest.approx(theirs.llf, rel=1e-9)
    ends = model.confidence_intervals(0.95)
    np.testing.assert_allclose(ends, theirs.conf_int(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", ["classical", "robust", "clustered"])
def test_two_alternatives_are_a_logit_of_differences(kind, rng):
    a, groups = rng.standard_normal((600, 3)), np.repeat(np.arange(300), 2)
    first = rng.random(300) < 1 / (1 + np.exp(-(a[::2] - a[1::2]) @ [0.5, -1.0, 0.2]))
    chosen = np.column_stack([first, ~first]).ravel()
    model = su.ConditionalLogit().fit(a, chosen, groups)
    clusters = rng.integers(0, 40, 300)
    how = {
        "classical": {},
        "robust": {"cov_type": "HC0"},
        "clustered": {"cov_type": "cluster", "cov_kwds": {"groups": clusters}},
    }[kind]
    theirs = Logit(first.astype(float), a[::2] - a[1::2]).fit(disp=False, tol=1e-12, **how)
    found = model.standard_errors(kind, np.repeat(clusters, 2) if kind == "clustered" else None)
    np.testing.assert_allclose(model.coef_, theirs.params, rtol=1e-7)
    np.testing.assert_allclose(found, theirs.bse, rtol=1e-6)


def test_a_formula_says_the_same_with_dummies(model):
    data = DATA.assign(mode=MODE)
    by_formula = su.ConditionalLogit.from_formula(
        "choice ~ gc + ttme + hinc:I(mode == 'air') + C(mode, contr.treatment('car'))",
        data,
        "individual",
    )
    by_hand = model.log_likelihood_
    assert by_formula.log_likelihood_ == pytest.approx(by_hand, rel=1e-10)
    np.testing.assert_allclose(sorted(by_formula.coef_), sorted(model.coef_), rtol=1e-7)

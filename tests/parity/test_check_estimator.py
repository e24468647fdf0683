"""scikit-learn's checks of estimators."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from softunit import (
    HyperbolicRegressor,
    RescaledRegressor,
    SoftmaxClassifier,
    SoftmaxClassifierCV,
    SoftmaxRegressor,
)

SUBSET = "one softmax couples all rows, so some of them alone are another problem"
WEIGHTS = "weights are those of outcomes: a row given twice shares one probability"
TARGET = "its targets are no distributions, and no softmax comes close to them"
EXPECTED = {
    "check_methods_subset_invariance": SUBSET,
    "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
    "check_sample_weight_equivalence_on_sparse_data": WEIGHTS,
    "check_regressors_train": TARGET,
}


# One check leaves weight to one class only: its intercept has no optimum, and the fit says so.
@pytest.mark.filterwarnings("ignore:a class without weight")
@parametrize_with_checks([SoftmaxClassifier()])
def test_classifier(estimator, check):
    check(estimator)


# Some checks hand over a class of a row or two, of which scikit-learn's splitter warns.
@pytest.mark.filterwarnings("ignore:The least populated class in y has only")
@parametrize_with_checks([SoftmaxClassifierCV()])
def test_search(estimator, check):
    check(estimator)


def expected_failures(estimator):
    return EXPECTED


# The checks hand over targets of any size, of which the regressor says that no softmax meets them.
@pytest.mark.filterwarnings("ignore:the target b is not a distribution")
@parametrize_with_checks([SoftmaxRegressor()], expected_failed_checks=expected_failures)
def test_regressor(estimator, check):
    check(estimator)


CURVED = {"check_regressors_train": "its targets have entries below zero, or below one"}
ZEROS = "its targets of zero are met at infinity only, and x ends somewhere on the way"
UNMET = {
    "exp": CURVED
    | {
        "check_sample_weight_equivalence_on_dense_data": ZEROS,
        "check_sample_weight_equivalence_on_sparse_data": ZEROS,
    },
    "cosh": CURVED,
    "sinh": {},
}


# The checks hand over targets of both signs, of which the regressor says that exp cannot meet them.
# One hands over more columns than rows.
@pytest.mark.filterwarnings("ignore:the target b holds")
@pytest.mark.filterwarnings("ignore:the optimum is not unique")
@parametrize_with_checks(
    [HyperbolicRegressor(), HyperbolicRegressor("cosh", restarts=2), HyperbolicRegressor("sinh")],
    expected_failed_checks=lambda estimator: UNMET[estimator.unit],
)
def test_hyperbolic(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:the target b sums to")
@parametrize_with_checks(
    [RescaledRegressor(), RescaledRegressor("cosh", restarts=2)],
    expected_failed_checks=expected_failures,
)
def test_rescaled(estimator, check):
    check(estimator)

"""scikit-learn's checks of estimators."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from softunit import SoftmaxClassifier, SoftmaxClassifierCV, SoftmaxRegressor

SUBSET = "one softmax couples all rows, so some of them alone are another problem"
WEIGHTS = "weights are those of outcomes: a row given twice shares one probability"
TARGET = "its targets are no distributions, and no softmax comes close to them"
EXPECTED = {
    "check_methods_subset_invariance": SUBSET,
    "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
    "check_sample_weight_equivalence_on_sparse_data": WEIGHTS,
    "check_regressors_train": TARGET,
}


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

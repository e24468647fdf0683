"""scikit-learn's checks of estimators, with l1."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from softunit import SoftmaxClassifier, SoftmaxClassifierCV


# Some checks hand over columns that say nothing, or so few rows that no column is worth its price.
# One leaves weight to one class only: its intercept has no optimum, and the fit says so.
@pytest.mark.filterwarnings("ignore:every coefficient is zero")
@pytest.mark.filterwarnings("ignore:a class without weight")
@parametrize_with_checks(
    [SoftmaxClassifier(10.0, l1_ratio=0.5), SoftmaxClassifier(10.0, l1_ratio=1.0, grouped=True)]
)
def test_classifier(estimator, check):
    check(estimator)


def expected_failures(estimator):
    return {
        "check_non_transformer_estimators_n_iter": "where classes are balanced no iteration is"
        " needed to see that no coefficient enters"
    }


@pytest.mark.filterwarnings("ignore:every coefficient is zero")
@pytest.mark.filterwarnings("ignore:The least populated class in y has only")
@parametrize_with_checks(
    [SoftmaxClassifierCV(3, l1_ratios=[1.0], cv=2)], expected_failed_checks=expected_failures
)
def test_search(estimator, check):
    check(estimator)

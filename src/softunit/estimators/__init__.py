"""Estimators with scikit-learn's conventions."""

from softunit.estimators.softmax_classifier import SoftmaxClassifier
from softunit.estimators.softmax_regressor import SoftmaxRegressor

__all__ = ["SoftmaxClassifier", "SoftmaxRegressor"]

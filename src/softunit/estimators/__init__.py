"""Estimators with scikit-learn's conventions."""

from softunit.estimators.softmax_classifier import SoftmaxClassifier
from softunit.estimators.softmax_classifier_cv import SoftmaxClassifierCV
from softunit.estimators.softmax_regressor import SoftmaxRegressor

__all__ = ["SoftmaxClassifier", "SoftmaxClassifierCV", "SoftmaxRegressor"]

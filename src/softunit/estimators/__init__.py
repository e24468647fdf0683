"""Estimators with scikit-learn's conventions."""

from softunit.estimators.hyperbolic_regressor import HyperbolicRegressor
from softunit.estimators.leverage_score_inverter import LeverageScoreInverter
from softunit.estimators.rescaled_regressor import RescaledRegressor
from softunit.estimators.softmax_classifier import SoftmaxClassifier
from softunit.estimators.softmax_classifier_cv import SoftmaxClassifierCV
from softunit.estimators.softmax_regressor import SoftmaxRegressor
from softunit.estimators.two_layer_regressor import TwoLayerRegressor

__all__ = [
    "HyperbolicRegressor",
    "LeverageScoreInverter",
    "RescaledRegressor",
    "SoftmaxClassifier",
    "SoftmaxClassifierCV",
    "SoftmaxRegressor",
    "TwoLayerRegressor",
]

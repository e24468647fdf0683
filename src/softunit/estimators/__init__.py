"""Estimators with scikit-learn's conventions."""

from softunit.estimators._bags import private_shares
from softunit.estimators._ordinal_path import PrestoPath
from softunit.estimators.aggregate_softmax_classifier import AggregateSoftmaxClassifier
from softunit.estimators.conditional_logit import ConditionalLogit
from softunit.estimators.hyperbolic_regressor import HyperbolicRegressor
from softunit.estimators.leverage_score_inverter import LeverageScoreInverter
from softunit.estimators.naive_bayes_head import NaiveBayesHead
from softunit.estimators.ordinal_classifier import OrdinalClassifier
from softunit.estimators.rescaled_regressor import RescaledRegressor
from softunit.estimators.softmax_classifier import SoftmaxClassifier
from softunit.estimators.softmax_classifier_cv import SoftmaxClassifierCV
from softunit.estimators.softmax_path import SoftmaxPath, l1_min_c, softmax_path
from softunit.estimators.softmax_regressor import SoftmaxRegressor
from softunit.estimators.two_layer_regressor import TwoLayerRegressor

__all__ = [
    "AggregateSoftmaxClassifier",
    "ConditionalLogit",
    "HyperbolicRegressor",
    "LeverageScoreInverter",
    "NaiveBayesHead",
    "OrdinalClassifier",
    "PrestoPath",
    "RescaledRegressor",
    "SoftmaxClassifier",
    "SoftmaxClassifierCV",
    "SoftmaxPath",
    "SoftmaxRegressor",
    "TwoLayerRegressor",
    "l1_min_c",
    "private_shares",
    "softmax_path",
]

"""softunit: learning with the softmax unit and its exponential relatives."""

from softunit import designs, penalties, sketches, solvers, units
from softunit.certificate import Certificate, certify
from softunit.estimators import (
    AggregateSoftmaxClassifier,
    ConditionalLogit,
    HyperbolicRegressor,
    LeverageScoreInverter,
    NaiveBayesHead,
    OrdinalClassifier,
    PrestoPath,
    RescaledRegressor,
    SoftmaxClassifier,
    SoftmaxClassifierCV,
    SoftmaxPath,
    SoftmaxRegressor,
    TwoLayerRegressor,
    l1_min_c,
    private_shares,
    softmax_path,
)
from softunit.lstsq import lstsq
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Record, Solution, Status

__all__ = [
    "AggregateSoftmaxClassifier",
    "Certificate",
    "ConditionalLogit",
    "HyperbolicRegressor",
    "LeverageScoreInverter",
    "NaiveBayesHead",
    "OrdinalClassifier",
    "PrestoPath",
    "Problem",
    "Record",
    "RescaledRegressor",
    "SoftmaxClassifier",
    "SoftmaxClassifierCV",
    "SoftmaxPath",
    "SoftmaxRegressor",
    "Solution",
    "Status",
    "TwoLayerRegressor",
    "certify",
    "designs",
    "l1_min_c",
    "lstsq",
    "minimize",
    "penalties",
    "private_shares",
    "sketches",
    "softmax_path",
    "solvers",
    "units",
]

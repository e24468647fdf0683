"""softunit: learning with the softmax unit and its exponential relatives."""

from softunit import designs, penalties, sketches, solvers, units
from softunit.certificate import Certificate, certify
from softunit.estimators import (
    HyperbolicRegressor,
    LeverageScoreInverter,
    RescaledRegressor,
    SoftmaxClassifier,
    SoftmaxClassifierCV,
    SoftmaxRegressor,
    TwoLayerRegressor,
)
from softunit.lstsq import lstsq
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Record, Solution, Status

__all__ = [
    "Certificate",
    "HyperbolicRegressor",
    "LeverageScoreInverter",
    "Problem",
    "Record",
    "RescaledRegressor",
    "SoftmaxClassifier",
    "SoftmaxClassifierCV",
    "SoftmaxRegressor",
    "Solution",
    "Status",
    "TwoLayerRegressor",
    "certify",
    "designs",
    "lstsq",
    "minimize",
    "penalties",
    "sketches",
    "solvers",
    "units",
]

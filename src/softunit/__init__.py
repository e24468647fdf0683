"""softunit: learning with the softmax unit and its exponential relatives."""

from softunit import designs, penalties, solvers, units
from softunit.certificate import Certificate, certify
from softunit.estimators import SoftmaxClassifier, SoftmaxClassifierCV, SoftmaxRegressor
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Record, Solution, Status

__all__ = [
    "Certificate",
    "Problem",
    "Record",
    "SoftmaxClassifier",
    "SoftmaxClassifierCV",
    "SoftmaxRegressor",
    "Solution",
    "Status",
    "certify",
    "designs",
    "minimize",
    "penalties",
    "solvers",
    "units",
]

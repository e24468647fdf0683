"""Regressions side by side: planted tables, the peers that fit them, and a judge of their own."""

from softunit.bench.regression.cases import (
    REGRESSION_CASES,
    REGRESSION_SUITES,
    RegressionCase,
    table,
)
from softunit.bench.regression.objectives import Loss, Place
from softunit.bench.regression.peers import REGRESSION_PEERS, Scaled
from softunit.bench.regression.summary import regression_figures
from softunit.bench.regression.tables import Planted, planted
from softunit.bench.regression.task import RegressionTask

__all__ = [
    "Loss",
    "Place",
    "Planted",
    "REGRESSION_CASES",
    "REGRESSION_PEERS",
    "REGRESSION_SUITES",
    "RegressionCase",
    "RegressionTask",
    "Scaled",
    "planted",
    "regression_figures",
    "table",
]

"""Units: losses of scores, with value, gradient and curvature in score space."""

from softunit.units.aggregate_softmax import AggregateSoftmax
from softunit.units.base import Bounds, Unit
from softunit.units.cosh_squares import CoshSquares
from softunit.units.cumulative_logit import CumulativeLogit
from softunit.units.exp_squares import ExpSquares
from softunit.units.grouped_softmax import GroupedSoftmax
from softunit.units.leverage_scores import LeverageScores
from softunit.units.multinomial import Multinomial
from softunit.units.rescaled_squares import NormalisedSquares, RescaledSquares
from softunit.units.sinh_squares import SinhSquares
from softunit.units.softmax_cross_entropy import SoftmaxCrossEntropy
from softunit.units.softmax_squares import SoftmaxSquares
from softunit.units.two_layer_squares import TwoLayerSquares

__all__ = [
    "AggregateSoftmax",
    "Bounds",
    "CoshSquares",
    "CumulativeLogit",
    "ExpSquares",
    "GroupedSoftmax",
    "LeverageScores",
    "Multinomial",
    "NormalisedSquares",
    "RescaledSquares",
    "SinhSquares",
    "SoftmaxCrossEntropy",
    "SoftmaxSquares",
    "TwoLayerSquares",
    "Unit",
]

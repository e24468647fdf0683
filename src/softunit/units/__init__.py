"""Units: losses of scores, with value, gradient and curvature in score space."""

from softunit.units.base import Bounds, Unit
from softunit.units.multinomial import Multinomial
from softunit.units.softmax_cross_entropy import SoftmaxCrossEntropy
from softunit.units.softmax_squares import SoftmaxSquares

__all__ = ["Bounds", "Multinomial", "SoftmaxCrossEntropy", "SoftmaxSquares", "Unit"]

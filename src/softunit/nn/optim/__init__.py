"""Optimisers: what keeps weights from growing where only the scale of scores is learned."""

from softunit.nn.optim.perpendicular import PerpendicularGradient

__all__ = ["PerpendicularGradient"]

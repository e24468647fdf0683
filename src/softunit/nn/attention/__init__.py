"""Attention: one signature for softmax and what is proposed in its place."""

from softunit.nn.attention._relative import RelativeBias
from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.attend import attend, reference, step, weights
from softunit.nn.attention.registry import UNITS
from softunit.nn.attention.softmax import Softmax

__all__ = [
    "UNITS",
    "AttentionUnit",
    "RelativeBias",
    "Softmax",
    "attend",
    "reference",
    "step",
    "weights",
]

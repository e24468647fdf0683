"""Attention: one signature for softmax and what is proposed in its place."""

from softunit.nn.attention._relative import RelativeBias
from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.attend import attend, reference, step, weights
from softunit.nn.attention.module import Attention
from softunit.nn.attention.multihead import MultiheadAttention
from softunit.nn.attention.registry import UNITS
from softunit.nn.attention.softmax import Softmax

__all__ = [
    "UNITS",
    "Attention",
    "AttentionUnit",
    "MultiheadAttention",
    "RelativeBias",
    "Softmax",
    "attend",
    "reference",
    "step",
    "weights",
]

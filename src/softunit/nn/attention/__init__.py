"""Attention: one signature for softmax and what is proposed in its place."""

from softunit.nn.attention._relative import RelativeBias
from softunit.nn.attention._semiseparable import (
    semiseparable,
    semiseparable_matrix,
    semiseparable_step,
)
from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.collapsed import CollapsedAttention
from softunit.nn.attention.functional import attend, reference, step, weights
from softunit.nn.attention.hydra import Hydra, HydraState
from softunit.nn.attention.kernelized import Kernelized
from softunit.nn.attention.module import Attention
from softunit.nn.attention.multihead import MultiheadAttention
from softunit.nn.attention.nalaformer import NaLaFormer
from softunit.nn.attention.navigation import explore, navigate
from softunit.nn.attention.polynomial_tensor import PolynomialTensor
from softunit.nn.attention.quasiseparable import (
    Quasiseparable,
    quasiseparable,
    quasiseparable_matrix,
)
from softunit.nn.attention.registry import UNITS
from softunit.nn.attention.sigmoid import Sigmoid
from softunit.nn.attention.soft import Soft
from softunit.nn.attention.softmax import Softmax
from softunit.nn.attention.softplus import ReweightedSoftplus, Softplus
from softunit.nn.attention.stablemax import StableMax
from softunit.nn.attention.tensor import TensorAttention

__all__ = [
    "UNITS",
    "Attention",
    "AttentionUnit",
    "CollapsedAttention",
    "Hydra",
    "HydraState",
    "Kernelized",
    "MultiheadAttention",
    "NaLaFormer",
    "PolynomialTensor",
    "Quasiseparable",
    "RelativeBias",
    "ReweightedSoftplus",
    "Sigmoid",
    "Soft",
    "Softmax",
    "Softplus",
    "StableMax",
    "TensorAttention",
    "attend",
    "explore",
    "navigate",
    "quasiseparable",
    "quasiseparable_matrix",
    "reference",
    "semiseparable",
    "semiseparable_matrix",
    "semiseparable_step",
    "step",
    "weights",
]

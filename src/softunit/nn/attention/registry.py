"""The names of the units."""

from __future__ import annotations

from softunit.errors import InputError
from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.kernelized import Kernelized
from softunit.nn.attention.nalaformer import NaLaFormer
from softunit.nn.attention.polynomial_tensor import PolynomialTensor
from softunit.nn.attention.quasiseparable import Quasiseparable
from softunit.nn.attention.sigmoid import Sigmoid
from softunit.nn.attention.soft import Soft
from softunit.nn.attention.softmax import Softmax
from softunit.nn.attention.softplus import ReweightedSoftplus, Softplus
from softunit.nn.attention.stablemax import StableMax
from softunit.nn.attention.tensor import TensorAttention

UNITS: dict[str, AttentionUnit] = {
    unit.name: unit
    for unit in (
        Softmax(),
        Kernelized(),
        NaLaFormer(),
        PolynomialTensor(),
        Quasiseparable(),
        ReweightedSoftplus(),
        Sigmoid(),
        Soft(),
        Softplus(),
        StableMax(),
        TensorAttention(),
    )
}
"""Every unit by its name, with its default settings."""


def unit_of(unit: object) -> AttentionUnit:
    """Return the unit of a name, or the unit itself.

    Raises
    ------
    InputError
        If there is no such name, or it is neither a name nor a unit.
    """
    if isinstance(unit, AttentionUnit):
        return unit
    if not isinstance(unit, str) or unit not in UNITS:
        raise InputError(
            f"`unit` must be one of {', '.join(map(repr, sorted(UNITS)))}, or a unit of"
            f" softunit.nn.attention; got {unit!r}."
        )
    return UNITS[unit]

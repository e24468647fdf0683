"""The names of the units."""

from __future__ import annotations

from softunit.errors import InputError
from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.softmax import Softmax

UNITS: dict[str, AttentionUnit] = {unit.name: unit for unit in (Softmax(),)}
"""Every unit by its name, with its default settings."""


def unit_of(unit: str | AttentionUnit) -> AttentionUnit:
    """Return the unit of a name, or the unit itself.

    Raises
    ------
    InputError
        If there is no such name, or it is neither a name nor a unit.
    """
    if isinstance(unit, AttentionUnit):
        return unit
    if unit not in UNITS:
        raise InputError(
            f"`unit` must be one of {', '.join(map(repr, sorted(UNITS)))}, or a unit of"
            f" softunit.nn.attention; got {unit!r}."
        )
    return UNITS[unit]

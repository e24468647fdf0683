"""Settings of a unit that are learned: parameters of the module that holds it."""

from __future__ import annotations

from dataclasses import fields

import torch

from softunit.nn.attention._unit import AttentionUnit


def hold_parameters(module: torch.nn.Module, unit: AttentionUnit) -> None:
    """Register every setting of a unit that is a parameter, under "unit_" and its name."""
    for setting in fields(unit):  # type: ignore[arg-type]
        value = getattr(unit, setting.name)
        if isinstance(value, torch.nn.Parameter):
            module.register_parameter(f"unit_{setting.name}", value)

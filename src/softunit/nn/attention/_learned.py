"""Settings of a unit that are learned: parameters of the module that holds it."""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from softunit.nn.attention._unit import AttentionUnit
from softunit.nn.attention.registry import unit_of

PREFIX = "unit_"


class HoldsUnit(torch.nn.Module):
    """A module with a `unit`, whose settings that are parameters are parameters of the module.

    They are read from the module at every call, so that whatever takes their place is used: a
    loaded state, a new parameter, a parametrization, the tensors of ``torch.func.functional_call``.
    """

    _given: AttentionUnit
    _learned: tuple[str, ...] = ()

    @property
    def unit(self) -> AttentionUnit:
        """The unit, with the settings that the module holds now.

        Given a new unit or its name, the module learns the settings of that one.
        """
        if not self._learned:
            return self._given
        now = {name: getattr(self, PREFIX + name) for name in self._learned}
        return replace(self._given, **now)  # type: ignore[type-var]

    @unit.setter
    def unit(self, unit: str | AttentionUnit) -> None:
        chosen = unit_of(unit)
        for name in self._learned:
            delattr(self, PREFIX + name)
        settings = {each.name: getattr(chosen, each.name) for each in fields(chosen)}  # type: ignore[arg-type]
        learned = {n: v for n, v in settings.items() if isinstance(v, torch.nn.Parameter)}
        self._given, self._learned = chosen, tuple(learned)
        for name, value in learned.items():
            self.register_parameter(PREFIX + name, value)

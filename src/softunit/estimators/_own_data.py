"""Estimators that keep the data of their fit, for standard errors."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self


class OwnData:
    """Keeps what `own_data` names through copies, and leaves it out of pickles.

    A copy shares the data, as they are only read; a pickle that held them would be as large.
    """

    own_data: ClassVar[tuple[str, ...]]

    def __getstate__(self) -> Any:
        """Return the state without the data of the fit."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {name: None if name in self.own_data else v for name, v in state.items()}

    def __copy__(self) -> Self:
        """Return a model with the same attributes, and the data of the fit."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy that shares the data of the fit."""
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        for name, value in self.__dict__.items():
            own = name in self.own_data
            other.__dict__[name] = value if own else copy.deepcopy(value, memo)
        return other

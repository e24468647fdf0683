"""What a unit of attention is: scores to weights, once plainly and once at the cost it promises."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention._pattern import Pattern

Many = Tensor | tuple[Tensor, Tensor]
"""Keys or values: one tensor, or two for a unit that attends to pairs of keys."""


class AttentionUnit(ABC):
    """Turns scores of queries and keys into weights on the values.

    Subclasses are frozen dataclasses of settings. All tensors of a call have four axes
    (batch, heads, tokens, width), float32 or float64: `attend` has checked and widened them.
    """

    name: ClassVar[str]
    """Its key in `UNITS`."""
    linear: ClassVar[bool] = False
    """Whether time and memory grow like n (or n log n), not n m."""
    sums_to_one: ClassVar[bool] = True
    """Whether the weights of a query that sees a key sum to one."""
    pairs: ClassVar[bool] = False
    """Whether k and v are pairs of tensors: attention to pairs of keys."""
    fused: ClassVar[bool] = False
    """Whether kernels on a GPU take half precision and sum it in float32 themselves."""

    def default_scale(self, d: int) -> float:
        """Return what scores are multiplied by where the caller does not say: 1 / sqrt(d)."""
        return 1.0 / math.sqrt(d)

    def check(self, q: Tensor, k: Any, pattern: Pattern) -> None:  # noqa: B027
        """Refuse with a sentence what this unit cannot do; by default it can do everything."""

    @abstractmethod
    def reference_weights(self, q: Tensor, k: Any, pattern: Pattern, scale: float) -> Tensor:
        """Return the weights by their plain definition, of shape (batch, heads, n, m).

        Rows that see no key are zeros.
        """

    def reference(self, q: Tensor, k: Any, v: Any, pattern: Pattern, scale: float) -> Tensor:
        """Return the output by the plain definition, of shape (batch, heads, n, e)."""
        mixed: Tensor = self.reference_weights(q, k, pattern, scale) @ v
        return mixed

    @abstractmethod
    def forward(
        self, q: Tensor, k: Any, v: Any, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the output at the cost that the unit promises, of shape (batch, heads, n, e)."""

    def step(self, q: Tensor, k: Any, v: Any, state: Any, scale: float) -> tuple[Tensor, Any]:
        """Return the outputs for the next tokens and the state after them.

        Raises
        ------
        InputError
            If the unit has no recurrent form.
        """
        raise InputError(
            f"The unit {self.name!r} has no recurrent form of fixed state: keep keys and values,"
            " and call `attend` with the new queries; units with `step` are named in the docs."
        )

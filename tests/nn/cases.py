"""One row for each unit of attention, and the calls that every unit is held to."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softunit.nn.attention import AttentionUnit, RelativeBias, Softmax

Causal = bool | str


@dataclass(frozen=True)
class UnitCase:
    """A unit with settings.

    `refuses` tells which features of a call it does not take, and words of the sentence that says
    so; `ordered` whether the order of keys matters by itself; `longest` bounds lengths where the
    plain definition costs more than n m; `size` scales queries and keys where entries must be
    small; `huge` tells whether it takes scores of any size.
    """

    name: str
    unit: AttentionUnit
    refuses: Mapping[str, str] = field(default_factory=dict)
    ordered: bool = False
    longest: int = 257
    size: float = 1.0
    huge: bool = True

    def __str__(self) -> str:
        return self.name

    def refusal(self, call: Call) -> str:
        """Return a pattern for the sentences with which the unit may refuse a call, or nothing."""
        return "|".join(self.refuses[word] for word in sorted(call.features & set(self.refuses)))


@dataclass(frozen=True)
class Call:
    """Shapes, masks and biases of a call."""

    shape: tuple[int, int, int, int, int, int]  # batch, heads, n, m, d, e
    mask: str = "none"
    causal: Causal = False
    bias: str = "none"

    @property
    def features(self) -> set[str]:
        """Words for what a unit may refuse."""
        n, m = self.shape[2:4]
        words = {f"mask {self.mask}", f"causal {self.causal}", f"bias {self.bias}"}
        words |= {"mask"} if self.mask != "none" else set()
        words |= {"mask of rows"} if self.mask in ("rows", "each", "empty rows") else set()
        words |= {"causal"} if self.causal else {"not causal"}
        words |= {"bias"} if self.bias != "none" else set()
        words |= {"bias of rows"} if self.bias in ("rows", "each") else set()
        words |= {"relative"} if "relative" in self.bias else set()
        words |= {"n != m"} if n != m else set()
        words |= {"n < m"} if n < m else set()
        words |= {"causal n != m"} if n != m and self.causal else set()
        words |= {"causal bottom-right n != m"} if n != m and self.causal == "bottom-right" else set()
        return words

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"{shape}-mask {self.mask}-causal {self.causal}-bias {self.bias}"

    def tensors(
        self, case: UnitCase, rng: np.random.Generator, dtype: torch.dtype
    ) -> tuple[list[Tensor], dict[str, Any]]:
        """Return q, k and v, and the arguments by name."""
        b, h, n, m, d, e = self.shape
        q, k = (normal(rng, b, h, t, d, dtype=dtype) * case.size for t in (n, m))
        v = normal(rng, b, h, m, e, dtype=dtype)
        how = {"mask": self._mask(rng), "causal": self.causal, "bias": self._bias(rng, dtype)}
        return [q, k, v], how

    def _mask(self, rng: np.random.Generator) -> Tensor | None:
        b, h, n, m = self.shape[:4]
        if self.mask == "none":
            return None
        shapes = {"keys": (b, 1, 1, m), "rows": (n, m), "each": (b, h, n, m)}
        shape = shapes[self.mask.removeprefix("empty ")]
        mask = torch.from_numpy(rng.random(shape) < 0.6)
        if self.mask == "empty keys":
            mask[-1] = False
        if self.mask == "empty rows":
            mask[::2] = False
        return mask

    def _bias(self, rng: np.random.Generator, dtype: torch.dtype) -> Tensor | RelativeBias | None:
        b, h, n, m = self.shape[:4]
        if self.bias == "none":
            return None
        shapes = {
            "keys": (b, 1, 1, m),
            "rows": (n, m),
            "each": (b, h, n, m),
            "relative": (n + m - 1,),
            "relative heads": (h, n + m - 1),
        }
        drawn = normal(rng, *shapes[self.bias], dtype=dtype)
        return RelativeBias(drawn) if "relative" in self.bias else drawn


def normal(rng: np.random.Generator, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return normal draws."""
    return torch.from_numpy(rng.standard_normal(shape)).to(dtype)


SHAPES = [
    (1, 1, 1, 1, 1, 1),
    (2, 3, 2, 1, 5, 3),
    (1, 2, 1, 63, 24, 5),
    (2, 1, 63, 100, 5, 7),
    (1, 2, 100, 63, 24, 4),
    (1, 1, 257, 257, 5, 6),
    (2, 2, 2, 2, 1, 2),
    (1, 1, 100, 100, 24, 3),
]
MASKS = ["none", "keys", "rows", "each", "empty keys", "empty rows"]
CAUSALS: list[Causal] = [False, True, "bottom-right"]
BIASES = ["none", "keys", "rows", "each", "relative", "relative heads"]


def pairwise(*factors: list[Any]) -> list[tuple[Any, ...]]:
    """Return choices, one from each factor, among which every pair of levels occurs."""
    everything = list(itertools.product(*factors))

    def pairs(row: tuple[Any, ...]) -> set[tuple[Any, ...]]:
        return set(itertools.combinations(enumerate(row), 2))

    left = set().union(*map(pairs, everything))
    chosen = []
    while left:
        best = max(everything, key=lambda row: len(pairs(row) & left))
        chosen.append(best)
        left -= pairs(best)
    return chosen


CALLS = [Call(*row) for row in pairwise(SHAPES, MASKS, CAUSALS, BIASES)]

CASES = [
    UnitCase("softmax", Softmax()),
]


def calls_of(case: UnitCase, every: int = 1) -> list[Call]:
    """Return the calls whose lengths the plain definition of a unit can bear."""
    return [call for call in CALLS if max(call.shape[2:4]) <= case.longest][::every]

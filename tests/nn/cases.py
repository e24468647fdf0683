"""One row for each unit of attention, and the calls that every unit is held to."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softunit.nn.attention import (
    UNITS,
    AttentionUnit,
    Kernelized,
    NaLaFormer,
    PolynomialTensor,
    Quasiseparable,
    RelativeBias,
    ReweightedSoftplus,
    Sigmoid,
    Soft,
    Softplus,
)

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
        told = {
            f"mask {self.mask}": True,
            f"causal {self.causal}": True,
            f"bias {self.bias}": True,
            "mask": self.mask != "none",
            "mask of rows": self.mask in ("rows", "each", "empty rows") and n > 1,
            "causal": self.causal,
            "not causal": not self.causal,
            "bias": self.bias != "none",
            "bias of rows": self.bias in ("rows", "each") and n > 1,
            "relative": "relative" in self.bias,
            "n != m": n != m,
            "causal n != m": n != m and self.causal,
        }
        return {word for word, holds in told.items() if holds}

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

ONE_SEQUENCE = {"n != m": "needs as many queries as keys"}
SUMS_OF_KEYS = {
    "mask of rows": "takes masks and biases of keys alone",
    "bias of rows": "takes masks and biases of keys alone",
    "relative": "takes masks and biases of keys alone",
}
LANDMARKS = {
    "causal": "with landmarks cannot be causal",
    "mask of rows": "takes masks and biases of keys alone",
    "bias of rows": "takes masks and biases of keys alone",
    "relative": "takes masks and biases of keys alone",
}


def learned_decays() -> Quasiseparable:
    """One rate for all heads in each direction, to be learned."""
    rates = [torch.tensor([rate], dtype=torch.float64) for rate in (-0.3, -0.1)]
    onward, back = (torch.nn.Parameter(rate) for rate in rates)
    return Quasiseparable(log_decay=onward, log_decay_back=back, chunk=5)


CASES = [
    UnitCase("softmax", UNITS["softmax"]),
    UnitCase("sigmoid", UNITS["sigmoid"]),
    UnitCase("sigmoid with a bias", Sigmoid(bias=-2.0)),
    UnitCase("softplus", UNITS["softplus"]),
    UnitCase("softplus of one scale", Softplus(by_length=False)),
    UnitCase("softplus_reweighted", UNITS["softplus_reweighted"]),
    UnitCase("softplus_reweighted of power one", ReweightedSoftplus(power=1.0, threshold=0.0)),
    UnitCase("stablemax", UNITS["stablemax"]),
    UnitCase("nalaformer", UNITS["nalaformer"]),
    UnitCase("nalaformer rotary", NaLaFormer(rotary=True), ordered=True),
    UnitCase("nalaformer of power one", NaLaFormer(power=1.0)),
    UnitCase("kernelized", UNITS["kernelized"]),
    UnitCase("kernelized by FFT", Kernelized(features=16, seed=1, direct=0)),
    UnitCase("kernelized without norms", Kernelized(features=16, normalise=False)),
    UnitCase("tensor", UNITS["tensor"], longest=100),
    UnitCase(
        "tensor_polynomial",
        UNITS["tensor_polynomial"],
        refuses=SUMS_OF_KEYS,
        longest=100,
        size=0.2,
        huge=False,
    ),
    UnitCase(
        "tensor_polynomial of degree two",
        PolynomialTensor(degree=2),
        refuses=SUMS_OF_KEYS,
        longest=100,
        size=0.2,
        huge=False,
    ),
    UnitCase("soft", UNITS["soft"], refuses=LANDMARKS, ordered=True),
    UnitCase("soft exact", Soft(landmarks=None), refuses={"causal": "cannot be causal"}),
    UnitCase("soft exact by rows", Soft(landmarks=None, normalisation="rows")),
    UnitCase("quasiseparable", UNITS["quasiseparable"], refuses=ONE_SEQUENCE, ordered=True),
    UnitCase("quasiseparable learned", learned_decays(), refuses=ONE_SEQUENCE, ordered=True),
]


def calls_of(case: UnitCase, every: int = 1) -> list[Call]:
    """Return the calls whose lengths the plain definition of a unit can bear."""
    return [call for call in CALLS if max(call.shape[2:4]) <= case.longest][::every]

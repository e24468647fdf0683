"""What is measured side by side: units under one name each, and peers from elsewhere."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn.attention import UNITS, AttentionUnit, RelativeBias, attend
from softunit.nn.attention.registry import unit_of
from softunit.nn.workbench.costs import Inputs, Mix, Shape, accepted

RELATIVE = "+rpe"
"""Behind the name of a unit: with a bias by distance, which keeps linear units near linear."""


class Contender(ABC):
    """Something that mixes values, with a name.

    Attributes
    ----------
    name : str
    linear : bool
        Whether its time is meant to grow like n or n log n.
    """

    name: str
    linear: bool

    @property
    def switch(self) -> int:
        """Largest n at which it goes another way than at all larger n; 0 where there is none."""
        return 0

    @abstractmethod
    def missing(self, shape: Shape) -> str:
        """Return why it cannot be measured at a shape, as a sentence; empty where it can."""

    @abstractmethod
    def inputs(self, shape: Shape, seed: int) -> tuple[Inputs, str]:
        """Return tensors it takes, and what is to be said about them.

        Raises
        ------
        InputError
            If it takes none of the shape.
        """

    @abstractmethod
    def mix(self, shape: Shape) -> Mix:
        """Return what takes q, k and v of a shape to the mixed values."""


@dataclass(frozen=True)
class UnitContender(Contender):
    """A unit of `attend`.

    Attributes
    ----------
    name : str
    unit : AttentionUnit
    relative : bool, default False
        Whether a bias by distance is added.
    """

    name: str
    unit: AttentionUnit
    relative: bool = False

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Whether its time is meant to grow like n or n log n."""
        return self.unit.linear

    @property
    def switch(self) -> int:
        """Largest n at which a bias by distance is spread over rows; 0 if at all n, or none."""
        return math.isqrt(getattr(self.unit, "direct", 0)) if self.relative else 0

    @property
    def at_length(self) -> AttentionUnit:
        """The unit as it goes at large n, whatever n is: with a bias by distance, by FFT."""
        unit: Any = self.unit
        return replace(unit, direct=0) if self.switch else unit  # type: ignore[no-any-return]

    def bias(self, shape: Shape) -> RelativeBias | None:
        """Return the bias by distance of a shape, 0.1 times standard normal; None without one.

        Parameters
        ----------
        shape : Shape
        """
        if not self.relative:
            return None
        generator = torch.Generator().manual_seed(shape.n)
        drawn = 0.1 * torch.randn(2 * shape.n - 1, generator=generator, dtype=torch.float32)
        return RelativeBias(drawn.to(shape.device, getattr(torch, shape.dtype)))

    def missing(self, shape: Shape) -> str:
        """Return the sentence with which the unit refuses a call of this kind, or nothing."""
        try:
            small = shape.at(min(shape.n, 16))
            inputs, _ = accepted(self.unit, small)
            forward = self.mix(small)
            with torch.no_grad():
                forward(inputs.q, inputs.k, inputs.v)
        except InputError as error:
            return str(error)
        return ""

    def inputs(self, shape: Shape, seed: int) -> tuple[Inputs, str]:
        """Return tensors that the unit takes, smaller ones where it bounds its entries."""
        inputs, sentence = accepted(self.unit, shape, seed=seed)
        if not sentence:
            return inputs, ""
        bound = getattr(self.unit, "bound", None)
        why = "it refuses larger ones" if bound is None else f"it takes entries up to {bound:g}"
        return inputs, f"Entries of q and k were multiplied by {inputs.scale:g}: {why}."

    def mix(self, shape: Shape) -> Mix:
        """Return `attend` with this unit."""
        unit, causal, bias = self.unit, shape.causal, self.bias(shape)

        def mixed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(q, k, v, unit=unit, causal=causal, bias=bias)

        return mixed


def fitted(contender: Contender, shape: Shape) -> tuple[Shape | None, str]:
    """Return the shape at which something can be measured, and what is to be said about it.

    Where the shape is refused, a quarter of its width is tried, and halves of that down to four.

    Parameters
    ----------
    contender : Contender
    shape : Shape

    Returns
    -------
    tuple of Shape or None, and str
        None where every width is refused, with the sentence of the first refusal.
    """
    refusal = contender.missing(shape)
    if not refusal:
        return shape, ""
    width = shape.width // 4
    while width >= 4:
        narrow = replace(shape, width=width)
        if not contender.missing(narrow):
            return narrow, f"Measured with width {width} in place of {shape.width}: {refusal}"
        width //= 2
    return None, refusal


def unit_contender(name: str) -> UnitContender:
    """Return the unit of a name, which may end in "+rpe".

    Raises
    ------
    InputError
        If there is no such unit.
    """
    plain = name.removesuffix(RELATIVE)
    return UnitContender(name, unit_of(plain), relative=plain != name)


def unit_names() -> tuple[str, ...]:
    """Return all units, and those of kernels once more with a bias by distance."""
    return tuple(
        found
        for name in UNITS
        for found in ((name, name + RELATIVE) if name == "kernelized" else (name,))
    )

"""What a run of the workbench measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from softunit.errors import InputError

LENGTHS = (1024, 2048, 4096, 8192, 16384)
DTYPES = ("float32", "float64", "bfloat16", "float16")
PARTS = ("memory", "times", "measures", "text", "hidden", "recall")
"""What is measured of one unit, in this order."""


@dataclass(frozen=True)
class Plan:
    """The shapes, the budgets and the names of a run.

    Attributes
    ----------
    units, peers : tuple of str
        By name; a unit whose name ends in "+rpe" gets a bias by distance.
    lengths : tuple of int, default (1024, 2048, 4096, 8192, 16384)
        Growing.
    batch : int, default 1
    heads : int, default 4
    width : int, default 64
    threads : int, default 1
    device : str, default "cpu"
    dtype : str, default "float32"
    causal : bool, default False
        Of times, memory and measures.
    compiled : bool, default False
        Whether times are those of `torch.compile`.
    steps : int, default 200
        Of each training; 0 trains nothing.
    seconds : float, default 10.0
        What one forward and backward of one length may take.
    seed : int, default 0

    Raises
    ------
    InputError
        If a number does not fit.
    """

    units: tuple[str, ...]
    peers: tuple[str, ...]
    lengths: tuple[int, ...] = LENGTHS
    batch: int = 1
    heads: int = 4
    width: int = 64
    threads: int = 1
    device: str = "cpu"
    dtype: str = "float32"
    causal: bool = False
    compiled: bool = False
    steps: int = 200
    seconds: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            not self.lengths
            or min(self.lengths) < 1
            or list(self.lengths) != sorted(set(self.lengths))
        ):
            raise InputError(
                "`lengths` must be one or more whole numbers above zero that grow; got"
                f" {', '.join(map(str, self.lengths)) or 'none'}."
            )
        for name in ("batch", "heads", "width", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least one; got {getattr(self, name)}.")
        if self.steps < 0:
            raise InputError(f"`steps` must be 0 (no training) or more; got {self.steps}.")
        if not self.seconds > 0:
            raise InputError(f"The budget in seconds must be above zero; got {self.seconds!r}.")
        if self.dtype not in DTYPES:
            raise InputError(f"`dtype` must be one of {', '.join(DTYPES)}; got {self.dtype!r}.")
        if self.device.partition(":")[0] not in ("cpu", "cuda"):
            raise InputError(f"`device` must be 'cpu', 'cuda' or 'cuda:N'; got {self.device!r}.")

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Everything that is measured: its kind, "unit" or "peer", and its name."""
        return (
            *(("unit", name) for name in self.units),
            *(("peer", name) for name in self.peers),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Return the plan of plain values."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        return cls(**fields)


def check_device(plan: Plan) -> None:
    """Refuse a GPU that PyTorch cannot use.

    Raises
    ------
    InputError
        If there is none, or none of that number.
    MissingExtraError
        If PyTorch is not installed.
    """
    from softunit.nn.workbench import device_fault

    fault = device_fault(plan.device)
    if fault:
        raise InputError(fault)


def parts_of(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return by name which parts are measured.

    Peers have costs and errors. Units that refuse to be causal are trained on hidden characters,
    seen from both sides; softmax then too, so that they have something to be compared with.

    Parameters
    ----------
    plan : Plan
    """
    from softunit.nn.workbench import causal_refusal, unit_contender

    found: dict[str, tuple[str, ...]] = {name: PARTS[:3] for _, name in plan.names}
    if not plan.steps:
        return found
    refusing = {name for name in plan.units if causal_refusal(unit_contender(name).unit)}
    for name in plan.units:
        both = name in refusing or (bool(refusing) and name == "softmax")
        found[name] = tuple(part for part in PARTS if part != "hidden" or both)
    return found

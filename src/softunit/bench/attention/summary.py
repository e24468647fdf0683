"""What a run says: slopes, units that miss their reference, and the record as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from softunit.bench.attention.plan import Plan
from softunit.bench.attention.runs import Row
from softunit.errors import InputError

FORMAT = "softunit-bench-attention-1"
SINGLE_BAR, DOUBLE_BAR = 1e-5, 1e-10
"""How far an efficient form may be from its reference, in float32 and in float64."""

LEAST, MOST = 2048, 16384
"""The lengths that a slope is taken from."""

POINTS = 3
"""The fewest lengths that give a slope: two noisy times say little."""

LINEAR_BAR, FFT_BAR = 1.15, 1.25
"""The largest slopes of time that linear units may have, and those that go by FFT."""


@dataclass(frozen=True)
class Slope:
    """How something grows: its power of n, and the lengths it was taken from.

    Attributes
    ----------
    power : float
    least, most : int
    """

    power: float
    least: int
    most: int


def slope_of(points: Sequence[Mapping[str, Any]], key: str, switch: int = 0) -> Slope | None:
    """Return the slope of log y in log n by least squares; None with fewer than three points.

    Lengths from `LEAST` to `MOST` count; where fewer than three of them are there, the three
    largest.

    Parameters
    ----------
    points : sequence of mapping
        With "n" and `key`.
    key : str
    switch : int, default 0
        Lengths up to this one are left out: there it goes another way.
    """
    known = [(point["n"], point[key]) for point in points if point.get(key)]
    known = [pair for pair in known if pair[0] > switch]
    kept = [pair for pair in known if LEAST <= pair[0] <= MOST]
    kept = kept if len(kept) >= POINTS else known[-POINTS:]
    if len(kept) < POINTS:
        return None
    x = [math.log(n) for n, _ in kept]
    y = [math.log(value) for _, value in kept]
    middle, height = sum(x) / len(x), sum(y) / len(y)
    rise = sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True))
    return Slope(rise / sum((a - middle) ** 2 for a in x), kept[0][0], kept[-1][0])


def slope_in(row: Row, part: str) -> Slope | None:
    """Return the slope of a forward and backward of a row; None where too little was measured.

    Parameters
    ----------
    row : Row
    part : {"times", "memory"}
    """
    found = row.parts.get(part, {})
    return slope_of(found.get("points", ()), "both", found.get("switch", 0))


def bar_of(row: Row) -> float | None:
    """Return the largest slope of time that a unit may have; None for one that is not linear.

    Parameters
    ----------
    row : Row
    """
    times = row.parts.get("times", {})
    if row.kind != "unit" or not times.get("linear"):
        return None
    return FFT_BAR if times.get("switch") else LINEAR_BAR


def met(row: Row) -> bool | None:
    """Return whether a unit's slope of time is within its bar.

    None where it has no bar, or its slope is not one of lengths from `LEAST` to `MOST`.

    Parameters
    ----------
    row : Row
    """
    bar, slope = bar_of(row), slope_in(row, "times")
    if bar is None or slope is None or slope.least < LEAST:
        return None
    return slope.power <= bar


def faults(rows: Sequence[Row]) -> list[str]:
    """Return what went wrong, a sentence each: errors above the bars, parts that failed.

    Parameters
    ----------
    rows : sequence of Row
    """
    found = []
    for row in rows:
        for part, what in row.parts.items():
            if "failed" in what:
                found.append(f"{row.name}: {part} failed: {what['failed']}")
        error = row.parts.get("measures", {}).get("error", {})
        for key, bar in (
            ("output", SINGLE_BAR),
            ("gradient", SINGLE_BAR),
            ("output_double", DOUBLE_BAR),
            ("gradient_double", DOUBLE_BAR),
        ):
            value = error.get(key, 0.0)
            if value is not None and not value <= bar:
                kind = "float64" if key.endswith("double") else "float32"
                entry = "output" if key.startswith("output") else "gradient"
                found.append(
                    f"{row.name}: the {entry} in {kind} is {value:.1e} away from the plain"
                    f" definition; the bar is {bar:.0e}."
                )
    return found


def record(plan: Plan, machine: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return a run as plain values.

    It has the keys that the figures of every command have. There is no one value, gradient norm,
    gap bound or number of iterations: these are None. "largest_linear_slope" is that of times.

    Parameters
    ----------
    plan : Plan
    machine : mapping
    rows : sequence of Row
    """
    told = [row.to_dict() | {"slopes": _slopes(row)} for row in rows]
    slopes = [
        row["slopes"]["seconds"]["power"]
        for row in told
        if row.get("times", {}).get("linear") and row["slopes"]["seconds"]
    ]
    found = faults(rows)
    return {
        "command": "bench attention",
        "format": FORMAT,
        "plan": plan.to_dict(),
        "machine": dict(machine),
        **dict.fromkeys(("value", "gradient_norm", "gap_bound", "n_iter")),
        "converged": not found,
        "largest_linear_slope": max(slopes, default=None),
        "faults": found,
        "rows": told,
    }


def _slopes(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in (("seconds", "times"), ("bytes", "memory")):
        slope = slope_in(row, part)
        found[name] = None if slope is None else dict(vars(slope))
    if found["seconds"] is not None:
        found["seconds"] |= {"bar": bar_of(row), "met": met(row)}
    return found


def resumed(plan: Plan, told: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a plan with what an earlier record of the same plan holds.

    Parameters
    ----------
    plan : Plan
        Its units and peers may be others.
    told : mapping
        From `record`.

    Raises
    ------
    InputError
        If it is no such record, or a setting differs.
    """
    if told.get("format") != FORMAT:
        raise InputError(
            "The file to resume from is no record of softunit bench attention; its format is"
            f" {told.get('format')!r}."
        )
    before, now = told["plan"], plan.to_dict()
    for name in now:
        if name not in ("units", "peers") and before.get(name) != now[name]:
            raise InputError(
                f"The record to resume was measured with {name} {before.get(name)!r}; now it is"
                f" {now[name]!r}. Give the same settings, or another --json FILE."
            )
    kept = {(row["kind"], row["name"]): row for row in told["rows"]}
    return [_row(kept.get((kind, name)), kind, name) for kind, name in plan.names]


def _row(told: Mapping[str, Any] | None, kind: str, name: str) -> Row:
    if told is None:
        return Row(kind, name)
    return Row.from_dict({key: value for key, value in told.items() if key != "slopes"})

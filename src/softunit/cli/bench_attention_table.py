"""One line for each unit and peer of `softunit bench attention`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from softunit.bench.attention import Plan, Row, slope_of
from softunit.cli.bench_attention_words import duration, size

HEADS = ("unit", "n", "time", "slope", "memory", "slope", "error", "text", "recall")
"""Columns: the largest length that was measured, what it took, and how that grows."""


def cells(row: Row, plan: Plan) -> tuple[str, ...]:
    """Return the texts of a line; a dash where there is none.

    Parameters
    ----------
    row : Row
    plan : Plan
    """
    times, memory = _points(row, "times"), _points(row, "memory")
    last = times[-1] if times else None
    held = next((p for p in memory if last is not None and p["n"] == last["n"]), None)
    error = row.parts.get("measures", {}).get("error", {})
    return (
        row.name,
        f"{last['n']:,}" if last else "-",
        duration(last["both"]) if last else "-",
        _power(times),
        size(held["both"]) if held and held.get("both") is not None else "-",
        _power(memory),
        f"{max(error['output'], error['gradient']):.0e}" if error else "-",
        _text(row),
        _share(row.parts.get("recall", {})),
    )


def _points(row: Row, part: str) -> list[Mapping[str, Any]]:
    return list(row.parts.get(part, {}).get("points", ()))


def _power(points: list[Mapping[str, Any]]) -> str:
    slope = slope_of(points, "both")
    return "-" if slope is None else f"{slope.power:.2f}"


def _text(row: Row) -> str:
    """Return the loss on text; of hidden characters, with an h, where the unit cannot be causal."""
    for part, mark in (("text", ""), ("hidden", "h")):
        loss = row.parts.get(part, {}).get("loss")
        if loss is not None:
            return f"{loss:.2f}{mark}"
    return "-"


def _share(found: Mapping[str, Any]) -> str:
    accuracy = found.get("accuracy")
    return "-" if accuracy is None else f"{100 * accuracy:.0f}%"

"""One line for each unit and peer of `softunit bench attention`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from softunit.bench.attention import Row
from softunit.cli.bench_attention_words import duration, power, size

HEADS = ("unit", "n", "time", "slope", "memory", "slope", "error", "text", "recall")
"""Columns: the largest length that was measured, what it took, and how that grows."""


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of a line; a dash where there is none.

    Parameters
    ----------
    row : Row
    """
    times, memory = _points(row, "times"), _points(row, "memory")
    last = times[-1] if times else None
    held = next((p for p in memory if last is not None and p["n"] == last["n"]), None)
    error = row.parts.get("measures", {}).get("error", {})
    return (
        row.name,
        f"{last['n']:,}" if last else "-",
        duration(last["both"]) if last else "-",
        power(row, "times") or "-",
        size(held["both"]) if held and held.get("both") is not None else "-",
        power(row, "memory") or "-",
        f"{max(error['output'], error['gradient']):.0e}" if error else "-",
        _text(row),
        _share(row.parts.get("recall", {})),
    )


def beside(lines: Sequence[tuple[str, ...]], width: int) -> list[list[int]]:
    """Return the columns after the first, in groups that fit beside it in so many characters.

    Parameters
    ----------
    lines : sequence of tuple of str
        The head, and all lines.
    width : int
    """
    first, *others = (max(map(len, column)) + 1 for column in zip(*lines, strict=True))
    groups, left = [list[int]()], width - first
    for index, needed in enumerate(others, 1):
        if groups[-1] and needed > left:
            groups.append([])
            left = width - first
        groups[-1].append(index)
        left -= needed
    return groups


def _points(row: Row, part: str) -> list[Mapping[str, Any]]:
    return list(row.parts.get(part, {}).get("points", ()))


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

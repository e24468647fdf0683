"""An encoding as JSON, and back with every value checked: the file may come from anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from softunit.errors import FileError
from softunit.tables.column_encodings import (
    CategoricalColumn,
    Column,
    InteractedColumn,
    NumericColumn,
    Unknown,
)
from softunit.tables.names import listed, show

_VERSION = 1
# A run of columns is a few bytes in the file; it must not be billions of names in memory.
_LONGEST_RUN = 10_000_000


def encode(columns: Sequence[Column], unknown: Unknown) -> dict[str, Any]:
    """Return the dict that `decode` reads.

    The columns x0, x1, ... of a matrix without fills are written as one run, since a svmlight file
    may have millions of them.
    """
    entries = _as_run(columns) or [_encode_column(column) for column in columns]
    return {"version": _VERSION, "unknown": unknown, "columns": entries}


def _encode_column(column: Column) -> dict[str, Any]:
    """Return one column as a dict."""
    if isinstance(column, NumericColumn):
        return {"kind": "numeric", "name": column.name, "fill": column.fill}
    if isinstance(column, InteractedColumn):
        return {
            "kind": "interaction",
            "column": _encode_column(column.column),
            "by": column.by,
            "levels": list(column.levels),
        }
    return {
        "kind": "contrast" if column.contrast else "categorical",
        "name": column.name,
        "levels": list(column.levels),
        "fill": column.fill,
    }


def _as_run(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return one entry for columns x{first}, x{first + 1}, ..., or nothing if they are not."""
    digits = columns[0].name[1:] if columns else ""
    if len(columns) < 2 or not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return []
    first = int(digits)
    plain = all(
        isinstance(column, NumericColumn) and column.fill is None and column.name == f"x{number}"
        for number, column in enumerate(columns, first)
    )
    return [{"kind": "run", "first": first, "count": len(columns)}] if plain else []


def decode(data: Mapping[str, Any]) -> tuple[tuple[Column, ...], Unknown]:
    """Return the columns and the rule for unseen levels that `encode` wrote.

    Raises
    ------
    FileError
        If a key is unknown or not there, or a value has the wrong type or does not fit.
    """
    _check_keys(data, {"version", "unknown", "columns"}, "The encoding")
    if data["version"] != _VERSION or isinstance(data["version"], bool):
        raise FileError(
            f"The encoding has version {show(data['version'])}; this release reads {_VERSION}."
        )
    unknown = data["unknown"]
    if unknown not in ("error", "other"):
        raise FileError(
            f"`unknown` of the encoding must be 'error' or 'other'; got {show(unknown)}."
        )
    entries = data["columns"]
    if not isinstance(entries, list) or not entries:
        raise FileError(f"`columns` of the encoding must be a list; got {show(entries)}.")
    claimed = sum(_claimed(entry) for entry in entries)
    if claimed > _LONGEST_RUN:
        raise FileError(
            f"The encoding claims {claimed:,} columns; at most {_LONGEST_RUN:,} are read."
        )
    columns = tuple(column for entry in entries for column in _decode_entry(entry))
    if len({column.name for column in columns}) < len(columns):
        raise FileError("The encoding has two columns of the same name.")
    return columns, unknown


def _claimed(entry: Any) -> int:
    """Return how many columns an entry would make: known before any of them is made."""
    count = entry.get("count") if isinstance(entry, dict) else None
    # A single run that is too long has a sentence of its own.
    return min(count, _LONGEST_RUN) if isinstance(count, int) and count > 0 else 1


def _decode_entry(entry: Any) -> Sequence[Column]:
    """Return the columns that one entry stands for."""
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if kind == "numeric":
        return [_decode_numeric(entry)]
    if kind in ("categorical", "contrast"):
        return [_decode_categorical(entry)]
    if kind == "interaction":
        return [_decode_interaction(entry)]
    if kind == "run":
        return _decode_run(entry)
    raise FileError(
        "A column of the encoding must be a dict of kind 'numeric', 'categorical', 'contrast',"
        f" 'interaction' or 'run'; got {show(entry)}."
    )


def _decode_interaction(entry: dict[str, Any]) -> InteractedColumn:
    """Return a column with coefficients for each alternative."""
    _check_keys(entry, {"kind", "column", "by", "levels"}, "An interaction of the encoding")
    inner, by, levels = entry["column"], entry["by"], entry["levels"]
    kind = inner.get("kind") if isinstance(inner, dict) else None
    if kind not in ("numeric", "categorical", "contrast"):
        raise FileError(f"An interaction of the encoding must be of a column; got {show(inner)}.")
    if not isinstance(by, str) or not by:
        raise FileError(f"`by` of an interaction must be the name of a column; got {show(by)}.")
    texts = isinstance(levels, list) and all(isinstance(level, str) for level in levels)
    if not texts or not levels or len(set(levels)) < len(levels):
        raise FileError(f"`levels` of an interaction must be different texts; got {show(levels)}.")
    column = _decode_numeric(inner) if kind == "numeric" else _decode_categorical(inner)
    return InteractedColumn(column, by, tuple(levels))


def _decode_numeric(entry: dict[str, Any]) -> NumericColumn:
    """Return a column of numbers."""
    _check_keys(entry, {"kind", "name", "fill"}, "A numeric column of the encoding")
    name, fill = _name(entry), entry["fill"]
    if fill is None:
        return NumericColumn(name)
    if isinstance(fill, bool) or not isinstance(fill, int | float) or not _is_finite(fill):
        raise FileError(
            f"`fill` of column {show(name)} must be a finite number or null; got {show(fill)}."
        )
    return NumericColumn(name, float(fill))


def _decode_categorical(entry: dict[str, Any]) -> CategoricalColumn:
    """Return a column of labels."""
    _check_keys(entry, {"kind", "name", "levels", "fill"}, "A categorical column of the encoding")
    name, levels, fill = _name(entry), entry["levels"], entry["fill"]
    if (
        not isinstance(levels, list)
        or not levels
        or not all(isinstance(level, str) for level in levels)
        or levels != sorted(set(levels))
    ):
        raise FileError(
            f"`levels` of column {show(name)} must be a sorted list of different strings; got"
            f" {show(levels)}."
        )
    if fill is not None and fill not in levels:
        raise FileError(f"`fill` of column {show(name)} must be a level or null; got {show(fill)}.")
    return CategoricalColumn(name, tuple(levels), fill, entry["kind"] == "contrast")


def _decode_run(entry: dict[str, Any]) -> list[NumericColumn]:
    """Return the columns x{first}, x{first + 1}, ..."""
    _check_keys(entry, {"kind", "first", "count"}, "A run of columns of the encoding")
    first, count = entry["first"], entry["count"]
    for key, value, least in (("first", first, 0), ("count", count, 1)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= _LONGEST_RUN:
            raise FileError(
                f"`{key}` of a run of columns must be a whole number from {least} to"
                f" {_LONGEST_RUN:,}; got {show(value)}."
            )
    return [NumericColumn(f"x{number}") for number in range(first, first + count)]


def _name(entry: dict[str, Any]) -> str:
    """Return the name of a column, a string that is not empty."""
    name = entry["name"]
    if not isinstance(name, str) or not name:
        raise FileError(f"`name` of a column of the encoding must be a string; got {show(name)}.")
    return name


def _is_finite(value: float) -> bool:
    """Whether a number of JSON, where whole numbers have no bound, is a finite float."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _check_keys(data: Any, keys: set[str], label: str) -> None:
    """Refuse anything but a dict with exactly these keys."""
    if not isinstance(data, Mapping):
        raise FileError(f"{label} must be a dict; got {show(data)}.")
    if set(data) != keys:
        raise FileError(
            f"{label} must have the keys {listed(sorted(keys))}; got"
            f" {listed(sorted(map(str, data)))}."
        )

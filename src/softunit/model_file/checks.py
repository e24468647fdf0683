"""Values of a header, checked one by one: the file may come from anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any, NoReturn

from softunit.errors import FileError
from softunit.tables.names import cut, listed, show

_LARGEST = 2**63 - 1


def parse_json(text: str) -> Any:
    """Return what a JSON text says; NaN, infinity, as 1e999, and repeated keys are refused.

    Raises
    ------
    FileError
        If it is no JSON.
    """
    try:
        return json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_finite,
            object_pairs_hook=_no_repeats,
        )
    except (ValueError, RecursionError) as error:
        raise FileError(f"its header is not JSON: {cut(error)}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is more than a float can hold")
    return value


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError(f"a key is repeated among {listed([key for key, _ in pairs], 10)}")
    return out


def mapping(data: Any, keys: Collection[str], label: str) -> dict[str, Any]:
    """Return `data` if it is a dict with exactly these keys."""
    if not isinstance(data, dict):
        raise FileError(f"{label} must be an object; got {show(data)}")
    missing, extra = sorted(set(keys) - set(data)), sorted(set(data) - set(keys))
    if missing:
        raise FileError(f"{label} lacks {listed(missing)}")
    if extra:
        raise FileError(f"{label} has unknown keys {listed(extra, 5)}")
    return data


def text(value: Any, label: str) -> str:
    """Return `value` if it is a text."""
    if not isinstance(value, str):
        raise FileError(f"{label} must be a text; got {show(value)}")
    return value


def text_or_none(value: Any, label: str) -> str | None:
    """Return `value` if it is a text or null."""
    return None if value is None else text(value, label)


def count(value: Any, label: str, most: int = _LARGEST) -> int:
    """Return `value` if it is a whole number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise FileError(f"{label} must be a whole number from 0 to {most}; got {show(value)}")
    return value


def number(value: Any, label: str) -> float:
    """Return `value` as a float if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise FileError(f"{label} must be a finite number; got {show(value)}")
    return float(value)


def number_or_none(value: Any, label: str) -> float | None:
    """Return `value` if it is a finite number or null."""
    return None if value is None else number(value, label)


def is_finite(value: float) -> bool:
    """Whether a number of JSON, where whole numbers have no bound, is a finite float."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False

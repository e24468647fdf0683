"""How sentences about tables show names, rows and lists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

# Names come from files: a sentence shows no more of one than this.
_WIDTH = 80
# Matching near names is quadratic in length; a table with more columns is searched in part.
_SEARCHED = 5_000


def show(value: object) -> str:
    """Return `value` quoted, with control characters escaped, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 4] + "..." + text[-1]


def listed(values: Iterable[object], limit: int = 20) -> str:
    """Return the first `limit` values quoted and joined, and how many more there are."""
    items = list(values)
    text = ", ".join(show(item) for item in items[:limit])
    return text if len(items) <= limit else f"{text} and {len(items) - limit} more"


def near(name: str, names: Iterable[str]) -> str:
    """Return " Did you mean ...?" with up to three of `names` close to `name`, or ""."""
    searched = {other.casefold(): other for other in reversed(list(islice(names, _SEARCHED)))}
    close = difflib.get_close_matches(name.casefold(), list(searched), n=3, cutoff=0.6)
    if not close:
        return ""
    return " Did you mean " + " or ".join(show(searched[key]) for key in close) + "?"


def unknown_column(name: str, names: Sequence[str], *, role: str, source: str) -> str:
    """Return the sentence for a column that is not there, with near names and all columns."""
    return (
        f"There is no column {show(name)} in {source} ({role}).{near(name, names)}"
        f" Its columns are {listed(names)}."
    )


def rows(count: int, first: int, noun: str) -> str:
    """Return e.g. "3 missing values, the first in data row 5"; `first` counts from 0."""
    if count == 1:
        return f"1 {noun}, in data row {first + 1}"
    return f"{count:,} {noun}s, the first in data row {first + 1}"


def cut(message: Any, width: int = 300) -> str:
    """Return what a reader said on one line of at most `width` characters, no full stop."""
    text = " ".join(str(message).split())
    text = text if len(text) <= width else text[:width] + "..."
    return text.rstrip(".") or type(message).__name__

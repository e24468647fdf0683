"""Text columns that are numbers but for a few cells, or for the way they are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from softunit._files import load_pyarrow
from softunit._typing import Array
from softunit.tables.columns import NUMBER, NUMBER_PATTERN, as_text
from softunit.tables.encoding import Encoding
from softunit.tables.names import show
from softunit.tables.table import Table

_SHARE = 0.8  # of the texts must be numbers
_COMMA_PATTERN = r"^\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*$"
_COMMA = re.compile(_COMMA_PATTERN)


def notes_on_numbers(table: Table, encoding: Encoding) -> tuple[str, ...]:
    """Return a sentence for each column that is encoded as text and looks like numbers.

    Parameters
    ----------
    table : Table
        What the encoding was fitted to.
    encoding : Encoding
    """
    found = (dirty_numbers(table.column(name), name) for name in encoding.text_columns)
    return tuple(f"{sentence} It was encoded as text." for sentence in found if sentence)


def dirty_numbers(column: Any, name: str) -> str:
    """Return what keeps a column of texts from being numbers, and what to do; "" if it is text.

    Parameters
    ----------
    column : pyarrow ChunkedArray or ndarray
    name : str
    """
    import pyarrow.compute as pc

    text = as_text(column, name)
    present = len(text) - text.null_count
    plain = pc.match_substring_regex(text, NUMBER_PATTERN)
    comma = pc.match_substring_regex(text, _COMMA_PATTERN)
    good = pc.or_(plain, comma)
    count = pc.sum(good).as_py() or 0
    if not present or count < _SHARE * present:
        return ""
    pyarrow = load_pyarrow()
    row = pc.index(good if count < present else comma, pyarrow.scalar(count == present)).as_py()
    shown = show(text[row].as_py()) if row >= 0 else ""
    return _sentence(name, present - count, row, shown)


def dirty_levels(levels: Sequence[str], counts: Array, firsts: Array, name: str) -> str:
    """Return the same as `dirty_numbers` of a column that is known by its levels.

    Parameters
    ----------
    levels : sequence of str
    counts, firsts : ndarray of int, shape (number of levels,)
        How often each level occurs, and its first row from 0.
    name : str
    """
    plain = np.array([NUMBER.match(level) is not None for level in levels], dtype=bool)
    comma = np.array([_COMMA.match(level) is not None for level in levels], dtype=bool)
    good, present = plain | comma, int(counts.sum())
    count = int(counts[good].sum())
    if not present or count < _SHARE * present:
        return ""
    told = np.flatnonzero(~good if count < present else comma)
    if not told.size:
        return _sentence(name, 0, -1, "")
    first = int(told[np.argmin(firsts[told])])
    return _sentence(name, present - count, int(firsts[first]), show(levels[first]))


def _sentence(name: str, bad: int, row: int, shown: str) -> str:
    """Return what is odd about a column of numbers that is text.

    `row` is the first cell that is no number where some are `bad`, and else the first with a
    decimal comma, or -1.
    """
    begin = f"Column {show(name)} looks like numbers"
    if bad:
        cell = f"{shown} in data row {row + 1}"
        if bad == 1:
            return (
                f"{begin}, but 1 cell is no number: {cell}. Correct it, or leave it empty and use"
                " --impute."
            )
        return (
            f"{begin}, but {bad:,} cells are no numbers, the first {cell}. Correct them, or leave"
            " them empty and use --impute."
        )
    if row >= 0:
        return (
            f"{begin} with a decimal comma, the first {shown} in data row {row + 1}: write them"
            " with a point."
        )
    return f"{begin}, but is stored as text: store it as numbers."

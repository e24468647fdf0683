"""Text columns that are numbers but for a few cells, or for the way they are written."""

from __future__ import annotations

from typing import Any

from softunit.tables.arrow_files import load_pyarrow
from softunit.tables.columns import NUMBER_PATTERN, as_text
from softunit.tables.encoding import Encoding
from softunit.tables.names import show
from softunit.tables.table import Table

_SHARE = 0.8  # of the texts must be numbers
_COMMA_PATTERN = r"^\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*$"


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
    begin = f"Column {show(name)} looks like numbers"
    if count < present:
        row = pc.index(good, load_pyarrow().scalar(False)).as_py()
        cell = f"{show(text[row].as_py())} in data row {row + 1}"
        if present - count == 1:
            return (
                f"{begin}, but 1 cell is no number: {cell}. Correct it, or leave it empty and use"
                " --impute."
            )
        return (
            f"{begin}, but {present - count:,} cells are no numbers, the first {cell}. Correct"
            " them, or leave them empty and use --impute."
        )
    row = pc.index(comma, load_pyarrow().scalar(True)).as_py()
    if row >= 0:
        return (
            f"{begin} with a decimal comma, the first {show(text[row].as_py())} in data row"
            f" {row + 1}: write them with a point."
        )
    return f"{begin}, but is stored as text: store it as numbers."

"""Rows that a quote nobody closed has swallowed: they would be gone without a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from softunit.errors import FileError
from softunit.tables.columns import NUMBER, column_kind
from softunit.tables.names import show
from softunit.tables.table import Table


def refuse_swallowed_rows(table: Table, delimiter: str) -> None:
    """Refuse a table in which a text cell holds whole rows of the file.

    1. Text cells with a line break and delimiters enough are found.  2. In each, a line that has
    exactly the delimiters of a row, and numbers where the table has numbers, is a swallowed row.
    A table without numeric columns must show nothing but such lines: otherwise letters and
    addresses, which may hold a comma, would be taken for rows.

    Parameters
    ----------
    table : Table
        As read from a CSV or TSV file.
    delimiter : str

    Raises
    ------
    FileError
        Naming the column, the data row and how many lines are in the cell.
    """
    if len(table.names) < 2:
        return
    kinds = [_kind(table, name) for name in table.names]
    numeric = [index for index, kind in enumerate(kinds) if kind in ("integer", "float")]
    for name, kind in zip(table.names, kinds, strict=True):
        if kind != "text":
            continue
        for row, cell in _suspects(table.column(name), delimiter, len(table.names)):
            lines = [line for line in cell.splitlines()[1:] if line.strip()]
            if _holds_rows(lines, delimiter, numeric, len(table.names)):
                raise FileError(
                    f"{table.source} has a quote that is not closed: in column {show(name)} the"
                    f" text of data row {row + 1} goes on over {len(lines):,} more"
                    f" line{'' if len(lines) == 1 else 's'}, which hold rows of the table. Close"
                    f" or remove the quote; the text begins {show(cell.splitlines()[0])}."
                )


def _kind(table: Table, name: str) -> str:
    """Return what a column holds; "other" for dates and the like."""
    try:
        return column_kind(table.column(name), name)
    except ValueError:
        return "other"


def _suspects(column: Any, delimiter: str, width: int) -> Sequence[tuple[int, str]]:
    """Return row and text of the cells that have a line break and enough delimiters for a row."""
    import numpy as np
    import pyarrow.compute as pc

    broken = pc.match_substring(column, "\n")
    if not pc.any(broken).as_py():
        return ()
    enough = pc.greater_equal(pc.count_substring(column, delimiter), width - 1)
    where = np.flatnonzero(pc.and_(broken, enough).fill_null(False).to_numpy())
    return [(int(row), column[int(row)].as_py()) for row in where]


def _holds_rows(lines: list[str], delimiter: str, numeric: list[int], width: int) -> bool:
    """Whether the lines of a cell behind its first are rows of a table."""
    fits = [_is_row(line, delimiter, numeric, width) for line in lines]
    if numeric:
        return any(fits)
    # The last line may be the beginning of a row, up to the quote that ended the cell.
    return len(lines) > 1 and all(fits[:-1])


def _is_row(line: str, delimiter: str, numeric: list[int], width: int) -> bool:
    cells = line.split(delimiter)
    if len(cells) != width:
        return False
    return all(not cells[index].strip() or NUMBER.match(cells[index]) for index in numeric)

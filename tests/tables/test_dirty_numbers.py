"""Columns of numbers that a few cells, or a comma, have made texts."""

from __future__ import annotations

import pyarrow as pa
import pytest

from softunit.errors import InputError
from softunit.tables import Table, fit_encoding, notes_on_numbers


def tabled(*cells: str | None) -> Table:
    """Return a table with a column of these texts."""
    data = pa.table({"a": pa.array(cells, pa.string())})
    return Table(("a",), len(cells), arrow=data)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["1", "2", "?", "3", "4.5e1"], "1 cell is no number: '?' in data row 3. Correct it"),
        (["x", *"12345678", "?"], "2 cells are no numbers, the first 'x' in data row 1. Correct"),
        (["1,5", "2,5", "-3,25"], "with a decimal comma, the first '1,5' in data row 1"),
        (["1", "2", "3,25"], "with a decimal comma, the first '3,25' in data row 3"),
        (["1", "2", "3"], "is stored as text: store it as numbers"),
    ],
)
def test_what_looks_like_numbers_is_noted(cells, words):
    table = tabled(*cells)
    (note,) = notes_on_numbers(table, fit_encoding(table, target=None))
    assert note.startswith("Column 'a' looks like numbers")
    assert words in note
    assert note.endswith("It was encoded as text.")


@pytest.mark.parametrize("cells", [["a", "b"], ["1", "2", "b"], ["1", "2", "3", "x", "y"]])
def test_texts_get_no_note(cells):
    table = tabled(*cells)
    assert notes_on_numbers(table, fit_encoding(table, target=None)) == ()


def test_missing_values_do_not_count():
    table = tabled("1", "2", "3", "4", "?", None, None, None)
    (note,) = notes_on_numbers(table, fit_encoding(table, target=None, impute="median"))
    assert "1 cell is no number: '?' in data row 5" in note


def test_dirty_numbers_are_not_called_an_identifier():
    cells = [str(i) for i in range(100)]
    cells[41] = "?"
    with pytest.raises(InputError, match=r"looks like numbers, .* '\?' in data row 42"):
        fit_encoding(tabled(*cells), target=None)
    with pytest.raises(InputError, match="looks like an identifier"):
        fit_encoding(tabled(*(f"id{i}" for i in range(100))), target=None)

"""The command line speaks of its own options, columns and data rows."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.cli.wording import OPTIONS, as_options, note_of
from softunit.solution import Status
from softunit.tables import write_table
from tests.cli.commands import columns, figures, refused, run, table


@pytest.mark.parametrize("status", list(Status))
def test_no_advice_has_a_python_name(status):
    assert "`" not in as_options(status.advice)


def test_every_word_is_translated():
    for words, option in OPTIONS.items():
        assert as_options(f"x{words}y") == f"x{option}y"


def test_the_report_says_options(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    slow = ("fit", data, "--target", "species", "--solver", "gradient-descent", "--max-iter", 2)
    result = run(*slow, "--report", tmp_path / "r.html", "--json", tmp_path / "f.json", status=3)
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "Raise --max-iter" in page
    assert "`max_iter`" not in page
    assert "Raise --max-iter" in figures(tmp_path / "f.json")["advice"]
    assert "`" not in result.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({4: -1.0, 9: -3.0}, "Column 'weight' (weights) has 2 negative values, the first in data"),
        ({2: np.inf}, "Column 'weight' has 1 infinite value, in data row 3"),
        ({2: np.nan}, "Column 'weight' has 1 missing value, in data row 3"),
        (dict.fromkeys(range(120), 0.0), "Column 'weight' (weights) is zero in all 120 rows"),
    ],
)
def test_weights_are_checked_with_column_and_row(change, words, tmp_path, rng):
    data = columns(rng)
    for row, value in change.items():
        data["weight"][row] = value
    write_table(tmp_path / "t.csv", data)
    args = (tmp_path / "t.csv", "--target", "species")
    said = refused("fit", *args, "--weights", "weight")
    assert words in said
    if "negative" in words:
        assert "in data row 5 (-1): weights must be >= 0" in said


def test_certify_checks_weights_too(tmp_path, rng):
    data, model = table(tmp_path / "t.csv", rng), tmp_path / "m.st"
    run("fit", data, "--target", "species", "--weights", "weight", "--out", model)
    bad = columns(rng)
    bad["weight"][7] = -0.5
    write_table(tmp_path / "bad.csv", bad)
    assert "in data row 8 (-0.5)" in refused("certify", model, tmp_path / "bad.csv")


def test_almost_as_many_classes_as_rows_is_a_note(tmp_path, rng):
    write_table(tmp_path / "t.csv", {"a": rng.normal(size=60), "y": np.arange(60) // 1})
    run("fit", tmp_path / "t.csv", "--target", "y", "--json", tmp_path / "f.json")
    (note,) = figures(tmp_path / "f.json")["notes"]
    assert note.startswith("More than half as many classes as rows")
    assert note_of("something else") == "something else"


def test_a_dirty_column_is_noted(tmp_path, rng):
    data = columns(rng)
    data["grade"] = np.array([str(i % 7) for i in range(120)], dtype=object)
    data["grade"][41] = "?"
    write_table(tmp_path / "t.csv", data)
    args = ("fit", tmp_path / "t.csv", "--target", "species", "--report", tmp_path / "r.html")
    result = run(*args, "--json", tmp_path / "f.json")
    (note,) = figures(tmp_path / "f.json")["notes"]
    assert "Column 'grade' looks like numbers" in note
    assert "'?' in data row 42" in note
    assert "'grade' looks like numbers" in " ".join(result.stdout.split())
    assert "looks like numbers" in (tmp_path / "r.html").read_text("utf-8")


def test_a_target_that_is_no_distribution_is_not_called_b(tmp_path, rng):
    write_table(tmp_path / "t.csv", {"a": rng.normal(size=20), "amount": rng.uniform(1, 2, 20)})
    args = ("fit", tmp_path / "t.csv", "--target", "amount", "--problem", "softmax")
    run(*args, "--ridge", 1, "--json", tmp_path / "f.json")
    notes = " ".join(figures(tmp_path / "f.json")["notes"])
    assert "The target is not a distribution" in notes
    assert "give --normalise: the target is then divided by its sum" in notes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("in row 0 of A", "in data row 1 of A"),
        ("rows 1, 2, 9 and 7 more cannot", "data rows 2, 3, 10 and 7 more cannot"),
        ("in data row 4 already", "in data row 4 already"),
        ("data rows 2, 3 already", "data rows 2, 3 already"),
        ("entry 2 is 1.4, as row 0 is", "output 3 is 1.4, as data row 1 is"),
        ("row 1.5 and 60 rows, of 3 rows 1e5", "row 1.5 and 60 rows, of 3 rows 1e5"),
    ],
)
def test_rows_count_from_one_in_tables(text, said):
    assert as_options(text) == said
    assert as_options(said) == said


def test_the_note_on_rows_names_the_row_of_the_table(tmp_path, rng):
    x = rng.normal(size=20)
    b = np.exp(0.5 * x)
    b[3] = -0.25
    write_table(tmp_path / "t.csv", {"x": x, "b": b})
    args = ("fit", tmp_path / "t.csv", "--target", "b", "--problem", "exp")
    run(*args, "--json", tmp_path / "f.json")
    (note,) = figures(tmp_path / "f.json")["notes"]
    assert "the first is -0.25 in data row 4." in note

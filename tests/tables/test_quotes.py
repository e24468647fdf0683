"""A quote that nobody closes must not swallow rows; text of several lines is no such thing."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from softunit.errors import FileError
from softunit.tables import read_table


def lines(rng: np.random.Generator, delimiter: str = ",", n: int = 1000) -> list[str]:
    """Return rows of a number and a label."""
    return [f"{x:.3f}{delimiter}{'ab'[i % 2]}" for i, x in enumerate(rng.normal(size=n))]


@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", ","), ("t.tsv", "\t")])
def test_a_stray_quote_is_refused_with_its_row(name, delimiter, tmp_path, rng):
    rows = lines(rng, delimiter)
    rows[499] = rows[499].replace(delimiter, delimiter + '"')
    (tmp_path / name).write_text("\n".join([f"a{delimiter}y", *rows]) + "\n")
    with pytest.raises(
        FileError,
        match=rf"{name} has a quote that is not closed: in column 'y' the text of data row 500"
        r" goes on over 500 more lines.*Close or remove the quote; the text begins 'b'",
    ):
        read_table(tmp_path / name)


def test_two_stray_quotes_enclose_rows(tmp_path, rng):
    rows = lines(rng)
    for row in (499, 502):
        rows[row] = rows[row].replace(",", ',"')
    (tmp_path / "t.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    with pytest.raises(FileError, match=r"'y' the text of data row 500 goes on over 3 more lines"):
        read_table(tmp_path / "t.csv")


def test_a_table_of_texts_has_the_same_fault(tmp_path):
    rows = [f"{'pq'[i % 2]},{'ab'[i % 2]}" for i in range(20)]
    rows[4] = rows[4].replace(",", ',"')
    (tmp_path / "t.csv").write_text("\n".join(["c,y", *rows]) + "\n")
    with pytest.raises(FileError, match=r"'y' the text of data row 5 goes on over 15 more lines"):
        read_table(tmp_path / "t.csv")


def test_a_huge_swallowed_cell_is_called_a_quote(tmp_path, rng):
    rows = lines(rng, n=200_000)
    rows[9] = rows[9].replace(",", ',"')
    (tmp_path / "t.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    with pytest.raises(FileError, match="quote"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "cells",
    [
        ["1", '"Dear Sir,\nyours, truly\nBye"'],
        ["1", '"one\n\ntwo"'],
        ["1", '"a list, of\nmany, many, words"'],
        ["x", '"12 High Street\nOxford, UK"'],
        ["x", '"Dear Sir\nno comma\nwith, comma"'],
    ],
)
def test_text_of_several_lines_is_accepted(cells, tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n" + ",".join(cells) + "\n2,b\n")
    table = read_table(tmp_path / "t.csv")
    assert table.n_rows == 2
    assert table.column("y")[0].as_py() == cells[1].strip('"')


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(
    ("encoding", "words"),
    [("utf-16", "is UTF-16 text"), ("utf-16-be", "is no UTF-8"), ("utf-16-le", "is no UTF-8")],
)
def test_utf_16_is_recognised(name, encoding, words, tmp_path):
    content = "a,y\n1,b\n".encode(encoding)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    with pytest.raises(FileError, match=f"{words}.*save the file as UTF-8"):
        read_table(path)

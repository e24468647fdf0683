"""Nothing that a file says reaches the terminal or the report as a command."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from softunit.tables import write_table
from tests.cli.commands import run

# Colours and titles of a terminal, C1 controls, a line drawn over, writing turned round, markup.
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\x90q\x9c", "over\rwritten", "\u202etxt.exe",
    "\u061ca", "\u2066b", "<script>alert(1)</script>", "[bold]x[/bold]", "&lt;b&gt;", "\x7f\x08",
    '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "javascript:alert(1)",
    "new\nline",
)  # fmt: skip
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def dangerous(text):
    """Return the control characters of a text, line ends left out."""
    return {
        character
        for character in text
        if (unicodedata.category(character) == "Cc" and character != "\n") or character in TURNING
    }


def harmless(result):
    assert not dangerous(result.stdout), repr(result.stdout)
    assert not dangerous(result.stderr), repr(result.stderr)


@pytest.fixture
def table(tmp_path, rng):
    """A table whose file, columns, levels and labels are all hostile."""
    n = 90
    columns = {name: rng.standard_normal(n) for name in HOSTILE}
    columns["level\x1b[1m"] = np.array(HOSTILE)[np.arange(n) % len(HOSTILE)]
    columns["y\x1b[5m"] = np.array(["a\x1b[31m", "b\r", "<script>alert(2)</script>"])[
        rng.integers(3, size=n)
    ]
    path = tmp_path / "t\x1b[31m\u202e\r.parquet"
    write_table(path, columns)
    return path


def test_a_fit_its_report_and_its_model(table, tmp_path):
    model, report, told = tmp_path / "m.safetensors", tmp_path / "r.html", tmp_path / "j.json"
    options = ["--out", model, "--report", report, "--json", told, "--errors", "classical"]
    harmless(run("fit", table, "--target", "y\x1b[5m", *options))
    page = report.read_text("utf-8")
    assert not dangerous(page)
    for markup in ("<script", "<img", "onmouseover='", 'href="javascript', "[bold]\x1b"):
        assert markup not in page
    assert "&lt;script&gt;" in page
    assert not dangerous(told.read_text("utf-8"))
    harmless(run("certify", model, table))
    harmless(run("predict", model, table, "--out", tmp_path / "p.csv"))


def test_the_metadata_of_a_model(table, tmp_path):
    model = tmp_path / "m.safetensors"
    run("fit", table, "--target", "y\x1b[5m", "--out", model)
    with safe_open(model, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(file.metadata()["softunit"])
    header["training"] |= {"source": "\x1b[2J\x9b31m\u202es", "solver": "\x1b[5mnewton\r"}
    header["softunit"] = "\x1b]0;owned\x07"
    save_file(tensors, model, metadata={"softunit": json.dumps(header)})
    harmless(run("certify", model, table))
    header["training"]["status"] = "\x1b[31mFINE\r"
    save_file(tensors, model, metadata={"softunit": json.dumps(header)})
    harmless(run("certify", model, table, status=2))


def test_errors_that_name_what_was_given(table, tmp_path):
    harmless(run("fit", table, "--target", "\x1b[31mgone\r\u202e", status=2))
    harmless(run("fit", tmp_path / "\x1b[31mgone.csv", "--target", "y", status=2))
    harmless(run("fit", table, "--target", "y\x1b[5m", "--drop", "\x9b31m\u202e", status=2))
    harmless(run("fit", table, "--solver", "\x1b[31m\u202e", "--target", "y\x1b[5m", status=2))

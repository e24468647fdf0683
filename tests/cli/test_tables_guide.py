"""The guide to tables runs as it stands, and prints what it says it prints."""

from __future__ import annotations

import contextlib
import io
import shlex

import numpy as np

from softunit.tables import write_table
from tests.cli.commands import run
from tests.cli.test_guides import BLOCK, GUIDES


def test_it_runs_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    rng = np.random.default_rng(0)
    write_table("table.csv", {"a": rng.normal(size=60), "y": rng.integers(2, size=60)})
    names: dict[str, object] = {}
    printed = ""
    told = 0
    for kind, block in BLOCK.findall((GUIDES / "tables.md").read_text("utf-8")):
        if kind == "text":
            lines = [" ".join(line.split()) for line in printed.splitlines()]
            for line in block.splitlines():
                assert any(" ".join(line.split()) in other for other in lines), (line, printed)
                told += 1
        elif kind == "sh":
            words = [shlex.split(line) for line in block.splitlines()]
            assert all(each[0] == "softunit" for each in words)
            printed = "".join(run(*each[1:]).stdout for each in words)
        else:
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(block, "tables.md", "exec"), names)
            printed = said.getvalue()
    assert told >= 8

"""The guides to the regressions run as they stand, and print what they say they print."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.commands import run

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["market-shares", "attention-inversion", "regressions"])
def test_a_guide_runs_as_written(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    printed: list[str] = []
    blocks = BLOCK.findall((GUIDES / f"{page}.md").read_text("utf-8"))
    assert {kind for kind, _ in blocks} == {"python", "sh", "text"}
    for kind, block in blocks:
        if kind == "text":
            for said in printed:
                lines = [" ".join(line.split()) for line in said.splitlines()]
                for line in block.splitlines():
                    assert any(" ".join(line.split()) in other for other in lines), said
        elif kind == "sh":
            lines = [shlex.split(line) for line in block.splitlines()]
            assert all(words[0] == "softunit" for words in lines)
            printed = [run(*words[1:]).stdout for words in lines]
        else:
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(block, f"{page}.md", "exec"), names)
            printed = [said.getvalue()]

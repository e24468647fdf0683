"""The guides to rows that are not in memory run as they stand, and print what they say."""

from __future__ import annotations

import contextlib
import glob
import io
import shlex

import pytest

from tests.cli.commands import run
from tests.cli.test_guides import BLOCK, GUIDES

PAGES = {
    "where-your-rows-live": "distributed",
    "out-of-core": "pyarrow",
    "distributed": "distributed",
    "gpu": "torch",
}
"""What each needs beyond the package."""


def told(command: str) -> str:
    """Return what a command line prints, its patterns spread out as a shell does."""
    name, *words = shlex.split(command)
    assert name == "softunit"
    return run(*(file for word in words for file in sorted(glob.glob(word)) or [word])).stdout


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_guide_runs_as_written(page, tmp_path, monkeypatch):
    pytest.importorskip(PAGES[page])
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    printed, shown = "", 0
    for kind, block in BLOCK.findall((GUIDES / f"{page}.md").read_text("utf-8")):
        if kind == "text":
            lines = [" ".join(line.split()) for line in printed.splitlines()]
            for line in block.splitlines():
                assert any(" ".join(line.split()) in other for other in lines), (line, printed)
                shown += 1
        elif kind == "python":
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(block, f"{page}.md", "exec"), names)
            printed = said.getvalue()
        elif not block.startswith("pip install"):
            printed = "".join(told(line) for line in block.splitlines())
    assert shown >= 2

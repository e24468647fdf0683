"""The commands of the README and of the start page run as they stand, one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("pip install", "make demo")  # what other tests and CI run


@pytest.mark.skipif(os.name == "nt", reason="the pages are written for a POSIX shell")
@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_commands_run_as_written(page, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, start in {"softunit": "-m softunit ", "python": ""}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {start}"$@"\n')
        (folder / name).chmod(0o755)
    found = SHELL.findall((ROOT / page).read_text("utf-8"))
    blocks = [block for block in found if not any(word in block for word in ELSEWHERE)]
    assert len(blocks) >= 1
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    for block in blocks:
        done = subprocess.run(
            ["sh", "-ec", block],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            timeout=120,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    assert (tmp_path / "predicted.csv").exists()

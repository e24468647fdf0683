"""The guide on choices prints what it says it prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

pytest.importorskip("statsmodels.api")
pytest.importorskip("formulaic")

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "choice.md"


def test_the_examples_print_what_the_page_shows(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    blocks = re.findall(r"```(python|text)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    printed = io.StringIO()
    compared = 0
    for kind, told in blocks:
        if kind == "text":
            assert printed.getvalue() == told
            compared += 1
        else:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(told, names)
    assert compared == 4
    assert round(names["total"] / 210, 3) == -0.979

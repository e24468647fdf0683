"""The pages on attention: their Python runs as it stands and prints what they say it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from softunit.nn.attention import UNITS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "attention").glob("*.md"))
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n\n^```text\n(?P<said>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for found in BLOCK.finditer(page.read_text("utf-8")):
        exec(compile(found["code"], str(page), "exec"), names)
        said = capsys.readouterr().out
        if found["said"] is not None:
            assert said == found["said"]


def test_every_unit_has_a_place_on_the_pages():
    text = "".join(page.read_text("utf-8") for page in PAGES)
    missing = [name for name in UNITS if f'"{name}"' not in text and f"`{name}`" not in text]
    assert missing == []


def test_every_page_is_in_the_menu():
    menu = (DOCS.parent / "mkdocs.yml").read_text("utf-8")
    assert [page.name for page in PAGES if f"attention/{page.name}" not in menu] == []

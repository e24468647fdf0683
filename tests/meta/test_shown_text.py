"""What the documentation shows: inner products are no tags, in pages and in docstrings."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CODE = re.compile(r"^(```|~~~).*?^\1\s*$|(`+)(?!`).+?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)
TAG = re.compile(r"^(?! {4}).*?</?(?!br\b|img\b|div\b|a\b|figure\b|p\b)[A-Za-z]\w*", re.MULTILINE)


def inner_products(text):
    spec = importlib.util.spec_from_file_location("x", DOCS / "extensions" / "docstrings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.inner_products(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_has_no_inner_product_that_a_browser_takes_for_a_tag(page):
    prose = CODE.sub("", page.read_text("utf-8"))
    assert [found.group() for found in TAG.finditer(prose)] == []


def test_inner_products_of_docstrings_are_escaped_outside_of_code():
    text = "s = <q, k>, as `<q, k>`::\n\n    w = <q, k>\n\nand <q, k> again."
    wanted = "s = &lt;q, k>, as `<q, k>`::\n\n    w = <q, k>\n\nand &lt;q, k> again."
    pytest.importorskip("griffe")
    assert inner_products(text) == wanted


def test_the_rule_finds_a_tag():
    assert TAG.search("mean of <q, k>")
    assert not TAG.search("a < b, <br> and 2 <3")

"""The page of a run: everything on it, everything escaped, everything inside."""

from __future__ import annotations

import math
import sys

import pytest

from softunit.claims import Effort, Finding, Picture, Series, measure
from softunit.claims.record import record
from softunit.claims.report import bar_words, drawn, duration, render_page, tally, write_page
from softunit.errors import FileError, MissingExtraError
from tests.claims.stand_ins import BREAKS, EVIL, FAILS, HOLDS, PICTURE, THREE
from tests.report.test_html import Page

EFFORT = Effort(seed=3)


def outcomes(*claims):
    return [measure(claim, EFFORT) for claim in claims or THREE]


@pytest.fixture
def page():
    text = render_page(outcomes(), EFFORT, repeat="softunit claims run --all --seed 3")
    return text, Page(text)


def test_the_page_tells_everything(page):
    _, seen = page
    assert seen.open == [], "a tag is not closed"
    for words in (
        "1 of 3 claims holds; 1.12 fails; 1.5 could not be measured.",
        "The gap is small.", "arXiv 0001.00001", "largest gap over 20 seeds", "≤ 1e-6", "≥ 0.9",
        "A note.", "Gap to the optimum", "How to read it.", "It could not be measured.",
        "ValueError: the matrix", "seed 3", "full size", "numpy", "scipy",
        "softunit claims run --all --seed 3", "undefined",
    ):  # fmt: skip
        assert words in seen.text, words
    assert "quick look" not in seen.text
    assert "Interrupted" not in seen.text


def test_names_are_escaped(page):
    text, seen = page
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "<script>alert(1)</script> [red]x[/red] \\x1b[31m" in seen.text
    assert "ours <b>" in seen.text
    assert not any(tag in ("script", "b") for tag, _ in seen.elements)


def test_the_page_asks_for_nothing_from_elsewhere(page):
    _, seen = page
    for tag, attributes in seen.elements:
        assert tag not in ("link", "img", "iframe", "script")
        assert "src" not in attributes
        assert str(attributes.get("href", "#")).startswith("#")


def test_links_lead_to_the_claims(page):
    _, seen = page
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    links = [attributes["href"][1:] for tag, attributes in seen.elements if tag == "a"]
    assert len(ids) == len(set(ids))
    assert links == ["claim-0-4", "claim-1-5", "claim-1-12"]
    assert set(links) <= set(ids)


def test_the_same_run_gives_the_same_page():
    found = outcomes()
    assert render_page(found, EFFORT) == render_page(found, EFFORT)


def test_a_quick_look_says_so():
    quick = Effort(share=0.1)
    text = render_page([measure(HOLDS, quick)], quick)
    assert "A quick look, not the full size" in text
    assert "10.0% of the full size" in Page(text).text


def test_a_run_that_was_broken_off_says_so():
    assert "Interrupted" in render_page(outcomes(HOLDS), EFFORT, complete=False)
    assert "Nothing was measured." in render_page([], EFFORT, complete=False)


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "claims.html"
    write_page(path, outcomes(HOLDS), EFFORT)
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(FileError, match="does not exist"):
        write_page(tmp_path / "no" / "claims.html", outcomes(HOLDS), EFFORT)


def test_without_jinja_the_pip_line_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'softunit\[cli\]'"):
        render_page(outcomes(HOLDS), EFFORT)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ((HOLDS,), "The claim holds."),
        ((FAILS,), "1.12 fails."),
        ((HOLDS, HOLDS), "All 2 claims hold."),
        ((HOLDS, FAILS, BREAKS, HOLDS), "2 of 4 claims hold; 1.12 fails; 1.5 could not be"),
        ((BREAKS, BREAKS), "1.5, 1.5 could not be measured."),
    ],
    ids=range(5),
)
def test_the_tally_names_what_does_not_hold(claims, words):
    assert tally(outcomes(*claims)).startswith(words)


def test_times_and_bars_in_words():
    assert duration(0.0123) == "12 ms"
    assert duration(0.5) == "0.5 s"
    assert duration(83.21) == "83.2 s"
    assert bar_words(Finding("x", 1.0, 1e-6)) == "≤ 1e-6"
    assert bar_words(Finding("x", 1.0, 0.95, ">=")) == "≥ 0.95"


def test_a_drawing_leaves_out_what_its_axes_cannot_show():
    drawing = drawn(PICTURE, "p")
    assert [len(line.corners) for line in drawing.lines] == [3, 2]
    assert all(line.dotted for line in drawing.lines)
    for line in drawing.lines:
        for x, y in line.corners:
            assert drawing.box.left <= x <= drawing.box.right
            assert drawing.box.top <= y <= drawing.box.bottom
    assert "ours <b>: 3 points, from 1 at 0 to 0.001 at 3" in drawing.description


def test_higher_values_are_drawn_higher():
    drawing = drawn(Picture("t", "x", "y", (Series("", (0, 1), (1.0, 2.0)),)), "p")
    (left, low), (right, high) = drawing.lines[0].corners
    assert left < right
    assert high < low


def test_of_many_points_some_are_drawn_and_the_last():
    many = tuple(float(i) for i in range(5000))
    drawing = drawn(Picture("t", "x", "y", (Series("", many, many),), points=True), "p")
    (line,) = drawing.lines
    assert len(line.corners) <= 401
    assert line.corners[-1] == (drawing.box.right, drawing.box.top)
    assert not line.dotted


@pytest.mark.parametrize("y", [(), (math.nan, math.inf), (-1.0, 0.0)], ids=range(3))
def test_nothing_to_draw_is_no_drawing(y):
    series = Series("", tuple(range(len(y))), y)
    assert drawn(Picture("t", "x", "y", (series,), log_y=True), "p") is None


def test_the_record_holds_all_numbers():
    found = record(outcomes(), EFFORT)
    assert found["value"] == 1
    assert found["converged"] is False
    assert found["seed"] == 3
    assert found["share"] == 1.0
    verdicts = [claim["verdict"] for claim in found["claims"]]
    assert verdicts == ["holds", "could not be measured", "fails"]
    first, second, third = found["claims"]
    assert first["findings"][1] == {
        "what": "cosine", "value": 0.97, "bar": 0.9, "sense": ">=", "holds": True,
    }  # fmt: skip
    assert first["picture"]["series"][0]["label"] == "ours <b>"
    assert second["reason"].startswith("ValueError: the matrix")
    assert second["findings"] == []
    assert third["title"] == f"Smoothness {EVIL}"
    assert record(outcomes(HOLDS), EFFORT)["converged"] is True
    assert record([], EFFORT)["converged"] is False

"""The page: everything escaped, everything inside, the same bytes for the same fit."""

from __future__ import annotations

import dataclasses
import math
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from softunit.errors import FileError, MissingExtraError
from softunit.report import FitSummary, charts, render_html, write_html
from softunit.solution import Record, Status
from tests.report.stand_ins import (
    HOSTILE_CLASSES,
    HOSTILE_FEATURES,
    classified,
    regressed,
    solution,
)

SUMMARIES = {
    "two": lambda: classified(["no", "yes"]),
    "ten": lambda: classified([f"digit {i}" for i in range(10)]),
    "forty": lambda: classified([f"a rather long name of class {i}" for i in range(40)]),
    "hostile": lambda: classified(HOSTILE_CLASSES, features=HOSTILE_FEATURES, notes=("<b>n</b>",)),
    "regressor": regressed,
}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """What a reader of the page meets: elements, attributes, text, and whether tags match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module", params=SUMMARIES)
def summary(request: pytest.FixtureRequest) -> FitSummary:
    return SUMMARIES[request.param]()


def test_the_page_holds_everything_and_runs_nothing(summary: FitSummary) -> None:
    page = Page(render_html(summary))
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "form", "a", "b"}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "href"})


def test_ids_are_unique_and_references_point_at_them(summary: FitSummary) -> None:
    page = Page(render_html(summary))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)


def test_table_heads_have_a_scope(summary: FitSummary) -> None:
    heads = [attrs for tag, attrs in Page(render_html(summary)).elements if tag == "th"]
    assert heads
    assert all(attrs.get("scope") in ("row", "col") for attrs in heads)


def test_no_figure_is_nan_or_inf(summary: FitSummary) -> None:
    found = Page(render_html(summary)).text.lower().replace("infin", "").split()
    assert not {"nan", "inf", "-inf", "nan%"} & set(found)


def test_the_same_fit_gives_the_same_bytes(summary: FitSummary) -> None:
    assert render_html(summary) == render_html(summary)


def test_names_from_data_stay_text() -> None:
    page = Page(render_html(SUMMARIES["hostile"]()))
    for text in (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "price in $ or $US",
        "[bold]x[/bold]",
        "\\x1b[31mred",
        "<b>n</b>",
    ):
        assert text in page.text
    assert "\x1b" not in page.text


def test_both_kinds_of_statement_are_marked() -> None:
    page = Page(render_html(SUMMARIES["two"]()))
    marks = [
        a["class"] for t, a in page.elements if t == "span" and "mark" in (a.get("class") or "")
    ]
    assert marks == ["mark proved", "mark estimated"]


def test_many_classes_show_pairs_in_place_of_the_matrix() -> None:
    assert "Most confused classes" in render_html(SUMMARIES["forty"]())
    assert "Confusion matrix" in render_html(SUMMARIES["ten"]())
    assert "Target against fitted value" in render_html(SUMMARIES["regressor"]())


@pytest.mark.parametrize("status", list(Status))
def test_every_end_has_its_words(status: Status) -> None:
    page = render_html(dataclasses.replace(SUMMARIES["two"](), solution=solution(status)))
    assert ('class="verdict good"' in page) is solution(status).converged


@pytest.mark.parametrize(
    "history",
    [
        (),
        (Record(0, 1.0, 0.0, 0.0, 1.0),),
        (Record(0, 1.0, 0.5, 0.0, 1.0),),
        (Record(0, math.inf, math.inf, 0.0, 1.0), Record(1, 1.0, math.nan, 0.1, 2.0)),
        tuple(Record(i, 2.0 ** -(i / 50), 1 / (i + 1), 1e-5 * i, i) for i in range(5000)),
    ],
    ids=["none", "zero", "one", "not finite", "long"],
)
def test_any_history_can_be_drawn(history: tuple[Record, ...]) -> None:
    summary = SUMMARIES["two"]()
    ended = dataclasses.replace(summary.solution, history=history, tol=0.0)
    page = render_html(dataclasses.replace(summary, solution=ended))
    assert Page(page).open == []
    assert len(page) < 120_000


def test_a_bare_summary_can_be_drawn() -> None:
    whole = SUMMARIES["two"]()
    certificate = dataclasses.replace(whole.certificate, statements=())
    bare = FitSummary("t", "f", whole.solution, certificate)
    assert "Nothing is proved" in render_html(bare)


def test_counts_are_short() -> None:
    counts = (0, 950, 999, 1000, 1234, 9999, 34567, 999_999, 5_600_000, 2_000_000_000)
    assert [charts._short(n) for n in counts] == [
        "0", "950", "999", "1.0k", "1.2k", "10k", "35k", "1.0M", "5.6M", "2.0G",
    ]  # fmt: skip


def test_the_file_is_utf8_and_whole(tmp_path: Path) -> None:
    summary = SUMMARIES["hostile"]()
    path = tmp_path / "report.html"
    write_html(path, summary)
    assert path.read_bytes().decode("utf-8") == render_html(summary)
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        write_html(tmp_path / "none" / "report.html", SUMMARIES["two"]())


def test_without_jinja_the_pip_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"HTML report needs .*softunit\[cli\]"):
        render_html(SUMMARIES["two"]())

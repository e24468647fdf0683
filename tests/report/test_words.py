"""Figures and names as words."""

from __future__ import annotations

import dataclasses
import math

import pytest

from softunit.certificate import Statement
from softunit.report import words
from softunit.solution import Status
from tests.report.stand_ins import certificate, classified, solution


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1797, "1,797"),
        (0.0125, "0.0125"),
        (3.1e-9, "3.1e-9"),
        (-2.5e12 - 0.5, "-2.5e12"),
        (12345.6, "12,346"),
        (1e300, "1e300"),
        (math.nan, "undefined"),
        (math.inf, "infinite"),
        (-math.inf, "minus infinite"),
    ],
)
def test_numbers_are_written_as_people_write_them(value: float, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0%"), (1.0, "100.0%"), (0.99999, "> 99.9%"), (1e-7, "< 0.1%"), (0.123, "12.3%")],
)
def test_a_share_is_never_rounded_to_all_or_none(share: float, text: str) -> None:
    assert words.percent(share) == text


def test_an_undefined_share_is_a_word() -> None:
    assert words.percent(math.nan) == "undefined"


def test_columns_of_numbers_keep_their_zeros() -> None:
    assert [words.aligned(v) for v in (0.87, -2.0, 0.0, 1e-7)] == ["0.8700", "-2.000", "0", "1e-7"]


def test_a_noun_agrees_with_its_count() -> None:
    assert [words.counted(n, "row") for n in (1, 2)] == ["1 row", "2 rows"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\x00\x9b", "a\\x0ab\\x00\\x9b"),
        ("user\u202etxt", "user\\u202etxt"),
        ("half \ud800", "half \\ud800"),
        ("größe 👩\u200d🔬 \u0928\u094d\u200d", "größe 👩\u200d🔬 \u0928\u094d\u200d"),
    ],
)
def test_what_is_invisible_or_dangerous_is_written_out(name: str, text: str) -> None:
    assert words.plain(name) == text


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert words.shorten("abcdef", 4) == "abc…"
    assert words.shorten("abcd", 4) == "abcd"


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_headline_and_advice(status: Status) -> None:
    summary = dataclasses.replace(classified(["a", "b"]), solution=solution(status))
    assert words.headline(summary)
    if solution(status).converged:
        assert words.headline(summary) == "Converged"
        assert words.verdict(summary).startswith("The objective is at most 3.1e-14 above its")
        assert (status.advice in words.verdict(summary)) is (status is not Status.CONVERGED)
    else:
        assert words.verdict(summary) == status.advice


def test_a_missing_bound_is_said_in_words() -> None:
    unknown = certificate(
        gap_bound=math.inf,
        local_gap_bound=math.inf,
        newton_decrement=math.nan,
        strong_convexity=0.0,
        unique=None,
    )
    summary = dataclasses.replace(classified(["a", "b"]), certificate=unknown)
    assert "no bound" in words.verdict(summary)
    assert words.key_figures(summary)[1] == words.Figure(
        "Above the optimum by at most", "no bound known"
    )
    assert [figure.value for figure in words.certificate_figures(unknown)] == [
        "no bound known",
        "no bound known",
        "none known",
        "not computed",
        "6.1e-9",
        "not known",
    ]


def test_a_bound_as_large_as_the_value_does_not_head_the_page() -> None:
    useless = certificate(value=0.0086, gap_bound=0.0086, local_gap_bound=1.2e-16)
    summary = dataclasses.replace(classified(["a", "b"]), certificate=useless)
    assert words.verdict(summary) == (
        "Proved: a local minimum lies within 1.2e-16 of this value. Of the global one little more"
        " is known than that the objective is nowhere below zero."
    )
    figures = {figure.label: figure.value for figure in words.key_figures(summary)}
    assert figures["Above a local minimum by at most"] == "1.2e-16"
    assert figures["Above the optimum by at most"] == "0.0086"
    useful = dataclasses.replace(summary, certificate=certificate(local_gap_bound=1e-20))
    assert words.verdict(useful) == "The objective is at most 3.1e-14 above its optimum."
    assert len(words.key_figures(useful)) == 6


def test_converged_by_proof_says_why_the_gradient_is_large() -> None:
    summary = classified(["a", "b"])
    proved = dataclasses.replace(summary.solution, gradient_norm=1e-3, status=Status.PROVED)
    text = words.verdict(dataclasses.replace(summary, solution=proved))
    assert text == f"The objective is at most 3.1e-14 above its optimum. {Status.PROVED.advice}"


def test_marks_of_statements() -> None:
    assert words.mark(Statement("so.", True)) == "proved"
    assert words.mark(Statement("so.", False)) == "estimated"
    assert words.mark(Statement("so.", None)) == "note"


def test_the_caller_may_word_the_advice() -> None:
    failed = classified(["a", "b"], advice="Raise --max-iter.")
    failed = dataclasses.replace(failed, solution=solution(Status.MAX_ITER))
    assert words.verdict(failed) == "Raise --max-iter."


def test_a_local_bound_is_called_local() -> None:
    local = certificate(gap_bound=math.inf, local_gap_bound=2e-9)
    summary = dataclasses.replace(classified(["a", "b"]), certificate=local)
    assert words.verdict(summary) == "The objective is at most 2e-9 above a local minimum nearby."
    assert words.key_figures(summary)[1].label == "Above a local minimum by at most"


def test_the_version_is_there_or_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert words.version()

    def missing(name: str) -> str:
        raise words.PackageNotFoundError(name)

    monkeypatch.setattr(words, "installed_version", missing)
    assert words.version() == "(not installed)"


def test_a_sentence_begins_with_a_capital_and_a_symbol_stays_one() -> None:
    assert words.sentence("a point is given") == "A point is given"
    assert words.sentence("b lies in the range of A") == "b lies in the range of A"
    assert words.sentence("") == ""

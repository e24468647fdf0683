"""The terminal summary: fits its width, and lets nothing from data act on the terminal."""

from __future__ import annotations

import dataclasses
import io
import sys

import pytest
from rich.console import Console

from softunit.certificate import Statement
from softunit.errors import MissingExtraError
from softunit.report import FitSummary, render_html, render_text, summary_table
from tests.report.stand_ins import (
    HOSTILE_CLASSES,
    HOSTILE_FEATURES,
    certificate,
    classified,
    regressed,
)


def printed(summary: FitSummary, width: int, *, colour: bool = False) -> str:
    """Return what a console of this width prints."""
    file = io.StringIO()
    system = "truecolor" if colour else None
    render_text(
        summary, Console(file=file, width=width, force_terminal=colour, color_system=system)
    )
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("classes", [["no", "yes"], HOSTILE_CLASSES])
def test_it_fits_the_width(width: int, classes: list[str]) -> None:
    lines = printed(classified(classes, features=HOSTILE_FEATURES), width).splitlines()
    assert max(len(line) for line in lines) <= width


def test_the_certificate_is_in_words() -> None:
    text = printed(classified(["no", "yes"]), 100)
    assert "Converged. The objective is at most 3.1e-14 above its optimum." in text
    assert "proved     The objective is strongly convex" in text
    assert "estimated  Newton's region" in text


def test_markup_and_control_sequences_are_shown_not_obeyed() -> None:
    summary = classified(
        HOSTILE_CLASSES, features=HOSTILE_FEATURES, notes=("[red]x[/red] \x1b]0;title\x07\r",)
    )
    text = printed(summary, 100)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\r" not in text
    assert "[red]x[/red] \\x1b]0;title\\x07\\x0d" in text
    # With colours on, only the console's own sequences may be there: all end in "m".
    pieces = printed(summary, 100, colour=True).split("\x1b")[1:]
    assert pieces
    assert all(piece.startswith("[") and "m" in piece for piece in pieces)
    assert "]0;" not in "".join(piece.partition("m")[0] for piece in pieces)


@pytest.mark.parametrize("width", [60, 100])
def test_the_effect_that_ranks_coefficients_is_shown(width: int) -> None:
    text = printed(regressed(), width)
    assert "Coefficients of largest effect" in text
    first = regressed().coefficients[0]
    row = next(line for line in text.splitlines() if line.startswith(first.feature))
    assert f"(effect {first.effect:.3f}" in row.replace("#", "")
    assert "the coefficient times the standard deviation of its column" in " ".join(text.split())


def test_notes_of_a_certificate_are_neutral() -> None:
    note = certificate(statements=(Statement("no bound is known.", None),))
    summary = dataclasses.replace(classified(["no", "yes"]), certificate=note)
    assert "note  No bound is known." in printed(summary, 100)
    assert '<span class="mark note">note</span>' in render_html(summary)


def test_a_regressor_has_no_classes() -> None:
    text = printed(regressed(), 60)
    assert "Classes" not in text
    assert "Most confused" not in text
    assert "Root mean squared residual" in text


def test_without_rich_the_pip_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(MissingExtraError, match=r"summary table needs .*softunit\[cli\]"):
        summary_table(regressed())


@pytest.mark.parametrize("width", [30, 40, 50, 58])
def test_values_wrap_and_keep_their_letters_where_it_is_narrow(width: int) -> None:
    value = "0 (GradientRegularizedNewton) of many words"
    summary = dataclasses.replace(regressed(), data=(("Source", value),))
    lines = printed(summary, width).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Source"))
    shown = "".join("".join(lines[start : start + 5]).removeprefix("Source").split())
    assert shown.startswith(value.replace(" ", ""))
    assert max(map(len, lines)) <= width

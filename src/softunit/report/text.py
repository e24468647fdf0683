"""The report for the terminal: the facts of the page, in a compact table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from softunit.errors import MissingExtraError
from softunit.report.effects_text import ElasticitiesText, WillingnessText
from softunit.report.estimates_text import EstimatesText
from softunit.report.summary import FitSummary, Rows
from softunit.report.words import (
    STYLES,
    aligned,
    counted,
    headline,
    key_figures,
    mark,
    number,
    percent,
    plain,
    sentence,
    shorten,
    verdict,
)

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

TOP_COEFFICIENTS = 5
TOP_PAIRS = 3
TOP_SHARES = 12
WIDTH = 28


def render_text(summary: FitSummary, console: Console) -> None:
    """Print the summary of a fit to a rich console."""
    console.print(summary_table(summary))


def summary_table(summary: FitSummary) -> Group:
    """Return the summary of a fit as something that rich prints, from 60 columns up.

    Every name goes in as text, never as rich's markup, with control characters written out.

    Raises
    ------
    MissingExtraError
        If rich is not installed.
    """
    try:
        from rich.console import Group, RenderableType
        from rich.text import Text
    except ModuleNotFoundError as error:
        raise MissingExtraError("the summary table", "cli") from error

    colour = "green" if summary.solution.converged else "yellow"
    parts: list[RenderableType] = [
        Text(plain(shorten(summary.title, 200)), style="bold"),
        Text.assemble((f"{headline(summary)}. ", f"bold {colour}"), plain(verdict(summary))),
    ]
    for name, rows in _sections(summary):
        if name == "Certificate":
            # Whoever asks for errors reads them first; statements about the optimum come after.
            for table in _tables(summary):
                parts += [Text(), table]
        if rows:
            parts += [Text(), Text(name, style="bold underline"), _table(rows)]
    return Group(*parts)


def _tables(summary: FitSummary) -> Iterator[EstimatesText | WillingnessText | ElasticitiesText]:
    """Yield the tables of coefficients and of what they mean, those that there are."""
    if summary.estimates is not None:
        yield EstimatesText(summary.estimates)
    if summary.willingness is not None:
        yield WillingnessText(summary.willingness)
    if summary.elasticities is not None:
        yield ElasticitiesText(summary.elasticities)


def _sections(summary: FitSummary) -> Iterator[tuple[str, Rows]]:
    """Yield the name and the rows of each section that has any."""
    figures = tuple(
        (figure.label, f"{figure.value} ({figure.note})" if figure.note else figure.value)
        for figure in key_figures(summary)
    )
    statements = tuple(
        (mark(statement), sentence(statement.text)) for statement in summary.certificate.statements
    )
    sections = {
        "Fit": figures,
        "Certificate": statements,
        "Data": summary.data,
        "On the fitted rows": (*summary.measures, *_calibration_row(summary)),
        "Chosen, and predicted": _share_rows(summary),
        "Coefficients of largest effect": _coefficient_rows(summary),
        "Most confused": _pair_rows(summary),
        "Notes": tuple(("note", text) for text in summary.notes),
    }
    return iter(sections.items())


def _calibration_row(summary: FitSummary) -> Rows:
    rows: Rows = ()
    if summary.calibration is not None:
        points = number(100 * summary.calibration.error, 3)
        rows = (("Calibration error", f"{points} points"),)
    worst = max(summary.thresholds, key=lambda each: each.error, default=None)
    if worst is not None:
        said = f"{number(100 * worst.error, 3)} points, {worst.about}"
        rows = (*rows, ("Worst calibrated threshold", said))
    return rows


def _share_rows(summary: FitSummary) -> Rows:
    return tuple(
        (share.name, f"{percent(share.observed)}, and {percent(share.predicted)}")
        for share in summary.shares[:TOP_SHARES]
    )


def _coefficient_rows(summary: FitSummary) -> Rows:
    shown = summary.coefficients[:TOP_COEFFICIENTS]
    if not shown:
        return ()
    rows = tuple(
        (
            f"{item.feature} ({item.label})" if item.label else item.feature,
            f"{aligned(item.value)} (effect {aligned(item.effect)})",
        )
        for item in shown
    )
    return (*rows, ("effect", summary.effect))


def _pair_rows(summary: FitSummary) -> Rows:
    return tuple(
        (
            f"{pair.truth} as {pair.predicted}",
            f"{counted(pair.count, 'row')} ({percent(pair.share)} of its class)",
        )
        for pair in summary.confused[:TOP_PAIRS]
    )


def _table(rows: Rows) -> Table:
    """Return labels and values in two columns that fold at the width of the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), pad_edge=False)
    marks = all(label in STYLES for label, _ in rows)
    # One width for the labels of all sections of facts, so that their values line up. It is made
    # of spaces: with a least width rich cuts letters off the values of a narrow terminal.
    width = 0 if marks else WIDTH
    table.add_column(overflow="fold", max_width=WIDTH)
    table.add_column(overflow="fold", ratio=1)
    for label, value in rows:
        style = STYLES.get(label, "dim")
        table.add_row(Text(plain(label).ljust(width), style=style), Text(plain(value)))
    return table

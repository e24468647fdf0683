"""The report as one HTML file: styles and pictures inside, no script, no outside request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from softunit._files import replace_file
from softunit.errors import MissingExtraError
from softunit.report.axes import linear_axis
from softunit.report.charts import Chart, convergence_charts, reliability_chart, scatter_chart
from softunit.report.effects_text import elasticity, meaning, reach
from softunit.report.estimates import LEGEND, Estimates, forest
from softunit.report.estimates_text import figures, interval_of
from softunit.report.summary import FitSummary
from softunit.report.words import (
    aligned,
    certificate_figures,
    headline,
    key_figures,
    mark,
    number,
    percent,
    plain,
    sentence,
    shorten,
    verdict,
    version,
)

if TYPE_CHECKING:
    import jinja2


def write_html(path: str | Path, summary: FitSummary) -> None:
    """Write the report of a fit to `path`, whole or not at all.

    Parameters
    ----------
    path : str or Path
    summary : FitSummary

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    page = render_html(summary)
    with replace_file(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render_html(summary: FitSummary) -> str:
    """Return the report of a fit as the text of one HTML file; the same fit, the same text."""
    return (
        page_environment()
        .get_template("template.html")
        .render(
            summary=summary,
            state=_state(summary),
            headline=headline(summary),
            verdict=verdict(summary),
            figures=key_figures(summary),
            certificate=certificate_figures(summary.certificate),
            charts=convergence_charts(summary),
            reliability=summary.calibration and reliability_chart(summary.calibration),
            scatter=summary.fit and scatter_chart(summary.fit),
            thresholds=_thresholds(summary),
            plot=summary.estimates and _plot(summary.estimates),
            legend=LEGEND,
            matrix=_matrix(summary),
            widest=max((abs(item.effect) for item in summary.coefficients), default=0.0) or 1.0,
            version=version(),
        )
    )


def _state(summary: FitSummary) -> str:
    return "good" if summary.solution.converged else "poor"


def _thresholds(summary: FitSummary) -> tuple[Chart, ...]:
    """Return a reliability diagram for each threshold of an ordinal model."""
    return tuple(
        reliability_chart(each, f"threshold-{place}", sentence(each.about))
        for place, each in enumerate(summary.thresholds)
    )


def _plot(table: Estimates) -> dict[str, Any]:
    """Return the forest plot of a table: rows by class, on one axis for all."""
    found = forest(table.rows)
    axis = linear_axis([found.low, found.high], "")
    drawn = list(zip(table.rows, found.whiskers, strict=True))
    return {
        "zero": found.zero,
        # Labels of the ends would stick out of the column.
        "ticks": [
            {"at": round(100 * tick.place, 2), "label": tick.label}
            for tick in axis.ticks
            if 0.04 < tick.place < 0.96
        ],
        "groups": [
            (label, [pair for pair in drawn if pair[0].label == label]) for label, _ in table.groups
        ],
        "cut": any(whisker.opens_left or whisker.opens_right for whisker in found.whiskers),
    }


def _matrix(summary: FitSummary) -> tuple[tuple[tuple[str, float], ...], ...]:
    """Return the confusion matrix as text, each entry with its heat from 0 to 1.

    The heat grows with the square root of the share of its row, from a floor: a few errors in a
    thousand still show.
    """
    if summary.confusion is None:
        return ()
    totals = np.maximum(summary.confusion.sum(axis=1, keepdims=True), 1e-300)
    heat = 0.2 + 0.8 * np.sqrt(np.clip(summary.confusion / totals, 0.0, 1.0))
    return tuple(
        tuple((number(float(n)), round(float(share), 3)) for n, share in zip(*row, strict=True))
        for row in zip(summary.confusion, heat, strict=True)
    )


def _short(name: object) -> str:
    """Return a name that fits the head of a column of the confusion matrix."""
    return shorten(plain(name), 14)


def page_environment(*packages: str) -> jinja2.Environment:
    """Return the templates of the reports; everything printed is made plain and escaped.

    Parameters
    ----------
    *packages : str
        More packages with templates, looked at first.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise MissingExtraError("the HTML report", "cli") from error

    def finalize(value: Any) -> Any:
        # Every printed expression passes here, so no name can be forgotten.
        return value if isinstance(value, Markup) else plain(value)

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, "") for package in (*packages, "softunit.report")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        aligned=aligned,
        elasticity=elasticity,
        figures=figures,
        interval=interval_of,
        mark=mark,
        meaning=meaning,
        number=number,
        percent=percent,
        reach=reach,
        sentence=sentence,
        short=_short,
    )
    return environment

"""Reports of a fit: one set of facts, as an HTML page and for the terminal."""

from __future__ import annotations

from softunit.report.build import classifier_summary, regressor_summary
from softunit.report.html import render_html, write_html
from softunit.report.summary import (
    Bin,
    Calibration,
    Coefficient,
    Confused,
    FitSummary,
    Labels,
    Scatter,
)
from softunit.report.text import render_text, summary_table

__all__ = [
    "Bin",
    "Calibration",
    "Coefficient",
    "Confused",
    "FitSummary",
    "Labels",
    "Scatter",
    "classifier_summary",
    "regressor_summary",
    "render_html",
    "render_text",
    "summary_table",
    "write_html",
]

"""Reports of a fit: one set of facts, as an HTML page and for the terminal."""

from __future__ import annotations

from softunit.report.build import classifier_summary, regressor_summary
from softunit.report.choice import ChoiceRows, choice_summary, ordinal_summary
from softunit.report.effects import (
    ElasticityTable,
    Willingness,
    Worth,
    elasticity_table,
    worths,
)
from softunit.report.estimates import Estimate, Estimates, estimates
from softunit.report.estimates_text import EstimatesText
from softunit.report.html import render_html, write_html
from softunit.report.summary import (
    Bin,
    Calibration,
    Coefficient,
    Confused,
    FitSummary,
    Labels,
    Scatter,
    Share,
)
from softunit.report.text import render_text, summary_table

__all__ = [
    "Bin",
    "Calibration",
    "ChoiceRows",
    "Coefficient",
    "Confused",
    "ElasticityTable",
    "Estimate",
    "Estimates",
    "EstimatesText",
    "FitSummary",
    "Labels",
    "Scatter",
    "Share",
    "Willingness",
    "Worth",
    "choice_summary",
    "classifier_summary",
    "elasticity_table",
    "estimates",
    "ordinal_summary",
    "regressor_summary",
    "render_html",
    "render_text",
    "summary_table",
    "worths",
    "write_html",
]

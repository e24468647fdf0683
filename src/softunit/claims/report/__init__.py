"""The page of a run of claims: each with its sentence, its findings and its picture."""

from softunit.claims.report.drawing import Drawing, drawn
from softunit.claims.report.page import render_page, write_page
from softunit.claims.report.words import bar_words, duration, tally, versions

__all__ = [
    "Drawing",
    "bar_words",
    "drawn",
    "duration",
    "render_page",
    "tally",
    "versions",
    "write_page",
]

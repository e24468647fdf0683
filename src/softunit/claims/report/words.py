"""Verdicts, bars and versions in words: the same ones for the page and for the terminal."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version as installed_version

from softunit.claims.base import Finding
from softunit.claims.outcome import Outcome
from softunit.report.words import number
from softunit.report.words import version as own_version

_SIGNS = {"<=": "≤", ">=": "≥"}


def bar_words(finding: Finding, *, digits: int = 4) -> str:
    """Return the bar with its sense, as "≤ 1e-6".

    Parameters
    ----------
    finding : Finding
    digits : int, default 4
        Significant digits of the number.
    """
    return f"{_SIGNS[finding.sense]} {number(finding.bar, digits)}"


def tally(outcomes: Sequence[Outcome]) -> str:
    """Return how the claims came out, in one sentence that names those that do not hold.

    Parameters
    ----------
    outcomes : sequence of Outcome
    """
    counts = Counter(outcome.verdict for outcome in outcomes)
    total = len(outcomes)
    if not total:
        return "Nothing was measured."
    if counts["holds"] == total:
        return "The claim holds." if total == 1 else f"All {total} claims hold."
    parts = []
    if counts["holds"]:
        parts.append(f"{counts['holds']} of {total} claims hold{'s' * (counts['holds'] == 1)}")
    parts += _named(outcomes, "fails", "fails", "fail")
    parts += _named(outcomes, "could not be measured", *2 * ("could not be measured",))
    return "; ".join(parts) + "."


def _named(outcomes: Sequence[Outcome], verdict: str, one: str, many: str) -> list[str]:
    ids = [outcome.claim.id for outcome in outcomes if outcome.verdict == verdict]
    return [f"{', '.join(ids)} {one if len(ids) == 1 else many}"] if ids else []


def duration(seconds: float) -> str:
    """Return a time in seconds, or in milliseconds if it is short.

    Parameters
    ----------
    seconds : float
    """
    return f"{1000 * seconds:.2g} ms" if seconds < 0.1 else f"{number(seconds, 3)} s"


def versions() -> dict[str, str]:
    """Return the versions that a measurement depends on: softunit, Python, NumPy, SciPy."""
    return {
        "softunit": own_version(),
        "python": platform.python_version(),
        "numpy": installed_version("numpy"),
        "scipy": installed_version("scipy"),
    }

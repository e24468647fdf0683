"""A run of claims as one HTML file: styles and pictures inside, no script, no outside request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from softunit._files import replace_file
from softunit.claims.base import Effort
from softunit.claims.outcome import Outcome
from softunit.claims.report.drawing import Drawing, drawn
from softunit.claims.report.words import bar_words, duration, tally, versions
from softunit.report.html import page_environment


def write_page(
    path: str | Path,
    outcomes: Sequence[Outcome],
    effort: Effort,
    *,
    repeat: str = "",
    complete: bool = True,
) -> None:
    """Write the page of a run to `path`, whole or not at all.

    Parameters
    ----------
    path : str or Path
    outcomes : sequence of Outcome
    effort : Effort
        What they were measured with.
    repeat : str, default ""
        The command that does it again.
    complete : bool, default True
        Whether all that was asked for has been measured.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    page = render_page(outcomes, effort, repeat=repeat, complete=complete)
    with replace_file(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render_page(
    outcomes: Sequence[Outcome], effort: Effort, *, repeat: str = "", complete: bool = True
) -> str:
    """Return the page of a run as the text of one HTML file.

    Parameters
    ----------
    outcomes : sequence of Outcome
    effort : Effort
        What they were measured with.
    repeat : str, default ""
        The command that does it again.
    complete : bool, default True
        Whether all that was asked for has been measured.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    findings = [f for outcome in outcomes if outcome.evidence for f in outcome.evidence.findings]
    return (
        page_environment("softunit.claims.report")
        .get_template("claims.html")
        .render(
            outcomes=outcomes,
            effort=effort,
            repeat=repeat,
            complete=complete,
            tally=tally(outcomes),
            good=bool(outcomes) and all(outcome.holds for outcome in outcomes),
            met=sum(finding.holds for finding in findings),
            measured=len(findings),
            seconds=sum(outcome.seconds for outcome in outcomes),
            versions=versions(),
            bar=bar_words,
            duration=duration,
            drawing=_drawing,
        )
    )


def _drawing(outcome: Outcome) -> Drawing | None:
    if outcome.evidence is None or outcome.evidence.picture is None:
        return None
    return drawn(outcome.evidence.picture, f"picture-{outcome.claim.id.replace('.', '-')}")

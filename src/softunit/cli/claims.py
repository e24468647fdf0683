"""`softunit claims`: what papers claim, measured, each number beside its bar.

The claims themselves are imported when they are asked for: other commands do not wait for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softunit.cli import options
from softunit.cli.exits import CONVERGED, NOT_CONVERGED
from softunit.cli.outputs import check_installed, check_outputs, write_json
from softunit.cli.screen import Screen
from softunit.errors import InputError
from softunit.report.words import version

if TYPE_CHECKING:
    from softunit.claims import Claim, Effort, Outcome

PAGE = Path("claims.html")
"""Where the page goes by default."""

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Which claims, as 0.4 1.12.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="Every claim.")]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="All random numbers come from it.")
]
Share = Annotated[
    float,
    typer.Option(
        "--share",
        metavar="NUMBER",
        min=0.001,
        max=1.0,
        help="Of the full size: below 1 a quick look.",
    ),
]
PageFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help=f"Write the HTML page here. (default: {PAGE})"),
]
NoPage = Annotated[bool, typer.Option("--no-report", help="Write no HTML page.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 3 unless every claim that is run holds.")
]

claims = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@claims.callback()
def list_claims(
    context: typer.Context,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> int:
    """Measure what papers claim; without a command, list the claims.

    \b
    softunit claims
    softunit claims run 0.4 1.12
    softunit claims run --all
    """  # noqa: D301 - the \b keeps these lines apart
    if context.invoked_subcommand is not None:
        if json is not None or quiet:
            raise InputError("--json and --quiet go behind `run`: softunit claims run --json FILE.")
        return CONVERGED
    check_outputs({"--json": json}, {})
    from softunit.claims import CLAIMS
    from softunit.claims.record import about
    from softunit.cli.claims_screen import show_claims

    screen = Screen(quiet)
    show_claims(CLAIMS, screen)
    write_json(
        json,
        {
            "command": "claims",
            "softunit": version(),
            "claims": [about(claim) for claim in CLAIMS],
            "value": len(CLAIMS),
            **dict.fromkeys(("gradient_norm", "gap_bound", "n_iter")),
            "converged": True,
            "seconds": 0.0,
        },
    )
    screen.files("Files", [("Claims", json)])
    return CONVERGED


@claims.command("run")
def run_claims(
    ids: Ids = None,
    every: All = False,
    seed: Seed = 0,
    share: Share = 1.0,
    report: PageFile = None,
    no_report: NoPage = False,
    json: options.JsonFile = None,
    strict: Strict = False,
    quiet: options.Quiet = False,
) -> int:
    """Measure claims, and write an HTML page.

    A claim holds if every number that was measured for it meets its bar. Exit status: 0 whatever
    the verdicts, 3 with --strict if one does not hold, 2 bad input.
    """
    from softunit.claims import Effort

    chosen = _chosen(ids or [], every)
    page = _page(report, no_report)
    check_outputs({"--json": json, "--report": page}, {})
    check_installed({"--report": page})
    effort = Effort(seed=seed, share=share)
    screen = Screen(quiet)
    outcomes = _measured(chosen, effort, screen, Kept(json, page, _repeat(ids, effort)))
    screen.files("Files", [("Figures", json), ("Page", page)])
    missed = [outcome.claim.id for outcome in outcomes if not outcome.holds]
    if missed:
        plural = len(missed) > 1
        screen.advise(f"{', '.join(missed)} {'do' if plural else 'does'} not hold.")
    return NOT_CONVERGED if strict and missed else CONVERGED


class Kept:
    """Where the figures and the page of a run go.

    Parameters
    ----------
    json, page : Path or None
    repeat : str
        The command that does it again.
    """

    def __init__(self, json: Path | None, page: Path | None, repeat: str) -> None:
        self.json, self.page, self.repeat = json, page, repeat

    def write(self, outcomes: Sequence[Outcome], effort: Effort, *, complete: bool) -> None:
        """Write both, as far as they were asked for.

        Parameters
        ----------
        outcomes : sequence of Outcome
        effort : Effort
        complete : bool
            Whether all that was asked for has been measured.
        """
        from softunit.claims.record import record
        from softunit.claims.report import versions, write_page

        told = {"versions": versions(), "complete": complete}
        write_json(self.json, told | record(outcomes, effort))
        if self.page is not None:
            write_page(self.page, outcomes, effort, repeat=self.repeat, complete=complete)


def _chosen(ids: Sequence[str], every: bool) -> tuple[Claim, ...]:
    """Return the claims that were asked for."""
    from softunit.claims import CLAIMS, chosen

    if every and ids:
        raise InputError(f"--all and {ids[0]!r} cannot go together: --all means every claim.")
    if not every and not ids:
        raise InputError(
            "Which claims? Name them, as softunit claims run 0.4, or give --all; softunit claims"
            " lists them."
        )
    return CLAIMS if every else chosen(ids, CLAIMS)


def _page(report: Path | None, no_report: bool) -> Path | None:
    if no_report and report is not None:
        raise InputError("--report and --no-report cannot go together: leave one out.")
    return None if no_report else report or PAGE


def _repeat(ids: Sequence[str] | None, effort: Effort) -> str:
    """Return the command that measures the same again."""
    share = "" if effort.share == 1.0 else f" --share {effort.share:g}"
    return f"softunit claims run {' '.join(ids) if ids else '--all'} --seed {effort.seed}{share}"


def _measured(chosen: Sequence[Claim], effort: Effort, screen: Screen, kept: Kept) -> list[Outcome]:
    """Measure and show each claim; what is measured is kept, even if interrupted."""
    from softunit.claims import measure_all
    from softunit.cli.claims_screen import measuring, show_end, show_outcome, show_share

    outcomes: list[Outcome] = []
    complete = False
    show_share(effort, screen)
    with measuring(screen, len(chosen)) as line:
        try:
            for outcome in measure_all(chosen, effort, line.watch):
                outcomes.append(outcome)
                line.pause()
                show_outcome(outcome, screen)
            complete = True
        finally:
            line.pause()
            kept.write(outcomes, effort, complete=complete)
    show_end(outcomes, effort, screen)
    return outcomes

"""What `softunit claims` prints: the list, each claim's findings, and the verdicts at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from softunit.claims import Claim, Effort, Evidence, Outcome
from softunit.claims.report import bar_words, duration, tally
from softunit.cli.screen import Screen
from softunit.report.words import number, percent, plain

WIDE = 76
"""Columns from which the findings are a table; below, each has its numbers in a line of its own."""

_COLOURS = {"holds": "green", "fails": "red", "could not be measured": "yellow"}


class MeasuringLine:
    """A line on a terminal that says which claim is measured, what of it, and since when."""

    def __init__(self, screen: Screen, total: int) -> None:
        shown = not screen.quiet and screen.err.is_terminal
        self._screen, self._total, self._begun = screen, total, 0
        self._now: Claim | None = None
        self._progress: Progress | None = None
        self._shown = shown

    def watch(self, claim: Claim, what: str) -> None:
        """Say what is measured now.

        Parameters
        ----------
        claim : Claim
        what : str
        """
        if not self._shown:
            return
        if claim is not self._now:
            self._now, self._begun = claim, self._begun + 1
        if self._progress is None:
            words = TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            )
            self._progress = Progress(
                SpinnerColumn(),
                words,
                TimeElapsedColumn(),
                console=self._screen.err,
                transient=True,
                expand=True,
            )
            self._progress.add_task("", total=None)
            self._progress.start()
        place = f" ({self._begun} of {self._total})" if self._total > 1 else ""
        text = f"{claim.id}{place}: {what or claim.title}"
        self._progress.update(self._progress.task_ids[0], description=plain(text))

    def pause(self) -> None:
        """Give the line free."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


@contextlib.contextmanager
def measuring(screen: Screen, total: int) -> Iterator[MeasuringLine]:
    """Give a line that goes away at the end.

    Parameters
    ----------
    screen : Screen
    total : int
        How many claims are measured.
    """
    line = MeasuringLine(screen, total)
    try:
        yield line
    finally:
        line.pause()


def show_claims(claims: Sequence[Claim], screen: Screen) -> None:
    """Print all claims: id, title, sentence and paper.

    Parameters
    ----------
    claims : sequence of Claim
    screen : Screen
    """
    if screen.quiet:
        return
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for index, claim in enumerate(claims):
        if index:
            table.add_row()
        told = Text.assemble(
            (plain(claim.title), "bold"),
            f"\n{plain(claim.sentence)}\n",
            (plain(claim.paper), "dim"),
        )
        table.add_row(Text(plain(claim.id), style="bold cyan"), told)
    screen.out.print(table)
    screen.say()
    screen.say("To measure some: softunit claims run 0.4 1.12. All: softunit claims run --all.")


def show_share(effort: Effort, screen: Screen) -> None:
    """Say it loudly if this is not the full size.

    Parameters
    ----------
    effort : Effort
    screen : Screen
    """
    if effort.share < 1.0:
        screen.say(
            f"A QUICK LOOK, NOT THE FULL SIZE: {percent(effort.share)} of it. Leave out --share"
            " before relying on a verdict.",
            style="bold yellow",
        )
        screen.say()


def show_outcome(outcome: Outcome, screen: Screen) -> None:
    """Print one claim: its verdict, its findings and its notes.

    Parameters
    ----------
    outcome : Outcome
    screen : Screen
    """
    if screen.quiet:
        return
    claim, verdict = outcome.claim, outcome.verdict
    screen.out.print(
        Text.assemble(
            (plain(f"{claim.id} {claim.title}: "), "bold"),
            (f"{verdict}", f"bold {_COLOURS[verdict]}"),
            (f" ({duration(outcome.seconds)})", "dim"),
        )
    )
    screen.say(claim.sentence, style="dim")
    if outcome.evidence is None:
        screen.say(outcome.reason)
    else:
        wide = screen.out.width >= WIDE
        screen.out.print((_table if wide else _lines)(outcome.evidence))
        for note in outcome.evidence.notes:
            screen.out.print(_note(note))
    screen.say()


def _table(evidence: Evidence) -> Table:
    """Return the findings as rows: what, measured, bar, verdict."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
    table.add_column("what was measured", overflow="fold", ratio=1)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("bar", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in evidence.findings:
        word = "holds" if one.holds else "fails"
        table.add_row(
            Text(plain(one.what)),
            Text(number(one.value)),
            Text(bar_words(one)),
            Text(word, style=_COLOURS[word]),
        )
    return table


def _lines(evidence: Evidence) -> Table:
    """Return the findings for a narrow terminal: the numbers below the words."""
    grid = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for one in evidence.findings:
        word = "holds" if one.holds else "fails"
        numbers = f"\nmeasured {number(one.value)}, bar {bar_words(one)}"
        told = Text.assemble(plain(one.what), (numbers, "dim"))
        grid.add_row(Text(word, style=_COLOURS[word]), told)
    return grid


def _note(note: str) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    grid.add_row(Text("note", style="dim"), Text(plain(note)))
    return grid


def show_end(outcomes: Sequence[Outcome], effort: Effort, screen: Screen) -> None:
    """Print all verdicts in a table, and how many hold.

    Parameters
    ----------
    outcomes : sequence of Outcome
    effort : Effort
    screen : Screen
    """
    if len(outcomes) > 1 and not screen.quiet:
        table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold", ratio=1)
        table.add_column(overflow="fold")
        for outcome in outcomes:
            verdict = Text(outcome.verdict, style=_COLOURS[outcome.verdict])
            table.add_row(outcome.claim.id, Text(plain(outcome.claim.title)), verdict)
        screen.out.print(Text("All claims", style="bold underline"))
        screen.out.print(table)
        screen.say()
    good = all(outcome.holds for outcome in outcomes)
    screen.say(tally(outcomes), style=f"bold {'green' if good else 'yellow'}")
    show_share(effort, screen)

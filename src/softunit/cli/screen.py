"""What a command prints; names from data go out as text, never as markup or control codes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from softunit.cli.wording import as_options
from softunit.report import FitSummary, render_text
from softunit.report.words import STYLES, plain

AFTER = 2.0
"""Seconds of work after which a line says what is being done."""

_LABELS = 28  # as wide as in the summary, so that values line up below it


class _Console(Console):
    """A console that leaves a closed pipe to the caller; rich would end the program."""

    def on_broken_pipe(self) -> NoReturn:
        """Pass the error on."""
        raise BrokenPipeError


def _console(*, stderr: bool = False) -> Console:
    return _Console(stderr=stderr, markup=False, highlight=False, emoji=False)


@dataclass(frozen=True)
class Screen:
    """Where a command prints.

    Attributes
    ----------
    quiet : bool
        Nothing but errors and advice.
    """

    quiet: bool = False
    out: Console = field(default_factory=_console)
    err: Console = field(default_factory=lambda: _console(stderr=True))

    @classmethod
    def aside(cls, quiet: bool) -> Screen:
        """Return a screen that leaves stdout to the data and prints on stderr."""
        return cls(quiet, out=_console(stderr=True))

    def say(self, text: str = "", *, style: str = "") -> None:
        """Print one paragraph."""
        if not self.quiet:
            self.out.print(Text(plain(text), style=style))

    def verdict(self, title: str, headline: str, rest: str, *, good: bool) -> None:
        """Print a title, and below it a few coloured words and their explanation."""
        if self.quiet:
            return
        self.say(title, style="bold")
        colour = "bold green" if good else "bold yellow"
        self.out.print(Text.assemble((f"{plain(headline)}. ", colour), plain(rest)))

    def section(self, name: str, rows: Iterable[tuple[str, str]]) -> None:
        """Print a name and two columns below it; nothing where there are no rows."""
        rows = list(rows)
        if self.quiet or not rows:
            return
        marks = all(label in STYLES for label, _ in rows)
        table = Table.grid(padding=(0, 2), pad_edge=False)
        width = 0 if marks else _LABELS  # in spaces: a least width cuts values
        table.add_column(overflow="fold", max_width=_LABELS)
        table.add_column(overflow="fold", ratio=1)
        for label, value in rows:
            style = STYLES.get(label, "dim")
            table.add_row(Text(plain(label).ljust(width), style=style), Text(plain(value)))
        self.out.print()
        self.out.print(Text(plain(name), style="bold underline"))
        self.out.print(table)

    def files(self, name: str, rows: Iterable[tuple[str, Path | None]]) -> None:
        """Print which files were written, a line each, never folded: paths are there to be copied.

        Parameters
        ----------
        name : str
        rows : iterable of (str, Path or None)
            None is left out.
        """
        written = [(label, str(path)) for label, path in rows if path is not None]
        if self.quiet or not written:
            return
        self.out.print()
        self.out.print(Text(plain(name), style="bold underline"))
        for label, path in written:
            line = Text.assemble((plain(label).ljust(_LABELS + 2), "dim"), plain(path))
            self.out.print(line, soft_wrap=True)

    def summary(self, summary: FitSummary) -> None:
        """Print the summary of a fit."""
        if not self.quiet:
            render_text(summary, self.out)

    def advise(self, sentence: str) -> None:
        """Print a sentence where even a quiet command must say something."""
        if self.quiet:
            complain(sentence)

    @contextlib.contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Say what is being done if it takes more than two seconds, on a terminal."""
        if self.quiet or not self.err.is_terminal:
            yield
            return
        status = self.err.status(Text(plain(text)))
        timer = threading.Timer(AFTER, status.start)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            status.stop()


def complain(sentence: str) -> None:
    """Print one sentence on stderr, on one line, behind the name of the command."""
    text = plain(as_options(" ".join(sentence.split())))
    line = Text.assemble(("softunit: ", "bold red"), text)
    # Not folded at the width of the terminal: a sentence in a log should stay one line.
    with contextlib.suppress(OSError):  # where even this cannot be said, the status says it
        _console(stderr=True).print(line, soft_wrap=True)

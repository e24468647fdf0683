"""What `softunit bench attention` prints: each unit's findings, and at the end all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from softunit.cli.screen import Screen, complain
from softunit.report.words import plain

if TYPE_CHECKING:
    from softunit.bench.attention import Plan, Row

PAPER_HEAD = "What the papers say of their own (not measured here)"


class AttentionLine:
    """A line on a terminal that says which unit is measured, and what of it.

    Parameters
    ----------
    screen : Screen
    total : int
        How many units and peers there are.
    """

    def __init__(self, screen: Screen, total: int) -> None:
        shown = not screen.quiet and screen.err.is_terminal
        self._status = screen.err.status("") if shown else None
        self._total, self._seen = total, list[str]()

    def watch(self, row: Row, part: str, found: dict[str, Any]) -> None:
        """Say what is measured now.

        Parameters
        ----------
        row : Row
        part : str
        found : dict
            What is known of the part.
        """
        if row.name not in self._seen:
            self._seen.append(row.name)
        if self._status is None:
            return
        where = f"{plain(row.name)} ({len(self._seen)} of {self._total}): {part}"
        if found.get("points"):
            where += f", n = {found['points'][-1]['n']:,}"
        if found.get("losses"):
            where += f", step {len(found['losses'])}, loss {found['losses'][-1]:.2f}"
        self._status.update(Text(where))
        self._status.start()

    def pause(self) -> None:
        """Give the line free."""
        if self._status is not None:
            self._status.stop()


def show_names(screen: Screen) -> None:
    """Print the units and the peers.

    Parameters
    ----------
    screen : Screen
    """
    from softunit.bench.attention import Plan
    from softunit.bench.attention.worker import shape_of
    from softunit.nn.workbench import PEERS, unit_contender, unit_names

    rows = []
    for name in unit_names():
        contender = unit_contender(name)
        kind = "near linear in n" if contender.linear else "over all pairs of tokens"
        if contender.unit.pairs:
            kind = f"pairs of keys, {kind}"
        rows.append((name, kind + (", with a bias by distance" if contender.relative else "")))
    screen.section("Units", rows)
    shape = shape_of(Plan((), ()))
    told = [(name, peer.missing(shape) or peer.about) for name, peer in PEERS.items()]
    screen.section("Peers", told)


def show_row(row: Row, screen: Screen) -> None:
    """Print what was found of one unit or peer.

    Parameters
    ----------
    row : Row
    screen : Screen
    """
    from softunit.cli.bench_attention_words import told

    screen.section(row.name if row.kind == "unit" else f"{row.name} (peer)", told(row))


def say_how_to_go_on(json: Path | None) -> None:
    """Say after Ctrl-C, on stderr, how the rest is measured.

    Parameters
    ----------
    json : Path or None
        The file of --json.
    """
    complain(
        "give --json FILE, and a run that is interrupted can go on."
        if json is None
        else f"the same command with --resume --json {json} goes on from here."
    )


def show_table(plan: Plan, rows: Sequence[Row], screen: Screen) -> None:
    """Print one line for each unit and peer, and what the papers say.

    Parameters
    ----------
    plan : Plan
    rows : sequence of Row
    screen : Screen
    """
    from softunit.cli.bench_attention_table import HEADS, beside, cells
    from softunit.nn.workbench import PAPERS

    if screen.quiet:
        return
    lines = [tuple(map(plain, cells(row))) for row in rows]
    screen.out.print()
    screen.out.print(Text("All units and peers", style="bold underline"))
    for columns in beside([HEADS, *lines], screen.out.width):
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for index in (0, *columns):
            justify = "right" if index else "left"
            table.add_column(HEADS[index], justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for line in lines:
            table.add_row(*(Text(line[index]) for index in (0, *columns)))
        screen.out.print(table)
    screen.say(
        "Slopes: power of n of a forward with backward. Error: to the plain definition, float32."
        " Text: loss; recall: share right. A dash: not measured, see above. Peers are not"
        " trained. Times depend on what else the machine does.",
        style="dim",
    )
    said = [(name, " ".join(PAPERS[name])) for name in plan.units if name in PAPERS]
    screen.section(PAPER_HEAD, [(name, text) for name, text in said])

"""The table of coefficients and errors for the terminal, from 60 columns up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from softunit.report.estimates import DASH, LEGEND, Estimate, Estimates, chance
from softunit.report.words import aligned, number, plain, shorten

WIDE = 80
"""Columns of a terminal from which on the interval stands in the row of its coefficient."""

MOST_ROWS = 60
"""Coefficients that a terminal shows; the page and JSON have all."""

TITLE = "Coefficients and their errors"
NOT_BELIEVED = "The fit has not converged: these are not its estimates yet, so no stars."


@dataclass(frozen=True)
class EstimatesText:
    """What rich prints of a table of coefficients: as wide as the terminal allows.

    Attributes
    ----------
    estimates : Estimates
    """

    estimates: Estimates

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        """Yield the lines of the table, for a terminal of this width."""
        from rich.text import Text

        table, width = self.estimates, options.max_width
        yield Text(TITLE, style="bold underline")
        if not table.believed:
            yield Text(NOT_BELIEVED, style="yellow")
        longest = max((len(plain(row.feature)) for row in table.rows), default=0)
        name = max(12, min(longest + 1, width - (_NUMBERS if width < WIDE else _WITH_INTERVAL)))
        yield Text(_header(name, table.level, wide=width >= WIDE), style="dim")
        left = MOST_ROWS
        for label, rows in table.groups:
            if label and left > 0:
                yield Text(plain(_heading(label, table.against)), style="bold")
            for row in rows[: max(left, 0)]:
                yield from _lines(row, name, wide=width >= WIDE)
            left -= len(rows)
        if left < 0:
            yield Text(f"and {number(-left)} more: --json and --report have all.", style="dim")
        legend = (f"{LEGEND}.",) if table.believed else ()
        told = " ".join((*legend, f"Errors are {table.kind}.", *table.notes))
        yield Text(plain(told), style="dim")
        yield Text()
        yield _facts(table)


_NUMBERS = 37
_WITH_INTERVAL = 60


def _header(name: int, level: float, *, wide: bool) -> str:
    interval = f"{100 * level:g}% interval"
    line = f"{'':<{name}}{'Estimate':>10}{'Error':>9}{'z':>7}{'p':>7}"
    return f"{line}     {interval}" if wide else f"{line}\n  {interval}"


def _lines(row: Estimate, name: int, *, wide: bool) -> Iterable[Any]:
    """Yield the lines of one coefficient; the interval has its own on a narrow terminal."""
    from rich.text import Text

    told = plain(shorten(row.feature, 200))
    *above, last = [told[i : i + name - 1] for i in range(0, len(told), name - 1)] or [""]
    for part in above:
        yield Text(part)
    value, error, z, p = figures(row)
    line = f"{last:<{name}}{value:>10}{error:>9}{z:>7}{p:>7} {row.stars:<3}"
    yield Text(f"{line} {interval_of(row)}" if wide else line.rstrip())
    if not wide:
        yield Text(f"  {interval_of(row)}", style="dim")


def figures(row: Estimate) -> tuple[str, str, str, str]:
    """Return estimate, error, z and p as texts; dashes where a penalty holds a zero.

    Parameters
    ----------
    row : Estimate
    """
    if row.error == 0:
        return aligned(row.value), DASH, DASH, DASH
    z = f"{row.z:.2f}" if abs(row.z) < 1000 else number(row.z, 3)
    return aligned(row.value), aligned(row.error), z, chance(row.p)


def interval_of(row: Estimate) -> str:
    """Return the interval of a coefficient as a text.

    Parameters
    ----------
    row : Estimate
    """
    return DASH if row.error == 0 else f"{aligned(row.low)} to {aligned(row.high)}"


def _heading(label: str, against: str) -> str:
    return f"{label} against {against}" if against else label


def _facts(table: Estimates) -> Any:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(overflow="fold", max_width=28)
    grid.add_column(overflow="fold", ratio=1)
    for label, value in table.facts:
        grid.add_row(Text(plain(label).ljust(28), style="dim"), Text(plain(value)))
    return grid

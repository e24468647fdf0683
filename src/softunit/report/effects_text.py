"""Rates of exchange and elasticities for the terminal, from 60 columns up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from softunit.report.effects import ElasticityTable, Willingness, Worth
from softunit.report.estimates import DASH
from softunit.report.estimates_text import MOST_ROWS, NOT_BELIEVED, WIDE
from softunit.report.words import aligned, plain, shorten

MOST_ALTERNATIVES = 12
"""Alternatives whose elasticities a terminal shows; the page and JSON have more."""

_CELL = 10
_NAME = 20


@dataclass(frozen=True)
class WillingnessText:
    """What rich prints of a table of rates of exchange: as wide as the terminal allows.

    Attributes
    ----------
    willingness : Willingness
    """

    willingness: Willingness

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        """Yield the lines of the table, for a terminal of this width."""
        from rich.text import Text

        table, width = self.willingness, options.max_width
        wide = width >= WIDE
        yield Text(plain(f"Willingness to pay, in units of {table.price}"), style="bold underline")
        if not table.believed:
            yield Text(NOT_BELIEVED.removesuffix(", so no stars.") + ".", style="yellow")
        longest = max(len(plain(row.feature)) for row in table.rows)
        name = max(12, min(longest + 1, width - (50 if wide else 27)))
        head = f"{'':<{name}}{'Worth':>11}{'Error':>11}"
        # Of a fit that has not converged there are no intervals.
        between = "   " if wide else "\n  "
        interval = f"{between}{100 * table.level:g}% interval" if table.believed else ""
        yield Text(f"{head}{interval}", style="dim")
        for row in table.rows[:MOST_ROWS]:
            *above, last = _folded(row.feature, name - 1)
            for part in above:
                yield Text(part)
            line = f"{last:<{name}}{aligned(row.value):>11}{aligned(row.error):>11}"
            yield Text(f"{line}   {reach(row)}" if wide and table.believed else line)
            if table.believed and not wide:
                yield Text(f"  {reach(row)}", style="dim")
        more = len(table.rows) - MOST_ROWS
        if more > 0:
            yield Text(f"and {more} more: --json and --report have all.", style="dim")
        told = " ".join((f"Errors by the delta method; {table.kind}.", *table.notes))
        yield Text(plain(told), style="dim")


@dataclass(frozen=True)
class ElasticitiesText:
    """What rich prints of a table of elasticities; columns that do not fit stand below.

    Attributes
    ----------
    elasticities : ElasticityTable
    """

    elasticities: ElasticityTable

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        """Yield the lines of the table, for a terminal of this width."""
        from rich.text import Text

        table = self.elasticities
        yield Text(plain(f"Elasticities by {table.column}"), style="bold underline")
        if not table.believed:
            yield Text(NOT_BELIEVED.removesuffix(", so no stars.") + ".", style="yellow")
        shown = table.alternatives[:MOST_ALTERNATIVES]
        name = max(6, min(_NAME, max(len(plain(each)) for each in shown) + 1))
        fit = max(1, (options.max_width - name) // _CELL)
        for start in range(0, len(shown), fit):
            part = slice(start, min(start + fit, len(shown)))
            heads = "".join(f"{shorten(plain(each), _CELL - 1):>{_CELL}}" for each in shown[part])
            yield Text(f"{'':<{name}}{heads}", style="dim")
            for label, row in table.rows[:MOST_ALTERNATIVES]:
                cells = "".join(f"{elasticity(value):>{_CELL}}" for value in row[part])
                yield Text(f"{shorten(plain(label), name - 1):<{name}}{cells}")
        more = len(table.alternatives) - len(shown)
        if more > 0:
            yield Text(f"and {more} more alternatives: --json and --report have all.", style="dim")
        yield Text(plain(meaning(table)), style="dim")


def reach(row: Worth) -> str:
    """Return the interval of a worth as a text; a dash where there is none.

    Parameters
    ----------
    row : Worth
    """
    return DASH if math.isnan(row.low) else f"{aligned(row.low)} to {aligned(row.high)}"


def meaning(table: ElasticityTable) -> str:
    """Return what the entries of a table of elasticities are, as a sentence.

    Parameters
    ----------
    table : ElasticityTable
    """
    return (
        "By how many per cent the share of the row's alternative changes for one per cent more of"
        f" {table.column} in the column's alternative."
    )


def elasticity(value: float) -> str:
    """Return an elasticity as a text; a dash where no set offers both alternatives.

    Parameters
    ----------
    value : float
    """
    return DASH if math.isnan(value) else aligned(value)


def _folded(name: str, width: int) -> list[str]:
    """Return a name in pieces of at most so many characters."""
    told = plain(shorten(name, 200))
    return [told[i : i + width] for i in range(0, len(told), width)] or [""]

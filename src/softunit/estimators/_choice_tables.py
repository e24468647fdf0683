"""Small tables of a choice model's effects, in characters and in HTML."""

from __future__ import annotations

import html
import shutil
import textwrap
from dataclasses import dataclass

from softunit._typing import Matrix
from softunit.inference.tables import cells_wide, printable

LEAST = 40  # characters of a line that are used however narrow the terminal
LONGEST = 32  # characters of a name

STYLE = """
.softunit-effects { font-family: system-ui, sans-serif; font-size: 14px; overflow-x: auto; }
.softunit-effects table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.softunit-effects th, .softunit-effects td { padding: 2px 10px; text-align: right; }
.softunit-effects th:first-child { text-align: left; }
.softunit-effects .warning { border: 2px solid #b00020; padding: 6px 10px; font-weight: 600; }
"""


@dataclass(frozen=True)
class Table:
    """Rows of cells with names, and sentences around them.

    Attributes
    ----------
    corner : str
        Above the names.
    columns : tuple of str
    names : tuple of str
        Of the rows.
    rows : tuple of tuple of str
    notes : tuple of str
        Sentences below.
    warning : str
        A sentence above; empty where there is none.
    """

    corner: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    warning: str = ""

    def to_text(self) -> str:
        """Return lines; columns that do not fit beside each other follow below."""
        room = max(LEAST, shutil.get_terminal_size((80, 24)).columns)
        names = [short(name) for name in (self.corner, *self.names)]
        first = max(map(cells_wide, names))
        heads = [short(name) for name in self.columns]
        widths = [
            max(cells_wide(head), *(cells_wide(row[j]) for row in self.rows))
            for j, head in enumerate(heads)
        ]
        blocks: list[list[int]] = [[]]
        for j, width in enumerate(widths):
            used = first + sum(widths[i] + 2 for i in blocks[-1])
            if blocks[-1] and used + width + 2 > room:
                blocks.append([])
            blocks[-1].append(j)
        lines = [*textwrap.wrap(printable(self.warning), room), ""] if self.warning else []
        for number, block in enumerate(blocks):
            lines += [""] if number else []
            for name, cells in zip(names, (heads, *self.rows), strict=True):
                told = "".join("  " + _right(cells[j], widths[j]) for j in block)
                lines.append((name + " " * (first - cells_wide(name)) + told).rstrip())
        for note in self.notes:
            lines += textwrap.wrap(printable(note), room)
        return "\n".join(lines)

    def to_html(self) -> str:
        """Return what stands in a page, names escaped."""
        told = html.escape
        head = "".join(f"<th>{told(printable(name))}</th>" for name in (self.corner, *self.columns))
        lines = [
            f"<tr><th>{told(printable(name))}</th>"
            + "".join(f"<td>{told(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, cells in zip(self.names, self.rows, strict=True)
        ]
        warning = f'<p class="warning">{told(printable(self.warning))}</p>' if self.warning else ""
        notes = "".join(f"<p>{told(printable(note))}</p>" for note in self.notes)
        return (
            f'<div class="softunit-effects"><style>{STYLE}</style>{warning}'
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
            f"{notes}</div>"
        )


def short(name: str) -> str:
    """Return a name on one line; the middle of a long one is left out, as levels stand last."""
    name = printable(name)
    half = LONGEST // 2
    return (
        name if len(name) <= LONGEST else f"{name[: half - 1]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"
    )


def shown_cells(rows: Matrix, form: str) -> tuple[tuple[str, ...], ...]:
    """Return numbers as text; one that is nan stays empty."""
    return tuple(tuple("" if v != v else format(v, form) for v in row) for row in rows.tolist())


def _right(text: str, width: int) -> str:
    return " " * (width - cells_wide(text)) + text

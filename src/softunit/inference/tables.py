"""How a summary is written: in characters, for rich, and in HTML."""

from __future__ import annotations

import html
import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softunit.inference.summary import Summary

SHOWN = 200  # parameters written out; a frame holds them all

STYLE = """
.softunit-summary { font-family: system-ui, sans-serif; font-size: 14px; max-width: 60em; }
.softunit-summary table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.softunit-summary th, .softunit-summary td { padding: 2px 10px; text-align: right; }
.softunit-summary th:first-child, .softunit-summary td:first-child { text-align: left; }
.softunit-summary thead th { border-bottom: 1px solid; }
.softunit-summary tr.class th { text-align: left; padding-top: 10px; }
.softunit-summary .warning { border: 2px solid #b00020; padding: 6px 10px; font-weight: 600; }
.softunit-summary .scroll { overflow-x: auto; }
"""

LEGEND = "* p < 0.05, ** p < 0.01, *** p < 0.001"

Rows = list[tuple[str, list[tuple[str, ...]]]]
"""Class (or ""), and its rows: name and cells."""


def headings(summary: Summary) -> tuple[str, ...]:
    """Return the names of the columns."""
    level = f"{100 * summary.level:g}%"
    return ("coef", "std err", "z", "p", f"{level} from", "to", "")


def body(summary: Summary) -> Rows:
    """Return rows of text, class by class, at most `SHOWN`."""
    stars = summary.stars
    numbers = (summary.coef, summary.std_error)
    limits = (summary.lower, summary.upper)
    groups: dict[str, list[tuple[str, ...]]] = {}
    for i, name in enumerate(summary.names[:SHOWN]):
        group, own = name if isinstance(name, tuple) else ("", name)
        cells = [_number(v[i]) for v in numbers]
        if not summary.held[i]:
            cells += [f"{summary.z[i]:.2f}", _probability(summary.p_value[i])]
            cells += [_number(v[i]) for v in limits] + [stars[i]]
        else:
            cells = [cells[0], *[""] * 5, "held"]
        groups.setdefault(printable(group), []).append((printable(own), *cells))
    return list(groups.items())


def foot(summary: Summary) -> list[str]:
    """Return the sentences below the table."""
    more = len(summary.names) - SHOWN
    cut = [f"{more:,} parameters more are in frame()."] if more > 0 else []
    legend = [LEGEND] if any(summary.stars) else []
    return [*cut, *legend, *map(printable, summary.notes)]


def as_text(summary: Summary, width: int | None) -> str:
    """Return the table in characters, at most `width` a line; None takes the terminal's."""
    room = max(30, shutil.get_terminal_size((80, 24)).columns) if width is None else width
    lines = []
    if summary.warning:
        lines += [*_wrapped(printable(summary.warning), room), ""]
    lines += _wrapped(printable(summary.title), room)
    lines += _wrapped("; ".join(f"{name} {value}" for name, value in summary.facts), room)
    lines += ["", *_grid(summary, room), ""]
    for sentence in foot(summary):
        lines += _wrapped(sentence, room)
    return "\n".join(line.rstrip() for line in lines).rstrip("\n")


def _grid(summary: Summary, room: int) -> list[str]:
    sections, titles = body(summary), headings(summary)
    names, widths = _widths(sections, titles, room, gap=2)
    kept = list(widths)

    def line(name: str, values: Sequence[str]) -> str:
        told = _cut(name, names)
        parts = [told + " " * (names - cells_wide(told))]
        for i in kept:
            gap = widths[i] - cells_wide(values[i])
            parts.append(values[i] + " " * gap if i == 6 else " " * gap + values[i])
        return "  ".join(parts)

    head = line("", titles)
    lines = [head, "-" * min(room, cells_wide(head))]
    for group, rows in sections:
        lines += [_cut(f"[{group}]", room)] if group else []
        lines += [line(row[0], row[1:]) for row in rows]
    return lines


def _widths(
    sections: Rows, titles: Sequence[str], room: int, *, gap: int
) -> tuple[int, dict[int, int]]:
    """Return the width of the names, and of the columns of numbers for which there is room."""
    cells = [row for _, rows in sections for row in rows]
    widths = {
        i: max(cells_wide(title), *(cells_wide(row[i + 1]) for row in cells))
        for i, title in enumerate(titles)
    }
    names = max(cells_wide(row[0]) for row in cells)
    for dropped in ((4, 5), (2,), (3,), (6,)):  # intervals first, then z; coef and error stay
        if min(names, 12) + sum(width + gap for width in widths.values()) <= room:
            break
        widths = {i: width for i, width in widths.items() if i not in dropped}
    left = room - sum(width + gap for width in widths.values())
    return max(1, min(names, left)), widths


def as_rich(summary: Summary, width: int) -> Any:
    """Return the same for rich, at most so many characters wide; rich is there whoever asks."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(summary.title)), title_justify="left")
    sections, titles = body(summary), headings(summary)
    # A column is framed by a rule and a blank on both sides; the names have one rule more.
    names, kept = _widths(sections, titles, width - 4, gap=3)
    table.add_column("", overflow="fold", min_width=names)
    for i in kept:
        side: Any = "right" if titles[i] else "left"
        table.add_column(Text(titles[i]), justify=side, no_wrap=True)
    for group, rows in sections:
        if group:
            table.add_row(Text(f"[{group}]", style="bold"))
        for row in rows:
            table.add_row(Text(row[0]), *(Text(row[i + 1]) for i in kept))
    facts = Text("; ".join(f"{name} {value}" for name, value in summary.facts))
    first = [Text(printable(summary.warning), style="bold red")] if summary.warning else []
    return Group(*first, table, facts, *(Text(sentence) for sentence in foot(summary)))


def as_html(summary: Summary, *, page: bool) -> str:
    """Return HTML, all names escaped: a whole page, or what stands in one."""
    escape = html.escape
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in ("", *headings(summary)))
    lines = []
    for group, rows in body(summary):
        if group:
            lines.append(f'<tr class="class"><th colspan="8" scope="rowgroup">{escape(group)}</th>')
            lines.append("</tr>")
        for name, *cells in rows:
            told = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            lines.append(f"<tr><td>{escape(name)}</td>{told}</tr>")
    warning = f'<p class="warning">{escape(printable(summary.warning))}</p>'
    facts = escape("; ".join(f"{name} {value}" for name, value in summary.facts))
    title = escape(printable(summary.title))
    inside = "\n".join(
        [
            f'<div class="softunit-summary"><style>{STYLE}</style>',
            warning if summary.warning else "",
            f"<h3>{title}</h3>",
            f"<p>{facts}</p>",
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead>',
            "<tbody>",
            *lines,
            "</tbody></table></div>",
            *(f"<p>{escape(sentence)}</p>" for sentence in foot(summary)),
            "</div>",
        ]
    )
    if not page:
        return inside
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title></head>\n<body>\n{inside}\n</body></html>\n"
    )


def printable(text: str) -> str:
    """Return text on one line without what could steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def cells_wide(text: str) -> int:
    """Return how many columns of a terminal text takes: two for the wide letters of East Asia."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _cut(text: str, width: int) -> str:
    if cells_wide(text) <= width:
        return text
    while text and cells_wide(text) > width - 1:
        text = text[:-1]
    return text + "\N{HORIZONTAL ELLIPSIS}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""]


def _number(value: float) -> str:
    size = abs(value)
    return f"{value:.4f}" if size == 0 or 1e-3 <= size < 1e5 else f"{value:.3e}"


def _probability(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"

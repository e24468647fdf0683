"""The page of `softunit bench attention`: styles and pictures inside, no script, no request."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from softunit._files import replace_file
from softunit.bench.attention import Plan, Row, as_text, draw_costs, draw_losses
from softunit.cli.bench_attention_words import (
    duration,
    power,
    reason,
    size,
    span,
    sums,
)
from softunit.nn.workbench import PAPERS, PEERS
from softunit.report.html import page_environment

TRAININGS = {
    "text": "Next character",
    "hidden": "Hidden characters",
    "recall": "Associative recall",
}


def write_page(path: Path, record: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the page of a run to `path`, whole or not at all.

    Parameters
    ----------
    path : Path
    record : mapping
        From `softunit.bench.attention.record`, with version, complete and seconds.
    rows : sequence of Row

    Raises
    ------
    MissingExtraError
        If jinja2 or matplotlib is not installed.
    """
    page = render_page(record, rows)
    with replace_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render_page(record: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Return the page of a run as the text of one HTML file.

    Parameters
    ----------
    record : mapping
    rows : sequence of Row
    """
    plan = Plan.from_dict(record["plan"])
    return (
        page_environment("softunit.bench.attention")
        .get_template("page.html")
        .render(
            record=record,
            plan=plan,
            rows=rows,
            lengths=plan.lengths,
            pictures=_pictures(rows),
            trainings={
                part: [row for row in rows if part in row.parts]
                for part in TRAININGS
                if any(part in row.parts for row in rows)
            },
            names=TRAININGS,
            papers={name: PAPERS[name] for name in plan.units if name in PAPERS},
            peers={name: PEERS[name].about for name in plan.peers},
            at=_at,
            duration=duration,
            size=size,
            sums=sums,
            power=power,
            span=span,
            reason=reason,
            beyond=_beyond,
        )
    )


def _at(row: Row, part: str, n: int) -> Mapping[str, Any] | None:
    """Return the point of a length, or None where it was not measured."""
    points = row.parts.get(part, {}).get("points", ())
    return next((point for point in points if point["n"] == n), None)


def _beyond(row: Row, part: str, plan: Plan) -> list[Mapping[str, Any]]:
    """Return the two largest lengths of a row none of whose lengths has a column of its own."""
    points = list(row.parts.get(part, {}).get("points", ()))
    if any(point["n"] in plan.lengths for point in points):
        return []
    return [point for point in points if point.get("both") is not None][-2:]


def write_pictures(folder: Path, rows: Sequence[Row]) -> list[Path]:
    """Write the pictures of a run as attention-times.svg and so on, and return their paths.

    Parameters
    ----------
    folder : Path
        Which is there.
    rows : sequence of Row

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    written = []
    for part, text in _drawn(rows).items():
        path = folder / f"attention-{part}.svg"
        with replace_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def _pictures(rows: Sequence[Row]) -> dict[str, str]:
    """Return the pictures as addresses that hold them."""
    return {
        part: "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode("ascii")
        for part, text in _drawn(rows).items()
    }


def _drawn(rows: Sequence[Row]) -> dict[str, str]:
    """Return the pictures as SVG, of those parts that were measured."""
    found = {}
    for part, draw in (
        ("times", draw_costs), ("memory", draw_costs), ("text", draw_losses),
        ("hidden", draw_losses), ("recall", draw_losses),
    ):  # fmt: skip
        key = "points" if draw is draw_costs else "losses"
        if any(row.parts.get(part, {}).get(key) for row in rows):
            found[part] = as_text(draw, rows, part)
    return found

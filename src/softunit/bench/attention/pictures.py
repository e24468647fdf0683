"""The pictures of a run: time and memory against length, and loss against step."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from softunit.bench.attention.runs import Row
from softunit.bench.pictures import house_figure

COLOURS = (
    "#d9480f", "#1b6ca8", "#2f9e75", "#8a5fbf", "#b08900", "#c2557a", "#3aa0b8", "#7a5230",
    "#5b8c00", "#4253c4", "#a61e4d", "#0b7285",
)  # fmt: skip
DASHES = ("-", "--", "-.", ":")

SIZE = (9.0, 4.6)
WINDOW = 10
"""Steps of which the mean is drawn: a single batch says little."""

_COSTS = {
    "times": ("seconds, forward and backward", 1.0, "Time against length"),
    "memory": ("MB above the inputs, forward and backward", 1e-6, "Peak memory against length"),
}
_TASKS = {
    "text": "Next character of text",
    "hidden": "Hidden characters of text, seen from both sides",
    "recall": "Associative recall",
}


def draw_costs(path: Path | IO[str], rows: Sequence[Row], part: str) -> None:
    """Draw time or memory against length, a line for each unit and peer, on logarithmic axes.

    Parameters
    ----------
    path : Path or text stream
    rows : sequence of Row
    part : {"times", "memory"}
    """
    label, factor, title = _COSTS[part]
    with house_figure(path, SIZE) as figure:
        axes = figure.subplots()
        for index, row in enumerate(rows):
            points = [
                (point["n"], factor * point["both"])
                for point in row.parts.get(part, {}).get("points", ())
                if point.get("both")
            ]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    marker="o",
                    ms=3,
                    label=row.name,
                    **_line(row, index),
                )
        axes.set(xscale="log", yscale="log", xlabel="tokens n", ylabel=label, title=title)
        _finish(axes)


def draw_losses(path: Path | IO[str], rows: Sequence[Row], part: str) -> None:
    """Draw the loss of training against the step, a line for each unit.

    Parameters
    ----------
    path : Path or text stream
    rows : sequence of Row
    part : {"text", "hidden", "recall"}
    """
    with house_figure(path, SIZE) as figure:
        axes = figure.subplots()
        for index, row in enumerate(rows):
            losses = row.parts.get(part, {}).get("losses") or []
            if losses:
                means = _means(losses)
                steps = range(len(losses) - len(means) + 1, len(losses) + 1)
                axes.plot(steps, means, label=row.name, **_line(row, index))
        axes.set(xlabel="step", ylabel="cross-entropy in nats", title=_TASKS[part])
        _finish(axes)


def as_text(draw: Any, rows: Sequence[Row], part: str) -> str:
    """Return a picture as the text of an SVG.

    Parameters
    ----------
    draw : callable
        `draw_costs` or `draw_losses`.
    rows : sequence of Row
    part : str
    """
    stream = io.StringIO()
    draw(stream, rows, part)
    return stream.getvalue()


def _means(losses: Sequence[float]) -> list[float]:
    """Return means over the last `WINDOW` steps, from the first step that has so many."""
    width = min(WINDOW, len(losses))
    return [sum(losses[i : i + width]) / width for i in range(len(losses) - width + 1)]


def _line(row: Row, index: int) -> dict[str, Any]:
    """Return how a line looks: softmax stands out, peers are thin and grey."""
    if row.kind == "peer":
        dash = DASHES[1 + index % (len(DASHES) - 1)]
        return {"color": "#8a8f98", "linewidth": 1.2, "linestyle": dash}
    if row.name == "softmax":
        return {"color": "#1b1f24", "linewidth": 2.6, "zorder": 5}
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index // 3 % len(DASHES)],
        "linewidth": 1.5,
    }


def _finish(axes: Any) -> None:
    axes.grid(visible=True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))

"""The pictures of a run: time and memory against length, and loss against step."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from softunit.bench.attention.runs import Row
from softunit.bench.pictures import house_figure

COLOURS = (
    "#d9480f", "#1b6ca8", "#2f9e75", "#8a5fbf", "#b08900", "#c2557a", "#3aa0b8", "#7a5230",
    "#5b8c00", "#4253c4", "#a61e4d", "#0b7285",
)  # fmt: skip
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*")

SIZE = (9.0, 5.2)
APART = 0.048
"""Least distance of two names at the right, as a share of the height."""

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


class _End(NamedTuple):
    name: str
    x: float
    y: float
    colour: str


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
        axes, ends, lengths = figure.subplots(), list[_End](), set[int]()
        for index, row in enumerate(rows):
            points = [
                (point["n"], factor * point["both"])
                for point in row.parts.get(part, {}).get("points", ())
                if point.get("both")
            ]
            if points:
                line = _line(row, index)
                marker = MARKERS[index % len(MARKERS)]
                axes.plot(*zip(*points, strict=True), marker=marker, ms=4, **line)
                ends.append(_End(row.name, *points[-1], line["color"]))
                lengths.update(n for n, _ in points)
        axes.set(xscale="log", yscale="log", xlabel="tokens n", ylabel=label, title=title)
        axes.set_xticks(sorted(lengths), labels=[f"{n:,}" for n in sorted(lengths)])
        axes.minorticks_off()
        _finish(axes, ends)


def draw_losses(path: Path | IO[str], rows: Sequence[Row], part: str) -> None:
    """Draw the loss of training against the step, a line for each unit.

    Parameters
    ----------
    path : Path or text stream
    rows : sequence of Row
    part : {"text", "hidden", "recall"}
    """
    with house_figure(path, SIZE) as figure:
        axes, ends = figure.subplots(), list[_End]()
        for index, row in enumerate(rows):
            losses = row.parts.get(part, {}).get("losses") or []
            if losses:
                means = _means(losses)
                steps = range(len(losses) - len(means) + 1, len(losses) + 1)
                line = _line(row, index)
                marker, every = MARKERS[index % len(MARKERS)], max(1, len(means) // 8)
                axes.plot(steps, means, marker=marker, ms=4, markevery=every, **line)
                ends.append(_End(row.name, steps[-1], means[-1], line["color"]))
        axes.set(xlabel="step", ylabel="cross-entropy in nats", title=_TASKS[part])
        _finish(axes, ends)


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
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 1.5,
    }


def _finish(axes: Any, ends: Sequence[_End]) -> None:
    """Write each name at the right, in the order of the lines' ends, and join the two."""
    axes.grid(visible=True)
    axes.get_xlim(), axes.get_ylim()  # the limits are set when they are asked for
    change = axes.transData + axes.transAxes.inverted()
    placed = sorted((float(change.transform((end.x, end.y))[1]), end.name, end) for end in ends)
    for place, (_, name, end) in zip(_spread([at for at, *_ in placed]), placed, strict=True):
        axes.annotate(
            name,
            (end.x, end.y),
            (1.04, place),
            textcoords="axes fraction",
            color=end.colour,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": end.colour, "lw": 0.6, "alpha": 0.5},
        )


def _spread(places: Sequence[float]) -> list[float]:
    """Return growing places moved apart by `APART`, each as near to its own as its group lets it.

    Parameters
    ----------
    places : sequence of float
    """
    groups: list[tuple[float, int]] = []  # mean and number of those that touch
    for place in places:
        middle, count = place, 1
        while groups and middle - groups[-1][0] < APART * (count + groups[-1][1]) / 2:
            other, more = groups.pop()
            middle, count = (middle * count + other * more) / (count + more), count + more
        groups.append((middle, count))
    return [
        middle + APART * (index - (count - 1) / 2)
        for middle, count in groups
        for index in range(count)
    ]

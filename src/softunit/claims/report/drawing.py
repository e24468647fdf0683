"""A claim's picture as geometry: the template turns it into inline SVG, as in the fit report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from softunit.claims.base import Picture, Series
from softunit.report.axes import Axis, linear_axis, log_axis
from softunit.report.charts import Box
from softunit.report.words import counted, number

MOST_CORNERS = 400
MOST_DOTS = 40
STYLES = 6
"""Colours and dashes that the style sheet tells apart; further lines begin again."""

_BOX = Box(left=58.0, top=34.0, right=704.0, bottom=300.0)


@dataclass(frozen=True)
class Line:
    """One series in the units of the picture.

    Attributes
    ----------
    label : str
    style : int
        Which colour and dashes, from 0.
    corners : tuple of (x, y)
    dotted : bool
        Whether each corner gets a dot.
    """

    label: str
    style: int
    corners: tuple[tuple[float, float], ...]
    dotted: bool


@dataclass(frozen=True)
class Drawing:
    """A picture ready for the template.

    Attributes
    ----------
    key : str
        Unique on the page.
    title, description, caption : str
    x, y : Axis
    lines : tuple of Line
    points : bool
        Dots only.
    box : Box
    width, height : float
    """

    key: str
    title: str
    description: str
    caption: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    points: bool
    box: Box = _BOX
    width: float = 720.0
    height: float = 346.0


def drawn(picture: Picture, key: str) -> Drawing | None:
    """Return a picture as geometry, or None where it has no point that its axes can show.

    Parameters
    ----------
    picture : Picture
        Points that are not finite, or not positive on a logarithmic axis, are left out; of many
        points some hundreds are drawn, evenly.
    key : str
        Unique on the page.
    """
    kept = [(series, _shown(series, picture)) for series in picture.series]
    kept = [(series, points) for series, points in kept if points]
    if not kept:
        return None
    everything = [point for _, points in kept for point in points]
    x = _axis([point[0] for point in everything], picture.x_label, log=picture.log_x)
    y = _axis([point[1] for point in everything], picture.y_label, log=picture.log_y)
    lines = tuple(
        Line(
            series.label,
            index % STYLES,
            tuple((_BOX.x(x.place(a)), _BOX.y(y.place(b))) for a, b in points),
            dotted=not picture.points and len(points) <= MOST_DOTS,
        )
        for index, (series, points) in enumerate(kept)
    )
    return Drawing(
        key=key,
        title=picture.title,
        description=_description(picture, [(s.label, points) for s, points in kept]),
        caption=picture.caption,
        x=x,
        y=y,
        lines=lines,
        points=picture.points,
    )


def _shown(series: Series, picture: Picture) -> list[tuple[float, float]]:
    def fits(value: float, log: bool) -> bool:
        return math.isfinite(value) and (value > 0.0 or not log)

    pairs = [
        (a, b)
        for a, b in zip(series.x, series.y, strict=True)
        if fits(a, picture.log_x) and fits(b, picture.log_y)
    ]
    step = math.ceil(len(pairs) / MOST_CORNERS)
    return pairs if step <= 1 else [*pairs[:-1:step], pairs[-1]]


def _axis(values: Sequence[float], label: str, *, log: bool) -> Axis:
    if log:
        return log_axis(values, label)
    return linear_axis(values, label, whole=all(value == round(value) for value in values))


def _description(picture: Picture, shown: Sequence[tuple[str, list[tuple[float, float]]]]) -> str:
    """Return the picture for people who cannot see it: where each line begins and ends."""
    told = [
        f"{label}: {counted(len(points), 'point')}, from {number(points[0][1], 2)} at"
        f" {number(points[0][0], 3)} to {number(points[-1][1], 2)} at {number(points[-1][0], 3)}"
        for label, points in shown
    ]
    return f"{picture.y_label} against {picture.x_label}. {'; '.join(told)}."

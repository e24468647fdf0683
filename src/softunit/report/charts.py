"""The pictures of a report, as geometry: the template turns each into inline SVG.

Drawn here, not by a plotting library: the page's own fonts and its light and dark colours then
hold inside the pictures too, the same fit gives the same bytes on every machine, and nothing has
to be imported or cached before the first report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from softunit.report.axes import Axis, Tick, linear_axis, log_axis
from softunit.report.summary import Calibration, FitSummary, Scatter
from softunit.report.words import number
from softunit.solution import Record

MOST_POINTS = 300
MOST_DOTS = 40
DECADES = 1000.0
"""Largest over smallest value from which a scatter has logarithmic axes."""


@dataclass(frozen=True)
class Box:
    """The rectangle of a plot inside its picture, in the picture's units."""

    left: float = 50.0
    top: float = 34.0
    right: float = 424.0
    bottom: float = 218.0

    def x(self, place: float) -> float:
        """Return the horizontal position of a place from 0 to 1."""
        return round(self.left + place * (self.right - self.left), 2)

    def y(self, place: float) -> float:
        """Return the vertical position of a place from 0 (bottom) to 1 (top)."""
        return round(self.bottom - place * (self.bottom - self.top), 2)


@dataclass(frozen=True)
class Level:
    """A horizontal line with a label; `below` puts the label under it."""

    y: float
    label: str
    below: bool


@dataclass(frozen=True)
class Bar:
    """A vertical bar with a label over it."""

    left: float
    top: float
    width: float
    height: float
    label: str


@dataclass(frozen=True)
class Chart:
    """One picture.

    Attributes
    ----------
    key : str
        Unique on the page.
    title, description : str
        For people who look, and for people who cannot.
    box : Box
    height : float
    x, y : Axis
    line : tuple of (x, y)
        Corners of a line, in the picture's units.
    dots : tuple of (x, y, radius)
    diagonal : tuple of two (x, y), or empty
        The line of equality.
    level : Level or None
    bars : tuple of Bar
    bars_label : str
    """

    key: str
    title: str
    description: str
    x: Axis
    y: Axis
    box: Box = Box()
    height: float = 262.0
    line: tuple[tuple[float, float], ...] = ()
    dots: tuple[tuple[float, float, float], ...] = ()
    diagonal: tuple[tuple[float, float], ...] = ()
    level: Level | None = None
    bars: tuple[Bar, ...] = ()
    bars_label: str = ""


def convergence_charts(summary: FitSummary) -> tuple[Chart, ...]:
    """Return the gradient against iterations, time and products, and the value's fall.

    A picture that would have no line (a gradient of zero has no logarithm) is left out.
    """
    history = summary.solution.history
    tol = summary.solution.tol
    gradients = [record.gradient_norm for record in history]
    # The value on a sample of the rows is not comparable with that on all of them.
    values = [record.value if record.share == 1.0 else math.nan for record in history]
    best = min((value for value in values if math.isfinite(value)), default=math.nan)
    above = [value - best for value in values]
    drawn = (
        _curve("iterations", history, gradients, lambda r: r.iteration, tol),
        _curve("seconds", history, gradients, lambda r: r.seconds, tol),
        _curve("products", history, gradients, lambda r: r.products, tol),
        _curve("value", history, above, lambda r: r.iteration, 0.0),
    )
    return tuple(chart for chart in drawn if chart is not None)


_WORDS = {
    "iterations": ("Gradient against iterations", "Iteration", "Largest gradient entry"),
    "seconds": ("Gradient against time", "Seconds", "Largest gradient entry"),
    "products": (
        "Gradient against work",
        "Products with the design (passes over all rows)",
        "Largest gradient entry",
    ),
    "value": ("Objective against iterations", "Iteration", "Objective above the best reached"),
}


def _curve(
    key: str,
    history: Sequence[Record],
    heights: Iterable[float],
    across: Callable[[Record], float],
    tol: float,
) -> Chart | None:
    """Return a curve on a logarithmic scale, with the tolerance as a level if it is positive."""
    points = [
        (float(across(record)), height)
        for record, height in zip(history, heights, strict=True)
        if 0.0 < height < math.inf and math.isfinite(across(record))
    ]
    if len(points) < 2:
        return None
    points = _thinned(points)
    title, x_label, y_label = _WORDS[key]
    whole = x_label == "Iteration"
    x = linear_axis([0.0, *(point[0] for point in points)], x_label, whole=whole)
    levels = [tol] if tol > 0.0 else []
    y = log_axis([*(point[1] for point in points), *levels], y_label)
    box = Box()
    corners = tuple((box.x(x.place(a)), box.y(y.place(b))) for a, b in points)
    level = None
    if levels:
        level = Level(box.y(y.place(tol)), f"tolerance {number(tol, 2)}", y.place(tol) > 0.12)
    start, end = points[0], points[-1]
    return Chart(
        key=key,
        title=title,
        description=f"{y_label} falls from {number(start[1], 2)} to {number(end[1], 2)}"
        f" while {x_label.lower()} goes from {number(start[0], 3)} to {number(end[0], 3)}.",
        x=x,
        y=y,
        line=corners,
        dots=tuple((*corner, 3.0) for corner in corners) if len(corners) <= MOST_DOTS else (),
        level=level,
    )


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep at most MOST_POINTS points, evenly, the last one always."""
    step = math.ceil(len(points) / MOST_POINTS)
    return points if step == 1 else [*points[:-1:step], points[-1]]


def reliability_chart(
    calibration: Calibration, key: str = "reliability", title: str = "Reliability"
) -> Chart:
    """Return observed frequency against predicted probability, over bars of the rows per bin."""
    unit = Axis("", 0.0, 1.0, False, tuple(Tick(i / 5, f"{i / 5:.1f}") for i in range(6)))
    box = Box(top=34.0, bottom=290.0)
    full = [bin_ for bin_ in calibration.bins if bin_.count]
    dots = tuple((box.x(bin_.confidence), box.y(bin_.observed), 4.5) for bin_ in full)
    read = "; ".join(f"{b.confidence:.2f}: {b.observed:.2f} ({b.count:,} rows)" for b in full)
    return Chart(
        key=key,
        title=title,
        description=f"Observed frequency by predicted probability: {read}.",
        x=Axis(f"Predicted {calibration.about}", 0.0, 1.0, False, unit.ticks),
        y=Axis("Observed frequency", 0.0, 1.0, False, unit.ticks),
        box=box,
        height=430.0,
        line=tuple(dot[:2] for dot in dots),
        dots=dots,
        diagonal=((box.x(0), box.y(0)), (box.x(1), box.y(1))),
        bars=_count_bars(calibration, box),
        bars_label="Rows in each bin",
    )


def _count_bars(calibration: Calibration, box: Box) -> tuple[Bar, ...]:
    """Return one bar per bin, between 382 and 420 down the picture."""
    most = max((bin_.count for bin_ in calibration.bins), default=1) or 1
    width = (box.right - box.left) / max(len(calibration.bins), 1)
    bars = []
    for index, bin_ in enumerate(calibration.bins):
        height = round(38.0 * bin_.count / most, 2)
        left = round(box.left + index * width + 2.0, 2)
        height = max(height, 1.5) if bin_.count else 0.0
        bars.append(
            Bar(left, round(420.0 - height, 2), round(width - 4.0, 2), height, _short(bin_.count))
        )
    return tuple(bars)


def _short(count: int) -> str:
    """Return a count in at most four characters: ``950``, ``1.2k``, ``34k``, ``5.6M``."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            scaled = count / size
            return f"{scaled:.1f}{sign}" if scaled < 9.95 else f"{scaled:.0f}{sign}"
    return str(count)


def scatter_chart(fit: Scatter) -> Chart:
    """Return fitted value against target, with the line of equality."""
    pairs = [
        (float(target), float(fitted))
        for target, fitted in zip(fit.target, fit.fitted, strict=True)
        if math.isfinite(target) and math.isfinite(fitted)
    ]
    both = [value for pair in pairs for value in pair] or [0.0]
    if _over_decades(both):
        x, y = log_axis(both, "Target"), log_axis(both, "Fitted value")
    else:
        margin = 0.03 * (max(both) - min(both))
        both += [min(both) - margin, max(both) + margin]
        x, y = linear_axis(both, "Target"), linear_axis(both, "Fitted value")
    box = Box(left=58.0, bottom=330.0)
    shown = len(fit.target)
    part = "" if shown == fit.rows else f", {number(shown)} of them drawn"
    return Chart(
        key="fit",
        title="Target against fitted value",
        description=f"Each dot is one of {number(fit.rows)} targets{part}; on the diagonal the fit"
        " is exact.",
        x=x,
        y=y,
        box=box,
        height=374.0,
        dots=tuple((box.x(x.place(a)), box.y(y.place(b)), 3.0) for a, b in pairs),
        diagonal=((box.x(0), box.y(0)), (box.x(1), box.y(1))),
    )


def _over_decades(values: Sequence[float]) -> bool:
    """Return whether values are positive and so different that most would lie at zero."""
    return min(values) > 0.0 and max(values) >= DECADES * min(values)

"""The pictures of a run, as SVG: the performance profile, and time against size.

The same figures give the same bytes: no date, fixed identifiers, text as text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from softunit.bench.scaling import Growth
from softunit.bench.summary import OURS

_STYLE: Any = {
    "axes.edgecolor": "#8a8f98",
    "axes.labelcolor": "#30343b",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "softunit",
    "text.color": "#30343b",
    "xtick.color": "#60656e",
    "ytick.color": "#60656e",
}
_OURS_COLOUR = "#d9480f"
# Told apart by people who see fewer colours, and in print by their dashes.
_COLOURS = ("#1b6ca8", "#2f9e75", "#8a5fbf", "#b08900", "#c2557a", "#5c6670", "#3aa0b8", "#7a5230")
_DASHES = ("-", "--", "-.", ":")
WIDEST = 100.0
"""Ratio at the right end of a performance profile."""


def draw_profile(
    path: Path,
    ratios: Mapping[str, Sequence[float]],
    cases: int,
    bar: str = "largest gradient entry at most 1e-6",
) -> None:
    """Draw the share of cases that each peer solves within a ratio of the best time.

    Parameters
    ----------
    path : Path
    ratios : mapping of str to sequence of float
        From `profile`; peers that solved less than a quarter of the cases are left out.
    cases : int
        On which anybody met the bar.
    bar : str, default "largest gradient entry at most 1e-6"
        What an answer had to meet, in words.
    """
    kept = {
        peer: list(found)
        for peer, found in ratios.items()
        if peer == OURS or 4 * len(found) >= cases
    }
    with house_figure(path, (7.2, 4.0)) as figure:
        axes = figure.subplots()
        for index, (peer, found) in enumerate(kept.items()):
            inside = [ratio for ratio in found if ratio <= WIDEST]
            x = [1.0, *inside, WIDEST]
            y = [0.0, *((i + 1) / max(cases, 1) for i in range(len(inside)))]
            axes.step(x, [*y, y[-1]], where="post", label=peer, **_line(peer, index))
        axes.set(
            xscale="log",
            xlim=(1.0, WIDEST),
            ylim=(0.0, 1.02),
            xlabel="time over the best time on the case",
            ylabel="share of cases solved",
            title=f"Performance profile, {cases} cases, {bar}",
        )
        axes.set_xticks([1, 2, 5, 10, 20, 50, 100], labels=["1", "2", "5", "10", "20", "50", "100"])
        axes.minorticks_off()
        axes.grid(visible=True)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def draw_growth(path: Path, growths: Sequence[Growth]) -> None:
    """Draw time against size, a panel for each series, with slopes in the legends.

    Parameters
    ----------
    path : Path
    growths : sequence of Growth
    """
    names = list(dict.fromkeys(growth.series.name for growth in growths))
    with house_figure(path, (7.2, 5.4)) as figure:
        panels = figure.subplots(2, 2, squeeze=True).ravel()
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        for axes, name in zip(panels, names, strict=False):
            shown = [growth for growth in growths if growth.series.name == name]
            for index, growth in enumerate(shown):
                points = [
                    pair
                    for pair in zip(growth.series.sizes, growth.seconds, strict=True)
                    if pair[1] is not None
                ]
                label = f"{growth.peer}, slope {growth.slope:.2f}"
                line = _line(growth.peer, index)
                axes.plot(*zip(*points, strict=True), marker="o", ms=3.5, label=label, **line)
            axes.set(xscale="log", yscale="log", xlabel=name, ylabel="seconds")
            axes.set_title(shown[0].series.fixed)
            axes.grid(visible=True)
            axes.legend(loc="upper left")


def _line(peer: str, index: int) -> dict[str, Any]:
    """Return colour, dashes and width of a peer's line; ours stands out."""
    if peer == OURS:
        return {"color": _OURS_COLOUR, "linewidth": 2.6, "zorder": 5}
    colour, dash = _COLOURS[index % len(_COLOURS)], _DASHES[index % len(_DASHES)]
    return {"color": colour, "linestyle": dash, "linewidth": 1.5}


@contextlib.contextmanager
def house_figure(path: Path | IO[str], size: tuple[float, float]) -> Iterator[Any]:
    """Give a figure in the house style, and write it when the block ends well.

    Parameters
    ----------
    path : Path or text stream
    size : tuple of float
        Width and height in inches.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        figure.savefig(path, format="svg", metadata={"Creator": None, "Date": None})

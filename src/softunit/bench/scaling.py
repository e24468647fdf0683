"""How the time grows with rows, columns, classes and nonzeros: slopes of log-log fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softunit.bench.cases import Case, Suite
from softunit.bench.runner import CaseRun

SUITE = Suite("scaling", (), 10.0, 20.0, 120.0, 900.0, ("softunit",))


@dataclass(frozen=True)
class Series:
    """Cases that differ in one size.

    Attributes
    ----------
    name : str
        What grows.
    fixed : str
        What does not, in words.
    sizes : tuple of int
    cases : tuple of Case
        One for each size.
    slope_from : int
        The least size that counts for the slope.
    """

    name: str
    fixed: str
    sizes: tuple[int, ...]
    cases: tuple[Case, ...]
    slope_from: int = 0


def _rows() -> Series:
    sizes = (10_000, 30_000, 100_000, 300_000, 1_000_000, 4_000_000)
    cases = tuple(Case(f"rows-{n}", "power-law", n, 30, 5, 1e-5, 1e3) for n in sizes)
    return Series("rows", "30 columns, 5 classes", sizes, cases, 100_000)


def _columns() -> Series:
    sizes = (25, 50, 100, 200, 400, 800, 1_600)
    cases = tuple(Case(f"columns-{d}", "power-law", 20_000, d, 5, 1e-4, 1e3) for d in sizes)
    return Series("columns", "20,000 rows, 5 classes", sizes, cases)


def _classes() -> Series:
    sizes = (2, 5, 10, 30, 100, 300)
    cases = tuple(Case(f"classes-{k}", "power-law", 20_000, 50, k, 1e-4, 1e3) for k in sizes)
    return Series("classes", "20,000 rows, 50 columns", sizes, cases)


def _nonzeros() -> Series:
    sizes = (10, 30, 100, 300)
    cases = tuple(
        Case(f"nonzeros-{m}", "text", 20_000, 20_000, 5, 1e-5, intercept=True, words=m)
        for m in sizes
    )
    return Series("nonzeros", "20,000 x 20,000 sparse, 5 classes, words a row", sizes, cases)


SERIES = (_rows(), _columns(), _classes(), _nonzeros())


def slope(sizes: Sequence[float], seconds: Sequence[float | None], least: float = 0) -> float:
    """Return the slope of log seconds against log size; NaN with fewer than two points.

    Parameters
    ----------
    sizes : sequence of float
    seconds : sequence of float or None
        None where there is no time.
    least : float, default 0
        Sizes below this do not count.
    """
    points = [
        (math.log(size), math.log(time))
        for size, time in zip(sizes, seconds, strict=True)
        if time is not None and size >= least
    ]
    if len(points) < 2:
        return math.nan
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[0])


@dataclass(frozen=True)
class Growth:
    """The times of one peer along a series.

    Attributes
    ----------
    series : Series
    peer : str
    seconds : tuple of float or None
    slope : float
    """

    series: Series
    peer: str
    seconds: tuple[float | None, ...]
    slope: float


def growths(series: Series, runs: Sequence[CaseRun]) -> list[Growth]:
    """Return the times and slopes of every peer along a series.

    Parameters
    ----------
    series : Series
    runs : sequence of CaseRun
        Cases of other series are left out.
    """
    by_case = {run.case.name: run for run in runs}
    kept = [
        (size, by_case[case.name])
        for size, case in zip(series.sizes, series.cases, strict=True)
        if case.name in by_case
    ]
    peers = dict.fromkeys(result.peer for _, run in kept for result in run.results)
    found = []
    for peer in peers:
        times = {r.case: r.seconds for _, run in kept for r in run.results if r.peer == peer}
        seconds = tuple(times.get(case.name) for case in series.cases)
        found.append(Growth(series, peer, seconds, slope(series.sizes, seconds, series.slope_from)))
    return found

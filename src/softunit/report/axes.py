"""Axes of the charts: a range, where a value lies in it, and ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MOST_TICKS = 6
_MINUS = "\N{MINUS SIGN}"
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass(frozen=True)
class Tick:
    """A tick: its place from 0 to 1 along the axis, and its label."""

    place: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A range of values from `low` to `high`, on a linear or logarithmic scale."""

    label: str
    low: float
    high: float
    log: bool
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high end."""
        return _place(value, self.low, self.high, log=self.log)


def _place(value: float, low: float, high: float, *, log: bool) -> float:
    if log:
        value, low, high = math.log10(value), math.log10(low), math.log10(high)
    return (value - low) / (high - low)


def linear_axis(values: Iterable[float], label: str, *, whole: bool = False) -> Axis:
    """Return an axis that holds all values, with ticks at multiples of 1, 2 or 5.

    Parameters
    ----------
    values : iterable of float
        Finite, at least one.
    label : str
    whole : bool
        Ticks at whole numbers only, as for iterations.
    """
    values = list(values)
    low, high = min(values), max(values)
    if high <= low:
        reach = max(abs(low), 1.0) / 2 if low else 0.5
        low, high = (low, low + 1.0) if whole else (low - reach, high + reach)
    step = _round_step((high - low) / (MOST_TICKS - 1))
    if whole:
        step = max(step, 1.0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    marks = [index * step for index in range(first, last + 1)]
    ticks = tuple(Tick(_place(mark, low, high, log=False), _written(mark, step)) for mark in marks)
    return Axis(label, low, high, False, ticks)


def log_axis(values: Iterable[float], label: str) -> Axis:
    """Return a logarithmic axis of whole decades that holds all values (positive, finite)."""
    values = list(values)
    first = math.floor(math.log10(min(values)) + 1e-9)
    last = math.ceil(math.log10(max(values)) - 1e-9)
    last = max(last, first + 1)
    # Powers beyond the range of doubles are not numbers: stay inside.
    first, last = max(first, -307), min(last, 308)
    step = math.ceil((last - first) / (MOST_TICKS - 1))
    low, high = 10.0**first, 10.0**last
    ticks = tuple(
        Tick((power - first) / (last - first), _power(power))
        for power in range(first, last + 1)
        if (power - last) % step == 0
    )
    return Axis(label, low, high, True, ticks)


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `least`."""
    base = 10.0 ** math.floor(math.log10(least))
    return next(factor * base for factor in (1, 2, 5, 10) if factor * base >= least * (1 - 1e-9))


def _written(value: float, step: float) -> str:
    size = math.floor(math.log10(step) + 1e-9)
    if value == 0.0 or abs(value) < step / 2:
        return "0"
    if size < -4 or abs(value) >= 1e6:
        digits = max(0, math.floor(math.log10(abs(value)) + 1e-9) - size)
        mantissa, exponent = f"{value:.{digits}e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", _MINUS)
    return f"{value:,.{max(0, -size)}f}".replace("-", _MINUS)


def _power(power: int) -> str:
    return {0: "1", 1: "10"}.get(power, "10" + str(power).translate(_RAISED))

"""What a claim is: a sentence of a paper, how it is measured, and what was found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from softunit._checks import check_count
from softunit.errors import InputError

Sense = Literal["<=", ">="]


def silent(what: str) -> None:
    """Say nothing: the default of `Effort.tick`."""


@dataclass(frozen=True)
class Finding:
    """One measured number beside the bar it must meet.

    Parameters
    ----------
    what : str
        What was measured, with its sizes and seeds, as "largest error over 200 draws".
    value : float
        The number that this run measured.
    bar : float
        What it is held against.
    sense : {"<=", ">="}, default "<="
        Which side of the bar is asked for.

    Raises
    ------
    InputError
        If the bar is NaN, or the sense is none of the two.
    """

    what: str
    value: float
    bar: float
    sense: Sense = "<="

    def __post_init__(self) -> None:
        if self.sense not in ("<=", ">="):
            raise InputError(f"`sense` must be '<=' or '>='; got {self.sense!r} ({self.what}).")
        if math.isnan(self.bar):
            raise InputError(f"`bar` must be a number; got nan ({self.what}).")
        # NumPy scalars would print and save as something other than a number.
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "bar", float(self.bar))

    @property
    def holds(self) -> bool:
        """Whether the value meets its bar; NaN never does."""
        return self.value <= self.bar if self.sense == "<=" else self.value >= self.bar


@dataclass(frozen=True)
class Series:
    """One line of a picture: a label and the points (x_i, y_i).

    Parameters
    ----------
    label : str
        Its name in the legend.
    x, y : tuple of float
        As many of the one as of the other.

    Raises
    ------
    InputError
        If x and y differ in length.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise InputError(
                f"The series {self.label!r} has {len(self.x)} x and {len(self.y)} y: give as many"
                " of the one as of the other."
            )
        object.__setattr__(self, "x", tuple(map(float, self.x)))
        object.__setattr__(self, "y", tuple(map(float, self.y)))


@dataclass(frozen=True)
class Picture:
    """A chart of a claim's measurements.

    Parameters
    ----------
    title, x_label, y_label : str
        What is drawn.
    series : tuple of Series
        The lines.
    log_x, log_y : bool, default False
        Logarithmic axes; what is not positive is left out there.
    caption : str, default ""
        One sentence below: how to read it.
    points : bool, default False
        Draw points instead of lines.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    caption: str = ""
    points: bool = False


@dataclass(frozen=True)
class Evidence:
    """What one measurement of a claim found.

    Parameters
    ----------
    findings : tuple of Finding
        At least one.
    notes : tuple of str, default ()
        Sentences a reader of the numbers should know.
    picture : Picture, optional
        Where a picture helps.

    Raises
    ------
    InputError
        If there is no finding: nothing measured is nothing shown.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    picture: Picture | None = None

    def __post_init__(self) -> None:
        if not self.findings:
            raise InputError("Evidence needs at least one finding; got none.")

    @property
    def holds(self) -> bool:
        """Whether every finding holds."""
        return all(finding.holds for finding in self.findings)


@dataclass(frozen=True)
class Effort:
    """How much work a measurement may do, from which seed, and whom it tells.

    Parameters
    ----------
    seed : int, default 0
        Every random number of the measurement comes from it.
    share : float, default 1.0
        Share of the full size, in (0, 1].
    tick : callable
        Called with a few words on what is measured now; by default nobody is told.

    Raises
    ------
    InputError
        If the seed is negative or no integer, or the share is not in (0, 1].
    """

    seed: int = 0
    share: float = 1.0
    tick: Callable[[str], None] = silent

    def __post_init__(self) -> None:
        check_count("seed", self.seed)
        if not 0.0 < self.share <= 1.0:
            raise InputError(f"`share` must be above 0 and at most 1; got {self.share!r}.")

    def count(self, full: int, least: int = 1) -> int:
        """Return max(least, round(share * full)): how many seeds, draws or rows to take.

        Parameters
        ----------
        full : int
            The number at full size.
        least : int, default 1
            Fewer would measure nothing.
        """
        return max(least, round(self.share * full))

    def rng(self, *keys: int) -> np.random.Generator:
        """Return a generator seeded by (seed, *keys): other keys, other independent numbers."""
        return np.random.default_rng((self.seed, *keys))


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper turned into a program that measures it.

    Parameters
    ----------
    id : str
        Its number in our list of papers, as "0.4".
    title : str
        Title of the paper, or its subject in a few words.
    paper : str
        Where it is published, as "arXiv 2304.10411".
    sentence : str
        What the paper claims, in one or two sentences of our own.
    measure : callable
        Takes an `Effort`, returns `Evidence`. A claim that turns out false is evidence with a
        finding that does not hold, never an exception.
    """

    id: str
    title: str
    paper: str
    sentence: str
    measure: Callable[[Effort], Evidence]

    @property
    def order(self) -> tuple[int, ...]:
        """The id as numbers, to sort by: 1.5 comes before 1.12."""
        return tuple(int(part) for part in self.id.split("."))

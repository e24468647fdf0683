"""Columns whose coefficients the data say nothing about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softunit._typing import Array, Matrix
from softunit.designs import ScaledDesign
from softunit.problem import FORM_LIMIT, Problem
from softunit.separation.words import listed, shown
from softunit.spectrum import Metric, is_blind

HEARD = 1e-8  # of the largest entry of a combination: smaller ones are rounding


@dataclass(frozen=True)
class Unidentified:
    """A column that changes no score but by what other columns do.

    Attributes
    ----------
    column : int
    name : str
    others : tuple of str
        Columns that it is a combination of; empty where it is constant.
    sentence : str
    """

    column: int
    name: str
    others: tuple[str, ...]
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def unidentified(problem: Problem, names: Sequence[str] | None = None) -> tuple[Unidentified, ...]:
    """Return the columns without which the others are identified, the last ones of each cause.

    1. Take the combinations of columns that change no score beyond rounding, up to a constant
    where an intercept or a choice set does not see one.  2. Solve them for the last columns that
    they hold.

    Parameters
    ----------
    problem : Problem
        Ridge identifies all that it is on.
    names : sequence of str or None, default None
        Of the input's columns; None numbers them.

    Returns
    -------
    tuple of Unidentified
        In the order of the columns; empty where all are identified, and where there are more than
        2,000 parameters, which are not decomposed.
    """
    if problem.shape[0] > FORM_LIMIT:
        return ()
    design = problem.design
    intercept = isinstance(design, ScaledDesign) and design.intercept
    d = problem.shape[0] - intercept
    told = [str(j) for j in range(d)]
    if names is not None:
        told[: len(names)] = map(str, names)
    null = Metric.of(problem).null  # 1.
    solved = _solved(null[:d] / np.abs(null).max(axis=0, initial=1e-300))  # 2.
    alone = _alone(problem, intercept=intercept)
    return tuple(_told(j, row, told, alone) for j, row in sorted(solved, key=lambda pair: pair[0]))


def _told(j: int, row: Array, names: Sequence[str], alone: str) -> Unidentified:
    """Return column j, which is minus the other entries of the row times theirs."""
    seen = np.abs(row) > HEARD * np.abs(row).max()
    others = tuple(names[i] for i in np.flatnonzero(seen).tolist() if i != j)
    why = f"is a combination of {listed([*map(shown, others)])}" if others else alone
    return Unidentified(j, names[j], others, f"column {shown(names[j])} {why}")


def _alone(problem: Problem, *, intercept: bool) -> str:
    if is_blind(problem):
        groups = problem.unit.outcome == "alternative"
        return "is constant within every choice set" if groups else "is constant"
    return "is constant, as the intercept is" if intercept else "is zero"


def _solved(null: Matrix) -> list[tuple[int, Array]]:
    """Return the last columns that combinations hold, each with its combination, one in itself."""
    found: list[tuple[int, Array]] = []
    left = [np.array(v) for v in null.T if np.abs(v).max(initial=0.0) > HEARD]
    for j in range(len(null) - 1, -1, -1):
        if not left:
            break
        sizes = [abs(v[j]) / max(np.abs(v).max(), 1e-300) for v in left]
        best = int(np.argmax(sizes))
        if sizes[best] <= HEARD:
            continue
        pivot = left.pop(best)
        pivot = pivot / pivot[j]
        left = [_without(v, v[j] * pivot) for v in left]
        left = [v for v in left if v.any()]
        found = [(i, _without(v, v[j] * pivot)) for i, v in found]
        found.append((j, pivot))
    return found


def _without(v: Array, part: Array) -> Array:
    """Return v - part, zero where that is rounding."""
    out = v - part
    out[np.abs(out) <= HEARD * np.maximum(np.abs(v), np.abs(part)).max()] = 0.0
    return out
